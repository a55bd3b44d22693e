package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/directory"
	"postern/portal/store"
)

// Monitoring goes by these names: they are added to, and never changed. A directory
// that cannot be looked at is a check by its own name.
var (
	checks = []string{"config", "files", "public_url", "tls", "cookies", "listen", "admin", "trusted_proxies", "passkeys", "keys", "store", "redis", "record", "ship", "kiosks", "disk",
		"corp", "alerts", "roles", "mail", "sms", "yubikey", "leaked passwords", "entropy", "clock"}
	directoryChecks = strings.Fields("reach tls bind server clock account base people manager policy privileged protected listing rights history unexpire expire manage ppolicy index signing writable domain domains catalogue discover answers token tenant credential permissions roles pass methods")
)

// diagnose runs doctor and returns its findings by what was looked at.
func (h *house) diagnose() (findings map[string][]directory.Finding, told string, code int) {
	h.t.Helper()
	var out bytes.Buffer
	c := &cli{out: &out, err: io.Discard, env: noEnv}
	root := c.root()
	root.SetArgs([]string{"doctor", "--config", h.file})
	code = c.exitCode(root.ExecuteContext(h.t.Context()))
	var asJSON bytes.Buffer
	c.out = &asJSON
	root = c.root()
	root.SetArgs([]string{"doctor", "--json", "--config", h.file})
	if again := c.exitCode(root.ExecuteContext(h.t.Context())); again != code {
		h.t.Errorf("exit code %d as text and %d as JSON", code, again)
	}
	var got struct {
		Worst    string
		Findings []struct{ Severity, Check, What, Why, Mend string }
	}
	if err := json.Unmarshal(asJSON.Bytes(), &got); err != nil {
		h.t.Fatalf("%v in %s", err, &asJSON)
	}
	findings = map[string][]directory.Finding{}
	worst := directory.OK
	for _, f := range got.Findings {
		s := map[string]directory.Severity{"ok": directory.OK, "warning": directory.Warning, "failure": directory.Failure}[f.Severity]
		worst = max(worst, s)
		if _, own, in := strings.Cut(f.Check, ": "); in && !slices.Contains(directoryChecks, own) || !in && !slices.Contains(checks, f.Check) {
			h.t.Errorf("%q is a check that monitoring does not know", f.Check)
		}
		findings[f.Check] = append(findings[f.Check], directory.Finding{Severity: s, Check: f.Check, What: f.What, Why: f.Why, Mend: f.Mend})
		if s > directory.OK && (f.Why == "" || f.Mend == "") {
			h.t.Errorf("%s: says neither why nor what to do: %+v", f.Check, f)
		}
	}
	if int(worst) != code || worst.String() != got.Worst {
		h.t.Errorf("worst is %s, exit code %d", worst, code)
	}
	return findings, out.String(), code
}

func TestDoctorSaysWhatWorks(t *testing.T) {
	h := newHouse(t)
	before := h.tree()
	found, told, code := h.diagnose()
	if code > int(directory.Warning) {
		t.Errorf("exit code %d:\n%s", code, told)
	}
	for check, want := range map[string]string{"config": "no faults", "keys": "keys.json", "store": "there is no", "mail": "nothing was sent", "passkeys": "localhost", "listen": "is free"} {
		if f := found[check]; len(f) == 0 || !strings.Contains(f[0].What, want) {
			t.Errorf("%s: %+v", check, f)
		}
	}
	inDirectory := 0
	for check := range found {
		if strings.HasPrefix(check, "corp: ") {
			inDirectory++
		}
	}
	if inDirectory == 0 {
		t.Errorf("nothing was said of the directory:\n%s", told)
	}
	if !strings.Contains(told, "✓ ok") {
		t.Error(told)
	}
	if after := h.tree(); before != after {
		t.Errorf("doctor changed something:\n%s\nbefore:\n%s", after, before)
	}
	if n := len(h.mail.Mails()); n != 0 {
		t.Errorf("doctor sent %d mails", n)
	}
}

// tree is every file of the house: name, size and time.
func (h *house) tree() string {
	var b strings.Builder
	filepath.Walk(h.dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			fmt.Fprintln(&b, path, info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
		return nil
	})
	return b.String()
}

