package portal

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Pages that ask nobody who somebody is: they say the same to all, or go by a link, a
// device or a receipt alone, and are another service's to refuse.
var (
	askNobody      = []string{"/healthz", "/readyz", "/static/:file"}
	askNotWhoComes = append([]string{"/", "/recover/reset", "/recover/unlock", "/recover/change", "/notme/:token", "/link/:token", "/link", "/claim/:code", "/receipt",
		"/receipt/:code", "/help/:topic", "/phone/:code"}, askNobody...)
)

// Every route there is, while what it would have to ask is away: nobody is taken for
// anybody, and a 503 in plain words says when to come back.
func TestEveryRouteIsANoWhileItCannotAsk(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]struct {
		fail func(*house)
		but  []string
	}{
		"sessions": {func(h *house) { h.sessions.fail = errors.New("SQLSTATE 57P01 at 10.0.0.9") }, askNotWhoComes},
		"limits":   {func(h *house) { h.limits.fail = errRedis }, askNobody},
	} {
		h := open(t, kiosked)
		h.kiosks = true
		b := h.signedIn()
		posts := h.posts()
		what.fail(h)
		routes := 0
		for _, r := range h.server.app.GetRoutes(true) {
			path := concrete(r.Path)
			var a answer
			switch r.Method {
			case http.MethodGet:
				a = b.get(path)
			case http.MethodPost:
				a = b.post(path, posts[path]...)
			default:
				continue
			}
			routes++
			no := a.StatusCode == 503 && a.Page.Code == "unavailable" && a.Header.Get("Retry-After") != "" && !strings.Contains(string(a.body), "10.0.0.9")
			kiosk := name == "sessions" && strings.HasPrefix(r.Path, "/kiosk") && a.StatusCode != 200 // this browser is no kiosk
			form := strings.HasPrefix(r.Path, "/kiosk/register") || r.Path == "/kiosk/challenge"
			if !no && !kiosk && !(name == "sessions" && form) && !slices.Contains(what.but, r.Path) {
				t.Errorf("%s are away, %s %s: %d %s", name, r.Method, r.Path, a.StatusCode, a.Page.Code)
			}
		}
		if routes < 60 {
			t.Errorf("%d routes were tried", routes)
		}
	}
}
