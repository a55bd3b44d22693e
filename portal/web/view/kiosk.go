package view

import (
	"fmt"
	"html"
	"html/template"
	"strings"
	"time"

	"postern/portal/policy"
	"postern/verify"
	"postern/verify/totp"
)

// Kiosk is what every page at a registered device carries. Such pages have no link that
// leads away, keep nothing, and go back to the first one when nobody touches them.
type Kiosk struct {
	Name, Site string
	Now        time.Time // on the clock of the page: the device's own may be off
	Idle       int       // seconds without a touch until the screen is cleared
	Renew      int       // seconds until the device's pass has to be renewed; 0: not by this page
	Keyboard   string    // "auto", "on", "off"
}

// KioskStart is GET /kiosk.
type KioskStart struct {
	Frame
	Offers []policy.Purpose
	Help   bool // the help desk can be called from here
}

// Stage is the step of the page: nothing more of the case than how far it is.
func (p *KioskPhone) Stage() string {
	switch p.Step {
	case "you":
		return "start"
	case "proof":
		return "answer"
	case "password":
		return "new-password"
	case "over":
		return "expired"
	}
	return p.Step
}

// KioskShut is every page of the kiosk for a browser that is no registered device. With
// no Reason its script first tries to renew the pass.
type KioskShut struct {
	Frame
	Reason string // "", "late", "used", "launch"
}

// KioskRegister is GET /kiosk/register; posts code, public, challenge and answer.
type KioskRegister struct {
	Frame
	Origin, Challenge string // what is signed
	Typed             string
}

// KioskPhone is GET /kiosk/phone: the screen while a phone goes on.
type KioskPhone struct {
	Frame
	Purpose policy.Purpose
	Step    string // wait, you, proof, password, done, refused, over
	Number  string
	Until   time.Time
	QR      totp.QRCode // of Link, at the step wait
	Link    string
}

// KioskHelp is GET /kiosk/help; posts nothing to the same, and at the step ready to
// …/open.
type KioskHelp struct {
	Frame
	Step   string // ask, wait, taken, ready, over
	Number string // to tell the help desk
	Until  time.Time
	Helper string // who took the call
}

// Stage is the step of the page.
func (p *KioskHelp) Stage() string {
	switch p.Step {
	case "ask":
		return "start"
	case "taken":
		return "applying"
	case "ready":
		return "choose"
	case "over":
		return "expired"
	}
	return p.Step
}

// waits: but for the question itself it looks again.
func (*KioskHelp) waits()       {}
func (*KioskHelp) file() string { return "kiosk-help" }

// Phone is GET /phone/{code}, on the phone; posts number to the same path.
type Phone struct {
	Frame
	Code       string
	Name, Site string // of the screen that asks
}

func (*KioskPhone) waits()          {}
func (*KioskPhone) file() string    { return "kiosk-phone" }
func (*Phone) file() string         { return "phone" }
func (*KioskStart) file() string    { return "kiosk-start" }
func (*KioskShut) file() string     { return "kiosk-shut" }
func (*KioskRegister) file() string { return "kiosk-register" }

// waits is a page that looks again by itself, without script too.
type waits interface{ waits() }

func (*Wait) waits()     {}
func (*Applying) waits() {}

// stays reports whether a page of the kiosk goes back to the first one by itself, where
// there is no script to do it.
func stays(p Page) bool {
	_, again := p.(waits)
	return !again
}

// complete is what a browser may fill a field in with: at a shared screen nothing.
func complete(p Page, usual string) string {
	if p.top().Kiosk != nil {
		return "off"
	}
	return usual
}

// home is where a page leads that leads nowhere else.
func home(p Page) string {
	if p.top().Kiosk != nil {
		return "/kiosk"
	}
	return "/"
}

// linked reports whether the help desk is a link: at a shared screen it would leave it.
func (w *words) linked(p Page) bool { return p.top().Kiosk == nil && w.brand("support-url") != "" }

// tiles are the languages of the first page, large enough for gloves.
func (w *words) tiles(here string) template.HTML {
	var b strings.Builder
	for _, l := range w.langs {
		tag := html.EscapeString(l.Tag)
		fmt.Fprintf(&b, `<a href="%s?lang=%s" lang="%s" dir="%s"`, html.EscapeString(here), tag, tag, l.Dir)
		if l.Tag == w.lang.Tag {
			b.WriteString(` aria-current="true"`)
		}
		fmt.Fprintf(&b, `>%s</a>`, html.EscapeString(l.Name))
	}
	return template.HTML(b.String())
}

// daySecond is how far the day has come on the portal's clock, in seconds, for a script
// that lets it go on.
func (w *words) daySecond(t time.Time) int {
	at, err := time.Parse("15:04", w.bundle.Clock("en", t))
	if err != nil {
		return 0
	}
	return at.Hour()*3600 + at.Minute()*60 + t.Second()
}

// typing reports whether people type something on a page, and may need keys for it.
func typing(p Page) bool {
	if k := p.top().Kiosk; k == nil || k.Keyboard == "off" {
		return false
	}
	switch p := p.(type) {
	case *StartForm, *NewPassword:
		return true
	case *Answer:
		return p.Kind != verify.Passkey
	}
	return false
}

// keyLayouts are the keyboards there can be: one for each language.
func (w *words) keyLayouts() string {
	var s []string
	for _, l := range w.langs {
		s = append(s, l.Tag)
	}
	return strings.Join(s, " ")
}

func (w *words) keyNames() string {
	var s []string
	for _, l := range w.langs {
		s = append(s, l.Name)
	}
	return strings.Join(s, "|")
}
