package portal

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Issue 4: 15 minutes idle. What a page asks for by itself, and a link of another
// site, does not keep the desk open; one's own pages are not the desk.
func TestADeskLeftAloneAsksForAProof(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]func(*house, *tab){
		"nothing":         func(*house, *tab) {},
		"a poll":          func(_ *house, b *tab) { b.get("/desk/cases/"+callID+"?poll=1").want(t, 200, "DeskCase") },
		"one's own pages": func(_ *house, b *tab) { b.get("/me").want(t, 200, "Me") },
		"another site": func(_ *house, b *tab) {
			b.get("/desk/people", "Sec-Fetch-Site", "cross-site").want(t, 200, "DeskPeople")
		},
		"a page elsewhere": func(_ *house, b *tab) { b.get("/desk/policy").want(t, 404, "ErrorPage") },
	} {
		h, b := asTechnician(t)
		h.desk.help.row = called(h.now())
		b.get("/desk").want(t, 200, "DeskIndex")
		for range 3 {
			h.pass(5 * time.Minute)
			keep(h, b)
		}
		asked := len(h.desk.help.asked)
		h.pass(time.Second)
		for _, path := range append([]string{"/desk", "/desk/cases/" + callID + "?poll=1"}, callPaths...) {
			b.get(path).want(t, 403, "DeskProof")
		}
		b.get("/me") // what to post with
		b.post("/desk/cases/"+callID+"/act", "act", "freeze", "once", anyOnce).leads(t, "/signin")
		if len(h.desk.help.asked) != asked {
			t.Errorf("%s: %v", name, h.desk.help.asked[asked:])
		}
	}
}

// A quarter of an hour is not too long, and using the desk is what counts: a page, a
// search while typing, an act.
func TestADeskInUseStaysOpen(t *testing.T) {
	t.Parallel()
	h, b := asTechnician(t)
	h.desk.help.row = called(h.now())
	b.get("/desk").want(t, 200, "DeskIndex")
	for range 3 {
		h.pass(15 * time.Minute)
		b.get("/desk/people?q=bob").want(t, 200, "DeskPeople")
		h.pass(15 * time.Minute)
		b.post("/desk/cases/"+callID+"/act", "act", "sessions", "once", anyOnce).leads(t, "/desk/cases/"+callID)
	}
	h.sessions.fail = errors.New("database is locked")
	b.get("/desk").want(t, http.StatusServiceUnavailable, "ErrorPage")
}

// What a technician types to find somebody stands in no log, however much is logged:
// it may be a caller's birthday, or their own password in the wrong field.
func TestASearchIsInNoLog(t *testing.T) {
	t.Parallel()
	h, b := asTechnician(t)
	b.get("/desk/people?q=C4nary").want(t, 200, "DeskPeople")
	h.desk.help.fail = errors.New("a fault")
	b.get("/desk/people?q=C4nary").want(t, 500, "ErrorPage")
	if log := h.log.String(); strings.Contains(log, "C4nary") || !strings.Contains(log, "/desk/people") {
		t.Errorf("%s", log)
	}
}

// After the proof the technician is where they were, and nowhere else whatever the
// form says; whoever has no role proves nothing here.
func TestAProofLeadsBackToTheDesk(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]string{"/desk/cases/" + callID: "/desk/cases/" + callID, "/desk/cases/" + callID + "/act": "/desk/cases/" + callID, "/desk/people/ad:bob": "/desk/people/ad:bob",
		"/desk/people/ad%3Abob": "/desk/people/ad:bob", "/desk/people": "/desk/people", "/desk/policy": "/desk/policy", "/desk/nowhere": "/desk", "": "/desk", "//evil.example": "/desk",
		"https://evil.example/desk/people": "/desk", "/desk/people/ad:bob\r\nX: y": "/desk", "/desk/people/..%2f..": "/desk", "/desk/people//evil": "/desk", "/desk/cases/%zz": "/desk", "/signout": "/desk"} {
		h, b := asTechnician(t)
		h.desk.help.row = called(h.now())
		h.pass(16 * time.Minute)
		b.get("/desk/people").want(t, 403, "DeskProof")
		b.post("/desk/prove", "at", at).leads(t, "/signin")
		b.get("/signin").want(t, 200, "Choose")
		b.post("/signin/choose", "factor", "totp").leads(t, "/signin")
		b.get("/signin").want(t, 200, "Answer")
		b.post("/signin/answer", "answer", "123456").leads(t, want)
		if a := b.get("/desk"); a.StatusCode != 200 {
			t.Errorf("%q: the desk is still closed: %d", at, a.StatusCode)
		}
	}
	h, _ := withDesk(t, []string{"Staff"})
	b := h.signedIn()
	b.get("/me")
	b.post("/desk/prove", "at", "/desk").want(t, 404, "ErrorPage")
}