func TestDoctorNamesWhatDoesNotAndHowToMendIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		change []string
		harm   func(*house)
		check  string
		what   string
	}{
		{"an unknown key", []string{"store:", "stoer: {}\nstore:"}, nil, "config", "stoer"},
		{"no keys", nil, func(h *house) { os.Remove(filepath.Join(h.dir, "keys.json")) }, "keys", "keys.json"},
		{"no mail server", nil, func(h *house) { h.mail.Close() }, "mail", "127.0.0.1"},
		{"no directory", nil, func(h *house) { h.ldap.Close() }, "corp: ", ""},
		{"an address of somebody else", []string{"listen: localhost", "listen: 192.0.2.1"}, nil, "listen", "192.0.2.1"},
		{"no file", nil, func(h *house) { os.Remove(h.file) }, "config", "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t, c.change...)
			if c.harm != nil {
				c.harm(h)
			}
			found, told, code := h.diagnose()
			if code != int(directory.Failure) {
				t.Errorf("exit code %d", code)
			}
			hit := false
			for check, list := range found {
				for _, f := range list {
					hit = hit || strings.HasPrefix(check, c.check) && f.Severity == directory.Failure && strings.Contains(f.What, c.what)
				}
			}
			if !hit {
				t.Errorf("not found:\n%s", told)
			}
		})
	}
}

func TestDoctorComparesWhatPeopleTypeWithWhereItListens(t *testing.T) {
	for _, c := range []struct{ name, public, listen, proxy, want string }{
		{"behind a proxy here", "https://id.example.org", "127.0.0.1:8080", "127.0.0.1", ""},
		{"another port", "http://localhost:8080", "localhost:8081", "", "people come to port 8080"},
		{"nobody but this machine", "https://id.example.org", "127.0.0.1:443", "", "for this machine alone"},
		{"a proxy that cannot reach it", "https://id.example.org", "127.0.0.1:8080", "10.0.0.1", "none of 10.0.0.1"},
		{"in the clear on the network", "https://id.example.org", "10.0.0.2:8080", "10.0.0.1", "speaks no TLS"},
		{"everything fits", "http://localhost:8080", "localhost:8080", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Portal.PublicURL, cfg.Portal.Listen = c.public, c.listen
			if c.proxy != "" {
				cfg.Portal.TrustedProxies = []string{c.proxy}
			}
			u, err := url.Parse(c.public)
			if err != nil {
				t.Fatal(err)
			}
			d := &examination{}
			d.reach(cfg, u)
			if c.want == "" && len(d.findings) > 0 || c.want != "" && (len(d.findings) != 1 || !strings.Contains(d.findings[0].What, c.want)) {
				t.Errorf("%+v", d.findings)
			}
		})
	}
}

// What a server says must not drive the terminal or pretend to be our lines.
func TestDoctorPrintsNothingAServerMadeUp(t *testing.T) {
	d := &examination{}
	d.bad(directory.Failure, "corp: bind", "no\n✓ ok      corp: all is well\x1b[2J\u009b1m", "why\r\nx", "mend\x1b]0;title\x07")
	var out bytes.Buffer
	printText(&out, d.findings, false)
	if strings.ContainsAny(out.String(), "\x1b\x07\r\u009b") || strings.Contains(out.String(), "\n✓ ok      corp") {
		t.Errorf("%q", out.String())
	}
}

// A key file of another database is named before serve meets it.
func TestDoctorNoticesTheKeysOfAnotherDatabase(t *testing.T) {
	h := newHouse(t)
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if findings, _, _ := h.diagnose(); slices.ContainsFunc(findings["keys"], func(f directory.Finding) bool { return f.Severity != directory.OK }) {
		t.Errorf("its own keys: %+v", findings["keys"])
	}
	file := filepath.Join(h.dir, "keys.json")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := store.CreateKeys(file); err != nil {
		t.Fatal(err)
	}
	if findings, _, code := h.diagnose(); code == 0 || !slices.ContainsFunc(findings["keys"], func(f directory.Finding) bool { return f.Severity == directory.Failure }) {
		t.Errorf("other keys: %+v", findings["keys"])
	}
}

func TestDoctorAsksTheServiceOfLeakedPasswordsForAPublicWord(t *testing.T) {
	answer := "1E4C9B93F3F0682250B6CF8331B7EE68FD8:9" // "password"
	var told []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = append(told, r.URL.Path)
		io.WriteString(w, answer)
	}))
	defer server.Close()
	h := newHouse(t, "store:", "password: {breached_url: "+server.URL+"/range/}\nstore:")
	one := func() directory.Finding {
		found, told, _ := h.diagnose()
		if len(found["leaked passwords"]) != 1 {
			t.Fatal(told)
		}
		return found["leaked passwords"][0]
	}
	if f := one(); f.Severity != directory.OK || !strings.Contains(f.What, server.URL) {
		t.Errorf("%+v", f)
	}
	answer = "<html>"
	if f := one(); f.Severity != directory.Failure || !strings.Contains(f.Why, "no new password") {
		t.Errorf("%+v", f)
	}
	for _, path := range told {
		if path != "/range/5BAA6" {
			t.Errorf("asked for %s", path)
		}
	}
}
