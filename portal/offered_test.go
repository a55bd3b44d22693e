package portal

import (
	"slices"
	"testing"

	"postern/portal/policy"
)

// Where no directory can unlock or change, neither is begun by an old bookmark or a
// form that somebody kept, at any door.
func TestWhatNoDirectoryCanIsBegunNowhere(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.Web.Purposes = []policy.Purpose{policy.Reset, policy.SignIn} })
	b := h.tab()
	for _, p := range []string{"unlock", "change"} {
		if a := b.get("/recover/" + p); a.StatusCode != 303 || a.Header.Get("Location") != "/" {
			t.Errorf("the form of %s: %d", p, a.StatusCode)
		}
	}
	b.get("/recover/reset")
	for _, fields := range [][]string{{"purpose", "unlock", "login", "alice"}, {"purpose", "change", "login", "alice", "current", "Current-1"}} {
		if a := b.post("/recover/start", fields...); a.StatusCode != 400 {
			t.Errorf("%v: %d", fields, a.StatusCode)
		}
	}
	if len(h.core.calls) > 0 {
		t.Errorf("the core was asked: %v", h.core.calls)
	}
	if a := b.post("/recover/start", "purpose", "reset", "login", "alice"); a.StatusCode != 303 || !slices.Contains(h.core.calls, "start") {
		t.Errorf("a reset: %d, %v", a.StatusCode, h.core.calls)
	}
}
