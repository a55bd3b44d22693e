package portaltest

import (
	"fmt"
	"maps"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"
)

// presses types by the keys on the screen, one click each, changing what they show as a
// person would: capitals, signs, another layout.
func (t *Tab) presses(text string) {
	t.t.Helper()
	for _, c := range text {
		if t.has(c) || t.turned(c, `.kbd [aria-pressed]`, 1) || t.turned(c, `.kbd div:last-child button:first-child`, 2) || t.turned(c, `.kbd div:last-child button:nth-child(2)`, 3) {
			t.key(c)
			continue
		}
		// A layout, and its second page.
		for range 3 {
			t.tap(`.kbd div:last-child button:nth-child(2)`)
			if t.turned(c, `.kbd [aria-pressed]`, 1) {
				break
			}
		}
		if !t.has(c) {
			t.t.Fatalf("there is no key for %q\n%s", c, t.Where())
		}
		t.key(c)
	}
}

func (t *Tab) has(c rune) bool { return t.Eval(`String(!!(`+keyOf(c)+`))`) == "true" }

func keyOf(c rune) string {
	if c == ' ' {
		return `document.querySelector('.kbd .space')`
	}
	return `[...document.querySelectorAll('.kbd button:not(.w)')].find((b) => b.textContent.replace('◌', '') === ` + strconv.Quote(string(c)) + `)`
}

// turned presses a key up to so often until there is one for c; else all is as before,
// where that key comes round.
func (t *Tab) turned(c rune, selector string, times int) bool {
	if t.Eval(fmt.Sprintf(`String(!!document.querySelector(%q))`, selector)) != "true" {
		return false
	}
	for range times {
		t.tap(selector)
		if t.has(c) {
			return true
		}
	}
	return false
}

func (t *Tab) key(c rune) {
	t.t.Helper()
	t.do(chromedp.Evaluate(`(`+keyOf(c)+`).setAttribute('data-now', '')`, nil))
	t.tap(`.kbd [data-now]`)
	t.do(chromedp.Evaluate(`document.querySelectorAll('[data-now]').forEach((b) => b.removeAttribute('data-now'))`, nil))
}

// tap is a real click in the middle of a key.
func (t *Tab) tap(selector string) {
	t.t.Helper()
	t.do(chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible))
}

