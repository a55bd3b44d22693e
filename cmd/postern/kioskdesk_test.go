package main

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// An operator registers a screen at the desk; what it needs is shown once, and to nobody else.
func TestOperatorsManageKiosksAtTheDesk(t *testing.T) {
	r := startDemo(t, t.TempDir())
	op, tech := r.visit(), r.visit()
	op.enter(r.person("operator1"))
	op.open("/desk/kiosks", "kiosks")
	op.says("Ward 4 lobby", "In use")
	op.send("/desk/kiosks", "kiosks", "name", "", "site", "North", "way", "key", "allow_reset", "on")
	op.send("/desk/kiosks", "kiosks", "name", "Ward 3", "site", "North", "way", "key")
	if op.Page.Error() != "kiosk_rights" {
		t.Errorf("nothing may be done there: %s", op.Page.Error())
	}
	op.send("/desk/kiosks", "given", "name", "Ward 3", "site", "North", "way", "key", "allow_reset", "on", "allow_help", "on")
	code := op.find(kioskCodeShape)
	op.says("/kiosk/register", "once")
	op.open("/desk/kiosks", "kiosks")
	op.says("Waits for its code")
	id := op.find(kioskRowID)
	op.open("/desk/kiosks/"+id, "kiosk")
	op.send("/desk/kiosks/"+id+"/code", "given")
	if again := op.find(kioskCodeShape); again == code {
		t.Error("the new code is the old one")
	}
	op.open("/desk/kiosks/"+id, "kiosk")
	if strings.Contains(op.Page.Body, code) || kioskCodeShape.MatchString(op.Page.Body) {
		t.Error("a code is shown twice")
	}
	op.send("/desk/kiosks/"+id+"/rename", "kiosks", "name", "Ward 5", "site", "North")
	op.says("Ward 5")
	op.open("/desk/kiosks/"+id, "kiosk")
	op.send("/desk/kiosks/"+id+"/revoke", "kiosks")
	op.says("Revoked")
	if err := op.Get("/desk/kiosks/" + id); err != nil || op.Page.Status != 404 {
		t.Errorf("a revoked one can be changed: %d", op.Page.Status)
	}

	tech.enter(r.person("tech1"))
	tech.open("/desk", "desk")
	if strings.Contains(tech.Page.Body, "/desk/kiosks") {
		t.Error("a technician is shown the way")
	}
	for _, path := range []string{"/desk/kiosks", "/desk/kiosks/" + id} {
		if err := tech.Get(path); err != nil || tech.Page.Status != 404 {
			t.Errorf("a technician at %s: %d", path, tech.Page.Status)
		}
	}
	tech.open("/desk", "desk")
	if err := tech.Post("/desk/kiosks", "name", "Mine", "site", "", "way", "key", "allow_reset", "on"); err != nil || tech.Page.Status != 404 {
		t.Errorf("a technician registers: %d", tech.Page.Status)
	}
}

var (
	kioskCodeShape = regexp.MustCompile(`>([2-9A-Z]{5}-[2-9A-Z]{5})<`)
	kioskRowID     = regexp.MustCompile(`/desk/kiosks/([a-z2-7]{16})"`)
)

// Revoked it is shut from the next request on, whatever somebody is doing there.
func TestARevokedKioskIsShutAtOnce(t *testing.T) {
	r := startDemo(t, t.TempDir())
	op, w := r.visit(), r.launch()
	w.open("/kiosk/reset", "start")
	w.send("/kiosk/case/start", "choose", "purpose", "reset", "login", "user1")
	op.enter(r.person("operator1"))
	op.open("/desk/kiosks/"+demoKiosk, "kiosk")
	op.send("/desk/kiosks/"+demoKiosk+"/revoke", "kiosks")
	if err := w.Post("/kiosk/case/choose", "factor", "totp"); err != nil || w.Page.Status != 403 || w.Page.Error() != "kiosk_unknown" {
		t.Errorf("it goes on: %d %s", w.Page.Status, w.Page.Error())
	}
	again := r.visit()
	again.launch(r, time.Now())
	if again.Page.Error() != "kiosk_launch" {
		t.Errorf("it is launched again: %d %s", again.Page.Status, again.Page.Error())
	}
}
