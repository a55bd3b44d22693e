package portal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What is under way when the server is told to stop is finished; nothing new is taken.
func TestStopLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	h := build(t, func(o *Options) {
		o.Web.Ready = func(context.Context) error { close(entered); <-leave; return nil }
	})
	h.server.drain = drainTime
	h.run()
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get("http://" + h.addr + "/readyz")
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		got <- string(body)
	}()
	<-entered
	h.stop()
	waitFor(t, func() bool {
		c, err := net.Dial("tcp", h.addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(leave)
	if s := <-got; s != "ok\n" {
		t.Errorf("the request under way got %q", s)
	}
	if err := <-h.ended; err != nil {
		t.Error(err)
	}
}

// Who is told to stop before the first request leaves no door open: the address
// is free again, and nobody is served.
func TestStoppedBeforeItServedLeavesNoListener(t *testing.T) {
	t.Parallel()
	for range 20 {
		h := build(t, func(o *Options) { o.Config.Admin, o.Admin = "localhost:0", http.NotFoundHandler() })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.server.Run(ctx); err != nil {
			t.Fatal(err)
		}
		for _, addr := range []string{h.addr, h.server.admins.Addr().String()} {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				t.Fatalf("%s still takes connections", addr)
			}
		}
	}
}

// A service that hangs costs a request its 8 seconds and no more; here the
// deadline is in the context that it gets.
func TestServicesGetADeadline(t *testing.T) {
	t.Parallel()
	var left time.Duration
	h := open(t, func(o *Options) {
		o.Web.Ready = func(ctx context.Context) error {
			end, _ := ctx.Deadline()
			left = time.Until(end)
			return ctx.Err()
		}
	})
	if a := h.tab().get("/readyz"); a.StatusCode != 200 || left <= 0 || left > 8*time.Second {
		t.Errorf("%d, %v left", a.StatusCode, left)
	}
}

// A panic is a plain page, the process stays up, and what panicked is in no log
// when it could hold what was sent.
func TestPanicIsAPage(t *testing.T) {
	t.Parallel()
	value := any("Canary-7531")
	told := 0
	h := open(t, func(o *Options) {
		o.Web.Ready = func(context.Context) error { panic(value) }
		o.Web.Panicked = func(string) { told++ }
	})
	for _, value = range []any{"Canary-7531", fmt.Errorf("Canary-7531")} {
		a := h.tab().get("/readyz")
		a.want(t, 500, "ErrorPage")
		if strings.Contains(string(a.body)+h.log.String(), "Canary") || !strings.Contains(h.log.String(), "panic") {
			t.Errorf("%s\n%s", a.body, h.log)
		}
	}
	h.tab().get("/").want(t, 200, "Start")
	if told != 2 {
		t.Errorf("%d panics were told of", told)
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) {
		o.Web.Ready = func(context.Context) error { return fmt.Errorf("postgres://u:Canary@10.0.0.1") }
	})
	if a := h.tab().get("/readyz"); a.StatusCode != 503 || string(a.body) != "not ready\n" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if a := h.tab().get("/healthz"); a.StatusCode != 200 || string(a.body) != "ok\n" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// The demo's pages exist in the demo and nowhere else (see TestPathIsExact).
func TestDemoOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.Web.Demo = demo{} })
	h.tab().get("/demo").want(t, 200, "Demo")
	a := h.tab().do("GET", "/demo/inbox.json", "")
	if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") || !strings.Contains(string(a.body), `"to":"a@example.org"`) {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestLanguageIsKept(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	if a := b.get("/", "Accept-Language", "ar"); a.Lang != "ar" {
		t.Errorf("from the browser: %q", a.Lang)
	}
	if a := b.get("/?lang=de", "Accept-Language", "ar"); a.Lang != "de" || b.cookies["__Host-lang"] != "de" {
		t.Errorf("asked for: %q, kept %q", a.Lang, b.cookies["__Host-lang"])
	}
	if a := b.get("/recover/reset", "Accept-Language", "ar"); a.Lang != "de" {
		t.Errorf("kept: %q", a.Lang)
	}
	for _, odd := range []string{"xx", "../../etc", "de%00", "de&lang=en", "%22%3E%3Cscript%3E"} {
		a := b.get("/?lang=" + odd)
		if a.StatusCode != 200 || b.cookies["__Host-lang"] != "de" {
			t.Errorf("?lang=%s: %d, kept %q", odd, a.StatusCode, b.cookies["__Host-lang"])
		}
	}
}

func TestHelpAndActivity(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.signedIn()
	b.get("/help/passkeys").want(t, 200, "Help")
	b.get("/me/activity").want(t, 200, "ActivityLog")
	// Security case 55: nothing in the address chooses where to go or how much.
	for _, odd := range []string{"return_to=//evil.example", "next=javascript:alert(1)", "page=-1", "before=99999999999999999999", "minutes=1e9"} {
		for _, path := range []string{"/me/activity?", "/signin?", "/recover?", "/?", "/me/factors?"} {
			a := b.get(path + odd)
			if strings.Contains(string(a.body)+a.Header.Get("Location"), "evil") || strings.Contains(string(a.body), "javascript:") || a.StatusCode >= 400 {
				t.Errorf("%s%s: %d to %q\n%s", path, odd, a.StatusCode, a.Header.Get("Location"), a.body)
			}
		}
	}
}

