package portal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/portal/policy"
	"postern/portal/session"
	"postern/portal/web"
	"postern/portal/web/view"
	"postern/verify"
)

// house is the whole server on a real listener, with a clock the test moves.
type house struct {
	t        testing.TB
	server   *Server
	addr     string
	host     string
	core     *core
	own      *own
	sessions *rows
	limits   *limits
	desk     *desk // what the desk asks, in a house withDesk
	kiosks   bool  // it has shared screens
	log      *lockedBuffer
	stop     context.CancelFunc
	ended    chan error // what Run returned

	mu    sync.Mutex
	clock time.Time
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.clock
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock = h.clock.Add(d)
}

const publicHost = "id.example.org"

// open starts the server behind a trusted proxy on loopback, as in production.
func open(t testing.TB, change ...func(*Options)) *house {
	t.Helper()
	h := build(t, change...)
	h.run()
	return h
}

// build makes it without serving yet.
func build(t testing.TB, change ...func(*Options)) *house {
	t.Helper()
	h := &house{t: t, log: &lockedBuffer{}, clock: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC), host: publicHost}
	h.core = newCore(t, h.now)
	h.own = &own{now: h.now, offered: map[string]bool{}}
	h.sessions = &rows{rows: map[string]session.Row{}}
	h.limits = &limits{}
	o := Options{
		Config: Config{Listen: "127.0.0.1:0", PublicURL: "https://" + publicHost, TrustedProxies: []string{"127.0.0.1"}},
		Log:    slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Web: web.Options{Secret: bytes.Repeat([]byte("k"), 32), Flow: h.core, Enrol: h.own, Sessions: session.NewManager(h.sessions, h.now), Limits: h.limits,
			Plans: rulebook{}, Records: records{}, Receipts: records{}, Renderer: plain{}, Languages: tongues{}, Static: files{},
			Ready: func(context.Context) error { return nil }, Purposes: []policy.Purpose{policy.Reset, policy.Unlock, policy.Change},
			Now: h.now, Rand: rand.Reader},
	}
	o.Web.Log = o.Log
	for _, c := range change {
		c(&o)
	}
	var err error
	if h.server, err = New(o); err != nil {
		t.Fatal(err)
	}
	h.server.drain = time.Millisecond // fasthttp looks every 100 ms whether all have gone: that would be most of the time of these tests
	h.host = h.server.public.Host
	addr, err := h.server.Listen()
	if err != nil {
		t.Fatal(err)
	}
	h.addr = addr.String()
	return h
}

func (h *house) run() {
	var ctx context.Context
	ctx, h.stop = context.WithCancel(h.t.Context())
	h.ended = make(chan error, 1)
	go func() { h.ended <- h.server.Run(ctx); close(h.ended) }()
	h.t.Cleanup(func() {
		h.stop()
		if err := <-h.ended; err != nil {
			h.t.Error(err)
		}
	})
}

// tab is one browser: it keeps cookies by the rules and the last page's token.
type tab struct {
	*house
	client  *http.Client
	cookies map[string]string
	csrf    string
	header  http.Header // sent with every request
}

func (h *house) tab() *tab {
	tr := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", h.addr)
	}}
	h.t.Cleanup(tr.CloseIdleConnections)
	return &tab{house: h, cookies: map[string]string{}, header: http.Header{"X-Real-Ip": {"203.0.113.7"}},
		client: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is a response, read whole.
type answer struct {
	*http.Response
	body []byte
	Type string
	Lang string
	Page struct {
		Faults []view.Fault
		CSRF   string
		Code   string
		Kind   string
		Reason string
		Person string
		Here   string
	}
}

func (b *tab) do(method, path, body string, header ...string) answer {
	b.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+b.host+path, r)
	if err != nil {
		b.t.Fatal(err)
	}
	for k, v := range b.header {
		req.Header[k] = v
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range b.cookies {
		req.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	for i := 0; i+1 < len(header); i += 2 {
		switch header[i] {
		case "Host":
			req.Host = header[i+1]
		default:
			req.Header.Add(header[i], header[i+1])
		}
		if header[i] == "Content-Type" {
			req.Header.Set("Content-Type", header[i+1])
		}
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	a := answer{Response: resp}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	for _, c := range resp.Cookies() {
		b.cookies[c.Name] = c.Value
	}
	if len(a.body) > 0 && a.body[0] == '{' {
		if err := json.Unmarshal(a.body, &a); err != nil {
			b.t.Fatalf("%s %s: %v in %s", method, path, err, a.body)
		}
		if a.Page.CSRF != "" {
			b.csrf = a.Page.CSRF
		}
	}
	return a
}

func (b *tab) get(path string, header ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, "", header...)
}

// post sends a form with the token of the last page. A pair of fields at a time.
func (b *tab) post(path string, fields ...string) answer {
	b.t.Helper()
	return b.do(http.MethodPost, path, b.form(fields...))
}

func (b *tab) form(fields ...string) string {
	f := url.Values{"csrf": {b.csrf}}
	for i := 0; i+1 < len(fields); i += 2 {
		f.Set(fields[i], fields[i+1])
	}
	return f.Encode()
}

func (a answer) want(t testing.TB, status int, page string) answer {
	t.Helper()
	if a.StatusCode != status || a.Type != page {
		t.Fatalf("%s %s: %d %q, want %d %q\n%s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.Type, status, page, a.body)
	}
	return a
}

func (a answer) leads(t testing.TB, path string) {
	t.Helper()
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != path {
		t.Fatalf("%s %s: %d to %q, want 303 to %q\n%s", a.Request.Method, a.Request.URL.Path, a.StatusCode, a.Header.Get("Location"), path, a.body)
	}
}

// started is a tab in a case of alice.
func (h *house) started(purpose string) *tab {
	h.t.Helper()
	b := h.tab()
	b.get("/recover/"+purpose).want(h.t, 200, "StartForm")
	b.post("/recover/start", "purpose", purpose, "login", "alice").leads(h.t, "/recover")
	b.get("/recover").want(h.t, 200, "Choose")
	return b
}

// proven is a tab that stands before the new password.
func (h *house) proven() *tab {
	h.t.Helper()
	b := h.started("reset")
	for _, k := range []string{"totp", "recovery_code"} {
		b.post("/recover/choose", "factor", k).leads(h.t, "/recover")
		b.get("/recover").want(h.t, 200, "Answer")
		b.post("/recover/answer", "answer", answers[kindOf(k)]).leads(h.t, "/recover")
		b.get("/recover")
	}
	b.get("/recover").want(h.t, 200, "NewPassword")
	return b
}

// signedIn is a tab on /me.
func (h *house) signedIn() *tab {
	h.t.Helper()
	b := h.tab()
	b.get("/signin").want(h.t, 200, "SignIn")
	b.post("/signin/start", "login", "alice", "current", "Current-1").leads(h.t, "/signin")
	b.get("/signin").want(h.t, 200, "Choose")
	b.post("/signin/choose", "factor", "totp").leads(h.t, "/signin")
	b.get("/signin").want(h.t, 200, "Answer")
	b.post("/signin/answer", "answer", "123456").leads(h.t, "/me")
	b.get("/me").want(h.t, 200, "Me")
	return b
}

func kindOf(s string) verify.Kind { return verify.Kind(s) }
