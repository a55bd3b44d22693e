package view

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"postern/portal/policy"
	"postern/verify/totp"
)

// kioskSamples are the pages of shared screens, and the pages of a case there.
func kioskSamples() []sample {
	f := Frame{CSRF: "tok", Kiosk: &Kiosk{Name: "Ward <3>", Site: "North", Now: sampleNow, Idle: 60, Renew: 200, Keyboard: "auto"}}
	op := Frame{CSRF: "tok", Person: "op1", Desk: Rooms{Open: true, Kiosks: true}}
	var kiosks []KioskRow
	for i, state := range []string{"waiting", "in_use", "quiet", "lapsed", "revoked", "copied"} {
		kiosks = append(kiosks, KioskRow{ID: state, Name: "Ward <3>", Site: "North", Way: []string{"key", "certificate", "launch"}[i%3], State: state, Until: at(90), Shut: i > 3})
	}
	kiosks[1].Seen, kiosks[1].From = at(-5), "192.0.2.17"
	return []sample{
		{"kiosk-start", &KioskStart{Frame: f, Offers: []policy.Purpose{policy.Reset, policy.Unlock, policy.Change}, Help: true}, "start", ""},
		{"kiosk-shut", &KioskShut{Frame: Frame{CSRF: "tok"}}, "start", "kiosk_unknown"},
		{"kiosk-shut-late", &KioskShut{Frame: Frame{CSRF: "tok"}, Reason: "late"}, "start", "kiosk_late"},
		{"kiosk-register", &KioskRegister{Frame: Frame{CSRF: "tok"}, Origin: "https://id.example.org", Challenge: "q83v", Typed: "ABC"}, "start", ""},
		{"kiosk-form", &StartForm{Frame: f, Base: "/kiosk/case", Purpose: policy.Change}, "start", ""},
		{"kiosk-choose", &Choose{Frame: f, Base: "/kiosk/case", Purpose: policy.Reset, Need: 2, Options: options()}, "choose", ""},
		{"kiosk-answer", &Answer{Frame: f, Base: "/kiosk/case", Purpose: policy.Reset, Kind: "totp"}, "answer", ""},
		{"kiosk-wait", &Wait{Frame: f, Base: "/kiosk/case", Purpose: policy.Reset, Who: []string{"Grace"}, Number: "42", Since: at(-1), Until: at(9)}, "wait", ""},
		{"kiosk-password", &NewPassword{Frame: f, Base: "/kiosk/case", Purpose: policy.Reset}, "new-password", ""},
		{"kiosk-done", &Done{Frame: f, Purpose: policy.Reset, At: sampleNow, Login: "user1", AddPasskey: true, SignedOut: true, Receipt: "P-1", Notified: []string{"u…@example.org"}}, "done", ""},
		{"kiosk-refused", &Refused{Frame: f, Purpose: policy.Reset, Reason: "too_many_tries", Receipt: "P-1"}, "refused", "neutral"},
		{"kiosk-expired", &Expired{Frame: f, Purpose: policy.Reset}, "expired", "expired"},
		{"desk-kiosks", &DeskKiosks{Frame: op, Kiosks: kiosks, Way: "key", Rights: []KioskRight{{"reset", true}, {"help", false}}}, "kiosks", ""},
		{"desk-kiosks-none", &DeskKiosks{Frame: op, Way: "launch"}, "kiosks", ""},
		{"desk-kiosk", &DeskKiosk{Frame: op, Row: kiosks[0]}, "kiosk", ""},
		{"desk-kiosk-given", &DeskKioskGiven{Frame: op, Row: kiosks[0], Secret: "ABCDE-FGHJK", Register: "https://id.example.org/kiosk/register"}, "given", ""},
		{"desk-kiosk-given-launch", &DeskKioskGiven{Frame: op, Row: kiosks[2], Secret: "id:key"}, "given", ""},
		{"kiosk-help", &KioskHelp{Frame: f, Step: "ask"}, "start", ""},
		{"kiosk-help-wait", &KioskHelp{Frame: f, Step: "wait", Number: "47", Until: at(15)}, "wait", ""},
		{"kiosk-help-taken", &KioskHelp{Frame: f, Step: "taken", Helper: "Te<ch>"}, "applying", ""},
		{"kiosk-help-ready", &KioskHelp{Frame: f, Step: "ready"}, "choose", ""},
		{"kiosk-help-over", &KioskHelp{Frame: f, Step: "over"}, "expired", "call_over"},
		{"desk-calls", &DeskIndex{Frame: Frame{CSRF: "tok", Person: "tech1", Desk: Rooms{Open: true, Help: true}}, Calls: []Ringing{{ID: "ab12", Name: "Ward <3>", Site: "North", Since: at(-1), Lang: "ar"}}, Mine: []Ringing{{ID: "cd34", Name: "Lobby"}}}, "desk", ""},
		{"kiosk-phone", &KioskPhone{Frame: f, Purpose: policy.Reset, Step: "wait", Number: "47", Until: at(5), QR: totp.QRCode{Size: 41, Path: "M1 1h1"}, Link: "https://id.example.org/phone/abc"}, "wait", ""},
		{"kiosk-phone-you", &KioskPhone{Frame: f, Purpose: policy.Reset, Step: "you"}, "start", ""},
		{"kiosk-phone-proof", &KioskPhone{Frame: f, Purpose: policy.Reset, Step: "proof"}, "answer", ""},
		{"kiosk-phone-password", &KioskPhone{Frame: f, Purpose: policy.Reset, Step: "password"}, "new-password", ""},
		{"kiosk-phone-done", &KioskPhone{Frame: f, Purpose: policy.Reset, Step: "done"}, "done", ""},
		{"kiosk-phone-refused", &KioskPhone{Frame: f, Purpose: policy.Reset, Step: "refused"}, "refused", "phone_refused"},
		{"kiosk-phone-over", &KioskPhone{Frame: f, Purpose: policy.Reset, Step: "over"}, "expired", "phone_over"},
		{"phone", &Phone{Frame: Frame{CSRF: "tok"}, Code: "abc", Name: "Ward <3>", Site: "North"}, "start", ""},
		{"kiosk-error", &ErrorPage{Frame: Frame{Here: "/kiosk", Kiosk: f.Kiosk}, Code: "server", Request: "r1"}, "error", "server"},
	}
}

