package main

import (
	"html"
	"regexp"
	"strings"
	"testing"
)

var caseNumber = regexp.MustCompile(`P-[0-9A-Z]{4}-[0-9A-Z]{4}`)

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
	for _, secret := range []string{"user1", "Amara", "Quite-new-words-77"} {
		if strings.Contains(html.UnescapeString(screen.Page.Body), secret) {
			t.Errorf("the screen shows %q", secret)
		}
	}
	// Random tokens hold "P-" now and then; a case's number is longer.
	if number := caseNumber.FindString(screen.Page.Body); number != "" {
		t.Errorf("the screen shows the case's number %s", number)
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
