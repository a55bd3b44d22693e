package portal

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An invitation is a sign-in at the usual door, and ends where a first factor is
// set up.
func TestAnInvitationLeadsToTheFactors(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/link/"+goodLink).want(t, 200, "Welcome")
	if len(h.core.asked()) > 0 || len(h.sessions.rows) > 0 {
		t.Errorf("looking did %v, %d sessions", h.core.asked(), len(h.sessions.rows))
	}
	b.post("/link/"+goodLink, "current", "Current-1").leads(t, "/signin")
	if r := h.core.seen[0]; r.Invite != goodLink || r.Login != "" || r.Purpose != "signin" || len(r.Hold) != 32 {
		t.Errorf("the core was asked for %+v", r)
	}
	b.get("/signin").want(t, 200, "Choose")
	b.post("/signin/choose", "factor", "totp").leads(t, "/signin")
	b.get("/signin")
	b.post("/signin/answer", "answer", "123456").leads(t, "/me/factors")
}

// What a wrong password shows is what it shows at any sign-in.
func TestAWrongPasswordByInvitationLooksLikeAny(t *testing.T) {
	t.Parallel()
	h := open(t)
	page := func(path string, fields ...string) string {
		b := h.tab()
		b.get("/signin")
		a := b.post(path, fields...).want(t, 422, "Answer")
		return regexp.MustCompile(`"CSRF":"[^"]*"`).ReplaceAllString(string(a.body), "")
	}
	byLink := page("/link/"+goodLink, "current", "wrong")
	if byName := page("/signin/start", "login", "alice", "current", "wrong"); byLink != byName {
		t.Errorf("by link %s\nby name %s", byLink, byName)
	}
	if strings.Contains(byLink, "alice") {
		t.Error("it says whose link it is")
	}
}

// A link that opens nothing is the same page whatever is wrong with it.
func TestADeadLinkIsNotFound(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/signin")
	var pages []string
	for _, token := range []string{"x", strings.Repeat("C", 43), goodLink[1:], goodLink + "A", "%2e%2e"} {
		for _, a := range []answer{b.get("/link/" + token), b.post("/link/"+token, "current", "Current-1"), b.post("/link/" + token)} {
			if a.StatusCode != 404 || a.Page.Code != "not_found" {
				t.Errorf("%s: %d %s", token, a.StatusCode, a.body)
			}
			pages = append(pages, regexp.MustCompile(`"Request":"[^"]*"`).ReplaceAllString(string(a.body), ""))
		}
	}
	if slices.Sort(pages); len(slices.Compact(pages)) != 1 {
		t.Errorf("the pages differ: %q", slices.Compact(pages))
	}
	if len(h.core.asked())+len(h.own.calls) > 0 {
		t.Errorf("something was done: %v %v", h.core.asked(), h.own.calls)
	}
}

// Each link takes its own form alone, and an empty password is a slip.
func TestALinkTakesItsOwnForm(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/link/"+sleepy).want(t, 200, "Snooze")
	if len(h.own.calls) > 0 {
		t.Error("looking put a reminder off")
	}
	for path, fields := range map[string][]string{"/link/" + sleepy: {"current", "Current-1"}, "/link/" + goodLink: {}} {
		if a := b.post(path, fields...); a.StatusCode != 400 {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	b.post("/link/"+sleepy).want(t, 200, "Snooze")
	if !slices.Equal(h.own.calls, []string{"snooze"}) {
		t.Errorf("%v", h.own.calls)
	}
	a := b.post("/link/"+goodLink, "current", "").want(t, 422, "Welcome")
	if f := a.Page.Faults; len(f) != 1 || f[0].Field != "current" || f[0].Code != "required" {
		t.Errorf("%+v", f)
	}
}
