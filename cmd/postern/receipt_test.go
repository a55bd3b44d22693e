package main

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/directory/embedded"
	"postern/portal/portaltest"
)

// The number on the last page is found on the public page a second later, by a browser
// that was never there; the file it gives holds against the public key alone, and not
// once a letter of it was changed.
func TestAPersonCanProveWhatTheirReceiptSays(t *testing.T) {
	h := newHouse(t)
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer h.run(p)()
	i := slices.IndexFunc(h.ldap.People(), func(p embedded.Person) bool { return p.Login == "user1" })
	who := h.ldap.People()[i]
	w := walk{portaltest.NewVisitor(portaltest.NewClient(h.url), h.url), t}
	w.open("/recover/change", "start")
	w.send("/recover/start", "new-password", "purpose", "change", "login", who.Login, "current", who.Password.Reveal())
	w.send("/recover/password", "done", "password", "Quite-new-words-77", "confirm", "Quite-new-words-77")
	code := regexp.MustCompile(`P-[0-9A-Z]{4}-[0-9A-Z]{4}`).FindString(w.Page.Body)
	if code == "" || !strings.Contains(w.Page.Body, `href="/receipt"`) {
		t.Fatal(w.Page.Body)
	}

	other := walk{portaltest.NewVisitor(portaltest.NewClient(h.url), h.url), t}
	other.open("/receipt", "receipt")
	other.poll("/receipt", func() bool { // the form is sent again until it is sealed
		if err := other.Post("/receipt", "code", strings.ToLower(code)); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(other.Page.Body, "/receipt/"+code)
	})
	if strings.Contains(other.Page.Body, who.Login) || !strings.Contains(other.Page.Body, "Password change") {
		t.Error(other.Page.Body)
	}
	if err := other.Get("/receipt/" + code); err != nil || strings.Contains(other.Page.Body, who.Login) {
		t.Fatal(err, other.Page.Body)
	}
	_, key, err := recordKey(p.keys)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "receipt.json")
	check := func(text string) (string, error) {
		writeFile(t, file, text, 0o600)
		var out bytes.Buffer
		c := &cli{out: &out, err: io.Discard, env: noEnv}
		cmd := c.auditReceipt()
		cmd.SetArgs([]string{file, "--key", key.String()})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	if _, err := check(other.Page.Body); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{{"password.changed", "password.reset__"}, {code, "P-0000-0000"}, {`"index": `, `"index": 1`}, {`"path": [`, `"path": [], "x": [`}} {
		forged := strings.Replace(other.Page.Body, change[0], change[1], 1)
		if forged == other.Page.Body {
			t.Fatalf("nothing to change: %s", change[0])
		}
		if out, err := check(forged); err == nil {
			t.Errorf("%s was changed: %s", change[0], out)
		}
	}
}
