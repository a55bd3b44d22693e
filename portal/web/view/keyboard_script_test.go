package view

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// fingers are those of somebody at a touch screen without keys.
type fingers struct {
	t   *testing.T
	ctx context.Context
}

// on is the middle of the key that shows text; "shift" and "back" have a picture alone.
func (f fingers) on(text string) *input.TouchPoint {
	f.t.Helper()
	name, _ := json.Marshal(text)
	var at []float64
	do(f.t, f.ctx, chromedp.Evaluate(fmt.Sprintf(`(() => { const want = %s, keys = [...document.querySelectorAll('.kbd button')];
		const b = want === 'shift' ? document.querySelector('.kbd [aria-pressed]') : want === 'back' ? keys.filter((k) => k.querySelector('svg')).pop() : keys.find((k) => k.textContent === want);
		if (!b) return []; const r = b.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()`, name), &at))
	if len(at) != 2 {
		f.t.Fatalf("there is no key %q", text)
	}
	return &input.TouchPoint{X: at[0], Y: at[1], RadiusX: 4, RadiusY: 4, Force: 1}
}

func (f fingers) touch(kind input.TouchType, points ...*input.TouchPoint) {
	f.t.Helper()
	for i, p := range points {
		p.ID = float64(i + 1)
	}
	do(f.t, f.ctx, chromedp.ActionFunc(func(ctx context.Context) error { return input.DispatchTouchEvent(kind, points).Do(ctx) }))
}

func (f fingers) tap(keys ...string) {
	f.t.Helper()
	for _, k := range keys {
		f.touch(input.TouchStart, f.on(k))
		f.touch(input.TouchEnd)
	}
}

func (f fingers) value(id string) (s string) {
	f.t.Helper()
	do(f.t, f.ctx, chromedp.Evaluate(`document.getElementById('`+id+`').value`, &s))
	return s
}

func (f fingers) clear() {
	f.t.Helper()
	do(f.t, f.ctx, chromedp.Evaluate(`document.querySelectorAll('input.input').forEach((i) => { i.value = ''; })`, nil))
}

// tablet opens a page as a device that is touched only does.
func tablet(t *testing.T, page string, width, height int64) fingers {
	t.Helper()
	_, base, ctx := browse(t)
	do(t, ctx, chromedp.EmulateViewport(width, height, chromedp.EmulateMobile, chromedp.EmulateTouch), chromedp.Navigate(base+page), chromedp.WaitVisible(`.kbd.up`, chromedp.ByQuery))
	return fingers{t, ctx}
}

// Two thumbs overlap when somebody is quick. A letter that is lost in a password is seen by nobody.
func TestTwoThumbsLoseNoLetter(t *testing.T) {
	f := tablet(t, "/kiosk-password", 800, 600)
	f.tap("shift", "Q", "w")
	if got := f.value("password"); got != "Qw" {
		t.Errorf("one after another: %q", got)
	}
	f.clear()
	for _, c := range []struct{ first, second, want string }{{"a", "l", "al"}, {"l", "a", "la"}, {"1", "p", "1p"}} {
		f.clear()
		a, b := f.on(c.first), f.on(c.second)
		f.touch(input.TouchStart, a)
		f.touch(input.TouchStart, a, b)
		f.touch(input.TouchEnd, b)
		f.touch(input.TouchEnd)
		if got := f.value("password"); got != c.want {
			t.Errorf("two thumbs on %s and %s type %q", c.first, c.second, got)
		}
	}
	// The first after Shift changes what all keys show, while the second is under way.
	f.clear()
	f.tap("shift")
	a, b := f.on("A"), f.on("L")
	f.touch(input.TouchStart, a)
	f.touch(input.TouchStart, a, b)
	f.touch(input.TouchEnd, b)
	f.touch(input.TouchEnd)
	if got := f.value("password"); got != "Al" {
		t.Errorf("after Shift two thumbs type %q", got)
	}
}

