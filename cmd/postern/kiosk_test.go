package main

import (
	"fmt"
	"html"
	"regexp"
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

var phoneLink = regexp.MustCompile(`/phone/[A-Za-z0-9_-]{22}`)

// The phone does everything; the screen in the lobby learns how far it is, and nothing
// else (security case 110).
func TestThePhoneTakesItAlong(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, phone, p := r.launch(), r.visit(), r.person("user1")
	screen.open("/kiosk/reset", "start")
	screen.says("Rather on your phone")
	screen.send("/kiosk/phone", "wait", "purpose", "reset")
	link, number := screen.find(phoneLink), screen.find(plate)
	if len(link)-len("/phone/") < 19 { // 112 bits
		t.Errorf("the code is short: %s", link)
	}

	phone.open(link, "start")
	phone.says("Ward 4 lobby", "North")
	phone.send(link, "start", "number", wrongNumber(number))
	if phone.Page.Error() != "wrong_number" || phone.Page.Status != 422 {
		t.Fatalf("a wrong number: %d %s", phone.Page.Status, phone.Page.Error())
	}
	screen.open("/kiosk/phone", "wait")
	phone.send(link, "start", "number", number)
	screen.open("/kiosk/phone", "start")
	phone.send("/phone/start", "choose", "purpose", "reset", "login", "user1")
	screen.open("/kiosk/phone", "answer")
	phone.send("/recover/choose", "answer", "factor", "totp")
	phone.send("/recover/answer", "choose", "answer", p.code(t))
	phone.send("/recover/choose", "answer", "factor", "recovery_code")
	phone.send("/recover/answer", "new-password", "answer", p.RecoveryCodes[0])
	screen.open("/kiosk/phone", "new-password")
	if err := screen.Post("/kiosk/case/password", "password", "From-the-lobby-99", "confirm", "From-the-lobby-99"); err != nil || screen.Page.Status == 200 && screen.Page.Step() == "done" {
		t.Error("the screen sets the password")
	}
	screen.open("/kiosk/phone", "new-password")
	phone.send("/recover/password", "done", "password", "Quite-new-words-77", "confirm", "Quite-new-words-77")
	screen.open("/kiosk/phone", "done")
	for _, secret := range []string{"user1", "Amara", "P-", "Quite-new-words-77"} {
		if strings.Contains(html.UnescapeString(screen.Page.Body), secret) {
			t.Errorf("the screen shows %q", secret)
		}
	}
	// Spent.
	other := r.visit()
	if err := other.Get(link); err != nil || other.Page.Status != 404 {
		t.Errorf("the code opens twice: %d", other.Page.Status)
	}
}

func wrongNumber(right string) string {
	if right == "11" {
		return "12"
	}
	return "11"
}

// A case that was begun at the screen goes along, with the proofs given there, and leaves
// the screen: whoever stays has nothing of it.
func TestABegunCaseLeavesTheScreen(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, phone, p := r.launch(), r.visit(), r.person("user3")
	screen.open("/kiosk/reset", "start")
	screen.send("/kiosk/case/start", "choose", "purpose", "reset", "login", "user3")
	screen.send("/kiosk/case/choose", "answer", "factor", "totp")
	screen.send("/kiosk/case/answer", "choose", "answer", p.code(t))
	screen.send("/kiosk/phone", "wait")
	link, number := screen.find(phoneLink), screen.find(plate)
	if err := screen.Get("/kiosk/case"); err != nil || screen.Page.Location != "/kiosk" {
		t.Errorf("the screen has the case still: %d %s", screen.Page.Status, screen.Page.Step())
	}
	phone.open(link, "start")
	phone.send(link, "choose", "number", number)
	phone.says("accepted at")
	// The screen is cleared: the phone goes on.
	screen.follow("/kiosk")
	phone.send("/recover/choose", "answer", "factor", "recovery_code")
	phone.send("/recover/answer", "new-password", "answer", p.RecoveryCodes[0])
	phone.send("/recover/password", "done", "password", "Quite-new-words-77", "confirm", "Quite-new-words-77")
}

// Three wrong numbers end the code; so does clearing the screen.
func TestAPhoneThatGuessesHasNothing(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, phone := r.launch(), r.visit()
	screen.open("/kiosk/reset", "start")
	screen.send("/kiosk/phone", "wait", "purpose", "reset")
	link, number := screen.find(phoneLink), screen.find(plate)
	phone.open(link, "start")
	for range 3 {
		if err := phone.Post(link, "number", wrongNumber(number)); err != nil {
			t.Fatal(err)
		}
	}
	if err := phone.Post(link, "number", number); err != nil || phone.Page.Status != 404 {
		t.Errorf("after three wrong ones: %d", phone.Page.Status)
	}
	screen.open("/kiosk/phone", "expired")

	screen.open("/kiosk/reset", "start")
	screen.send("/kiosk/phone", "wait", "purpose", "reset")
	link = screen.find(phoneLink)
	screen.follow("/kiosk")
	if err := phone.Get(link); err != nil || phone.Page.Status != 404 {
		t.Errorf("the code of a cleared screen opens: %d", phone.Page.Status)
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

// An operator registers a screen at the desk; what it needs is shown once, and to nobody else.
func TestOperatorsManageKiosksAtTheDesk(t *testing.T) {
	r := startDemo(t, t.TempDir())
	op, tech := r.visit(), r.visit()
	op.enter(r.person("operator1"))
	op.open("/desk/kiosks", "kiosks")
	op.says("Ward 4 lobby", "In use")
	op.send("/desk/kiosks", "kiosks", "name", "", "site", "North", "way", "key", "allow_reset", "on")
	op.send("/desk/kiosks", "kiosks", "name", "Ward 3", "site", "North", "way", "key")
	if op.Page.Error() != "kiosk_rights" {
		t.Errorf("nothing may be done there: %s", op.Page.Error())
	}
	op.send("/desk/kiosks", "given", "name", "Ward 3", "site", "North", "way", "key", "allow_reset", "on", "allow_help", "on")
	code := op.find(kioskCodeShape)
	op.says("/kiosk/register", "once")
	op.open("/desk/kiosks", "kiosks")
	op.says("Waits for its code")
	id := op.find(kioskRowID)
	op.open("/desk/kiosks/"+id, "kiosk")
	op.send("/desk/kiosks/"+id+"/code", "given")
	if again := op.find(kioskCodeShape); again == code {
		t.Error("the new code is the old one")
	}
	op.open("/desk/kiosks/"+id, "kiosk")
	if strings.Contains(op.Page.Body, code) || kioskCodeShape.MatchString(op.Page.Body) {
		t.Error("a code is shown twice")
	}
	op.send("/desk/kiosks/"+id+"/rename", "kiosks", "name", "Ward 5", "site", "North")
	op.says("Ward 5")
	op.open("/desk/kiosks/"+id, "kiosk")
	op.send("/desk/kiosks/"+id+"/revoke", "kiosks")
	op.says("Revoked")
	if err := op.Get("/desk/kiosks/" + id); err != nil || op.Page.Status != 404 {
		t.Errorf("a revoked one can be changed: %d", op.Page.Status)
	}

	tech.enter(r.person("tech1"))
	tech.open("/desk", "desk")
	if strings.Contains(tech.Page.Body, "/desk/kiosks") {
		t.Error("a technician is shown the way")
	}
	for _, path := range []string{"/desk/kiosks", "/desk/kiosks/" + id} {
		if err := tech.Get(path); err != nil || tech.Page.Status != 404 {
			t.Errorf("a technician at %s: %d", path, tech.Page.Status)
		}
	}
	tech.open("/desk", "desk")
	if err := tech.Post("/desk/kiosks", "name", "Mine", "site", "", "way", "key", "allow_reset", "on"); err != nil || tech.Page.Status != 404 {
		t.Errorf("a technician registers: %d", tech.Page.Status)
	}
}

var (
	kioskCodeShape = regexp.MustCompile(`>([2-9A-Z]{5}-[2-9A-Z]{5})<`)
	kioskRowID     = regexp.MustCompile(`/desk/kiosks/([a-z2-7]{16})"`)
)

// Revoked it is shut from the next request on, whatever somebody is doing there.
func TestARevokedKioskIsShutAtOnce(t *testing.T) {
	r := startDemo(t, t.TempDir())
	op, w := r.visit(), r.launch()
	w.open("/kiosk/reset", "start")
	w.send("/kiosk/case/start", "choose", "purpose", "reset", "login", "user1")
	op.enter(r.person("operator1"))
	op.open("/desk/kiosks/"+demoKiosk, "kiosk")
	op.send("/desk/kiosks/"+demoKiosk+"/revoke", "kiosks")
	if err := w.Post("/kiosk/case/choose", "factor", "totp"); err != nil || w.Page.Status != 403 || w.Page.Error() != "kiosk_unknown" {
		t.Errorf("it goes on: %d %s", w.Page.Status, w.Page.Error())
	}
	again := r.visit()
	again.launch(r, time.Now())
	if again.Page.Error() != "kiosk_launch" {
		t.Errorf("it is launched again: %d %s", again.Page.Status, again.Page.Error())
	}
}

var (
	callPath   = regexp.MustCompile(`/desk/calls/[0-9a-f]{32}`)
	callChoice = regexp.MustCompile(`<option value="([0-9a-f]{32})" selected>`)
)

// Somebody at a ward asks for help: the desk sees which screen, both match a number, the
// technician's case opens there and nowhere else, and the person proves themselves as ever.
func TestAKioskCallsTheDesk(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, tech, p := r.launch(), r.visit(), r.person("user3")
	tech.enter(r.person("tech1"))
	screen.says(`href="/kiosk/help"`)
	screen.open("/kiosk/help", "start")
	screen.send("/kiosk/help", "wait")
	number := screen.find(plate)

	tech.open("/desk", "desk")
	tech.says("Ward 4 lobby", "North", "Screens that call")
	if strings.Contains(tech.Page.Body, ">"+number+"<") {
		t.Error("the desk shows the number")
	}
	call := tech.find(callPath)
	tech.send(call, "desk", "number", wrongNumber(number))
	if tech.Page.Error() != "wrong_number" {
		t.Errorf("a wrong number: %s", tech.Page.Error())
	}
	tech.send(call, "people", "number", number)
	screen.open("/kiosk/help", "applying")
	screen.says("Idris Bello helps you")
	tech.open("/desk/people?q=user3", "people")
	who := tech.find(idPath)
	tech.open(who, "person")
	tech.says("At Ward 4 lobby, North")
	tech.send(who+"/open", "code", "purpose", "reset", "cause", "at the ward", "ticket", "INC-9", "call", tech.find(callChoice), "once", tech.find(onceField))
	tech.says("Ward 4 lobby, North")
	if spelled.MatchString(tech.Page.Body) {
		t.Error("there is a code to read out besides")
	}
	here := tech.find(casePath)

	screen.open("/kiosk/help", "choose")
	screen.send("/kiosk/help/open", "choose")
	screen.send("/kiosk/case/choose", "answer", "factor", "totp")
	screen.send("/kiosk/case/answer", "choose", "answer", p.code(t))
	screen.send("/kiosk/case/choose", "wait", "factor", "handover")
	screen.says("INC-9")
	tech.open(here, "match")
	tech.send(here+"/match", "password", "number", screen.find(plate), "once", tech.find(onceField))
	screen.open("/kiosk/case", "new-password")
	screen.send("/kiosk/case/password", "done", "password", "Quite-new-words-77", "confirm", "Quite-new-words-77")
	tech.open(here, "done")
	screen.follow("/kiosk")
	if err := screen.Get("/kiosk/help"); err != nil || plate.MatchString(screen.Page.Body) || screen.Page.Step() != "start" {
		t.Error("the next person finds the call")
	}
}

// Who leaves ends their call, and with it the case that was begun for it.
func TestLeavingEndsTheCall(t *testing.T) {
	r := startDemo(t, t.TempDir())
	screen, tech := r.launch(), r.visit()
	tech.enter(r.person("tech1"))
	screen.open("/kiosk/help", "start")
	screen.send("/kiosk/help", "wait")
	number := screen.find(plate)
	tech.open("/desk", "desk")
	call := tech.find(callPath)
	screen.follow("/kiosk")
	tech.send(call, "desk", "number", number)
	if tech.Page.Error() != "desk_call_over" {
		t.Errorf("a call that is over: %d %s", tech.Page.Status, tech.Page.Error())
	}

	screen.open("/kiosk/help", "start")
	screen.send("/kiosk/help", "wait")
	number = screen.find(plate)
	tech.open("/desk", "desk")
	tech.send(tech.find(callPath), "people", "number", number)
	tech.open("/desk/people?q=user3", "people")
	who := tech.find(idPath)
	tech.open(who, "person")
	choice := tech.find(callChoice)
	screen.follow("/kiosk")
	tech.open("/desk", "desk")
	if strings.Contains(tech.Page.Body, choice) {
		t.Error("the desk still has a call that is over")
	}
	tech.open(who, "person")
	if err := tech.Post(who+"/open", "purpose", "reset", "cause", "at the ward", "ticket", "INC-9", "call", choice, "once", tech.find(onceField)); err != nil || tech.Page.Status != 403 || tech.Page.Error() != "desk_call_over" {
		t.Errorf("a case begins for nobody: %d %s", tech.Page.Status, tech.Page.Step())
	}
	screen.open("/kiosk/help", "start")
}
