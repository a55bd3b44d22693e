package portaltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"postern/directory/directorytest"
)

var oneTimeCode = regexp.MustCompile(`one-time code: (\S+)`)

// registers gives the browser of a device a code that an operator has made, and returns
// the device's id.
func (s *scene) registers(screen *Tab, name string, more ...string) (id string) {
	s.t.Helper()
	args := append([]string{"kiosk", "register", "--config", filepath.Join(s.p.Dir, "postern.yaml"), "--name", name, "--site", "North"}, more...)
	code := s.says(oneTimeCode, args...)
	screen.Open("/kiosk/register")
	screen.Fill("code", "22222-22222")
	screen.Submit()
	screen.WantError("kiosk_code")
	screen.Fill("code", strings.ToLower(code))
	screen.Submit()
	screen.WantStep("start")
	if !strings.Contains(screen.Where(), name) {
		s.t.Fatalf("the screen does not know its name: %s", screen.Where())
	}
	return s.says(regexp.MustCompile(`(?m)^(\S+)  `+regexp.QuoteMeta(name)), "kiosk", "list", "--config", filepath.Join(s.p.Dir, "postern.yaml"))
}

// says runs the program and returns what stands in what it prints.
func (s *scene) says(what *regexp.Regexp, args ...string) string {
	s.t.Helper()
	bin, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = s.p.Dir
	out, err := cmd.CombinedOutput()
	m := what.FindSubmatch(out)
	if err != nil || m == nil {
		s.t.Fatalf("postern %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(m[1])
}

// Await is Eval of a promise.
func (t *Tab) Await(js string) string {
	t.t.Helper()
	var out string
	t.do(chromedp.Evaluate(js, &out, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return out
}

// withClock lets the test move the clock by which pages count: pass(60000) is a minute.
func (t *Tab) withClock() {
	t.t.Helper()
	t.do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(`(() => { const real = performance.now.bind(performance); let skew = 0;
			performance.now = () => real() + skew; window.pass = (ms) => { skew += ms; }; })()`).Do(ctx)
		return err
	}))
}

// walksAway lets a minute pass without a touch and waits for the first page.
func (t *Tab) walksAway() {
	t.t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, 20*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Evaluate(`window.pass(60000)`, nil)); err != nil {
		t.t.Fatalf("nobody touches the screen: %v\n%s", err, t.Where())
	}
	t.WantStep("start")
}

