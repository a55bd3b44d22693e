package portal

import (
	"errors"
	"strings"
	"testing"
	"time"

	"postern/portal/access"
	helpdesk "postern/portal/desk"
)

func (d *desk) raise(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.level = access.Threat{Level: access.Raised, Since: now, Login: "op", Reason: "calls about <b>phones</b>"}
}

// Whoever is no operator learns nothing of a switch.
func TestTheSwitchIsAnUnknownPathToEverybodyElse(t *testing.T) {
	t.Parallel()
	for _, groups := range [][]string{{"Help Desk"}, {"Audit"}, {"Staff"}} {
		h, _ := withDesk(t, groups, looks(t))
		b := h.signedInByLooks()
		if got, want := bytesOf(b.get("/desk/threat")), bytesOf(b.get("/nowhere")); got != want {
			t.Errorf("%v: GET differs from an unknown path:\n%s\n%s", groups, got, want)
		}
		visitor{b}.page("/me")
		if got, want := b.post("/desk/threat", "level", "normal", "cause", "x"), b.post("/nowhere"); got.StatusCode != 404 || bytesOf(got) != bytesOf(want) {
			t.Errorf("%v: POST: %d", groups, got.StatusCode)
		}
		if len(h.desk.turns) != 0 {
			t.Errorf("%v: %+v", groups, h.desk.turns)
		}
	}
}

func TestAnOperatorTurnsTheSwitch(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	b.get("/desk/threat").want(t, 200, "DeskThreat")
	b.post("/desk/threat", "level", "raised", "cause", "calls", "for", "4").leads(t, "/desk/threat")
	b.post("/desk/threat", "level", "normal", "cause", "over").leads(t, "/desk/threat")
	want := []helpdesk.Turn{{To: access.Raised, Reason: "calls", For: 4 * time.Hour}, {To: access.Normal, Reason: "over"}}
	if len(h.desk.turns) != 2 || h.desk.turns[0] != want[0] || h.desk.turns[1] != want[1] {
		t.Errorf("%+v", h.desk.turns)
	}
	for _, span := range []string{"5", "-1", "x", "1h", "99"} {
		b.post("/desk/threat", "level", "raised", "cause", "calls", "for", span).want(t, 422, "DeskThreat")
	}
	if len(h.desk.turns) != 2 {
		t.Errorf("%+v", h.desk.turns)
	}
	h.desk.help.fail = helpdesk.ErrStale
	b.post("/desk/threat", "level", "normal", "cause", "over").leads(t, "/signin")
	b.get("/signin").want(t, 200, "Choose")
	b.post("/signin/choose", "factor", "totp").leads(t, "/signin")
	b.get("/signin").want(t, 200, "Answer")
	b.post("/signin/answer", "answer", "123456").leads(t, "/desk/threat")
}

// Who works at the desk knows of a raised level on every page; what was written about
// it is text. A level that cannot be read shows no page at all.
func TestEveryPageOfTheDeskSaysThatTheLevelIsRaised(t *testing.T) {
	t.Parallel()
	h, _ := withDesk(t, operators, looks(t))
	b := h.signedInByLooks()
	paths := append([]string{"/desk/threat"}, deskPaths[:4]...)
	for _, path := range paths {
		if a := b.get(path); a.StatusCode != 200 || strings.Contains(string(a.body), `id="threat"`) {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	h.desk.raise(h.now())
	for _, path := range paths {
		if a := b.get(path); a.StatusCode != 200 || !strings.Contains(string(a.body), `role="status" id="threat"`) || !strings.Contains(string(a.body), "calls about &lt;b&gt;phones&lt;/b&gt;") {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	if a := b.get("/me"); strings.Contains(string(a.body), `id="threat"`) {
		t.Error("it stands on somebody's own pages")
	}
	h.desk.mu.Lock()
	h.desk.blind = errors.New("database is locked")
	h.desk.mu.Unlock()
	for _, path := range paths {
		if a := b.get(path); a.StatusCode != 503 {
			t.Errorf("%s, with a level nobody can read: %d", path, a.StatusCode)
		}
	}
	if a := b.get("/me"); a.StatusCode != 200 {
		t.Errorf("/me: %d", a.StatusCode)
	}
}

// What it changes for a person is said on the page where they choose, and there only.
func TestAPersonIsToldOfTheApprovalWhereTheyChoose(t *testing.T) {
	t.Parallel()
	h := open(t, looks(t))
	const said = "At the moment somebody must also approve this."
	for _, raised := range []bool{false, true} {
		if raised {
			h.core.level.Raise()
		}
		for _, login := range []string{"alice", "nobody"} {
			b := h.visitor().through("/recover/reset", []string{"/recover/start", "purpose", "reset", "login", login})
			a := b.get("/recover")
			if strings.Contains(string(a.body), said) != raised {
				t.Errorf("raised %v, %s: %s", raised, login, a.body)
			}
		}
	}
	b := h.signedInByLooks()
	if a := b.get("/me"); a.StatusCode != 200 || strings.Contains(string(a.body), said) {
		t.Errorf("signing in: %d", a.StatusCode)
	}
}