// Security case 25: no log line holds an address as it was typed.
func TestLogNamesTheRouteOnly(t *testing.T) {
	t.Parallel()
	var routes []string
	h := open(t, func(o *Options) {
		o.Web.Observe = func(_, route string, _ int, _ time.Duration) { routes = append(routes, route) }
	})
	b := h.signedIn()
	routes = nil
	b.get("/me/factors/Canary-7531/remove?x=Canary-7532", "Referer", "https://id.example.org/Canary-7533", "User-Agent", "Canary-7534")
	b.get("/recover/Canary-7535")
	if len(routes) != 2 || routes[0] != "/me/factors/:id/remove" || strings.Contains(routes[1], "Canary") {
		t.Errorf("%q", routes)
	}
	if strings.Contains(h.log.String(), "Canary") {
		t.Errorf("%s", h.log)
	}
}

// Own TLS: 1.2 at least, HTTP/1.1, and a peer that never finishes its hello is dropped.
func TestOwnTLS(t *testing.T) {
	t.Parallel()
	pool, files := makeCertificate(t, "id.example.org")
	h := build(t, func(o *Options) { o.Config.TrustedProxies, o.Config.TLS = nil, files })
	h.server.app.Server().ReadTimeout = 300 * time.Millisecond
	h.run()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", h.addr)
		},
		TLSClientConfig: &tls.Config{RootCAs: pool},
	}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://id.example.org/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.TLS.Version < tls.VersionTLS12 || resp.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if c, err := tls.Dial("tcp", h.addr, &tls.Config{RootCAs: pool, ServerName: "id.example.org", MaxVersion: tls.VersionTLS11}); err == nil {
		c.Close()
		t.Error("TLS 1.1 was taken")
	}
	silent, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	silent.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); isTimeout(err) || err == nil {
		t.Errorf("a peer that never says hello is still there: %v", err)
	}
}

// A renewal is taken up within a minute, a broken one is not, and without any
// there is no server.
func TestRenewedCertificateIsTakenUp(t *testing.T) {
	t.Parallel()
	_, files := makeCertificate(t, "id.example.org")
	_, renewed := makeCertificate(t, "id.example.org")
	now := time.Now()
	c, err := loadCertificate(files, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first, _ := c.get(nil)
	put := func(from TLS, at time.Time) {
		for to, src := range map[string]string{files.CertFile: from.CertFile, files.KeyFile: from.KeyFile} {
			data, err := os.ReadFile(src)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.WriteFile(to, data, 0o600), os.Chtimes(to, at, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(TLS{CertFile: renewed.KeyFile, KeyFile: renewed.KeyFile}, now.Add(time.Hour))
	now = now.Add(2 * time.Minute)
	if got, err := c.get(nil); err != nil || got != first {
		t.Errorf("a broken renewal was taken up: %v", err)
	}
	put(renewed, now.Add(2*time.Hour))
	if got, _ := c.get(nil); got != first {
		t.Error("the files are looked at for every connection")
	}
	now = now.Add(2 * time.Minute)
	if got, _ := c.get(nil); got == first {
		t.Error("the renewal was not taken up")
	}
	if _, err := loadCertificate(TLS{CertFile: "/none/c.pem", KeyFile: "/none/k.pem"}, time.Now, nil); err == nil {
		t.Error("a missing certificate was taken")
	}
}

func makeCertificate(t *testing.T, name string) (*x509.CertPool, TLS) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := TLS{CertFile: filepath.Join(t.TempDir(), "c.pem"), KeyFile: filepath.Join(t.TempDir(), "k.pem")}
	for path, b := range map[string]*pem.Block{files.CertFile: {Type: "CERTIFICATE", Bytes: der}, files.KeyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return pool, files
}

// Metrics and profiles are on a listener of their own and not on the portal's
// (security case 118); without a handler or an address nothing listens.
func TestAdminIsApart(t *testing.T) {
	t.Parallel()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := free.Addr().String()
	free.Close()
	h := open(t, func(o *Options) {
		o.Config.Admin = admin
		o.Admin = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "metrics") })
	})
	waitFor(t, func() bool {
		resp, err := http.Get("http://" + admin + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body) == "metrics"
	})
	h.tab().get("/metrics").want(t, 404, "ErrorPage")
	h.stop()
	if err := <-h.ended; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", admin); err == nil {
		c.Close()
		t.Error("the admin listener outlived the server")
	}
}

// A port that is taken is an error before anything runs.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	h := open(t)
	other := build(t, func(o *Options) { o.Config.Listen = "127.0.0.1:0" })
	other.server.ln.Close()
	other.server.ln, other.server.config.Listen = nil, h.addr
	if _, err := other.server.Listen(); err == nil {
		t.Error("it listened on a taken port")
	}
	if err := other.server.Run(t.Context()); err == nil {
		t.Error("it ran on a taken port")
	}
}
