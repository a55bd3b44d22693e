package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/portaltest"
	"postern/portal/store/storetest"
)

// dies is postern serve that is killed, as by kill -9, at a named point of a case.
func dies() {
	point, file := os.Args[1], os.Args[2]
	err := func() error {
		cfg, err := (&cli{env: noEnv}).load(file)
		if err != nil {
			return err
		}
		p, err := newProgram(context.Background(), cfg, slog.New(slog.NewTextHandler(os.Stderr, nil)), extras{})
		if err != nil {
			return err
		}
		p.flow.Failpoint = func(at string) {
			if at == point {
				self, _ := os.FindProcess(os.Getpid())
				_ = self.Kill()
				select {}
			}
		}
		return p.Run(context.Background())
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// crashRuns is how often each point is tried: POSTERN_CRASH_RUNS=50 for the long form.
func crashRuns(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("POSTERN_CRASH_RUNS"))
	if err != nil {
		return 2
	}
	return n
}

// Killed around the directory write, a portal tells the truth when it comes back: what
// was written is said to be done and what was not is not, nothing is written again, no
// intent stays open, and it is on record once, in a log that verifies.
func TestKilledAroundTheWriteThePersonLearnsTheTruth(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: starts programs")
	}
	for _, engine := range []string{"sqlite", "postgres"} {
		for point, want := range map[string]string{"before-intent": "new-password", "in-intent": "new-password", "after-intent": "refused",
			"after-write": "done", "in-outcome": "done", "after-outcome": "done"} {
			written := want == "done"
			t.Run(engine+"/"+point, func(t *testing.T) {
				more := []string{}
				if engine == "postgres" {
					dsn := filepath.Join(t.TempDir(), "dsn")
					writeFile(t, dsn, storetest.Postgres(t).Config.Postgres, 0o600)
					more = []string{"  path: data/postern.db", "  postgres: file:" + dsn + "\n  auto_migrate: true"}
				}
				h := newHouse(t, more...)
				passwords := map[string]string{}
				for _, p := range h.ldap.People() {
					passwords[p.Login] = p.Password.Reveal()
				}
				for i := range crashRuns(t) {
					login, next := fmt.Sprintf("user%d", i%20+1), fmt.Sprintf("Granite-otter-%d-lamp", i)
					h.diesAndComesBack(t, point, want, login, passwords[login], next)
					if written {
						passwords[login] = next
					}
				}
			})
		}
	}
}

// Afterwards the person's page is that of the step want.
func (h *house) diesAndComesBack(t *testing.T, point, want, login, old, next string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	bin, err := exec.LookPath("postern-that-dies")
	if err != nil {
		h.t.Fatal(err)
	}
	child, err := portaltest.Run(ctx, bin, h.dir, h.url, point, h.file)
	if err != nil {
		h.t.Fatal(err)
	}
	who := walk{portaltest.NewVisitor(portaltest.NewClient(h.url), h.url), t}
	who.open("/recover/change", "start")
	who.send("/recover/start", "new-password", "purpose", "change", "login", login, "current", old)
	if err := who.Post("/recover/password", "password", next, "confirm", next); err == nil {
		h.t.Fatalf("it lives on past %s: %d %s", point, who.Page.Status, who.Page.Step())
	}
	child.Kill()

	// A minute later, when no write can be on its way any more.
	p, err := newProgram(h.t.Context(), h.load(), slog.New(slog.NewJSONHandler(io.Discard, nil)), extras{now: func() time.Time { return time.Now().Add(time.Minute) }})
	if err != nil {
		h.t.Fatal(err)
	}
	stop := sync.OnceFunc(h.run(p))
	defer stop()
	written, intents := want == "done", 1
	if want == "new-password" { // nothing was begun: they may try again
		intents = 0
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) { // a real portal's work
		if err := who.Get("/recover"); err != nil {
			h.t.Fatal(err)
		}
		if step := who.Page.Step(); step == want {
			break
		} else if step != "applying" || time.Now().After(end) {
			h.t.Fatalf("%s %s: the page is %s, not %s: %s", point, login, step, want, who.Page.Body)
		}
	}
	u, err := p.people.Find(ctx, login)
	if err != nil {
		h.t.Fatal(err)
	}
	good, bad := directory.NewSecret(old), directory.NewSecret(next)
	if written {
		good, bad = bad, good
	}
	if err := p.people.Authenticate(ctx, u, good); err != nil {
		h.t.Errorf("%s %s: what should be the password is not: %v", point, login, err)
	}
	if err := p.people.Authenticate(ctx, u, bad); err == nil {
		h.t.Errorf("%s %s: what should not be the password is", point, login)
	}
	if open, err := p.db.Unsettled(ctx, time.Now().Add(time.Hour)); err != nil || len(open) > 0 {
		h.t.Errorf("%s %s: open: %v, %v", point, login, open, err)
	}
	told, last := map[string]int{}, "" // of this case, the person's last
	if err := p.db.Export(ctx, audit.Query{Subject: u.ID}, func(e audit.Event) error {
		if e.Case != last && e.Case != "" {
			told, last = map[string]int{}, e.Case
		}
		told[e.Kind+" "+string(e.Outcome)]++
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
	if told["password.intent intent"] != intents || told["password.changed ok"] != map[bool]int{true: 1}[written] {
		h.t.Errorf("%s %s: on record: %v", point, login, told)
	}
	stop()
	h.verifies()
}

// verifies exports the record and checks it.
func (h *house) verifies() {
	h.t.Helper()
	cfg := h.load()
	db, keys, err := cfg.openStore(h.t.Context(), time.Now)
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	signer, key, err := recordKey(keys)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := sealRest(h.t.Context(), db, signer); err != nil {
		h.t.Fatal(err)
	}
	dir := filepath.Join(h.t.TempDir(), "export")
	if _, err := audit.WriteBundle(h.t.Context(), dir, db, key); err != nil {
		h.t.Fatal(err)
	}
	if _, err := audit.Verify(dir, key, nil, nil); err != nil {
		h.t.Error(err)
	}
}
