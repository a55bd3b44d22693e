package main

import "testing"

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
