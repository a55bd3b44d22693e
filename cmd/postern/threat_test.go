package main

import (
	"regexp"
	"testing"
)

var approvePath = regexp.MustCompile(`/approve/[A-Za-z0-9_-]{43}`)

// Security case 105 in the whole program: an operator raises the level; a technician
// clears nobody's factor, nobody removes their own, and a reset waits for the manager.
// Lowered, all is as before.
func TestAnOperatorTightensThePortalDuringAnAttack(t *testing.T) {
	r := startDemo(t, t.TempDir())
	op, tech, caller := r.visit(), r.visit(), r.visit()
	op.enter(r.person("operator1"))
	op.open("/desk", "desk")
	op.says(`href="/desk/threat"`)
	op.open("/desk/threat", "threat")
	op.says("Raise the level")

	// A case is verified before the level goes up.
	tech.enter(r.person("tech1"))
	tech.open("/desk/people?q=user2", "people")
	who := tech.find(idPath)
	tech.open(who, "person")
	tech.send(who+"/open", "code", "purpose", "assist", "cause", "lost the phone", "ticket", "INC-7", "once", tech.find(onceField))
	code, here := tech.find(spelled), tech.find(casePath)
	caller.open("/link", "start")
	caller.send("/link", "choose", "code", code)
	caller.send("/recover/choose", "answer", "factor", "recovery_code")
	caller.send("/recover/answer", "choose", "answer", r.person("user2").RecoveryCodes[0])
	caller.send("/recover/choose", "wait", "factor", "handover")
	number := caller.find(plate)
	tech.open(here, "match")
	tech.send(here+"/match", "done", "number", number, "once", tech.find(onceField))
	lost := tech.find(regexp.MustCompile(`name="which" value="([^"]+)"`))

	// So are the proofs of somebody who only needs a new password.
	quick, person := r.visit(), r.person("user3")
	quick.open("/recover/reset", "start")
	quick.send("/recover/start", "choose", "purpose", "reset", "login", person.Login)
	quick.send("/recover/choose", "answer", "factor", "totp")
	quick.send("/recover/answer", "choose", "answer", person.code(t))
	quick.send("/recover/choose", "answer", "factor", "recovery_code")
	quick.send("/recover/answer", "new-password", "answer", person.RecoveryCodes[0])

	op.send("/desk/threat", "threat", "level", "raised", "cause", "")
	if op.Page.Error() != "bad_cause" {
		t.Errorf("without a reason: %s", op.Page.Body)
	}
	op.send("/desk/threat", "threat", "level", "raised", "cause", "calls about new phones", "for", "4")
	op.says("Lower the level", "calls about new phones", `id="threat"`)
	r.delivered("security@example.org", regexp.MustCompile(`The threat level is raised`))

	tech.open(here, "done")
	tech.says(`id="threat"`, "calls about new phones")
	tech.send(here+"/act", "done", "act", "clear", "which", lost, "once", tech.find(onceField))
	if tech.Page.Error() != "desk_threat" {
		t.Errorf("a technician clears a factor: %q %s", tech.Page.Error(), tech.Page.Body)
	}
	if err := tech.Post("/desk/threat", "level", "normal", "cause", "x"); err != nil || tech.Page.Status != 404 {
		t.Errorf("a technician turns the level: %d, %v", tech.Page.Status, err)
	}

	own := r.visit()
	own.enter(r.person("user4"))
	own.open("/me/factors", "factors")
	app := own.find(regexp.MustCompile(`/me/factors/([^/"]+)/remove`))
	own.open("/me/factors/"+app+"/remove", "remove")
	own.send("/me/factors/"+app+"/remove", "factors")
	if own.Page.Error() != "threat" {
		t.Errorf("somebody removes their app: %q %s", own.Page.Error(), own.Page.Body)
	}

	const password = "Quite-new-words-77"
	quick.send("/recover/password", "choose", "password", password, "confirm", password)
	quick.says("At the moment somebody must also approve this.")
	quick.send("/recover/choose", "wait", "factor", "approval")
	manager := r.person("manager1")
	link := r.delivered(manager.Mail, approvePath)
	boss := r.visit()
	boss.open("/signin", "start")
	boss.send("/signin/start", "choose", "login", manager.Login, "current", manager.Password)
	boss.send("/signin/choose", "answer", "factor", "totp")
	boss.send("/signin/answer", "me", "answer", manager.lastCode(t))
	boss.open(link, "answer")
	if err := boss.Post(link, "decision", "yes", "factor", "totp", "number", quick.find(plate), "answer", manager.code(t)); err != nil {
		t.Fatal(err)
	}
	quick.open("/recover", "new-password")
	quick.send("/recover/password", "done", "password", password, "confirm", password)

	op.send("/desk/threat", "threat", "level", "normal", "cause", "it was a false alarm")
	op.says("Raise the level")
	r.delivered("security@example.org", regexp.MustCompile(`The threat level is normal again`))
	tech.open(here, "done")
	tech.send(here+"/act", "done", "act", "clear", "which", lost, "once", tech.find(onceField))
	if tech.Page.Error() != "" {
		t.Errorf("lowered, and still nothing is cleared: %s", tech.Page.Error())
	}
	r.visit().reset(r.person("user1"), password)
}
