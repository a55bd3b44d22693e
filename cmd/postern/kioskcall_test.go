package main

import (
	"regexp"
	"strings"
	"testing"
)

// call has a screen call, and the technician take it.
func (w walk) call(tech walk) {
	w.t.Helper()
	w.open("/kiosk/help", "start")
	w.send("/kiosk/help", "wait")
	tech.open("/desk", "desk")
	tech.send(tech.find(callPath), "people", "number", w.find(plate))
}

// begins has the technician begin a case for the screen whose call they took.
func (w walk) begins(login string) string {
	w.t.Helper()
	w.open("/desk/people?q="+login, "people")
	who := w.find(idPath)
	w.open(who, "person")
	w.send(who+"/open", "code", "purpose", "reset", "cause", "at the ward", "ticket", "INC-9", "call", w.find(callChoice), "once", w.find(onceField))
	return w.find(casePath)
}

// Who leaves before they open the case that was begun for them leaves none: its technician
// sees that, and can begin another.
func TestLeavingEndsTheCaseThatWasBegunForTheCall(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, tech := r.launch(), r.visit()
	tech.enter(r.person("tech1"))
	screen.call(tech)
	here := tech.begins("user3")
	screen.open("/kiosk/help", "choose")
	kept := screen.Cookie("__Host-postern")
	screen.follow("/kiosk")
	if err := tech.Get(here); err != nil || tech.Page.Step() != "refused" {
		t.Errorf("the technician waits at %s for somebody who has left, %v", tech.Page.Step(), err)
	}
	screen.SetCookie("__Host-postern", kept)
	if err := screen.Post("/kiosk/help/open"); err != nil || screen.Page.Step() == "choose" {
		t.Error("the next person opens the case of the last")
	}
}

// A case of the desk is at the screen that called; a phone cannot take it away from there.
func TestACaseOfTheDeskStaysAtItsScreen(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, tech := r.launch(), r.visit()
	tech.enter(r.person("tech1"))
	screen.call(tech)
	tech.begins("user3")
	screen.open("/kiosk/help", "choose")
	screen.send("/kiosk/help/open", "choose")
	if err := screen.Post("/kiosk/phone", "purpose", "reset"); err != nil || screen.Page.Status != 409 {
		t.Errorf("a code for a phone that cannot have it: %d %s, %v", screen.Page.Status, screen.Page.Step(), err)
	}
	screen.open("/kiosk/case", "choose")
}

// Who chose a language and then calls for help is answered in it; the next person begins in
// the device's own.
func TestTheLanguageStaysUntilOneLeaves(t *testing.T) {
	r := startDemo(t, t.TempDir())
	w := r.launch()
	w.open("/kiosk?lang=de", "start")
	w.open("/kiosk/help", "start")
	w.send("/kiosk/help", "wait")
	w.says(`lang="de"`)
	w.follow("/kiosk")
	w.says(`lang="en"`)
}

// A technician who has taken a call by mistake ends it; the person there reads that, and
// may call again.
func TestATechnicianEndsACallTheyTook(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, tech := r.launch(), r.visit()
	tech.enter(r.person("tech1"))
	screen.open("/kiosk/help", "start")
	screen.send("/kiosk/help", "wait")
	tech.open("/desk", "desk")
	call := tech.find(callPath)
	tech.send(call, "people", "number", screen.find(plate))
	tech.says("At <bdi>Ward 4 lobby</bdi>, <bdi>North</bdi>")
	screen.open("/kiosk/help", "applying")
	screen.says("Idris Bello helps you")
	tech.send(call+"/end", "desk")
	tech.send(call+"/end", "desk") // twice is once
	screen.open("/kiosk/help", "expired")
	screen.send("/kiosk/help", "wait")
}

var (
	callPath   = regexp.MustCompile(`/desk/calls/[0-9a-f]{32}`)
	callChoice = regexp.MustCompile(`<option value="([0-9a-f]{32})" selected>`)
)

