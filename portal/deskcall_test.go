package portal

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	helpdesk "postern/portal/desk"
	"postern/portal/flow"
	"postern/verify"
)

var technicians = []string{"Help Desk"}

func asTechnician(t testing.TB) (*house, *tab) {
	t.Helper()
	h, _ := withDesk(t, technicians)
	return h, h.signedIn()
}

var callPaths = []string{"/desk/people", "/desk/people?q=bob", "/desk/people/ad:bob", "/desk/cases/" + callID}

// The work of technicians is theirs alone; to everybody else it is not there.
func TestOnlyTechniciansHelp(t *testing.T) {
	t.Parallel()
	for _, groups := range [][]string{operators, {"Audit"}, {"Staff"}} {
		h, _ := withDesk(t, groups)
		b := h.signedIn()
		h.desk.help.row = called(h.now())
		for _, path := range callPaths {
			b.get(path).want(t, 404, "ErrorPage")
		}
		b.get("/me")
		for path, fields := range h.posts() {
			if strings.HasPrefix(path, "/desk/people") || strings.HasPrefix(path, "/desk/cases") {
				b.post(path, fields...).want(t, 404, "ErrorPage")
			}
		}
		if len(h.desk.help.asked) != 0 {
			t.Errorf("%v: %v", groups, h.desk.help.asked)
		}
	}
}

// What is written in an address names one person or nobody: never another page,
// and never what comes back as a link.
func TestIDsInAddressesAreExact(t *testing.T) {
	t.Parallel()
	h, b := asTechnician(t)
	h.desk.help.row = called(h.now())
	b.get("/desk/people/ad%3Abob").want(t, 200, "DeskPerson")
	b.get("/desk/people/ad:bob").want(t, 200, "DeskPerson")
	want := bytesOf(b.get("/desk/people/ad:nobody"))
	for _, id := range []string{"bob", "ad:", ":bob", "ad:bob%2f..", "ad:bob%00", "ad:bob%0d%0aX:y", "AD:bob", "ad:" + strings.Repeat("b", 200), "ad:bob%3Fx", "ad:..", "cred1"} {
		if got := bytesOf(b.get("/desk/people/" + id)); got != want {
			t.Errorf("%q differs from somebody unknown: %s", id, got)
		}
	}
	for _, id := range []string{"x", callID[1:] + "0", strings.ToLower(callID), callID + "0"} {
		if got := bytesOf(b.get("/desk/cases/" + id)); got != want {
			t.Errorf("case %q: %s", id, got)
		}
	}
	// Looking writes a line in the technician's name: another site cannot cause it.
	n := len(h.desk.help.asked)
	b.get("/desk/people/ad:bob", "Sec-Fetch-Site", "cross-site").leads(t, "/desk/people")
	b.get("/desk/people?q=bob", "Sec-Fetch-Site", "cross-site").want(t, 200, "DeskPeople")
	if len(h.desk.help.asked) != n {
		t.Error("a link from elsewhere looked somebody up")
	}
}

// A case from its form to its number, and what was wrong beside the field.
func TestACallAtTheDesk(t *testing.T) {
	t.Parallel()
	h, b := asTechnician(t)
	b.get("/desk/people/ad:bob").want(t, 200, "DeskPerson")
	a := b.post("/desk/people/ad:bob/open", "purpose", "reset", "cause", "", "ticket", "INC-7", "once", anyOnce).want(t, 422, "DeskPerson")
	if f := a.Page.Faults; len(f) != 1 || f[0].Field != "cause" {
		t.Errorf("%+v", f)
	}
	a = b.post("/desk/people/ad:alice/open", "purpose", "reset", "cause", "x", "ticket", "INC-7", "once", anyOnce).want(t, 403, "DeskPerson")
	if f := a.Page.Faults; len(f) != 1 || f[0].Code != "desk_self" {
		t.Errorf("%+v", f)
	}
	b.post("/desk/people/ad:bob/open", "purpose", "reset", "cause", "lost", "ticket", "INC-7", "send", "yes", "once", anyOnce).leads(t, "/desk/cases/"+callID)
	h.desk.help.row = called(h.now())
	if a := b.get("/desk/cases/"+callID).want(t, 200, "DeskCase"); !strings.Contains(string(a.body), "ABC-234-XYZ") || !strings.Contains(string(a.body), `"Stage":"code"`) {
		t.Errorf("%s", a.body)
	}
	h.desk.help.row.Claimed, h.desk.help.row.Code = h.now(), ""
	h.desk.help.row.Open = &verify.Challenge{Kind: verify.Handover, Expires: h.now().Add(time.Hour), Public: []byte(`{"number":"47"}`)}
	if a := b.get("/desk/cases/"+callID).want(t, 200, "DeskCase"); strings.Contains(string(a.body), "47") || !strings.Contains(string(a.body), `"Stage":"match"`) {
		t.Errorf("the technician reads the number: %s", a.body)
	}
	a = b.post("/desk/cases/"+callID+"/match", "number", "48", "once", anyOnce).want(t, 422, "DeskCase")
	if f := a.Page.Faults; len(f) != 1 || f[0].Field != "number" || f[0].Code != "wrong_number" || f[0].Left != 2 {
		t.Errorf("%+v", f)
	}
	b.post("/desk/cases/"+callID+"/match", "number", "47", "once", anyOnce).leads(t, "/desk/cases/"+callID)
	b.post("/desk/cases/"+callID+"/act", "act", "freeze", "once", anyOnce).leads(t, "/desk/cases/"+callID)
	h.desk.help.fail = flow.ErrConflict
	b.post("/desk/cases/"+callID+"/cancel").want(t, 409, "ErrorPage")
}

