package telemetry

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	scrapeTime  = 10 * time.Second
	scrapes     = 4 // at once
	longProfile = 120
)

// Admin answers GET /metrics and GET /debug/pprof/…, for a listener that the
// public never reaches (portal.Config.Admin); everything else is not found. It
// asks nobody who they are. It answers under addresses and names that nobody
// can register (localhost, one word, .local, .internal, .svc). Profiles last 120
// seconds at the most, and stacks come without arguments.
//
// net/http/pprof also registers itself on http.DefaultServeMux by being
// imported: nothing of ours may ever serve that one.
func (m *Metrics) Admin(log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: scrapeLog{log}, Timeout: scrapeTime, MaxRequestsInFlight: scrapes,
	}))
	mux.HandleFunc("GET /debug/pprof/", profiles)
	mux.HandleFunc("GET /debug/pprof/profile", profile(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/trace", profile(pprof.Trace))
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !ownNetwork(r.Host) {
			http.Error(w, "not by this name: use an address", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// ownNetwork lets addresses and names pass that nobody can register. Any other
// name may be a stranger's that was pointed at this machine, so that a browser
// beside it reads the profiles for their page (DNS rebinding).
func ownNetwork(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch strings.ToLower(last) {
	case "":
		return false
	case "localhost", "local", "internal", "svc":
		return true
	}
	return last == host // a single word, like a container's name
}

// profiles is the index, and the profiles by name.
func profiles(w http.ResponseWriter, r *http.Request) {
	// From 2 on goroutines are dumped with their arguments, and from a number or
	// an array handed over by value a code or a key can be read.
	if level := r.FormValue("debug"); level != "" && level != "0" && level != "1" {
		http.Error(w, "debug is 0 or 1: stacks are not shown with their arguments", http.StatusForbidden)
		return
	}
	if tooLong(w, r) {
		return
	}
	pprof.Index(w, r)
}

func profile(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !tooLong(w, r) {
			next(w, r)
		}
	}
}

// tooLong refuses a profile that would cost for hours.
func tooLong(w http.ResponseWriter, r *http.Request) bool {
	text := r.FormValue("seconds")
	if n, err := strconv.ParseFloat(text, 64); text == "" || err == nil && n > 0 && n <= longProfile {
		return false
	}
	http.Error(w, "seconds: more than 0 and no more than 120", http.StatusBadRequest)
	return true
}

// scrapeLog is the log as promhttp wants it.
type scrapeLog struct{ log *slog.Logger }

// Println implements promhttp.Logger.
func (s scrapeLog) Println(v ...any) { s.log.Warn("metrics could not be collected", "error", v) }