// At a shared screen on a domain controller: its browser's key cannot leave it; somebody
// gets a new password and walks away; and the next person, with everything a browser has
// to look with, finds nothing of them (security case 108).
func TestNothingStaysAtAKiosk(t *testing.T) {
	t.Parallel()
	b := browser(t)
	s := newScene(t, "samba", "")
	owner, screen := b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, false)
	s.enrol(owner, "user1")
	screen.withClock()
	s.registers(screen, "Ward 3")
	key := screen.Await(`new Promise((done) => { const o = indexedDB.open('kiosk'); o.onsuccess = () => { const g = o.result.transaction('device').objectStore('device').get('key');
		g.onsuccess = async () => { o.result.close(); try { await crypto.subtle.exportKey('pkcs8', g.result.pair.privateKey); done('out'); } catch (e) { done(g.result.pair.privateKey.extractable + ' ' + e.name); } }; }; })`)
	if key != "false InvalidAccessError" {
		t.Errorf("the device's key can leave it: %s", key)
	}

	for _, path := range []string{"/kiosk", "/kiosk/reset"} {
		screen.Open(path)
		if moved := screen.shifts(); moved != "0" {
			t.Errorf("%s moves under the finger: a layout shift of %s", path, moved)
		}
	}

	screen.Fill("login", "user1")
	screen.Click(`form[action="/kiosk/case/start"] .btn.go`)
	screen.WantStep("choose")
	screen.Choose("totp")
	roomy()
	screen.Fill("answer", s.app("user1", 0))
	screen.Click(`form[action="/kiosk/case/answer"] .btn.go`)
	screen.WantStep("choose")
	screen.Choose("recovery_code")
	screen.Fill("answer", s.codes["user1"][0])
	screen.Click(`form[action="/kiosk/case/answer"] .btn.go`)
	screen.WantStep("new-password")
	const password = "Lobby Granite 88 Otter"
	screen.Set("password", password)
	screen.Set("confirm", password)
	screen.Click(`form[action="/kiosk/case/password"] .btn.go`)
	screen.WantStep("done")
	s.proves("user1", password)
	cookie := screen.cookies()["__Host-postern"]

	screen.walksAway()
	t.Logf("cleared in %s ms", screen.Eval(`String(Math.round(performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd))`))
	screen.finds(t, "user1", s.h.Address("user1"))
	screen.Eval(`(history.back(), '')`)
	screen.WantStep("start")
	screen.finds(t, "user1", s.h.Address("user1"))
	screen.do(chromedp.Reload())
	screen.WantStep("start")
	if now := screen.cookies(); now["__Host-postern"] == cookie || len(now) != 2 {
		t.Errorf("cookies that are left: %d", len(now))
	}

	// Somebody walks away half-way: the case is over on the server.
	screen.Open("/kiosk/unlock")
	screen.Fill("login", "user1")
	screen.Click(`form[action="/kiosk/case/start"] .btn.go`)
	screen.WantStep("choose")
	screen.walksAway()
	screen.Open("/kiosk/case")
	screen.WantStep("start")
	screen.finds(t, "user1")

	// A touch is enough to stay.
	screen.Open("/kiosk/reset")
	screen.Eval(`(window.pass(50000), '')`)
	screen.do(chromedp.WaitReady(`body.soon`, chromedp.ByQuery))
	screen.do(chromedp.MouseClickXY(5, 300))
	screen.do(chromedp.WaitReady(`body:not(.soon)`, chromedp.ByQuery))
	screen.Eval(`(window.pass(50000), '')`)
	screen.do(chromedp.WaitReady(`body.soon`, chromedp.ByQuery))
	if step := screen.Eval(`location.pathname`); step != "/kiosk/reset" {
		t.Errorf("a touch does not count: %s", step)
	}
}

// shifts is how much of the page has moved after it was shown (W3C Layout Instability).
func (t *Tab) shifts() string {
	t.t.Helper()
	return t.Await(`new Promise((done) => { let sum = 0; new PerformanceObserver((l) => { for (const e of l.getEntries()) sum += e.value; }).observe({ type: 'layout-shift', buffered: true });
		requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(String(sum)), 400))); })`)
}

// cookies are all this browser has, those that scripts cannot see too.
func (t *Tab) cookies() map[string]string {
	t.t.Helper()
	all := map[string]string{}
	t.do(chromedp.ActionFunc(func(ctx context.Context) error {
		list, err := network.GetCookies().Do(ctx)
		for _, c := range list {
			all[c.Name] = c.Value
		}
		return err
	}))
	return all
}

var caseNumber = regexp.MustCompile(`P-[0-9A-Z]{4}-[0-9A-Z]{4}`)

// finds looks for words and a case's number in the page, and that nothing but the
// device's key is stored.
func (t *Tab) finds(to *testing.T, words ...string) {
	t.t.Helper()
	body := t.Eval(`document.documentElement.outerHTML`)
	for _, w := range words {
		if strings.Contains(body, w) {
			to.Errorf("the next person finds %q", w)
		}
	}
	if number := caseNumber.FindString(body); number != "" {
		to.Errorf("the next person finds the case's number %s", number)
	}
	stored := t.Await(`(async () => [localStorage.length, sessionStorage.length, (await indexedDB.databases()).map((d) => d.name).join(), (await caches.keys()).length,
		(await navigator.serviceWorker.getRegistrations()).length].join(' '))()`)
	if stored != "0 0 kiosk 0 0" {
		to.Errorf("stored: %s", stored)
	}
}