// On a screen without keys: a password with everything in it arrives as it was typed, is
// shown and spoken nowhere else, and the keys reach whatever a person can have.
func TestKeysOnTheScreen(t *testing.T) {
	t.Parallel()
	b := browser(t)
	s := newScene(t, "embedded", "")
	screen := b.Tab(t, s.p.URL, false)
	s.registers(screen, "Ward 3", "--keyboard", "on")
	screen.Open("/kiosk/change")
	screen.do(chromedp.WaitVisible(`.kbd.up`, chromedp.ByQuery))
	if moved := screen.shifts(); moved != "0" {
		t.Errorf("the page moves when the keys come: %s", moved)
	}
	screen.presses("user1")
	screen.tap(`.kbd div:last-child button:last-child`) // to the next field
	if at := screen.Eval(`document.activeElement.name`); at != "current" {
		t.Fatalf("the keys do not lead on: %s", at)
	}
	cookies := screen.cookies()
	all := `Ab1!"§$%&/()=?` + "`" + `+^°äöüßÄÖÜ€@\|~{}[]<>;:,._-#'*` + "ابتثسشصضطظعغفقكلمنهويءةى أإآ٣ً"
	screen.presses(all)
	value := func() string { return screen.Eval(`document.querySelector('[name=current]').value`) }
	if value() != all {
		t.Fatalf("typed %q\narrived %q", all, value())
	}
	// By value, not in the page's source: there half of these signs are written otherwise.
	if copies := screen.Eval(`(() => { const v = document.querySelector('[name=current]').value.slice(0, 8); return [...document.querySelectorAll('*')].filter((e) =>
		[...e.attributes].some((a) => a.value.includes(v)) || [...e.childNodes].some((n) => n.nodeType === 3 && n.data.includes(v))).map((e) => e.tagName).join() + (document.cookie || '') + (window.name || '') })()`); copies != "" {
		t.Errorf("what is typed is somewhere else than in its field: %s", copies)
	}
	if spoken := screen.Eval(`String(!document.querySelector('.kbd').matches('[aria-hidden=true]') || !!document.querySelector('.kbd [aria-live], .kbd [role=status]') || [...document.querySelectorAll('.kbd button')].some((k) => k.tabIndex !== -1))`); spoken != "false" {
		t.Error("the keys are spoken, or reached by Tab")
	}
	if now := screen.cookies(); !maps.Equal(now, cookies) {
		t.Errorf("typing left a cookie: %d before, %d after", len(cookies), len(now))
	}
	screen.finds(t)

	t.Run("caret, one letter with its marks, and length", func(t *testing.T) {
		screen.do(chromedp.Evaluate(`(() => { const f = document.querySelector('[name=current]'); window.heard = 0; f.addEventListener('input', () => window.heard++); f.value = 'ab👩‍👩‍👧e\u0301'; f.setSelectionRange(1, 1); })()`, nil))
		screen.presses("X")
		if got := value(); got != "aXb👩‍👩‍👧e\u0301" {
			t.Errorf("in the middle: %q", got)
		}
		screen.do(chromedp.Evaluate(`(() => { const f = document.querySelector('[name=current]'); f.setSelectionRange(f.value.length, f.value.length); })()`, nil))
		for _, want := range []string{"aXb👩‍👩‍👧", "aXb", "aX"} {
			screen.tap(`.kbd div:nth-last-child(2) button:last-child`)
			if got := value(); got != want {
				t.Errorf("after one deletion: %q, want %q", got, want)
			}
		}
		if heard := screen.Eval(`String(window.heard)`); heard != "4" {
			t.Errorf("the page hears of %s changes", heard)
		}
		screen.do(chromedp.Evaluate(`document.querySelector('[name=current]').maxLength = 3`, nil))
		screen.presses("yz")
		if got := value(); got != "aXy" {
			t.Errorf("longer than the field: %q", got)
		}
	})
	t.Run("every layout has every sign of ASCII", func(t *testing.T) {
		for _, lang := range []string{"en", "de", "ar"} {
			screen.Open("/kiosk?lang=" + lang)
			screen.Open("/kiosk/change")
			screen.do(chromedp.WaitVisible(`.kbd.up`, chromedp.ByQuery))
			var found string
			screen.do(chromedp.Evaluate(`(() => { const seen = new Set(); const look = () => document.querySelectorAll('.kbd button:not(.w):not(.space)').forEach((b) => seen.add(b.textContent));
				const press = (s) => { const b = document.querySelector(s); if (b) b.click(); }; const signs = '.kbd div:last-child button:first-child', shift = '.kbd [aria-pressed]', turn = '.kbd div:last-child button:nth-child(2)';
				for (let i = 0; i < 3; i++) { look(); press(shift); look(); press(signs); look(); press(signs); press(turn); }
				let missing = ''; for (let c = 33; c < 127; c++) if (!seen.has(String.fromCharCode(c))) missing += String.fromCharCode(c); return missing; })()`, &found))
			if found != "" {
				t.Errorf("%s: no key for %q", lang, found)
			}
		}
	})
}

// Where there are keys of its own, or the operator wants none, there are none on the screen.
func TestAMachineWithKeysShowsNone(t *testing.T) {
	t.Parallel()
	b := browser(t)
	s := newScene(t, "embedded", "")
	for name, how := range map[string]string{"Auto": "auto", "Off": "off"} {
		screen := b.Tab(t, s.p.URL, false)
		s.registers(screen, name, "--keyboard", how)
		screen.Open("/kiosk/reset")
		if n := screen.Eval(`String([...document.querySelectorAll('.kbd')].filter((k) => k.offsetHeight > 0).length)`); n != "0" {
			t.Errorf("%s shows %s", how, n)
		}
	}
}
