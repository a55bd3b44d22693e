package telemetry

import (
	"net/http"
	"strings"
	"testing"
)

func TestAdminShowsMetricsAndProfilesAlone(t *testing.T) {
	m := NewMetrics("")
	for _, c := range []struct {
		method, path string
		status       int
		holds        string
	}{
		{"GET", "/metrics", 200, "postern_build_info"},
		{"HEAD", "/metrics", 200, ""},
		{"GET", "/debug/pprof/", 200, "goroutine"},
		{"GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"GET", "/debug/pprof/heap?debug=1", 200, "heap profile"},
		{"GET", "/debug/pprof/allocs", 200, ""},
		{"GET", "/debug/pprof/symbol", 200, "num_symbols"},
		{"GET", "/debug/pprof/cmdline", 200, "telemetry"},
		{"GET", "/debug/pprof/nothing", 404, ""},
		// Stacks with arguments: a code handed over by value is readable there.
		{"GET", "/debug/pprof/goroutine?debug=2", 403, ""},
		{"GET", "/debug/pprof/goroutine?debug=02", 403, ""},
		{"GET", "/debug/pprof/goroutine?debug=%2B2", 403, ""},
		{"GET", "/debug/pprof/goroutine?debug=1&debug=2", 200, "goroutine profile: total"},
		{"GET", "/debug/pprof/profile?seconds=86400", 400, ""},
		{"GET", "/debug/pprof/trace?seconds=1e9", 400, ""},
		{"GET", "/debug/pprof/trace?seconds=NaN", 400, ""},
		{"GET", "/debug/pprof/heap?seconds=-1", 400, ""},
		{"POST", "/metrics", 405, ""},
		{"POST", "/debug/pprof/symbol", 405, ""},
		{"GET", "/", 404, ""},
		{"GET", "/debug/vars", 404, ""},
		{"GET", "/recover", 404, ""},
	} {
		w := ask(t, m, c.method, "127.0.0.1:9090", c.path)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.holds) {
			t.Errorf("%s %s: %d, want %d: %.100s", c.method, c.path, w.Code, c.status, w.Body)
		}
		if strings.Contains(w.Body.String(), "goroutine 1 [") {
			t.Errorf("%s shows stacks with arguments", c.path)
		}
		if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", c.path, h)
		}
	}
}

// A page in a browser on this machine must not read profiles under a name that
// was pointed here.
func TestAdminAnswersUnderNoStrangersName(t *testing.T) {
	m := NewMetrics("")
	for host, want := range map[string]int{
		"127.0.0.1:9090": 200, "[::1]:9090": 200, "[::1]": 200, "10.1.2.3": 200, "localhost:9090": 200, "postern:9090": 200, "LOCALHOST": 200,
		"postern.idm.svc:9090": 200, "postern.idm.svc.cluster.local:9090": 200,
		"evil.example:9090": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "local.evil": 421, "": 421, "evil.example.": 421,
	} {
		for _, path := range []string{"/metrics", "/debug/pprof/"} {
			if w := ask(t, m, http.MethodGet, host, path); w.Code != want {
				t.Errorf("%q %s: %d, want %d", host, path, w.Code, want)
			}
		}
	}
}