// Screen and phone, in two browsers: the picture, the number, and all the rest on the
// phone, with its passkey. The screen goes along by itself.
func TestThePhoneGoesOnWithItsPasskey(t *testing.T) {
	t.Parallel()
	b := browser(t)
	s := newScene(t, "samba", "")
	phone, screen := b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, false)
	s.enrol(phone, "user2")
	s.registers(screen, "Lobby")
	screen.Open("/kiosk/reset")
	screen.Click(`form[action="/kiosk/phone"] .btn`)
	screen.WantStep("wait")
	if n := screen.Eval(`String(document.querySelectorAll('svg.qr path').length)`); n != "1" {
		t.Fatalf("no picture: %s", screen.Where())
	}
	link := s.scan(screen)
	phone.Open(link)
	if says := phone.Where(); !strings.Contains(says, "Lobby") || !strings.Contains(says, "North") {
		t.Errorf("the phone does not say which screen asks: %s", says)
	}
	phone.Fill("number", screen.Eval(`document.querySelector('.plate').lastChild.textContent.trim()`))
	phone.Submit()
	phone.WantStep("start")
	screen.WantStep("start") // by itself
	phone.Fill("login", "user2")
	phone.Submit()
	phone.WantStep("choose")
	s.passkey(phone)
	phone.WantStep("new-password")
	screen.WantStep("new-password")
	const password = "Phone Granite 88 Otter"
	s.newPassword(phone, password)
	phone.WantStep("done")
	screen.WantStep("done")
	screen.finds(t, "user2", s.h.Address("user2"))
	s.proves("user2", password)
}

// scan reads the picture as a phone's camera does, off the screen.
func (s *scene) scan(screen *Tab) string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "screen.png")
	screen.Screenshot(file, 800, false)
	out, err := exec.Command("zbarimg", "--quiet", "--raw", file).Output()
	if errors.Is(err, exec.ErrNotFound) {
		directorytest.Require(s.t, fmt.Errorf("%w: zbarimg", directorytest.ErrMissing))
	}
	if err != nil {
		s.t.Fatalf("no phone can read the picture: %v %s", err, out)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), s.p.URL)
}

// device is a browser with a profile of its own, as a kiosk has: what it stores is there
// again after it was switched off.
func device(t *testing.T, base, dir string) (tab *Tab, off func()) {
	t.Helper()
	path, err := findChromium()
	if err != nil {
		directorytest.Require(t, fmt.Errorf("%w: chromium", directorytest.ErrMissing))
	}
	b, err := startIn(path, dir)
	if err != nil {
		t.Fatal(err)
	}
	done := false
	off = func() {
		if done {
			return
		}
		done = true
		if err := chromedp.Cancel(b.ctx); err != nil { // as by its menu: all is on the disk then
			t.Log(err)
		}
		b.Close()
	}
	t.Cleanup(off)
	return &Tab{t: t, ctx: b.ctx, base: base}, off
}

// The disk of a kiosk is copied, key and all, and the copy comes up beside it: neither goes
// on, and security hears of it. Until then it survives being switched off.
func TestACopiedKioskIsShut(t *testing.T) {
	t.Parallel()
	s := newScene(t, "embedded", "alerts: {mail: [security@example.org]}\n")
	mine, theirs := filepath.Join(t.TempDir(), "kiosk"), filepath.Join(t.TempDir(), "copy")
	screen, off := device(t, s.p.URL, mine)
	s.registers(screen, "Ward 3")
	off()
	if err := os.CopyFS(theirs, os.DirFS(mine)); err != nil && !errors.Is(err, os.ErrNotExist) { // a lock that went away meanwhile
		t.Log(err)
	}

	screen, _ = device(t, s.p.URL, mine)
	screen.Open("/kiosk")
	screen.do(chromedp.WaitVisible(`a[href="/kiosk/reset"]`, chromedp.ByQuery)) // it has signed itself in
	spy, _ := device(t, s.p.URL, theirs)
	spy.Open("/kiosk")
	spy.do(chromedp.WaitVisible(`[data-unknown]`, chromedp.ByQuery))
	spy.WantError("kiosk_unknown")
	screen.Open("/kiosk/reset")
	screen.WantError("kiosk_unknown")
	s.deskHears("security@example.org", "Ward 3", "copied")
	state := s.says(regexp.MustCompile(`key, (\S+) `), "kiosk", "list", "--config", filepath.Join(s.p.Dir, "postern.yaml"))
	if state != "copied" {
		t.Errorf("it is %s", state)
	}
}