// A finger is some millimetres wide, on a small screen too.
func TestKeysAreWideEnoughForAFinger(t *testing.T) {
	_, base, ctx := browse(t)
	for _, size := range []struct {
		width, height int64
		wide, high    float64
	}{{360, 640, 27, 48}, {800, 600, 48, 48}, {1280, 800, 48, 64}} {
		do(t, ctx, chromedp.EmulateViewport(size.width, size.height, chromedp.EmulateMobile, chromedp.EmulateTouch), chromedp.Navigate(base+"/kiosk-password"), chromedp.WaitVisible(`.kbd.up`, chromedp.ByQuery))
		var small []string
		do(t, ctx, chromedp.Evaluate(fmt.Sprintf(`(() => { const bad = []; const look = () => document.querySelectorAll('.kbd button').forEach((b) => { const r = b.getBoundingClientRect(), s = (b.textContent || 'picture') + ' ' + Math.floor(r.width) + 'x' + Math.floor(r.height);
			if (r.width < %g || r.height < %g || b.scrollWidth > b.clientWidth + 1 || r.left < 0 || r.right > innerWidth) bad.push(s); });
			const press = (s) => { const b = document.querySelector(s); if (b) b.click(); }; const signs = '.kbd div:last-child button:first-child', shift = '.kbd [aria-pressed]', turn = '.kbd div:last-child button:nth-child(2)';
			for (let i = 0; i < 3; i++) { look(); press(shift); look(); press(signs); look(); press(signs); press(turn); } return bad; })()`, size.wide, size.high), &small))
		if len(small) > 0 {
			t.Errorf("at %d px: %s", size.width, strings.Join(small, ", "))
		}
	}
}

// Held, the key deletes on, and no longer than it is held.
func TestDeletingGoesOnWhileHeld(t *testing.T) {
	f := tablet(t, "/kiosk-password", 800, 600)
	f.tap("a", "s", "back", "d")
	if got := f.value("password"); got != "ad" {
		t.Fatalf("one touch deletes one: %q", got)
	}
	f.tap("f", "g", "h", "j", "k")
	f.touch(input.TouchStart, f.on("back"))
	do(t, f.ctx, chromedp.Poll(`document.getElementById('password').value === ''`, nil, chromedp.WithPollingTimeout(10*time.Second)))
	f.touch(input.TouchEnd)
	f.tap("q", "w")
	if got := f.value("password"); got != "qw" {
		t.Errorf("after it is let go: %q", got)
	}
}

// What a finger can be drawn away from leads nowhere; the rest keeps the caret where it was.
func TestTheKeysTakeNeitherFocusNorTheWayBack(t *testing.T) {
	s, base, ctx := browse(t)
	f := fingers{t, ctx}
	do(t, ctx, chromedp.EmulateViewport(800, 600, chromedp.EmulateMobile, chromedp.EmulateTouch), chromedp.Navigate(base+"/kiosk-form"), chromedp.WaitVisible(`.kbd.up`, chromedp.ByQuery))
	at := func() (s string) {
		do(t, ctx, chromedp.Evaluate(`document.activeElement.id + ' ' + [...document.querySelectorAll('input.input')].map((i) => i.inputMode).join()`, &s))
		return s
	}
	f.tap("a", "shift", "B", "#+=", "!", "abc", "Next", "c")
	if login, current := f.value("login"), f.value("current"); login != "aB!" || current != "c" || at() != "current none,none" {
		t.Errorf("typed %q and %q, at %s", login, current, at())
	}
	next := f.on("Next")
	f.touch(input.TouchStart, next)
	f.touch(input.TouchMove, &input.TouchPoint{X: next.X, Y: 100, RadiusX: 4, RadiusY: 4, Force: 1})
	f.touch(input.TouchEnd)
	if s.form("/kiosk/case/start") != nil {
		t.Error("a finger that was drawn away sends the form")
	}
	f.tap("Next")
	do(t, ctx, chromedp.WaitVisible(`main[data-step=expired]`))
	if got := s.form("/kiosk/case/start"); got.Get("login") != "aB!" || got.Get("current") != "c" || len(got) != 4 {
		t.Errorf("sent %v", got)
	}
}

