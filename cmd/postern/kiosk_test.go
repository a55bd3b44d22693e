package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// launch opens the demo's shared screen as a device without storage does.
func (r *running) launch() walk {
	r.t.Helper()
	w := r.visit()
	w.launch(r, time.Now())
	w.at("/kiosk", "start")
	return w
}

func (w walk) launch(r *running, at time.Time) string {
	w.t.Helper()
	url, err := r.file.Kiosk.launchNow(r.file.Portal, at)
	if err != nil {
		w.t.Fatal(err)
	}
	w.follow(strings.TrimPrefix(url, r.file.Portal))
	return strings.TrimPrefix(url, r.file.Portal)
}

// follow opens a path and goes where it sends.
func (w walk) follow(path string) {
	w.t.Helper()
	if err := w.Get(path); err != nil {
		w.t.Fatal(err)
	}
	if w.Page.Status == 303 {
		if err := w.Get(w.Page.Location); err != nil {
			w.t.Fatal(err)
		}
	}
}

// A shared screen without script, storage or a cookie from before: the whole way, and then
// nothing of it is left for the next person (security case 108).
func TestASharedScreenKeepsNothing(t *testing.T) {
	r := startDemo(t, t.TempDir())
	w, p := r.launch(), r.person("user1")
	w.says("Ward 4 lobby", `href="/kiosk/reset"`, `href="/kiosk/unlock"`, `content="120;url=/kiosk"`)
	w.open("/kiosk/reset", "start")
	w.send("/kiosk/case/start", "choose", "purpose", "reset", "login", "user1")
	w.send("/kiosk/case/choose", "answer", "factor", "totp")
	w.send("/kiosk/case/answer", "choose", "answer", p.code(t))
	w.send("/kiosk/case/choose", "answer", "factor", "recovery_code")
	w.send("/kiosk/case/answer", "new-password", "answer", p.RecoveryCodes[0])
	w.send("/kiosk/case/password", "done", "password", "Quite-new-words-77", "confirm", "Quite-new-words-77")
	w.says("user1")
	session := w.Cookie("__Host-postern")

	w.follow("/kiosk")
	w.at("/kiosk", "start")
	if w.Page.Header["Clear-Site-Data"] != `"cache"` || w.Page.Header["Cache-Control"] != "no-store" {
		t.Errorf("the browser is not told to forget: %v", w.Page.Header)
	}
	if w.Cookie("__Host-postern") == session {
		t.Error("the next person has the session of the last")
	}
	for _, back := range []string{"/kiosk/case", "/kiosk/phone", "/recover", "/me", "/signin", "/desk"} {
		if err := w.Get(back); err != nil || w.Page.Status != 303 || w.Page.Location != "/kiosk" {
			t.Errorf("%s: %d to %q, %v", back, w.Page.Status, w.Page.Location, err)
		}
	}
	if strings.Contains(w.Page.Body, "user1") {
		t.Error("the next person reads who was there")
	}
	// Also with the cookie of the last person, taken from the disk: the session is over.
	w.SetCookie("__Host-postern", session)
	if err := w.Get("/kiosk/case"); err != nil || w.Page.Location != "/kiosk" {
		t.Errorf("the old session goes on: %d", w.Page.Status)
	}
}

// Whoever leaves without a word leaves no case: it ends on the server.
func TestWalkingAwayEndsTheCase(t *testing.T) {
	r := startDemo(t, t.TempDir())
	w, p := r.launch(), r.person("user2")
	w.open("/kiosk/reset", "start")
	w.send("/kiosk/case/start", "choose", "purpose", "reset", "login", "user2")
	w.send("/kiosk/case/choose", "answer", "factor", "recovery_code")
	w.send("/kiosk/case/answer", "choose", "answer", p.RecoveryCodes[0])
	kept := w.Cookie("__Host-postern")
	w.follow("/kiosk")
	w.SetCookie("__Host-postern", kept)
	if err := w.Get("/kiosk/case"); err != nil || w.Page.Location != "/kiosk" {
		t.Fatalf("%d %q %v", w.Page.Status, w.Page.Location, err)
	}

	// And when the browser lost its session before it could say so, the next start ends it.
	w.open("/kiosk/reset", "start")
	w.send("/kiosk/case/start", "choose", "purpose", "reset", "login", "user2")
	w.SetCookie("__Host-postern", strings.Repeat("A", 43))
	w.open("/kiosk/unlock", "start")
	w.send("/kiosk/case/start", "choose", "purpose", "unlock", "login", "user3")
	// Both ended, so that a sign-in shows them in the record of their owner.
	seen := r.visit()
	seen.enter(p)
	seen.open("/me/activity", "activity")
	if n := strings.Count(seen.Page.Body, "Ward 4 lobby"); n < 2 {
		t.Errorf("the owner reads %d times where it was:\n%s", n, seen.Page.Body)
	}
}

