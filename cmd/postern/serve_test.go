package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/directory/embedded"
	"postern/portal/portaltest"
	"postern/portal/store"
)

// house is a folder with a configuration for serve, before the embedded
// directory, which stands for any Active Directory here.
type house struct {
	t    testing.TB
	dir  string
	file string
	url  string
	ldap *embedded.Server
	mail *portaltest.MailSink
}

func newHouse(t testing.TB, change ...string) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	var err error
	if h.ldap, err = embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.ldap.Close() })
	if h.mail, err = portaltest.NewMailSink(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.mail.Close() })
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	h.url = fmt.Sprintf("http://localhost:%d", port)
	_, mailPort, err := net.SplitHostPort(h.mail.Addr)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`public_url: %s
listen: localhost:%d
store:
  path: data/postern.db
mail: {host: 127.0.0.1, port: %s, tls: none, from: postern@example.org}
directories:
  - name: corp
    ad:
      servers: [%q]
      ca_file: %q
      bind_dn: %q
      bind_password: file:corp.password
      base_dn: %q
`, h.url, port, mailPort, h.ldap.URL(), h.ldap.CAFile(), h.ldap.ServiceDN(), h.ldap.PeopleDN())
	for i := 0; i+1 < len(change); i += 2 {
		text = strings.Replace(text, change[i], change[i+1], 1)
	}
	h.file = filepath.Join(h.dir, "postern.yaml")
	writeFile(t, h.file, text, 0o600)
	writeFile(t, filepath.Join(h.dir, "corp.password"), h.ldap.ServicePassword().Reveal(), 0o600)
	if err := store.CreateKeys(filepath.Join(h.dir, "keys.json")); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) load() Config {
	h.t.Helper()
	cfg, err := (&cli{env: noEnv}).load(h.file)
	if err != nil {
		h.t.Fatal(err)
	}
	return cfg
}

func (h *house) open(log io.Writer) (*program, error) {
	return newProgram(h.t.Context(), h.load(), slog.New(slog.NewJSONHandler(log, nil)), extras{})
}

// serve runs the program until the function it returns is called.
func (h *house) serve() func() {
	h.t.Helper()
	p, err := h.open(io.Discard)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.run(p)
}

func (h *house) run(p *program) func() {
	h.t.Helper()
	if _, err := p.server.Listen(); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Errorf("stopping: %v", err)
		}
	}
}

