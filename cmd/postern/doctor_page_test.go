package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"postern/directory"
	"postern/portal/audit"
)

// The page and the command look at the same things; only operators are shown it, and
// who asked is in the record.
func TestOperatorsHaveTheDemoExamined(t *testing.T) {
	dir := t.TempDir()
	r := startDemo(t, dir)
	op, tech := r.visit(), r.visit()
	op.enter(r.person("operator1"))
	op.open("/desk", "desk")
	op.says("/desk/doctor")
	op.open("/desk/doctor", "doctor")
	op.says("Nothing was examined yet.")
	if err := op.Post("/desk/doctor"); err != nil {
		t.Fatal(err)
	}
	op.until("/desk/doctor", "doctor")
	op.says("Needs attention", "demo: bind", "keys.json", "stays in the demo", "is this portal", "somebody has each role", "In order", "entropy")
	if strings.Contains(op.Page.Body, "Does not work") {
		t.Errorf("the demo has a failure: %s", op.Page.Body)
	}
	if err := op.Post("/desk/doctor"); err != nil || op.Page.Status != 429 {
		t.Errorf("again at once: %d", op.Page.Status)
	}

	tech.enter(r.person("tech1"))
	tech.open("/desk", "desk")
	if strings.Contains(tech.Page.Body, "/desk/doctor") {
		t.Error("a technician is shown the way")
	}
	if err := tech.Get("/desk/doctor"); err != nil || tech.Page.Status != 404 {
		t.Errorf("a technician reads it: %d", tech.Page.Status)
	}
	tech.open("/desk", "desk")
	if err := tech.Post("/desk/doctor"); err != nil || tech.Page.Status != 404 {
		t.Errorf("a technician starts it: %d", tech.Page.Status)
	}
	r.stop()
	asked := 0
	each(t, dir, func(e audit.Event) {
		if e.Kind == audit.DoctorStarted {
			asked++
			if e.ActorName != "operator1" || e.Door != "desk" {
				t.Errorf("%+v", e)
			}
		}
	})
	if asked != 1 {
		t.Errorf("%d examinations are in the record", asked)
	}
}

// A running portal tells what postern doctor tells, but that its addresses are taken.
func TestThePageExaminesWhatTheCommandDoes(t *testing.T) {
	h := newHouse(t)
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	onPage := map[string][]directory.Finding{}
	for _, f := range p.examine(extras{})(t.Context()) {
		onPage[f.Check] = append(onPage[f.Check], f)
	}
	found, _, _ := h.diagnose()
	for check, list := range found {
		if len(onPage[check]) != len(list) {
			t.Errorf("%s: the command says %+v, the page %+v", check, list, onPage[check])
		}
	}
	if len(onPage) != len(found) || !has(onPage, "listen", directory.OK, "this portal's") || !has(onPage, "config", directory.OK, "no faults") {
		t.Errorf("%+v", onPage)
	}
	// What would stop the next start is said while this one runs.
	writeFile(t, h.file, "stoer: {}\n", 0o600)
	for _, f := range p.examine(extras{})(t.Context()) {
		if f.Check == "config" && f.Severity == directory.Warning && strings.Contains(f.What, "stoer") && strings.Contains(f.Why, "will not start again") {
			return
		}
	}
	t.Error("the fault is not named")
}

// No secret of the configuration, and nothing derived from where one stands, is in a
// finding, whatever fails.
func TestNoFindingHoldsASecret(t *testing.T) {
	answer := http.StatusForbidden
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(answer)
		r.Header.Write(w) // a server that repeats everything
	}))
	defer gateway.Close()
	h := newHouse(t, "from: postern@example.org}", "from: postern@example.org}\nsms:\n  provider: gateway\n  region: DE\n  allow_private: true\n  gateway: {url: '"+gateway.URL+"', username: u, password: file:sms.password, body: '{\"to\":{{json .To}},\"text\":{{json .Text}}}', headers: [{name: X-Key, secret: file:sms.key}]}")
	secrets := []string{h.ldap.ServicePassword().Reveal(), "canary-of-the-gateway", "canary-of-the-header"}
	writeFile(t, filepath.Join(h.dir, "sms.password"), secrets[1], 0o600)
	writeFile(t, filepath.Join(h.dir, "sms.key"), secrets[2], 0o600)
	tell := func(what string) {
		t.Helper()
		found, told, _ := h.diagnose()
		text, err := json.Marshal(found)
		if err != nil {
			t.Fatal(err)
		}
		if len(found["sms"]) == 0 {
			t.Errorf("%s: the gateway was not tried:\n%s", what, told)
		}
		for _, s := range secrets {
			if strings.Contains(told, s) || strings.Contains(string(text), s) {
				t.Errorf("%s: %s is told:\n%s", what, s, told)
			}
		}
	}
	tell("all is there")
	secrets = append(secrets, "canary-that-is-wrong")
	writeFile(t, filepath.Join(h.dir, "corp.password"), secrets[3], 0o600)
	h.mail.Close()
	gateway.Close()
	tell("nothing answers")
}
