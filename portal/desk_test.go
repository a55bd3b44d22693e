package portal

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/verify"
)

var deskPaths = []string{"/desk", "/desk/policy", "/desk/policy?login=bob", "/desk/coverage", "/desk/coverage.csv",
	"/desk/figures", "/desk/figures?days=1", "/desk/figures/recoveries.csv", "/desk/lists", "/desk/lists/locked", "/desk/lists/locked.csv"}

func TestStrangersAtTheDeskAreSentToSignIn(t *testing.T) {
	t.Parallel()
	_, b := withDesk(t, operators)
	for _, path := range deskPaths {
		b.get(path).leads(t, "/signin")
	}
	b.get("/signin")
	b.post("/desk/coverage").leads(t, "/signin")
}

// bytesOf is all of an answer but what differs from one to the next anyway.
func bytesOf(a answer) string {
	h := a.Header.Clone()
	id := h.Get("X-Request-Id")
	for _, volatile := range []string{"Date", "X-Request-Id"} {
		h.Del(volatile)
	}
	return a.Status + "\n" + headerText(h) + strings.ReplaceAll(string(a.body), id, "ID")
}

// Whoever has no role learns nothing of a desk; nor does anybody where there is none.
func TestWithoutARoleTheDeskIsAnUnknownPath(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func() *tab{
		"no role": func() *tab { h, _ := withDesk(t, []string{"Staff"}, looks(t)); return h.signedInByLooks() },
		"no desk": func() *tab { return open(t, looks(t)).signedInByLooks() },
	} {
		b := open()
		want := bytesOf(b.get("/nowhere"))
		if !strings.HasPrefix(want, "404") || !strings.Contains(want, "data-step=\"error\"") {
			t.Fatalf("%s: an unknown path: %s", name, want)
		}
		for _, path := range deskPaths {
			if got := bytesOf(b.get(path)); got != want {
				t.Errorf("%s: %s differs from an unknown path:\n%s\n%s", name, path, got, want)
			}
		}
		v := visitor{b}
		v.page("/me")
		if got, want := b.post("/desk/coverage"), b.post("/nowhere"); got.StatusCode != 404 || bytesOf(got) != bytesOf(want) {
			t.Errorf("%s: POST: %d", name, got.StatusCode)
		}
		if a := b.get("/me"); strings.Contains(string(a.body), "/desk") {
			t.Errorf("%s: the menu names the desk", name)
		}
	}
}

// signedInByLooks signs in where pages are real.
func (h *house) signedInByLooks() *tab {
	v := h.visitor().through("/signin", atSignIn, []string{"/signin/choose", "factor", "totp"}, []string{"/signin/answer", "answer", "123456"})
	return v.tab
}

// A role ends with the group, in the middle of a session.
func TestARoleEndsWithTheNextRequest(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	b.get("/desk").want(t, 200, "DeskIndex")
	b.get("/desk/policy").want(t, 200, "DeskPolicy")
	h.own.mu.Lock()
	h.own.groups = []string{"Staff"}
	h.own.mu.Unlock()
	for _, path := range deskPaths {
		b.get(path).want(t, 404, "ErrorPage")
	}
	if a := b.get("/me").want(t, 200, "Me"); strings.Contains(string(a.body), `"Open":true`) {
		t.Error("the menu still shows the desk")
	}
	b.post("/desk/coverage").want(t, 404, "ErrorPage")
	if h.desk.starts != 0 || len(h.desk.asked) != 0 || len(h.desk.events) != 0 {
		t.Errorf("%+v", h.desk)
	}
}

func TestEachRoleHasItsRooms(t *testing.T) {
	t.Parallel()
	for group, rooms := range map[string][]string{
		"Help Desk": {"/desk"},
		"Audit":     {"/desk", "/desk/policy", "/desk/policy?login=bob", "/desk/coverage"},
		"Ops":       {}, // a DN is configured, and this is no more than a name
	} {
		h, _ := withDesk(t, []string{group})
		b := h.signedIn()
		for _, path := range deskPaths[:4] {
			want := 404
			if slices.Contains(rooms, path) {
				want = 200
			}
			if a := b.get(path); a.StatusCode != want {
				t.Errorf("%s, %s: %d, want %d", group, path, a.StatusCode, want)
			}
		}
		b.get("/me")
		if a := b.post("/desk/coverage"); (a.StatusCode == 303) != slices.Contains(rooms, "/desk/coverage") {
			t.Errorf("%s counts: %d", group, a.StatusCode)
		}
	}
}