// Security case 104: an act with an old proof leads to the proof, and back.
func TestAnActNeedsAFreshProof(t *testing.T) {
	t.Parallel()
	h, b := asTechnician(t)
	b.get("/desk/people/ad:bob").want(t, 200, "DeskPerson")
	h.desk.help.fail = helpdesk.ErrStale
	b.post("/desk/people/ad:bob/open", "purpose", "reset", "cause", "lost", "ticket", "INC-7", "once", anyOnce).leads(t, "/signin")
	b.get("/signin").want(t, 200, "Choose")
	b.post("/signin/choose", "factor", "totp").leads(t, "/signin")
	b.get("/signin").want(t, 200, "Answer")
	b.post("/signin/answer", "answer", "123456").leads(t, "/desk/people/ad:bob")
}

// Security case 101: no route of the desk has a field that could carry a password
// or a code of somebody's.
func TestNoFieldOfTheDeskCarriesASecret(t *testing.T) {
	t.Parallel()
	h, b := asTechnician(t)
	h.desk.help.row = called(h.now())
	b.get("/desk/people/ad:bob")
	seen := 0
	for _, r := range h.server.app.GetRoutes(true) {
		if r.Method != http.MethodPost || !strings.HasPrefix(r.Path, "/desk") {
			continue
		}
		seen++
		for _, name := range []string{"password", "confirm", "current", "new_password", "secret", "answer", "code", "otp", "totp", "recovery_code", "pin", "token", "credential"} {
			path := strings.NewReplacer("/people/:id", "/people/ad:bob", "/cases/:id", "/cases/"+callID).Replace(r.Path)
			form := b.form(append(slices.Clone(h.posts()[concrete(r.Path)]), name, "C4nary")...)
			if a := b.do("POST", path, form); a.StatusCode != 400 || a.Page.Code != "bad_form" {
				t.Errorf("%s takes %s: %d", path, name, a.StatusCode)
			}
		}
	}
	if seen != 16 {
		t.Errorf("%d routes of the desk take a form", seen)
	}
}

// A code is typed at the desk only where some plan allows it: else there is no route.
func TestACodeIsTypedAtTheDeskOnlyIfThePolicySaysSo(t *testing.T) {
	t.Parallel()
	h, b := asTechnician(t)
	h.desk.help.row = called(h.now())
	b.get("/desk/cases/"+callID).want(t, 200, "DeskCase")
	b.post("/desk/cases/"+callID+"/heard", "factor", "totp", "answer", "123456").want(t, 404, "ErrorPage")

	h, _ = withDesk(t, technicians, func(o *Options) { o.Web.Desk.Spoken = true })
	b = h.signedIn()
	h.desk.help.row = called(h.now())
	b.get("/desk/cases/"+callID).want(t, 200, "DeskCase")
	b.post("/desk/cases/"+callID+"/heard", "factor", "totp", "answer", "123456").leads(t, "/desk/cases/"+callID)
	if h.desk.help.asked[len(h.desk.help.asked)-1] != "hear totp" {
		t.Errorf("%v", h.desk.help.asked)
	}
}

// What waits is on the second technician's desk, and is answered with their own
// touch; how the first one's code would run is not there.
func TestTheSecondTechnicianAnswers(t *testing.T) {
	t.Parallel()
	h, b := asTechnician(t)
	c := called(h.now())
	c.By = access.Principal{ID: "ad:two", User: directory.User{ID: "ad:two", Login: "two", Name: "Tess Two"}}
	c.Hold = &flow.Hold{Reasons: []string{"velocity"}, Since: h.now()}
	h.desk.help.held = c
	if a := b.get("/desk").want(t, 200, "DeskIndex"); !strings.Contains(string(a.body), "Tess Two") {
		t.Errorf("%s", a.body)
	}
	if a := b.get("/desk/cases/"+callID).want(t, 200, "DeskHold"); strings.Contains(string(a.body), c.Code) {
		t.Errorf("the way in is shown to the second: %s", a.body)
	}
	b.get("/desk/cases/"+callID, "Sec-Fetch-Site", "cross-site").leads(t, "/desk") // it would write a record
	b.post("/desk/cases/"+callID+"/second", "decision", "perhaps").want(t, 422, "ErrorPage")
	b.post("/desk/cases/"+callID+"/second", "decision", "no").leads(t, "/desk")
	h.desk.help.fail = flow.ErrWeak
	b.get("/me")
	b.post("/desk/cases/"+callID+"/second", "decision", "yes").leads(t, "/signin")
	if !slices.Contains(h.desk.help.asked, "disagree") || !slices.Contains(h.desk.help.asked, "agree") {
		t.Errorf("%v", h.desk.help.asked)
	}
}
