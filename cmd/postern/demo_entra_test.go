//go:build !noentra

package main

import (
	"strings"
	"testing"

	"postern/portal/audit"
)

// Without script, and against what a tenant would answer: who is the tenant's own is
// reset there, who is synced on-premises, who has a role in either nowhere.
func TestATenantsPeopleRecover(t *testing.T) {
	dir := t.TempDir()
	startDemo(t, dir).stop() // the folder was there before the tenant
	r := startDemoWith(t, dir, true)
	const password = "Quite-new-words-77"
	cloud := r.person("cloud1@example.org")

	w := r.visit()
	w.reset(cloud, password)
	if !strings.Contains(w.Page.Body, "Signed out of your other apps and devices") {
		t.Errorf("the tenant's sessions are not spoken of:\n%s", w.Page.Body)
	}
	if err := w.Get("/demo"); err != nil || strings.Contains(w.Page.Body, cloud.Password) {
		t.Errorf("the password of before is still the tenant's (%v)", err)
	}

	// By the name of the copy, and by its own: one account.
	synced := r.person("user5")
	synced.Login = "user5@example.org"
	w = r.visit()
	w.reset(synced, password)
	if strings.Contains(w.Page.Body, "Signed out of your other apps and devices") {
		t.Error("the directory has no sessions to end")
	}
	w = r.visit()
	w.open("/recover/change", "start")
	w.send("/recover/start", "new-password", "purpose", "change", "login", "user5", "current", password)

	for _, c := range []struct{ login, person, why string }{
		{"cloudadmin1@example.org", "cloudadmin1@example.org", "has the role User Administrator"},
		{"user6", "user6", "cloud: has the role Exchange Administrator"},
		{"user6@example.org", "user6", "cloud: has the role Exchange Administrator"},
	} {
		w := r.visit()
		w.open("/recover/reset", "start")
		w.send("/recover/start", "choose", "purpose", "reset", "login", c.login)
		w.send("/recover/choose", "answer", "factor", "totp")
		w.send("/recover/answer", "answer", "answer", r.person(c.person).code(t))
		if w.Page.Error() == "" {
			t.Errorf("%s: a right code was taken", c.login)
		}
		told := false
		each(t, dir, func(e audit.Event) {
			told = told || e.Kind == "case.started" && e.Reason == "privileged" && strings.HasPrefix(e.Detail["why"], c.why)
		})
		if !told {
			t.Errorf("%s: the record does not say %q", c.login, c.why)
		}
	}

	// Nobody can check a tenant's password: it is wrong like any other.
	w = r.visit()
	w.open("/recover/change", "start")
	w.send("/recover/start", "answer", "purpose", "change", "login", cloud.Login, "current", password)
	cloudSays := w.Page.Error()
	w = r.visit()
	w.open("/recover/change", "start")
	w.send("/recover/start", "answer", "purpose", "change", "login", "user7", "current", "not-the-password")
	if cloudSays == "" || cloudSays != w.Page.Error() {
		t.Errorf("a tenant's password: %q; a wrong one: %q", cloudSays, w.Page.Error())
	}

	// Signing in goes without it.
	second := r.person("cloud2@example.org")
	w = r.visit()
	w.open("/signin", "start")
	w.send("/signin/start", "choose", "purpose", "signin", "login", second.Login)

	// Who types their password there out of habit goes on as well; it proves nothing.
	for _, typed := range []string{second.Password, "not-the-password"} {
		w = r.visit()
		w.open("/signin", "start")
		w.send("/signin/start", "choose", "login", second.Login, "current", typed)
	}
	w.send("/signin/choose", "answer", "factor", "totp")
	w.send("/signin/answer", "choose", "answer", second.code(t))
}

// One person's two accounts, on-premises and in the tenant, get one new password in one
// case.
func TestAPersonsAccountsOnBothSidesAreResetTogether(t *testing.T) {
	dir := t.TempDir()
	r := startDemoWith(t, dir, true)
	p := r.person("user8")
	w := r.visit()
	w.open("/recover/reset", "start")
	w.send("/recover/start", "choose", "purpose", "reset", "login", p.Login)
	w.send("/recover/choose", "answer", "factor", "totp")
	w.send("/recover/answer", "choose", "answer", p.code(t))
	w.send("/recover/choose", "answer", "factor", "recovery_code")
	w.send("/recover/answer", "new-password", "answer", p.RecoveryCodes[0])
	for _, want := range []string{"Your other accounts", "user8.cloud@example.org"} {
		if !strings.Contains(w.Page.Body, want) {
			t.Errorf("the page for the password does not say %q:\n%s", want, w.Page.Body)
		}
	}
	// What the tenant alone refuses is refused before either is written.
	w.send("/recover/password", "new-password", "password", "Überlange-Wörter-77", "confirm", "Überlange-Wörter-77", "also", "yes")
	if w.Page.Error() != "characters" {
		t.Errorf("letters that Entra ID does not take: %q", w.Page.Error())
	}
	const password = "Quite-new-words-77"
	w.send("/recover/password", "done", "password", password, "confirm", password, "also", "yes")
	if !strings.Contains(w.Page.Body, `data-state="done"`) && !strings.Contains(w.Page.Body, `data-state=done`) {
		t.Errorf("the other account is not told of:\n%s", w.Page.Body)
	}
	resets := map[string]string{} // case to whom
	rests := ""
	each(t, dir, func(e audit.Event) {
		if e.Kind == "password.reset" {
			resets[e.Case] = e.SubjectName
			if of := e.Detail["of"]; of != "" {
				rests += resets[of] + " " + e.SubjectName
			}
		}
	})
	if rests != "user8 user8.cloud@example.org" {
		t.Errorf("resets in the record: %q", rests)
	}
}

// What people registered with the tenant itself is counted beside what they set up here.
func TestOperatorsSeeWhatIsRegisteredWithTheTenant(t *testing.T) {
	r := startDemoWith(t, t.TempDir(), true)
	w := r.visit()
	w.enter(r.person("operator1"))
	w.open("/desk/coverage", "coverage")
	if err := w.Post("/desk/coverage"); err != nil {
		t.Fatal(err)
	}
	w.until("/desk/coverage", "coverage")
	w.says("Registered with the directory itself", "people can prove more than a password there", "microsoftAuthenticatorPush", "Everybody in the directory is counted")
	if err := w.Get("/desk/coverage.csv"); err != nil || !strings.Contains(w.Page.Body, ",microsoftAuthenticatorPush\n") {
		t.Errorf("the file does not have it (%v):\n%s", err, w.Page.Body)
	}
}
