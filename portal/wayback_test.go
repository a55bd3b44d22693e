package portal

import (
	"strings"
	"testing"
)

// Security cases 33 and 55: the way back to a request is one this portal wrote, is
// used once, and gives the browser a new identity at each step.
func TestTheWayBackToARequest(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	page := b.get("/approve/"+goodLink).want(t, 200, "ApproveFirst")
	if other := h.tab().get("/approve/"+strings.Repeat("B", 42)+"A").want(t, 200, "ApproveFirst"); len(other.Header) != len(page.Header) {
		t.Error("a stranger sees which links there are")
	}
	for _, bad := range []string{"x", "%2f%2fevil.example", "..%2f..%2fme", "@evil.example", goodLink + "A", goodLink[1:] + "%3d"} {
		if a := b.post("/approve/" + bad); a.StatusCode != 404 || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d to %q", bad, a.StatusCode, a.Header.Get("Location"))
		}
	}
	seen := map[string]bool{}
	step := func(what string) {
		t.Helper()
		if id := b.cookies["__Host-postern"]; id == "" || seen[id] {
			t.Errorf("%s: no new identity", what)
		} else {
			seen[id] = true
		}
	}
	step("the first page")
	b.post("/approve/"+goodLink).leads(t, "/signin")
	step("on the way")
	in := func() answer {
		b.get("/signin").want(t, 200, "SignIn")
		b.post("/signin/start", "login", "alice", "current", "Current-1").leads(t, "/signin")
		step("the case")
		b.get("/signin").want(t, 200, "Choose")
		b.post("/signin/choose", "factor", "totp").leads(t, "/signin")
		b.get("/signin").want(t, 200, "Answer")
		return b.post("/signin/answer", "answer", "123456")
	}
	in().leads(t, "/approve/"+goodLink)
	step("signed in")
	b.get("/me").want(t, 200, "Me")
	b.post("/signout").leads(t, "/")
	step("signed out")
	in().leads(t, "/me")
}