// Somebody at a ward asks for help: the desk sees which screen, both match a number, the
// technician's case opens there and nowhere else, and the person proves themselves as ever.
func TestAKioskCallsTheDesk(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, tech, p := r.launch(), r.visit(), r.person("user3")
	tech.enter(r.person("tech1"))
	screen.says(`href="/kiosk/help"`)
	screen.open("/kiosk/help", "start")
	screen.send("/kiosk/help", "wait")
	number := screen.find(plate)

	tech.open("/desk", "desk")
	tech.says("Ward 4 lobby", "North", "Screens that call")
	if strings.Contains(tech.Page.Body, ">"+number+"<") {
		t.Error("the desk shows the number")
	}
	call := tech.find(callPath)
	tech.send(call, "desk", "number", wrongNumber(number))
	if tech.Page.Error() != "wrong_number" {
		t.Errorf("a wrong number: %s", tech.Page.Error())
	}
	tech.send(call, "people", "number", number)
	screen.open("/kiosk/help", "applying")
	screen.says("Idris Bello helps you")
	tech.open("/desk/people?q=user3", "people")
	who := tech.find(idPath)
	tech.open(who, "person")
	tech.says("At Ward 4 lobby, North")
	tech.send(who+"/open", "code", "purpose", "reset", "cause", "at the ward", "ticket", "INC-9", "call", tech.find(callChoice), "once", tech.find(onceField))
	tech.says("Ward 4 lobby, North")
	if spelled.MatchString(tech.Page.Body) {
		t.Error("there is a code to read out besides")
	}
	here := tech.find(casePath)

	screen.open("/kiosk/help", "choose")
	screen.send("/kiosk/help/open", "choose")
	screen.send("/kiosk/case/choose", "answer", "factor", "totp")
	screen.send("/kiosk/case/answer", "choose", "answer", p.code(t))
	screen.send("/kiosk/case/choose", "wait", "factor", "handover")
	screen.says("INC-9")
	tech.open(here, "match")
	tech.send(here+"/match", "password", "number", screen.find(plate), "once", tech.find(onceField))
	screen.open("/kiosk/case", "new-password")
	screen.send("/kiosk/case/password", "done", "password", "Quite-new-words-77", "confirm", "Quite-new-words-77")
	tech.open(here, "done")
	screen.follow("/kiosk")
	if err := screen.Get("/kiosk/help"); err != nil || plate.MatchString(screen.Page.Body) || screen.Page.Step() != "start" {
		t.Error("the next person finds the call")
	}
}

// Who leaves ends their call, and with it the case that was begun for it.
func TestLeavingEndsTheCall(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, tech := r.launch(), r.visit()
	tech.enter(r.person("tech1"))
	screen.open("/kiosk/help", "start")
	screen.send("/kiosk/help", "wait")
	number := screen.find(plate)
	tech.open("/desk", "desk")
	call := tech.find(callPath)
	screen.follow("/kiosk")
	tech.send(call, "desk", "number", number)
	if tech.Page.Error() != "desk_call_over" {
		t.Errorf("a call that is over: %d %s", tech.Page.Status, tech.Page.Error())
	}

	screen.open("/kiosk/help", "start")
	screen.send("/kiosk/help", "wait")
	number = screen.find(plate)
	tech.open("/desk", "desk")
	tech.send(tech.find(callPath), "people", "number", number)
	tech.open("/desk/people?q=user3", "people")
	who := tech.find(idPath)
	tech.open(who, "person")
	choice := tech.find(callChoice)
	screen.follow("/kiosk")
	tech.open("/desk", "desk")
	if strings.Contains(tech.Page.Body, choice) {
		t.Error("the desk still has a call that is over")
	}
	tech.open(who, "person")
	if err := tech.Post(who+"/open", "purpose", "reset", "cause", "at the ward", "ticket", "INC-9", "call", choice, "once", tech.find(onceField)); err != nil || tech.Page.Status != 403 || tech.Page.Error() != "desk_call_over" {
		t.Errorf("a case begins for nobody: %d %s", tech.Page.Status, tech.Page.Step())
	}
	screen.open("/kiosk/help", "start")
}