func (h *house) status(path string) int {
	h.t.Helper()
	resp, err := http.Get(h.url + path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestServeStartsStopsAndStartsAgain(t *testing.T) {
	h := newHouse(t)
	for range 2 {
		stop := h.serve()
		for _, path := range []string{"/", "/readyz", "/healthz", "/recover/reset", "/signin"} {
			if got := h.status(path); got != 200 {
				t.Errorf("%s: %d", path, got)
			}
		}
		stop()
		if _, err := http.Get(h.url); err == nil {
			t.Error("something answers after the end")
		}
	}
}

// The demo's page shows everybody's password: serve has no such route. Nor are
// metrics and profiles on the portal's own listener (security case 118).
func TestServeHasNoDemoAndNoMetrics(t *testing.T) {
	h := newHouse(t)
	defer h.serve()()
	for _, path := range []string{"/demo", "/demo/", "/demo/inbox.json", "/metrics", "/debug", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars"} {
		if got := h.status(path); got != 404 {
			t.Errorf("%s: %d", path, got)
		}
	}
}

func TestMetricsAreOnTheirOwnListenerOnly(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, "store:", fmt.Sprintf("admin: 127.0.0.1:%d\nstore:", port))
	defer h.serve()()
	h.status("/")
	for h.status("/readyz") != 200 {
		t.Fatal("not ready")
	}
	admin := &house{t: t, url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 200, "/": 404, "/demo": 404, "/signin": 404} {
		if got := admin.status(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
	if got := h.status("/metrics"); got != 404 {
		t.Errorf("/metrics on the portal's own listener: %d", got)
	}
}

// One person's whole case is in the numbers, as is what goes wrong beside it; and
// nothing in them says whose it was.
func TestMetricsTellOfAWholeCase(t *testing.T) {
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, "store:", fmt.Sprintf("admin: 127.0.0.1:%d\nlimits: {start: 3/1h, failures: 1/10m}\nstore:", port))
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer h.run(p)()
	i := slices.IndexFunc(h.ldap.People(), func(p embedded.Person) bool { return p.Login == "user1" })
	who := h.ldap.People()[i]

	w := walk{portaltest.NewVisitor(portaltest.NewClient(h.url), h.url), t}
	w.open("/recover/change", "start")
	w.send("/recover/start", "new-password", "purpose", "change", "login", who.Login, "current", who.Password.Reveal())
	w.send("/recover/password", "done", "password", "Quite-new-words-77", "confirm", "Quite-new-words-77")
	for range 2 {
		w.open("/recover/change", "start")
		w.send("/recover/start", "answer", "purpose", "change", "login", "user2", "current", "not this one")
	}
	w.open("/recover/change", "start")
	if err := w.Post("/recover/start", "purpose", "change", "login", who.Login, "current", "x"); err != nil || w.Page.Status != http.StatusTooManyRequests {
		t.Errorf("%d, %v", w.Page.Status, err)
	}
	p.launcher.Safe("test", func() { panic("it") })

	admin := portaltest.NewVisitor(portaltest.NewClient(fmt.Sprintf("http://127.0.0.1:%d", port)), fmt.Sprintf("http://127.0.0.1:%d", port))
	want := []string{
		`postern_http_request_duration_seconds_count{method="POST",route="/recover/password",status="303"} 1`,
		`postern_cases_total{outcome="done",purpose="change"} 1`,
		`postern_case_duration_seconds_count{purpose="change"} 1`,
		`postern_directory_operation_seconds_count{directory="corp",operation="change_password",outcome="ok"} 1`,
		`postern_messages_total{channel="mail",outcome="sent",template="password_changed"} 1`,
		`postern_limit_refusals_total{limit="start"} 1`,
		`postern_alarms_total{alarm="failures"} 1`,
		`postern_panics_total{where="test"} 1`,
	}
	walk{admin, t}.poll("/metrics", func() bool { return strings.Contains(admin.Page.Body, "postern_messages_total{") })
	for _, line := range want {
		if !strings.Contains(admin.Page.Body, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(admin.Page.Body, who.Login) || strings.Contains(admin.Page.Body, who.Mail) || t.Failed() {
		t.Error(admin.Page.Body)
	}
}

func TestServeRefusesToStart(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(*house)
		want string
	}{
		{"without keys", func(h *house) { os.Remove(filepath.Join(h.dir, "keys.json")) }, "postern keys create"},
		{"with the keys of another database", func(h *house) {
			p, err := h.open(io.Discard)
			if err != nil {
				h.t.Fatal(err)
			}
			if err := p.Close(); err != nil {
				h.t.Fatal(err)
			}
			os.Remove(filepath.Join(h.dir, "keys.json"))
			if err := store.CreateKeys(filepath.Join(h.dir, "keys.json")); err != nil {
				h.t.Fatal(err)
			}
		}, "the key file is not the one of this database"},
		{"with keys that others can read", func(h *house) { os.Chmod(filepath.Join(h.dir, "keys.json"), 0o644) }, "chmod 600"},
		{"with a database that is none", func(h *house) {
			os.MkdirAll(filepath.Join(h.dir, "data"), 0o700)
			writeFile(h.t, filepath.Join(h.dir, "data", "postern.db"), strings.Repeat("not a database\n", 300), 0o600)
		}, "store"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			c.harm(h)
			p, err := h.open(io.Discard)
			if err == nil {
				p.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestServeSaysWhenItsAddressIsTaken(t *testing.T) {
	h := newHouse(t)
	defer h.serve()()
	p, err := h.open(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Error(err)
	}
}

type fakeSchema struct {
	have, want int64
	migrated   bool
}

func (f *fakeSchema) Schema(context.Context) (int64, int64, error) { return f.have, f.want, nil }
func (f *fakeSchema) Migrate(context.Context) error                { f.migrated = true; return nil }
func (f *fakeSchema) MarkKeys(context.Context) error               { return nil }

// On PostgreSQL an older program may still be at work in the database.
func TestPostgresIsMigratedOnlyWhenAsked(t *testing.T) {
	for _, c := range []struct {
		name                   string
		postgres, auto         bool
		have                   int64
		wantRefused, wantMoved bool
	}{
		{"sqlite, old", false, false, 1, false, true},
		{"postgres, old", true, false, 1, true, false},
		{"postgres, empty", true, false, 0, true, false},
		{"postgres, old, auto_migrate", true, true, 1, false, true},
		{"postgres, up to date", true, false, 2, false, true}, // Migrate looks, and finds nothing to do
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.Store.AutoMigrate = c.auto
			if c.postgres {
				cfg.Store.Postgres = "postgres://localhost/x"
			}
			db := &fakeSchema{have: c.have, want: 2}
			err := cfg.prepare(t.Context(), db)
			if errors.Is(err, errOldSchema) != c.wantRefused || db.migrated != c.wantMoved {
				t.Errorf("%v, migrated %v", err, db.migrated)
			}
		})
	}
}

// security case 113: what serve logs holds no secret of the configuration.
func TestServeLogsNoSecret(t *testing.T) {
	h := newHouse(t)
	var log bytes.Buffer
	p, err := h.open(&log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), `"msg":"ready"`) {
		t.Errorf("nothing was logged: %s", &log)
	}
	if strings.Contains(log.String(), `"level":"ERROR"`) {
		t.Errorf("an orderly end logs errors: %s", &log)
	}
	if strings.Contains(log.String(), h.ldap.ServicePassword().Reveal()) {
		t.Error("the service account's password is in the log")
	}
}