// A password and a mailed code can both be stolen from afar, and an old proof may
// be somebody else's by now. Coming here begins nothing: that takes a button.
func TestTheDeskNeedsAFreshBoundProof(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	for range 4 * 12 {
		h.pass(15 * time.Minute) // and never left alone for longer
		b.get("/desk").want(t, 200, "DeskIndex")
	}
	h.pass(time.Second)
	cases := len(h.core.ids)
	for _, path := range deskPaths {
		b.get(path).want(t, 403, "DeskProof")
	}
	if len(h.core.ids) != cases || len(h.desk.asked)+len(h.desk.events) != 0 {
		t.Errorf("looking began %d cases, and asked %v", len(h.core.ids)-cases, h.desk.asked)
	}
	b.post("/signin/start", "purpose", "stepup").leads(t, "/signin")
	b.get("/signin").want(t, 200, "Choose")
	b.post("/signin/choose", "factor", "totp").leads(t, "/signin")
	b.get("/signin").want(t, 200, "Answer")
	b.post("/signin/answer", "answer", "123456").leads(t, "/me/factors")
	// Twelve hours are twelve hours: another proof does not open it again, a sign-in does.
	b.get("/desk/policy").want(t, 403, "DeskProof")
	b.post("/desk/prove", "at", "/desk/policy").leads(t, "/signin")
	b.get("/signin").want(t, 200, "SignIn")
	b.post("/signin/start", "login", "alice", "current", "Current-1").leads(t, "/signin")
	b.get("/signin").want(t, 200, "Choose")
	b.post("/signin/choose", "factor", "totp").leads(t, "/signin")
	b.get("/signin").want(t, 200, "Answer")
	b.post("/signin/answer", "answer", "123456").leads(t, "/desk/policy")
	b.get("/desk").want(t, 200, "DeskIndex")

	h.pass(14 * time.Minute)
	weaken(h, verify.Password, verify.Email, verify.RecoveryCode)
	b.get("/desk/policy?login=bob").want(t, 403, "DeskProof")
	b.post("/desk/coverage").leads(t, "/signin") // what was pressed goes straight to the proof
	b.get("/signin").want(t, 200, "Choose")
	if h.desk.starts != 0 || len(h.desk.asked) != 0 {
		t.Errorf("%+v", h.desk)
	}
}

// weaken makes every session one that was proved by these.
func weaken(h *house, by ...verify.Kind) {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	for k, r := range h.sessions.rows {
		r.State.Principal.By = by
		h.sessions.rows[k] = r
	}
}

// Nobody is looked up without a line that says who looked; and the line is there
// before the page.
func TestEveryLookAtAPersonIsRecorded(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	b.get("/desk/policy?login=bob&purpose=unlock&door=kiosk").want(t, 200, "DeskPolicy")
	events := h.desk.recorded()
	if len(events) != 1 {
		t.Fatalf("%+v", events)
	}
	e := events[0]
	if e.Kind != "policy.explained" || e.Actor != alice.ID || e.ActorName != "alice" || e.Subject != "ad:bob" || e.SubjectName != "bob" || e.Door != "desk" ||
		e.Purpose != "unlock" || e.Detail["door"] != "kiosk" || e.Address != "203.0.113.7" || e.Outcome != audit.OK || !e.At.Equal(h.now()) {
		t.Errorf("%+v", e)
	}
	h.desk.fail = errors.New("database is locked")
	h.desk.tally = enrol.Tally{At: h.now()}
	for _, path := range []string{"/desk/policy?login=bob", "/desk/coverage.csv"} {
		if a := b.get(path).want(t, 503, "ErrorPage"); strings.Contains(string(a.body), "bob") {
			t.Errorf("%s: shown without a record", path)
		}
	}
	// The form and the plans are about nobody.
	b.get("/desk/policy").want(t, 200, "DeskPolicy")
	b.get("/desk/policy?login=mallory").want(t, 422, "DeskPolicy")
	if n := len(h.desk.recorded()); n != 1 {
		t.Errorf("%d events", n)
	}
}