// Security case 111 and its like: what is not the newest pass of a device opens nothing.
func TestOnlyTheDeviceItselfIsAKiosk(t *testing.T) {
	r := startDemo(t, t.TempDir())
	stranger := r.visit()
	for name, cookie := range map[string]string{"none": "", "forged": demoKiosk + ".1.9999999999.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "nonsense": "x"} {
		stranger.SetCookie("__Host-kiosk", cookie)
		stranger.Header["X-Kiosk"], stranger.Header["X-Client-Cert"] = demoKiosk, demoKiosk
		for _, path := range []string{"/kiosk", "/kiosk/reset", "/kiosk/case", "/kiosk/phone"} {
			if err := stranger.Get(path); err != nil || stranger.Page.Status != 403 || stranger.Page.Error() != "kiosk_unknown" {
				t.Errorf("%s at %s: %d %s", name, path, stranger.Page.Status, stranger.Page.Error())
			}
		}
		if err := stranger.Post("/kiosk/case/start", "purpose", "reset", "login", "user1"); err != nil || stranger.Page.Status != 403 {
			t.Errorf("%s: a case begins: %d", name, stranger.Page.Status)
		}
	}

	w := r.launch()
	pass := w.Cookie("__Host-kiosk")
	// A second launch ends the first pass, after the moment that requests under way have.
	if r.launch().Cookie("__Host-kiosk") == pass {
		t.Error("two launches have one pass")
	}
	// Session and device belong together: the session alone is nothing elsewhere.
	w.open("/kiosk/reset", "start")
	w.send("/kiosk/case/start", "choose", "purpose", "reset", "login", "user1")
	thief := r.visit()
	thief.SetCookie("__Host-postern", w.Cookie("__Host-postern"))
	if err := thief.Get("/recover"); err != nil || thief.Page.Status != 303 || thief.Page.Location != "/" {
		t.Errorf("the case goes on at another browser: %d %q", thief.Page.Status, thief.Page.Location)
	}
}

// A launch address opens the kiosk once, and near the time it was signed; the page says
// what is wrong with it, and a clock that is off by hours is named.
func TestALaunchAddressIsGoodOnce(t *testing.T) {
	r := startDemo(t, t.TempDir())
	w := r.visit()
	used := w.launch(r, time.Now())
	w.at(used, "start")
	again := r.visit()
	for path, want := range map[string]string{used: "kiosk_used", used[:len(used)-3] + "AAA": "kiosk_launch", "/kiosk/launch": "kiosk_launch", strings.Replace(used, "d=D", "d=E", 1): "kiosk_launch"} {
		again.follow(path)
		if again.Page.Error() != want || again.Page.Status != 403 || again.Cookie("__Host-kiosk") != "" {
			t.Errorf("%s: %d %s", path, again.Page.Status, again.Page.Error())
		}
	}
	for _, off := range []time.Duration{-3 * time.Hour, -3 * time.Minute, 2 * time.Minute, 5 * time.Hour} {
		if again.launch(r, time.Now().Add(off)); again.Page.Error() != "kiosk_late" || again.Cookie("__Host-kiosk") != "" {
			t.Errorf("%s off: %s", off, again.Page.Error())
		}
	}
}

// Security case 111: a building shares one address, a kiosk has limits of its own; those of a
// person are the same everywhere.
func TestAKioskHasItsOwnAddressLimits(t *testing.T) {
	r := startDemo(t, t.TempDir())
	w, stranger := r.launch(), r.visit()
	stranger.open("/recover/reset", "start")
	limited := false
	for i := range 130 {
		if err := stranger.Post("/recover/start", "purpose", "reset", "login", fmt.Sprint("nobody", i)); err != nil {
			t.Fatal(err)
		}
		if limited = stranger.Page.Status == 429; limited {
			break
		}
	}
	if !limited {
		t.Fatal("one address begins as many cases as it likes")
	}
	for i := range 40 {
		w.open("/kiosk/unlock", "start")
		w.send("/kiosk/case/start", "choose", "purpose", "unlock", "login", fmt.Sprint("user", i))
		w.follow("/kiosk")
	}
	// One person: ten cases from one place in a quarter of an hour, here as elsewhere.
	for range 12 {
		w.open("/kiosk/reset", "start")
		if err := w.Post("/kiosk/case/start", "purpose", "reset", "login", "user5"); err != nil {
			t.Fatal(err)
		}
		if limited = w.Page.Status == 429; limited {
			break
		}
		w.follow("/kiosk")
	}
	if !limited {
		t.Error("at a kiosk a person has no limit")
	}
}
