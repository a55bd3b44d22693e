package main

import (
	"bufio"
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/portal/portaltest"
	"postern/verify/totp"
)

// running is a demo in this process.
type running struct {
	t    *testing.T
	dir  string
	stop func()
	file demoFile
}

func startDemo(t *testing.T, dir string) *running { return startDemoWith(t, dir, false) }

func startDemoWith(t *testing.T, dir string, tenant bool) *running {
	t.Helper()
	return startDemoOf(t, dir, tenant, 1)
}

// startDemoOf so many nodes; dir is empty for several, which keep nothing.
func startDemoOf(t *testing.T, dir string, tenant bool, nodes int) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	told, tell := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		c := &cli{out: tell, err: io.Discard, env: noEnv}
		err := c.runDemo(ctx, dir, "localhost:0", tenant, nodes)
		tell.CloseWithError(err)
		ended <- err
	}()
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(told)
		for lines.Scan() {
			if where, ok := strings.CutPrefix(lines.Text(), "preparing in "); ok && dir == "" {
				dir = where
			}
			if strings.HasPrefix(lines.Text(), "Ctrl-C") {
				close(ready)
			}
		}
	}()
	stopped := false
	r := &running{t: t, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stopping: %v", err)
		}
	}}
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		if errors.Is(err, syscall.EADDRINUSE) { // another test took the port between it was found free and used
			return startDemoOf(t, dir, tenant, nodes)
		}
		t.Fatal(err)
	}
	r.dir = dir
	t.Cleanup(r.stop)
	r.read()
	return r
}

func (r *running) read() {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, "demo.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.file = demoFile{}
	if err := json.Unmarshal(text, &r.file); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) person(login string) demoPerson {
	r.t.Helper()
	for _, p := range r.file.People {
		if p.Login == login {
			return p
		}
	}
	r.t.Fatalf("no %s", login)
	return demoPerson{}
}

func (p demoPerson) code(t *testing.T) string { return p.codeAt(t, time.Now()) }

// lastCode is the one before the current one, which counts too: so that one person
// can prove themselves twice without waiting.
func (p demoPerson) lastCode(t *testing.T) string {
	return p.codeAt(t, time.Now().Add(-30*time.Second))
}

