package portal

import (
	"slices"
	"strings"
	"testing"

	"postern/portal/limit"
)

// A case that a technician began is opened by its code alone: no form starts one.
func TestNobodyStartsACaseThatATechnicianBegins(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/recover/reset")
	if a := b.post("/recover/start", "purpose", "assist", "login", "alice"); a.StatusCode != 400 || len(h.core.calls) != 0 {
		t.Errorf("%d, %v", a.StatusCode, h.core.calls)
	}
}

// Of a code that opens nothing is said so, whatever it is, and a few tries are all.
func TestACodeCannotBeGuessed(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/link").want(t, 200, "Link")
	h.limits.most = 3
	for _, code := range []string{"ABC-234-XYZ", "", strings.Repeat("x", 64)} {
		a := b.post("/link", "code", code).want(t, 422, "Link")
		if f := a.Page.Faults; len(f) != 1 || f[0].Field != "code" || f[0].Code != "wrong_link" {
			t.Errorf("%q: %+v", code, f)
		}
	}
	// By the limit of an address, which a whole office may share, and not by the one of
	// a single account: ten wrong codes from a desk there would keep everybody out.
	if !slices.ContainsFunc(h.limits.keys, func(k string) bool { return strings.HasPrefix(k, string(limit.Start)+" link\x00") }) {
		t.Errorf("counted by %q", h.limits.keys)
	}
	calls := len(h.core.calls)
	b.post("/link", "code", "ABC-234-XYZ").want(t, 429, "ErrorPage")
	if len(h.core.calls) != calls {
		t.Error("a code was looked at over the limit")
	}
	// Opening the address of a mail claims nothing.
	if a := b.get("/claim/ABC-234-XYZ").want(t, 200, "Link"); !strings.Contains(string(a.body), "ABC-234-XYZ") || len(h.core.calls) != calls {
		t.Errorf("%s", a.body)
	}
}