// Another site's link must not write into the record that an operator looked.
func TestALinkFromElsewhereLooksAtNobody(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	h.desk.tally = enrol.Tally{At: h.now()}
	for _, site := range []string{"cross-site", "same-site"} {
		if a := b.get("/desk/policy?login=bob", "Sec-Fetch-Site", site).want(t, 200, "DeskPolicy"); !strings.Contains(string(a.body), `"Login":"bob"`) || strings.Contains(string(a.body), "onerror") {
			t.Errorf("%s: %s", site, a.body)
		}
		b.get("/desk/coverage.csv", "Sec-Fetch-Site", site).leads(t, "/desk/coverage")
	}
	if len(h.desk.asked)+len(h.desk.recorded()) != 0 {
		t.Errorf("%v %v", h.desk.asked, h.desk.events)
	}
	b.get("/desk/policy?login=bob", "Sec-Fetch-Site", "same-origin")
	b.get("/desk/policy?login=bob", "Sec-Fetch-Site", "none")
	if n := len(h.desk.recorded()); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestPolicyPageAsksStrictly(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	for query, want := range map[string]string{
		"login=nobody":                      "422 login nobody",
		"purpose=RESET":                     "422 purpose bad_choice",
		"purpose=":                          "422 purpose bad_choice",
		"login=bob&door=window":             "422 door bad_choice",
		"login=bob&login=eve":               "400  bad_form",
		"login=bob&user=eve":                "400  bad_form",
		"login=%ff":                         "400  bad_form",
		"login=" + strings.Repeat("a", 600): "400  bad_form",
		"login=bob&purpose=reset&door=web":  "200",
		"login=+bob+&lang=de":               "200",
		"":                                  "200",
		"login=&purpose=stepup&door=api":    "200",
		"login=nobody&purpose=signin&door=web&lang=": "422 login nobody",
	} {
		a := b.get("/desk/policy?" + query)
		got := fmt.Sprint(a.StatusCode)
		for _, f := range a.Page.Faults {
			got += " " + f.Field + " " + f.Code
		}
		if got != want || a.Type != "DeskPolicy" {
			t.Errorf("%.60s: %s %q, want %q", query, a.Type, got, want)
		}
	}
	h.desk.down = directory.ErrUnavailable
	b.get("/desk/policy?login=bob").want(t, 503, "ErrorPage")
}

// A count is begun by a button, in the background; the page never waits.
func TestCountingHappensBehindThePage(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	if a := b.get("/desk/coverage").want(t, 200, "DeskCoverage"); !strings.Contains(string(a.body), `"Count":null`) || h.desk.starts != 0 {
		t.Errorf("%s", a.body)
	}
	b.get("/desk/coverage.csv").want(t, 404, "ErrorPage")
	b.get("/desk/coverage")
	b.post("/desk/coverage").leads(t, "/desk/coverage")
	b.post("/desk/coverage").leads(t, "/desk/coverage") // a second press is no fault
	if a := b.get("/desk/coverage?refresh=off"); !strings.Contains(string(a.body), `"Running":true`) || !strings.Contains(string(a.body), `"Still":true`) {
		t.Errorf("%s", a.body)
	}
	all := enrol.Coverage{Groups: []string{"Ward"}, Gone: []directory.ID{"ad:gone"}}
	for i := range mostListed + 3 {
		all.People = append(all.People, enrol.Covered{ID: "ad:x", Login: fmt.Sprintf("user%03d", i), Groups: all.Groups, Holdings: []enrol.Holding{{Kind: verify.TOTP, Count: 1}}})
	}
	all.People = append(all.People, enrol.Covered{ID: "ad:key", Login: "key", Ways: [][]verify.Kind{{verify.Passkey}}})
	h.desk.tally = enrol.Tally{Coverage: all, At: h.now(), Failed: errors.New("ldaps://10.1.2.3 refused")}
	a := b.get("/desk/coverage").want(t, 200, "DeskCoverage")
	for _, want := range []string{`"People":204`, `"Stranded":203`, `"ByPasskeyAlone":1`, `"More":3`, `"Gone":1`, `"Failed":true`, `{"Group":"Ward","People":203,"CanRecover":0,"Stranded":203}`} {
		if !strings.Contains(string(a.body), want) {
			t.Errorf("%s is missing in %.2000s", want, a.body)
		}
	}
	if n := strings.Count(string(a.body), `"Login":"user`); n != mostListed || strings.Contains(string(a.body), "10.1.2.3") {
		t.Errorf("%d people are listed", n)
	}
}

// mostListed is how many people the page of coverage names.
const mostListed = 200

// security case 113: the file is for spreadsheets, and names are others' text.
func TestTheFileOfCoverageIsInert(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	h.desk.tally = enrol.Tally{At: h.now(), Coverage: enrol.Coverage{People: []enrol.Covered{{ID: "ad:1", Login: `=HYPERLINK("http://evil","x")`, Name: "+1"}}}}
	a := b.get("/desk/coverage.csv")
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/csv; charset=utf-8" || a.Header.Get("Content-Disposition") != `attachment; filename="coverage-2026-05-04.csv"` ||
		a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	rows, err := csv.NewReader(strings.NewReader(string(a.body))).ReadAll()
	if err != nil || len(rows) != 2 || rows[0][0] != "login" || rows[1][0] != `'=HYPERLINK("http://evil","x")` || rows[1][1] != "'+1" {
		t.Errorf("%q %v", rows, err)
	}
	if e := h.desk.recorded(); len(e) != 1 || e[0].Kind != "coverage.exported" || e[0].Actor != alice.ID || e[0].Subject != "" {
		t.Errorf("%+v", e)
	}
}

// The pages themselves: inert names, forms that fit their routes, one that asks.
func TestDeskPagesAndTheirForms(t *testing.T) {
	t.Parallel()
	look := looks(t)
	for _, lang := range []string{"en", "de", "ar"} {
		for path, by := range map[string][]verify.Kind{"/desk": nil, "/desk/policy": nil, "/desk/policy?login=bob": nil, "/desk/coverage": nil,
			"/desk/policy?login=eve": {verify.Password, verify.Email}} {
			reach := func() (visitor, node) {
				h, _ := withDesk(t, operators, look)
				h.desk.tally = enrol.Tally{At: h.now(), Coverage: enrol.Coverage{People: []enrol.Covered{{Login: `<img src=x onerror=alert(1)>`}}}}
				v := visitor{h.signedInByLooks()}
				v.header.Set("Accept-Language", lang)
				if by != nil {
					weaken(h, by...)
				}
				return v, v.read(v.get(path))
			}
			_, n := reach()
			inert(t, n)
			buttons := posting(n)
			if buttons < 1 || buttons > 2 {
				t.Errorf("%s: %d buttons", path, buttons)
			}
			for i := range buttons {
				v, n := reach()
				nth(t, v, n, i)
			}
		}
	}
}

// posting counts the buttons that act, and checks that the form which asks
// carries no token: addresses are written into logs.
func posting(n node) (buttons int) {
	for _, f := range n.all("form") {
		if f.attr("method") == "post" {
			buttons += len(submits(f))
			continue
		}
		for _, in := range f.all("input") {
			if in.attr("name") == "csrf" {
				return -1
			}
		}
	}
	return buttons
}

// security case 46, at the desk: the session of an account that was disabled ends.
func TestADeskSessionEndsWithItsAccount(t *testing.T) {
	t.Parallel()
	for _, path := range deskPaths {
		h, b := asOperator(t)
		h.own.ended = enrol.ErrEnded
		b.get(path).leads(t, "/")
		h.own.ended = nil
		b.get(path).leads(t, "/signin")
		if len(h.desk.asked) != 0 {
			t.Errorf("%s: %v", path, h.desk.asked)
		}
	}
}
