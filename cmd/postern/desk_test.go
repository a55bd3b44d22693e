package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestWithoutRolesThereIsNoDesk(t *testing.T) {
	if DefaultConfig().Access.Roles.On() {
		t.Error("somebody has a role without anybody having said so")
	}
	p := &program{cfg: DefaultConfig()}
	if desk, err := p.desk(extras{}, nil, nil); desk != nil || err != nil || p.census != nil {
		t.Errorf("%+v, %v", desk, err)
	}
	dir, text := valid(t)
	const roles = "access: {roles: {senior: [Leads], operator: [\"CN=Ops,DC=x\"]}}\n"
	if _, faults := parse([]byte(text+roles), dir, noEnv); len(faults) != 1 || !strings.Contains(faults[0].String(), "alerts.mail") {
		t.Errorf("nobody hears of what seniors do: %v", faults)
	}
	cfg, faults := parse([]byte(text+"alerts: {mail: [security@example.org]}\n"+roles), dir, noEnv)
	if len(faults) > 0 || !cfg.Access.Roles.On() || cfg.Access.Roles.Operator[0] != "CN=Ops,DC=x" || cfg.Access.Roles.Senior[0] != "Leads" {
		t.Errorf("%+v, %v", cfg.Access, faults)
	}
}

// enter signs in by a password and an app.
func (w walk) enter(p demoPerson) {
	w.t.Helper()
	w.open("/signin", "start")
	w.send("/signin/start", "choose", "login", p.Login, "current", p.Password)
	w.send("/signin/choose", "answer", "factor", "totp")
	w.send("/signin/answer", "me", "answer", p.code(w.t))
}

func (w walk) says(words ...string) {
	w.t.Helper()
	for _, s := range words {
		if !strings.Contains(w.Page.Body, s) {
			w.t.Errorf("%q is missing in\n%s", s, w.Page.Body)
		}
	}
}

// The desk of the whole program, from its groups to its record: an operator looks
// somebody up, who sees that it was done; and counts.
func TestOperatorsSeeHowEverybodyStands(t *testing.T) {
	r := startDemo(t, t.TempDir())
	w := r.visit()
	w.enter(r.person("operator1"))
	w.says(`href="/desk"`)
	w.open("/desk", "desk")
	w.open("/desk/policy", "policy")
	w.says("The general plan")
	w.open("/desk/policy?login=user1&purpose=reset&door=web", "policy")
	w.says("A way is open.", "Amara Okafor")
	w.open("/desk/policy?login=user20", "policy")
	w.says("Stranded: no way is open.", "not set up")
	w.open("/desk/policy?login=admin1", "policy")
	w.says("It is privileged.")

	w.open("/desk/coverage", "coverage")
	w.says("Not counted yet.")
	if err := w.Post("/desk/coverage"); err != nil {
		t.Fatal(err)
	}
	w.until("/desk/coverage", "coverage")
	// Two have nothing set up and would be stranded, and two are not served.
	w.says("26 of 28 people", "2 accounts the portal does nothing for")
	if err := w.Get("/desk/coverage.csv"); err != nil || w.Page.Status != 200 || !strings.HasPrefix(w.Page.Body, "login,name,status,") || !strings.Contains(w.Page.Body, "\noperator1,") {
		t.Errorf("%v %d %s", err, w.Page.Status, w.Page.Body)
	}

	seen := r.visit()
	seen.enter(r.person("user1"))
	seen.open("/me/activity", "activity")
	seen.says("Looked up: your ways back in")
	seen.open("/me", "me")
	for _, path := range []string{"/desk", "/desk/policy?login=user2", "/desk/coverage", "/desk/coverage.csv"} {
		if err := seen.Get(path); err != nil || seen.Page.Status != 404 {
			t.Errorf("%s: %d, %v", path, seen.Page.Status, err)
		}
	}
	helper := r.visit()
	helper.enter(r.person("tech1"))
	helper.open("/desk", "desk")
	helper.says(`action="/desk/people"`)
	if err := helper.Get("/desk/policy"); err != nil || helper.Page.Status != 404 {
		t.Errorf("a technician reads the policy: %d, %v", helper.Page.Status, err)
	}
}

var (
	casePath = regexp.MustCompile(`/desk/cases/[0-9A-Z]{32}`)
	idPath   = regexp.MustCompile(`/desk/people/[a-z]+:[0-9a-f-]{36}`)
	spelled  = regexp.MustCompile(`[2-9A-Z]{3}-[2-9A-Z]{3}-[2-9A-Z]{3}`)
	// onceField lets a form act once.
	onceField = regexp.MustCompile(`name="once" value="([A-Za-z0-9_-]{22})"`)
	plate     = regexp.MustCompile(`</span>([1-9][0-9])</p>`)
)

// find is the one match there must be on the page.
func (w walk) find(what *regexp.Regexp) string {
	w.t.Helper()
	m := what.FindStringSubmatch(w.Page.Body)
	if m == nil {
		w.t.Fatalf("no %s in\n%s", what, w.Page.Body)
	}
	return m[len(m)-1]
}

// The demo's technician helps a caller, without JavaScript on either side: an
// account is unlocked once its owner was verified, and who looked stands there.
func TestTheDemosTechnicianHelpsACaller(t *testing.T) {
	r := startDemo(t, t.TempDir())
	tech, caller := r.visit(), r.visit()
	tech.enter(r.person("tech1"))
	tech.open("/desk", "desk")
	tech.open("/desk/people?q=locked1", "people")
	who := tech.find(idPath)
	tech.open(who, "person")
	tech.says("Locked")
	tech.send(who+"/open", "code", "purpose", "unlock", "cause", "locked out after a holiday", "ticket", "INC-7", "once", tech.find(onceField))
	code := tech.find(spelled)
	here := tech.find(casePath)
	tech.says("locked out after a holiday", "/link")

	caller.open("/link", "start")
	caller.send("/link", "start", "code", "222-222-222")
	caller.send("/link", "choose", "code", strings.ToLower(code))
	caller.send("/recover/choose", "answer", "factor", "totp")
	caller.send("/recover/answer", "choose", "answer", r.person("locked1").code(t))
	caller.send("/recover/choose", "wait", "factor", "handover")
	number := caller.find(plate)
	tech.open(here, "match")
	tech.send(here+"/match", "done", "number", number, "once", tech.find(onceField))
	caller.open("/recover", "done")
	caller.says("Your account is unlocked.")
	tech.open(who, "person")
	tech.says("Account unlocked", "Nothing is wrong with it")
	again := r.visit()
	again.open("/link", "start")
	again.send("/link", "start", "code", code)
	if again.Page.Error() != "wrong_link" {
		t.Errorf("a code works twice: %s", again.Page.Body)
	}
}
