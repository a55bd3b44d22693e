package portal

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/portal/flow"
	"postern/verify"
)

// Security case 35: every step × every POST. What the table does not allow is
// 409, proves nothing, writes nothing, and leaves the page of the real step.
func TestEveryStepTimesEveryPost(t *testing.T) {
	t.Parallel()
	steps := map[string]func(*house) *tab{
		"choose": func(h *house) *tab { return h.started("reset") },
		"answer": func(h *house) *tab {
			b := h.started("reset")
			b.post("/recover/choose", "factor", "totp").leads(t, "/recover")
			b.get("/recover").want(t, 200, "Answer")
			return b
		},
		"new-password": func(h *house) *tab { return h.proven() },
		"done": func(h *house) *tab {
			b := h.proven()
			b.post("/recover/password", "password", "correct horse", "confirm", "correct horse")
			b.get("/recover").want(t, 200, "Done")
			return b
		},
		"refused": func(h *house) *tab {
			b := h.started("reset")
			b.post("/recover/choose", "factor", "totp")
			for range 5 {
				b.post("/recover/answer", "answer", "000000")
			}
			b.get("/recover").want(t, 200, "Refused")
			return b
		},
		"expired": func(h *house) *tab {
			b := h.started("reset")
			h.pass(15 * time.Minute)
			b.get("/recover").want(t, 200, "Expired")
			return b
		},
		"applying": func(h *house) *tab {
			b := h.proven()
			h.core.edit(t, func(c *flow.Case) { c.Outcome.Status = flow.InFlight })
			b.get("/recover").want(t, 200, "Applying")
			return b
		},
		"wait": func(h *house) *tab {
			b := h.started("reset")
			h.core.edit(t, func(c *flow.Case) { c.Open = &verify.Challenge{Kind: verify.Approval, Expires: c.Expires} })
			b.get("/recover").want(t, 200, "Wait")
			return b
		},
	}
	allowed := map[string][]string{
		"choose":       {"/recover/choose", "/recover/cancel"},
		"answer":       {"/recover/choose", "/recover/answer", "/recover/cancel"},
		"new-password": {"/recover/password", "/recover/cancel"},
		"wait":         {"/recover/choose", "/recover/cancel"},
		"done":         {"/recover/cancel"}, "refused": {"/recover/cancel"}, "expired": {"/recover/cancel"},
	}
	fields := map[string][]string{
		"/recover/choose": {"factor", "recovery_code"}, "/recover/answer": {"answer", "123456"}, "/recover/password": {"password", "correct horse", "confirm", "correct horse"}, "/recover/cancel": {},
		"/signin/choose": {"factor", "totp"}, "/signin/answer": {"answer", "123456"}, "/signin/cancel": {},
	}
	for step, reach := range steps {
		for path, f := range fields {
			t.Run(step+path, func(t *testing.T) {
				t.Parallel()
				h := open(t)
				b := reach(h)
				page, writes, proofs := b.get("/recover").Type, h.core.dir.Written(), h.core.proofs(t)
				a := b.post(path, f...)
				if slices.Contains(allowed[step], path) {
					if a.StatusCode != 303 {
						t.Errorf("%d, want 303: %s", a.StatusCode, a.body)
					}
					return
				}
				if a.StatusCode != 409 {
					t.Errorf("%d, want 409: %s", a.StatusCode, a.body)
				}
				if got := b.get("/recover").Type; got != page || h.core.dir.Written() != writes || h.core.proofs(t) != proofs {
					t.Errorf("now at %s, was at %s; %d writes, %d proofs", got, page, h.core.dir.Written(), h.core.proofs(t))
				}
			})
		}
	}
}

// Security case 23: reading changes nothing, however it is done.
func TestReadingChangesNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	tabs := []*tab{h.started("reset"), h.proven(), h.signedIn()}
	from := len(h.core.asked())
	rows := len(h.sessions.rows)
	for _, b := range tabs {
		for _, r := range h.server.app.GetRoutes(true) {
			for _, m := range []string{"GET", "HEAD", "OPTIONS"} {
				for range 3 {
					b.do(m, concrete(r.Path), "")
				}
			}
		}
	}
	for _, call := range h.core.asked()[from:] {
		if !slices.Contains([]string{"load", "options", "checklist", "request"}, call) {
			t.Errorf("reading called %s", call)
		}
	}
	if len(h.own.calls) > 0 || len(h.sessions.rows) != rows {
		t.Errorf("reading did %v, %d rows more", h.own.calls, len(h.sessions.rows)-rows)
	}
}

// Security case 37: two tabs, one write; a double click sees the outcome.
func TestTwoTabsWriteOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.proven()
	var wg sync.WaitGroup
	codes := make([]int, 8)
	form := b.form("password", "correct horse", "confirm", "correct horse")
	for i := range codes {
		twin := h.tab()
		maps.Copy(twin.cookies, b.cookies)
		wg.Go(func() { codes[i] = twin.do("POST", "/recover/password", form).StatusCode })
	}
	wg.Wait()
	slices.Sort(codes)
	if h.core.dir.Written() != 1 || codes[0] != 303 || codes[1] != 409 || codes[7] != 409 {
		t.Errorf("%d writes, %v", h.core.dir.Written(), codes)
	}
}
