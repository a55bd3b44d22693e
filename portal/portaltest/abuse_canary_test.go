package portaltest

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Security case 113: after a whole run in which everything went right and
// everything went wrong, no secret is in the log, the database, its journal or
// a mail, in any spelling; nothing that was typed is a line of its own there.
func TestNoSecretIsLeftAnywhere(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", freely)
	const (
		fresh    = "C4nary-Fresh-Passw0rd-9981"
		weak     = "C4n4!"
		mistyped = "C4nary-Mistyped-7723"
		current  = "C4nary-Wrong-Current-5512"
		injected = "x\n{\"level\":\"ERROR\",\"msg\":\"forged\"}\x1b[31m"
	)
	secrets := map[string]string{"new password": fresh, "refused password": weak, "mistyped password": mistyped, "wrong current password": current,
		"their old password": s.h.Password("user1"), "the service account's password": s.h.Secret}
	owner := s.enrols(t, "user1")
	owner.device()
	secrets["seed"] = string(s.apps["user1"])
	secrets["session"] = owner.Cookie("__Host-postern")
	for i, c := range s.codes["user1"] {
		secrets["recovery code "+string(rune('0'+i))] = c
	}
	w := s.walker(t).start("reset", "user1")
	code := w.mailedCode("/recover", "user1")
	secrets["mailed code"] = code
	w.on("/recover/answer", "answer", mistyped)
	w.on("/recover/answer", "answer", code).want(t, 200, "choose", "")
	roomy()
	app := s.code(t, "user1", 0)
	w.answers("totp", app).want(t, 200, "new-password", "")
	secrets["session of the case"] = w.Cookie("__Host-postern")
	secrets["form token"] = w.csrf
	w.sets(weak).want(t, 422, "new-password", "too_short")
	w.on("/recover/password", "password", fresh, "confirm", mistyped).want(t, 422, "new-password", "mismatch")
	held := s.walker(t)
	held.get("/recover/change")
	held.on("/recover/start", "purpose", "change", "login", "user1", "current", s.h.Password("user1")).want(t, 200, "new-password", "")
	secrets["session that holds a password"] = held.Cookie("__Host-postern")
	w.sets(fresh).wantStep(t, "done")
	for _, login := range []string{"user1", "nobody", injected, strings.Repeat("L", 500)} {
		x := s.walker(t)
		x.get("/recover/change")
		x.on("/recover/start", "purpose", "change", "login", login, "current", current)
		x.on("/recover/answer", "answer", mistyped)
	}
	for _, raw := range []string{"csrf=" + current, "password=" + fresh + "&password=" + fresh, "%zz=" + fresh} {
		w.ask("POST", "/recover/password", formType, raw, ourselves...)
	}
	w.get("/recover?password=" + url.QueryEscape(fresh))
	w.get("/" + fresh)
	s.h.Stop() // and the errors of a directory that is gone
	x := s.walker(t)
	x.get("/recover/change")
	x.on("/recover/start", "purpose", "change", "login", "user2", "current", current)

	places := map[string][]byte{"the log": []byte(s.p.Log())}
	files, err := filepath.Glob(filepath.Join(s.p.Dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if filepath.Base(f) == secretFile || filepath.Base(f) == "keys.json" {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		places[filepath.Base(f)] = b
	}
	if len(places["postern.db"])+len(places["postern.db-wal"]) < 64<<10 {
		t.Fatalf("the database is too small to show anything: %d files", len(files))
	}
	for _, m := range s.p.Mail.Mails() {
		// The code belongs in its own mail, once.
		places["a mail about "+m.Subject] = []byte(strings.ReplaceAll(m.Raw+m.Text+m.HTML, code, ""))
	}
	folded := map[string][]byte{}
	for where, content := range places {
		folded[where] = bytes.ToLower(content)
	}
	if !bytes.Contains(places["postern.db"], []byte("house:")) && !bytes.Contains(places["postern.db-wal"], []byte("house:")) || !strings.Contains(s.p.Log(), "ready") {
		t.Fatal("what should be found is not: this shows nothing")
	}
	for what, secret := range secrets {
		if len(secret) < 4 {
			t.Fatalf("%s is empty: this shows nothing", what)
		}
		spellings := []string{secret, url.QueryEscape(secret), strings.ReplaceAll(secret, "-", ""), hex.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
			base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(secret)), utf16(secret)}
		for where, content := range places {
			for _, sp := range spellings {
				if bytes.Contains(content, []byte(sp)) || len(sp) > 8 && bytes.Contains(folded[where], []byte(strings.ToLower(sp))) {
					t.Errorf("%s is in %s", what, where)
					break
				}
			}
		}
	}
	for line := range strings.Lines(s.p.Log()) {
		if strings.HasPrefix(line, `{"level":"ERROR","msg":"forged"`) || strings.Contains(line, "\x1b") {
			t.Errorf("what was typed is a line of the log: %q", line)
		}
	}
	if n := s.count(t, `SELECT count(*) FROM audit_events WHERE length(event) > 8192 OR event LIKE '%' || char(10) || '%' OR event LIKE '%' || char(27) || '%'`); n != 0 {
		t.Errorf("%d events are endless or hold raw control characters", n)
	}
}

// utf16 is how Active Directory carries passwords.
func utf16(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteByte(byte(r))
		b.WriteByte(byte(r >> 8))
	}
	return b.String()
}