// The field stays in sight on every page of the keys, in windows of every height.
func TestTheKeysNeverCoverTheirField(t *testing.T) {
	_, base, ctx := browse(t)
	f := fingers{t, ctx}
	for _, size := range [][2]int64{{360, 640}, {800, 600}, {1024, 768}, {1280, 800}} {
		do(t, ctx, chromedp.EmulateViewport(size[0], size[1], chromedp.EmulateMobile, chromedp.EmulateTouch), chromedp.Navigate(base+"/kiosk-password"), chromedp.WaitVisible(`.kbd.up`, chromedp.ByQuery))
		for _, id := range []string{"password", "confirm"} {
			for _, page := range []string{"#+=", "abc"} {
				var under float64
				do(t, ctx, chromedp.Focus("#"+id, chromedp.ByQuery))
				f.tap(page)
				do(t, ctx, chromedp.Evaluate(`(() => { const f = document.getElementById('`+id+`'); return document.querySelector('.kbd').getBoundingClientRect().top - f.getBoundingClientRect().bottom; })()`, &under))
				if under < 0 {
					t.Errorf("at %dx%d %s is %.0f px under the keys after %s", size[0], size[1], id, -under, page)
				}
			}
		}
	}
}

// Without script there is no keyboard, and no empty place of one; with a mouse neither.
func TestNoKeysWithoutScriptOrWithAMouse(t *testing.T) {
	_, base, ctx := browse(t)
	room := func(how string) {
		t.Helper()
		var high float64
		do(t, ctx, chromedp.Navigate(base+"/kiosk-form"), chromedp.Evaluate(`document.querySelector('.kbd').getBoundingClientRect().height`, &high))
		if high != 0 {
			t.Errorf("%s: %g px", how, high)
		}
	}
	room("with a mouse")
	do(t, ctx, chromedp.EmulateViewport(800, 600, chromedp.EmulateMobile, chromedp.EmulateTouch), emulation.SetScriptExecutionDisabled(true))
	room("without script")
}

// An operator may add a language that has no keys here: the key that changes the layout still
// names the one it leads to, and where there is none for any language there are English ones.
func TestALanguageWithoutKeysMisleadsNobody(t *testing.T) {
	_, base, ctx := browse(t)
	for _, c := range []struct{ languages, names, says, leads string }{
		{"en fr de", "English|Français|Deutsch", "Deutsch", "ü"},
		{"fr", "Français", "", "q"},
	} {
		var label string
		var has bool
		do(t, ctx, chromedp.Navigate(base+"/kiosk-form"), chromedp.WaitReady(`.kbd`, chromedp.ByQuery),
			chromedp.Evaluate(fmt.Sprintf(`new Promise((done, fail) => { const b = document.querySelector('.kbd'); b.dataset.keyboard = 'on'; b.dataset.layouts = %q; b.dataset.names = %q;
				const s = document.createElement('script'), src = document.querySelector('script[src*="keyboard."]').src; s.src = src; s.onload = () => done(); s.onerror = fail; document.head.append(s); })`, c.languages, c.names), nil, awaited),
			chromedp.Evaluate(`(() => { const last = [...document.querySelectorAll('.kbd div:last-child button')]; const turn = last.find((k) => !['#+=', '-', '.'].includes(k.textContent) && !k.matches('.space, .next')); if (turn) { const t = turn.textContent; turn.click(); return t; } return ''; })()`, &label),
			chromedp.Evaluate(fmt.Sprintf(`[...document.querySelectorAll('.kbd button')].some((k) => k.textContent === %q)`, c.leads), &has))
		if label != c.says || !has {
			t.Errorf("%s: the key says %q, want %q; it leads to keys with %s: %v", c.languages, label, c.says, c.leads, has)
		}
	}
}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
