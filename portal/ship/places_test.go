package ship

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/notify"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func entries(from, n int64) (list []audit.Filed) {
	for i := range n {
		list = append(list, filed(from+i))
	}
	return list
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// What was half written when the program died is cut off and comes again whole.
func TestAFileHoldsWholeLinesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f := &file{File{Path: path, Size: 1}, "log", func() time.Time { return noon }}
	if err := f.Ship(t.Context(), entries(0, 3)); err != nil {
		t.Fatal(err)
	}
	for _, torn := range []string{`{"log":"log","index":3,"ha`, strings.Repeat("x", 10_000), "x"} {
		out, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.WriteString(torn); err != nil {
			t.Fatal(err)
		}
		out.Close()
		if err := f.Witness(t.Context(), "a\nb\n"); err != nil {
			t.Fatal(err)
		}
	}
	got := lines(t, path)
	if len(got) != 6 {
		t.Errorf("%d lines", len(got))
	}
	for _, l := range got {
		if !json.Valid([]byte(l)) {
			t.Errorf("not JSON: %s", l)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("never a line"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Ship(t.Context(), entries(0, 1)); err != nil || len(lines(t, path)) != 1 {
		t.Error(lines(t, path), err)
	}
}

func TestAFullFileIsPutAsideAndOldOnesGo(t *testing.T) {
	dir := t.TempDir()
	path, now := filepath.Join(dir, "audit.jsonl"), noon
	stranger := filepath.Join(dir, "audit-important.jsonl")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := &file{File{Path: path, Size: 1, Keep: 2}, "log", func() time.Time { now = now.Add(time.Second); return now }}
	n := int64(0)
	for range 60 {
		if err := f.Ship(t.Context(), entries(n, 500)); err != nil {
			t.Fatal(err)
		}
		n += 500
	}
	there, err := filepath.Glob(filepath.Join(dir, "audit-2026*.jsonl"))
	if err != nil || len(there) != 2 {
		t.Fatal(there, err)
	}
	next := int64(-1)
	for _, name := range append(there, path) {
		if info, err := os.Stat(name); err != nil || info.Size() > 1<<20 {
			t.Errorf("%s: %d bytes, %v", name, info.Size(), err)
		}
		for _, l := range lines(t, name) {
			var e entry
			if err := json.Unmarshal([]byte(l), &e); err != nil || next >= 0 && e.Index != next {
				t.Fatalf("entry %d after %d, %v", e.Index, next-1, err)
			}
			next = e.Index + 1
		}
	}
	if next != n {
		t.Errorf("%d of %d", next, n)
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Error("somebody else's file is gone")
	}
	if err := (&file{File{Path: filepath.Join(dir, "none", "x"), Size: 1}, "log", nil}).Ship(t.Context(), entries(0, 1)); err == nil {
		t.Error("shipped into no folder")
	}
}

const hookSecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func hook(t *testing.T, url string) *webhook {
	t.Helper()
	c := Webhook{URL: url, Secret: directory.NewSecret(hookSecret)}
	if faults := c.validate(); len(faults) > 0 {
		t.Fatal(faults)
	}
	w, err := newWebhook(c, "log", func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAWebhookIsSignedAndTheSameBatchHasTheSameID(t *testing.T) {
	var ids []string
	status := 200
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key, _ := base64.StdEncoding.DecodeString("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "."))
		mac.Write(body)
		if got := r.Header.Get("webhook-signature"); got != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) || r.Header.Get("webhook-timestamp") != "1772366400" {
			t.Errorf("signature %s", got)
		}
		ids = append(ids, r.Header.Get("webhook-id"))
		var batch struct {
			Log     string
			Entries []entry
		}
		if err := json.Unmarshal(body, &batch); err != nil || batch.Log != "log" || len(batch.Entries) != 3 || batch.Entries[2].Index != 2 {
			t.Errorf("%s", body)
		}
		w.WriteHeader(status)
	}))
	defer s.Close()
	w := hook(t, s.URL)
	for _, status = range []int{200, 204, 500, 404, 302, 410} {
		if err := w.Ship(t.Context(), entries(0, 3)); (err == nil) != (status < 300) {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, id := range ids {
		if id != ids[0] {
			t.Error("another id for the same batch")
		}
	}
}

// Security case 115.
func TestAWebhookReachesNothingInside(t *testing.T) {
	hits := 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer inside.Close()
	for _, url := range []string{"http://siem.example.org/", "gopher://siem.example.org/", "file:///etc/passwd", "https://u:p@siem.example.org/", "https://", "http://169.254.169.254/"} {
		if faults := (Webhook{URL: url, Secret: directory.NewSecret(hookSecret)}).validate(); len(faults) == 0 {
			t.Errorf("%s is accepted", url)
		}
	}
	for _, host := range []string{"169.254.169.254", "10.0.0.1", "[fd00:ec2::254]", "[fe80::1]", "192.168.1.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]"} {
		w := hook(t, "https://"+host+"/")
		if host == "[::ffff:127.0.0.1]" { // this machine, and said to be
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if err := w.Ship(ctx, entries(0, 1)); !errors.As(err, new(*notify.AddressError)) {
			t.Errorf("%s: %v", host, err)
		}
		cancel()
	}
	// A redirect is an answer that is not yes, wherever it leads.
	front := httptest.NewServer(http.RedirectHandler(inside.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	if err := hook(t, front.URL).Ship(t.Context(), entries(0, 1)); err == nil || hits != 0 {
		t.Errorf("followed: %v, %d", err, hits)
	}
	// What says this machine leads nowhere else, whatever the name means today.
	w := hook(t, "http://localhost:1/")
	w.transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		d := net.Dialer{Timeout: time.Second, Control: notify.Guard{Local: true}.Control}
		return d.DialContext(ctx, network, "93.184.216.34:80")
	}
	if err := w.Ship(t.Context(), entries(0, 1)); !errors.As(err, new(*notify.AddressError)) {
		t.Error(err)
	}
}

func TestWebhookSecretsMustBeLong(t *testing.T) {
	for _, bad := range []string{"", "hunter2", "whsec_", "whsec_c2hvcnQ=", "not base64 at all!!"} {
		if _, err := (Webhook{Secret: directory.NewSecret(bad)}).key(); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// A checkpoint is found again in whatever a place keeps of it.
func TestAuditorsFindTheCheckpointInWhatWasKept(t *testing.T) {
	s, err := audit.NewSigner(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(3, audit.LeafHash(nil), noon)
	if err != nil {
		t.Fatal(err)
	}
	key, err := audit.ParseKey(s.Key())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "f")
	f := &file{File{Path: path, Size: 1}, s.Name(), time.Now}
	if err := errors.Join(f.Ship(t.Context(), entries(0, 2)), f.Witness(t.Context(), signed)); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var mail string
	if err := (letters{[]string{"a@example.org"}, func(_ context.Context, _, _, text string) error { mail = text; return nil }}).Witness(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	messages := received(t, func(p *syslog) error { p.log = s.Name(); return p.Witness(t.Context(), signed) })
	for what, text := range map[string]string{"file": string(kept), "mail": mail, "syslog": strings.Join(messages, "\n")} {
		found, err := key.FindCheckpoints(strings.NewReader(text))
		if err != nil || len(found) != 1 || found[0].Size != 3 {
			t.Errorf("%s: %v %v\n%s", what, found, err, text)
		}
	}
}