// Security case 109: from a shared screen nothing leads away, opens a window, prints, or asks
// for a file; and a browser is told to fill nothing in.
func TestKioskPagesLeadNowhereElse(t *testing.T) {
	o, _ := opts(t)
	o.Brand.Support, o.Brand.SupportURL, o.Demo = "555 0100", "tel:5550100", false
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range kioskSamples() {
		if s.page.top().Kiosk == nil {
			continue
		}
		var b bytes.Buffer
		if err := r.Page(&b, "en", s.page); err != nil {
			t.Fatal(err)
		}
		body := false
		for _, e := range elements(t, b.String()) {
			body = body || e.name == "body" && e.attrs["class"] == "kiosk"
			for _, where := range []string{"href", "action", "formaction", "data-poll"} {
				to, there := e.attrs[where]
				if there && to != "/kiosk" && !strings.HasPrefix(to, "/kiosk/") && !strings.HasPrefix(to, "/kiosk?lang=") && !strings.HasPrefix(to, "/static/") && to != "#main" {
					t.Errorf("%s: %s leads to %s", s.name, e.name, to)
				}
			}
			_, away := e.attrs["target"]
			_, loads := e.attrs["download"]
			if away || loads || e.attrs["type"] == "file" || slices.Contains([]string{"iframe", "object", "embed", "a-print"}, e.name) {
				t.Errorf("%s: %s %v", s.name, e.name, e.attrs)
			}
			if fill := e.attrs["autocomplete"]; fill != "" && fill != "off" {
				t.Errorf("%s: %s is filled in with %s", s.name, e.attrs["id"], fill)
			}
		}
		if !body {
			t.Errorf("%s has the frame of other pages", s.name)
		}
	}
}

// The first page of a thin client is under 50 KiB with everything it loads, before compression.
func TestTheKiosksFirstPageIsLight(t *testing.T) {
	o, files := opts(t)
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range o.Bundle.Languages() {
		var b bytes.Buffer
		if err := r.Page(&b, l.Tag, kioskSamples()[0].page); err != nil {
			t.Fatal(err)
		}
		weight := b.Len()
		for _, e := range elements(t, b.String()) {
			for _, name := range []string{"src", "href"} {
				if f, ok := files.Get(e.attrs[name]); ok {
					weight += len(f.Body)
				}
			}
		}
		if weight >= 50<<10 {
			t.Errorf("%s: %d bytes", l.Tag, weight)
		}
		t.Logf("%s: %d bytes", l.Tag, weight)
	}
}

// What is touched at a shared screen is 48 px high at least, whatever the screen's size, and
// nothing is wider than it.
func TestTargetsAtAKioskAreLarge(t *testing.T) {
	_, base, ctx := browse(t)
	for _, sample := range kioskSamples() {
		if sample.page.top().Kiosk == nil {
			continue
		}
		for _, width := range []int64{360, 800} {
			var wide int
			var small string
			do(t, ctx, chromedp.EmulateViewport(width, 600), chromedp.Navigate(base+"/"+sample.name),
				chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide),
				chromedp.Evaluate(`[...document.querySelectorAll('button, input:not([type=hidden]):not(.vh), select, summary, a:not(.skip)')].filter(e => e.offsetParent && e.getBoundingClientRect().height < 47.5).map(e => e.outerHTML.slice(0, 80) + e.getBoundingClientRect().height).join()`, &small))
			if wide > int(width) || small != "" {
				t.Errorf("%s at %d: %d px wide, too small: %s", sample.name, width, wide, small)
			}
		}
	}
}
