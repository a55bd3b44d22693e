package portal

import (
	"strings"
	"testing"
	"time"

	"postern/directory"
	helpdesk "postern/portal/desk"
	"postern/portal/limit"
)

// sick is an examination with one finding of each kind, in the order they were found.
func sick(at time.Time) helpdesk.Examined {
	return helpdesk.Examined{At: at, Findings: []directory.Finding{
		{Check: "clock", What: "is synchronised"},
		{Severity: directory.Warning, Check: "disk", What: "600 MiB are free", Why: "it fills up", Mend: "df -h /srv"},
		{Severity: directory.Failure, Check: "corp: bind", What: "no <script>alert(1)</script>\u202e", Why: "nobody is found", Mend: "ldapwhoami -D \"cn=x\"\n  -W"},
	}}
}

// Whoever is no operator learns nothing of a doctor.
func TestTheDoctorIsAnUnknownPathToEverybodyElse(t *testing.T) {
	t.Parallel()
	for _, groups := range [][]string{{"Help Desk"}, {"Leads"}, {"Audit"}, {"Staff"}} {
		h, _ := withDesk(t, groups, looks(t))
		h.desk.doctor.last = sick(h.now())
		b := h.signedInByLooks()
		if got, want := bytesOf(b.get("/desk/doctor")), bytesOf(b.get("/nowhere")); got != want {
			t.Errorf("%v: GET differs from an unknown path:\n%s\n%s", groups, got, want)
		}
		visitor{b}.page("/me")
		if got, want := b.post("/desk/doctor"), b.post("/nowhere"); got.StatusCode != 404 || bytesOf(got) != bytesOf(want) {
			t.Errorf("%v: POST: %d", groups, got.StatusCode)
		}
		if len(h.desk.doctor.starts) != 0 {
			t.Errorf("%v: somebody was examined", groups)
		}
	}
	_, b := withDesk(t, operators)
	b.get("/desk/doctor").leads(t, "/signin")
	h, b := asOperator(t)
	weaken(h, "password", "email")
	b.get("/desk/doctor").want(t, 403, "DeskProof")
}

// An operator asks, and reads what was found: the worst first, with what mends it.
func TestAnOperatorHasEverythingExamined(t *testing.T) {
	t.Parallel()
	h, b := asOperator(t)
	b.get("/desk/doctor").want(t, 200, "DeskDoctor")
	if len(h.desk.doctor.starts) != 0 {
		t.Error("looking examines")
	}
	b.post("/desk/doctor").leads(t, "/desk/doctor")
	h.desk.doctor.fail = helpdesk.ErrExamining // a second press
	b.get("/desk/doctor")
	b.post("/desk/doctor").leads(t, "/desk/doctor")
	if s := h.desk.doctor.starts; len(s) != 2 || s[0].Principal.ID != alice.ID || s[0].Address != "203.0.113.7" {
		t.Errorf("%+v", s)
	}
	h.desk.doctor.fail = &limit.Exceeded{Name: "doctor", Retry: 20 * time.Second}
	if a := b.post("/desk/doctor").want(t, 429, "ErrorPage"); a.Header.Get("Retry-After") != "20" {
		t.Errorf("%v", a.Header)
	}
	h.desk.doctor.last = sick(h.now())
	a := string(b.get("/desk/doctor").want(t, 200, "DeskDoctor").body)
	worst, bad, well := strings.Index(a, `"Severity":"failure"`), strings.Index(a, `"Severity":"warning"`), strings.Index(a, `"Severity":"ok"`)
	if worst < 0 || bad < worst || well < bad {
		t.Errorf("%s", a)
	}
}

// The page itself: commands whole and inert, in their own language and direction; it
// looks by itself while an examination runs, and says so.
func TestTheDoctorsPage(t *testing.T) {
	t.Parallel()
	h, _ := withDesk(t, operators, looks(t))
	b := h.signedInByLooks()
	h.desk.doctor.last = sick(h.now())
	for _, lang := range []string{"en", "de", "ar"} {
		b.header.Set("Accept-Language", lang)
		a := b.get("/desk/doctor")
		inert(t, visitor{b}.read(a))
		body := string(a.body)
		for _, want := range []string{`<pre class="gap-s" lang="en" dir="ltr">ldapwhoami -D &#34;cn=x&#34;` + "\n  -W</pre>", `<b lang="en" dir="ltr">corp: bind</b>`, `data-tone="bad"`, `<form method="post" action="/desk/doctor"`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: %s is missing in %s", lang, want, body)
			}
		}
		if strings.Contains(body, "poll=1") {
			t.Errorf("%s: it looks by itself and nothing runs", lang)
		}
	}
	h.desk.doctor.mu.Lock()
	h.desk.doctor.last.Running, h.desk.doctor.last.Since = true, h.now()
	h.desk.doctor.mu.Unlock()
	body := string(b.get("/desk/doctor").body)
	if !strings.Contains(body, `http-equiv="refresh" content="3; url=/desk/doctor?poll=1"`) || strings.Contains(body, `action="/desk/doctor"`) || !strings.Contains(body, "ldapwhoami") {
		t.Errorf("while it runs: %s", body)
	}
	if body := string(b.get("/desk/doctor?refresh=off").body); strings.Contains(body, "http-equiv") {
		t.Errorf("it goes on looking: %s", body)
	}
	// What a page asks for by itself keeps no desk open.
	h.pass(16 * time.Minute)
	b.get("/desk/doctor?poll=1")
	if a := b.get("/desk/doctor"); a.StatusCode != 403 {
		t.Errorf("%d", a.StatusCode)
	}
}
