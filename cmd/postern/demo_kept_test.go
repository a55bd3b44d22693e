//go:build !noentra

package main

import (
	"html"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/portal/audit"
)

var shownPass = regexp.MustCompile(`id="pass"><bdi dir="ltr">([^<]+)</bdi>`)

// Somebody of a tenant takes a lost phone away and gets a pass to register a new one:
// the stand-in has it, and nothing of it is left in the portal.
func TestATenantsPersonMendsTheirSignIn(t *testing.T) {
	dir := t.TempDir()
	r := startDemoWith(t, dir, true)
	p := r.person("cloud1@example.org")
	w := r.visit()
	w.open("/signin", "start")
	w.send("/signin/start", "choose", "purpose", "signin", "login", p.Login)
	w.send("/signin/choose", "answer", "factor", "totp")
	w.send("/signin/answer", "choose", "answer", p.code(t))
	w.send("/signin/choose", "answer", "factor", "recovery_code")
	w.send("/signin/answer", "me", "answer", p.RecoveryCodes[0])
	if !strings.Contains(w.Page.Body, "Microsoft Authenticator") {
		t.Errorf("their own page does not show the tenant's methods:\n%s", w.Page.Body)
	}

	w.open("/me/methods", "methods")
	removal := regexp.MustCompile(`/me/methods/[0-9a-f-]{36}/remove`).FindString(w.Page.Body)
	w.open(removal, "remove")
	if !strings.Contains(w.Page.Body, "Apart from a password, nothing is left") {
		t.Error("it is the last one, and nobody says so")
	}
	w.send(removal, "methods")
	if strings.Contains(w.Page.Body, "Microsoft Authenticator") || !strings.Contains(w.Page.Body, ">Password<") {
		t.Errorf("it is still there, or all of it is gone:\n%s", w.Page.Body)
	}

	once := regexp.MustCompile(`name="once" value="([^"]+)"`).FindStringSubmatch(w.Page.Body)[1]
	w.send("/me/pass", "pass", "once", once)
	found := shownPass.FindStringSubmatch(w.Page.Body)
	if found == nil {
		t.Fatalf("no pass:\n%s", w.Page.Body)
	}
	pass := html.UnescapeString(found[1])
	w.send("/me/pass", "methods", "once", once)
	if w.Page.Error() != "pass_spent" || strings.Contains(w.Page.Body, pass) || strings.Count(w.Page.Body, "Temporary pass<") < 2 {
		t.Errorf("sent again: %q\n%s", w.Page.Error(), w.Page.Body)
	}
	r.delivered(p.Mail, regexp.MustCompile("A temporary pass for your organisation account was given out"))
	r.delivered(p.Mail, regexp.MustCompile("A sign-in method of your organisation account was removed"))
	if err := w.Get("/demo/inbox.json"); err != nil || strings.Contains(w.Page.Body, pass) {
		t.Errorf("a message has it (%v)", err)
	}
	var did []string
	each(t, dir, func(e audit.Event) {
		if e.Kind == "method.removed" || e.Kind == "pass.issued" {
			did = append(did, e.Kind+" "+string(e.Outcome))
		}
		for k, v := range e.Detail {
			if strings.Contains(v, pass) {
				t.Errorf("the record has it: %s of %s", k, e.Kind)
			}
		}
	})
	if want := []string{"method.removed intent", "method.removed ok", "pass.issued intent", "pass.issued ok"}; !slices.Equal(did, want) {
		t.Errorf("%q", did)
	}

	err := filepath.WalkDir(dir, func(path string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), pass) {
			t.Errorf("%s has it", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}

	// Who is in the directory on-premises has nothing there.
	w = r.visit()
	w.open("/signin", "start")
	u := r.person("user2")
	w.send("/signin/start", "choose", "purpose", "signin", "login", u.Login, "current", u.Password)
	w.send("/signin/choose", "answer", "factor", "totp")
	w.send("/signin/answer", "me", "answer", u.code(t))
	if strings.Contains(w.Page.Body, "/me/methods") {
		t.Error("they are shown what they do not have")
	}
	w.open("/me/methods", "error")
}
