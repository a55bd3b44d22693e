package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/portal/kiosk"
)

// The script of a device signs what the portal expects, byte for byte, and refuses a key
// that others can read.
func TestTheLaunchScriptSignsAsThePortalDoes(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := filepath.Join(t.TempDir(), "files")
	const origin = "https://id.example.org:8443"
	if _, err := writeKioskFiles(dir, origin); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "greeter.key")
	at := time.Unix(1780000000, 0)
	for i := range 8 {
		key, nonce := make([]byte, 32), make([]byte, 16)
		for j := range key {
			key[j] = byte(i*37 + j*11)
			nonce[j%16] ^= byte(255 - i*19 - j)
		}
		b64 := base64.RawURLEncoding.EncodeToString
		if err := os.WriteFile(file, []byte("abcdefghijklmnop:"+b64(key)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("sh", filepath.Join(dir, "postern-launch.sh"), file, "1780000000", b64(nonce)).CombinedOutput()
		// The same address; a query has no order.
		want := kiosk.LaunchURL(origin, "abcdefghijklmnop", key, at, nonce)
		if got := strings.TrimSpace(string(out)); err != nil || len(got) != len(want) || !strings.HasSuffix(got, "&s="+b64(kiosk.LaunchMAC(key, origin, "abcdefghijklmnop", at, nonce))) {
			t.Fatalf("%v\n%s\n%s", err, got, want)
		}
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", filepath.Join(dir, "postern-launch.sh"), file).CombinedOutput(); err == nil || !strings.Contains(string(out), "chmod 600") {
		t.Errorf("a key that everybody can read: %v %s", err, out)
	}
}

// Nothing is written half, over something, or for an address that is none.
func TestKioskFilesAreForOnePortal(t *testing.T) {
	for _, bad := range []string{"", "id.example.org", "http://id.example.org", "https://id.example.org/path", "https://a'b", "https://a$(x)", "ftp://localhost", "https://*", "https://a,b", "https://a;b", "https://a&b", "https://a\"b", "https://ID.example.org", "https://id.example.org:443", "https://u@id.example.org", "https://a\nb"} {
		if got, err := kioskOrigin(bad); err == nil {
			t.Errorf("%q: %s", bad, got)
		}
	}
	for origin, filter := range map[string]string{"https://pw.corp.example:8443": "https://.pw.corp.example:8443", "http://localhost:8080": "http://.localhost:8080", "https://[2001:db8::1]": "https://.[2001:db8::1]:443"} {
		if got := kioskFilter(origin); got != filter {
			t.Errorf("%s: %s", origin, got)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if names, err := writeKioskFiles(dir, "https://id.example.org"); err == nil || len(names) > 0 {
		t.Errorf("into a folder with something in it: %v", names)
	}
	dir = filepath.Join(t.TempDir(), "new")
	names, err := writeKioskFiles(dir, "https://id.example.org")
	if err != nil || len(names) != 5 {
		t.Fatalf("%v %v", names, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "postern-policies.json"))
	if err != nil {
		t.Fatal(err)
	}
	var policies struct{ URLAllowlist []string }
	if err := json.Unmarshal(text, &policies); err != nil || len(policies.URLAllowlist) != 2 || policies.URLAllowlist[0] != "https://.id.example.org:443/kiosk" || strings.Contains(string(text), "@") {
		t.Errorf("%v %v", policies, err)
	}
}