func (p demoPerson) codeAt(t *testing.T, at time.Time) string {
	t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(p.TOTPSecret)
	if err != nil {
		t.Fatal(err)
	}
	code, err := totp.Code(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// walk is a visitor whose every step must arrive where it says.
type walk struct {
	*portaltest.Visitor
	t *testing.T
}

func (r *running) visit() walk {
	return walk{portaltest.NewVisitor(portaltest.NewClient(r.file.Portal), r.file.Portal), r.t}
}

func (w walk) open(path, step string) {
	w.t.Helper()
	if err := w.Get(path); err != nil {
		w.t.Fatal(err)
	}
	w.at(path, step)
}

func (w walk) send(path, step string, fields ...string) {
	w.t.Helper()
	if err := w.Post(path, fields...); err != nil {
		w.t.Fatal(err)
	}
	w.at(path, step)
}

func (w walk) at(path, step string) {
	w.t.Helper()
	if w.Page.Step() != step {
		w.t.Fatalf("%s: %d, step %q, error %q, want step %q\n%s", path, w.Page.Status, w.Page.Step(), w.Page.Error(), step, w.Page.Body)
	}
}

func (w walk) reset(p demoPerson, password string) {
	w.t.Helper()
	w.open("/recover/reset", "start")
	w.send("/recover/start", "choose", "purpose", "reset", "login", p.Login)
	w.send("/recover/choose", "answer", "factor", "totp")
	w.send("/recover/answer", "choose", "answer", p.code(w.t))
	w.send("/recover/choose", "answer", "factor", "recovery_code")
	w.send("/recover/answer", "new-password", "answer", p.RecoveryCodes[0])
	w.send("/recover/password", "done", "password", password, "confirm", password)
}

// A newcomer's first minute: what demo.json says works at once, and what was
// done is still so at the next start.
func TestDemoCanBePlayedAndRemembers(t *testing.T) {
	dir := t.TempDir()
	r := startDemo(t, dir)
	before := r.person("user1")
	const password = "Quite-new-words-77"
	r.visit().reset(before, password)

	// Also for the privileged one the pages go on, and nothing opens (security case 65).
	w, admin := r.visit(), r.person("admin1")
	w.open("/recover/reset", "start")
	w.send("/recover/start", "choose", "purpose", "reset", "login", "admin1")
	w.send("/recover/choose", "answer", "factor", "totp")
	w.send("/recover/answer", "answer", "answer", admin.code(t))
	if w.Page.Error() == "" {
		t.Error("a privileged account's right code was taken")
	}

	// A code by mail and one by SMS arrive in the inbox.
	w = r.visit()
	w.open("/recover/unlock", "start")
	w.send("/recover/start", "choose", "purpose", "unlock", "login", "locked1")
	w.send("/recover/choose", "answer", "factor", "totp")
	w.send("/recover/answer", "choose", "answer", r.person("locked1").code(t))
	w.send("/recover/choose", "answer", "factor", "email")
	w.send("/recover/answer", "done", "answer", r.mailed(r.person("locked1").Mail))
	r.stop()

	again := startDemo(t, dir)
	after := again.person("user1")
	if after.Password != "" || after.DN != before.DN || after.TOTPSecret != before.TOTPSecret || len(after.RecoveryCodes) != 9 {
		t.Errorf("user1 was %+v and is %+v", before, after)
	}
	if got, want := again.person("user2"), r.person("user2"); got.Password != want.Password || len(got.RecoveryCodes) != 10 {
		t.Errorf("user2 was %+v and is %+v", want, got)
	}
	if p := again.person("user20"); p.TOTPSecret != "" || len(p.RecoveryCodes) != 0 {
		t.Errorf("user20 is enrolled: %+v", p)
	}
	// The password of before is still the one.
	w = again.visit()
	w.open("/recover/change", "start")
	w.send("/recover/start", "new-password", "purpose", "change", "login", "user1", "current", password)
}

var mailedCode = regexp.MustCompile(`\b[2-9A-HJKMNP-Z]{4}-[2-9A-HJKMNP-Z]{4}\b`)

// mailed waits for the code in a person's newest message.
func (r *running) mailed(to string) string { return r.delivered(to, mailedCode) }

// delivered waits for a message to somebody that matches, and returns the match.
func (r *running) delivered(to string, what *regexp.Regexp) (found string) {
	r.t.Helper()
	w := r.visit()
	w.poll("/demo/inbox.json", func() bool {
		var inbox []struct{ To, Subject, Text string }
		if err := json.Unmarshal([]byte(w.Page.Body), &inbox); err != nil {
			r.t.Fatal(err)
		}
		for _, m := range inbox {
			if found = what.FindString(m.Subject + "\n" + m.Text); m.To == to && found != "" {
				return true
			}
		}
		return false
	})
	return found
}

// until gets a page again and again until it is at a step.
func (w walk) until(path, step string) {
	w.t.Helper()
	w.poll(path, func() bool { return w.Page.Step() == step })
}

// poll gets a page until it is so. What is waited for is the running program's own
// work: there is nothing to inject here.
func (w walk) poll(path string, so func() bool) {
	w.t.Helper()
	for range 500 {
		if err := w.Get(path); err != nil {
			w.t.Fatal(err)
		}
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Fatalf("%s is not what was waited for: %d, step %q\n%s", path, w.Page.Status, w.Page.Step(), w.Page.Body)
}

func TestDemoListensOnThisMachineAlone(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:8080", ":8080", "[::]:8080", "192.0.2.1:8080", "example.org:8080", "localhost:http", "localhost:99999", "localhost:-1", "8080", ""} {
		if got, err := loopbackAddress(addr); err == nil {
			t.Errorf("%q became %q", addr, got)
		}
	}
	for _, addr := range []string{"localhost:8080", "127.0.0.1:8080", "127.0.0.9:1", "[::1]:8080"} {
		if got, err := loopbackAddress(addr); err != nil || got != addr {
			t.Errorf("%q became %q, %v", addr, got, err)
		}
	}
	if got, err := loopbackAddress("localhost:0"); err != nil || strings.HasSuffix(got, ":0") {
		t.Errorf("%q, %v", got, err)
	}
}

// What a newcomer meets first is told in words, before anything is prepared.
func TestDemoSaysWhatIsInTheWay(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "", 0o600)
	for _, c := range []struct {
		data, listen, want string
		nodes              int
	}{
		{"", "localhost:0", "must be 1 to 5", 0},
		{"", "localhost:0", "must be 1 to 5", 6},
		{t.TempDir(), "localhost:0", "leave one of --nodes and --data away", 3},
		{t.TempDir(), taken.Addr().String(), "or give another, like --listen localhost:8081", 1},
		{file, "localhost:0", "give a folder that you may write to", 1},
		{filepath.Join(file, "below"), "localhost:0", "give a folder that you may write to", 1},
	} {
		var out strings.Builder
		err := (&cli{out: &out, err: io.Discard, env: noEnv}).runDemo(t.Context(), c.data, c.listen, false, c.nodes)
		if err == nil || !strings.Contains(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%v; %s", err, &out)
		}
	}
}
