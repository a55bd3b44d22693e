package portaltest

import (
	"encoding/base32"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// twice sends the form that holds a button two times at once, as a double click or a
// retry does, and returns where both came out and with what status.
func (t *Tab) twice(button, fields string) string {
	t.t.Helper()
	// The answers come after the call: the page keeps them until they are asked for.
	t.Eval(fmt.Sprintf(`(() => {
		const b = document.querySelector(%q), f = new URLSearchParams(new FormData(b.form, b));
		new URLSearchParams(%q).forEach((v, k) => f.set(k, v));
		window.came = '';
		Promise.all([0, 1].map(() => fetch(b.form.action, { method: 'POST', body: f, credentials: 'same-origin' })))
			.then((all) => { window.came = all.map((a) => a.status + ' ' + new URL(a.url).pathname).join('|') });
		return '' })()`, button, fields))
	until(t.t, "both answers", func() bool { return t.Eval(`window.came`) != "" })
	return t.Eval(`window.came`)
}

func (s *scene) mailsTo(address, subject string) (n int) {
	for _, m := range s.p.Mail.Mails() {
		if m.To == address && strings.Contains(m.Subject, subject) {
			n++
		}
	}
	return n
}

// A caller who lost a factor is led to the next one, which they set up themselves; a
// form sent twice at once begins one case and does one thing.
func TestDeskLeadsToANewFactor(t *testing.T) {
	t.Parallel()
	b := browser(t)
	s := deskScene(t)
	tech, owner, phone := b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, false)
	s.enrol(tech, "tech1")
	s.enrol(owner, "user4")
	tech.Open("/desk/people?q=user4")
	tech.Click("a.choice")
	tech.WantStep("person")
	at := tech.twice(`form[action$="/open"] .btn.go`, "purpose=assist&cause=lost+the+phone&ticket=INC-9")
	m := regexp.MustCompile(`^200 (/desk/cases/[0-9A-Z]{32})\|200 (/desk/cases/[0-9A-Z]{32})$`).FindStringSubmatch(at)
	if m == nil || m[1] != m[2] {
		t.Fatalf("the same form led to %s", at)
	}
	tech.Open(m[1])
	tech.WantStep("code")
	s.links(phone, tech.Eval(`document.querySelector('.spell').textContent.trim()`))
	phone.Choose("recovery_code")
	phone.Fill("answer", s.codes["user4"][0])
	phone.Submit()
	phone.WantStep("choose")
	number := s.reads(phone, s.h.DC.Person("tech1").Name)
	tech.WantStep("match")
	// A double click on a wrong number costs one try.
	tech.Fill("number", otherThan(number))
	if at := tech.twice(`form[action$="/match"] .btn`, ""); !strings.HasPrefix(at, "422 ") || !strings.Contains(at, "|422 ") {
		t.Errorf("a wrong number twice: %s", at)
	}
	tech.Fill("number", otherThan(number))
	tech.Submit()
	tech.WantError("wrong_number")
	if says := tech.Where(); !strings.Contains(says, "1") || strings.Contains(says, "This case is over") {
		t.Errorf("two wrong numbers, one of them twice: %s", says)
	}
	tech.Fill("number", number)
	tech.Submit()
	tech.WantStep("done")
	phone.WantStep("done")
	if says := phone.Where(); !strings.Contains(says, "set up the new one") {
		t.Errorf("the caller is not told how to go on: %s", says)
	}
	// The app is lost. Sheets that were just used are not.
	if n := tech.Eval(`String(document.querySelectorAll('button[value=codes]').length)`); n != "0" {
		t.Error("the codes that proved the caller can be cleared")
	}
	app := tech.Eval(`[...document.querySelectorAll('li.item')].findIndex((l) => l.textContent.includes('Authenticator app')).toString()`)
	if app == "-1" {
		t.Fatal(tech.Where())
	}
	if at := tech.twice(fmt.Sprintf(`li.item:nth-child(%s) button[value=replace]`, map[string]string{"0": "1", "1": "2"}[app]), ""); at != "200 "+m[1]+"|200 "+m[1] {
		t.Errorf("replaced twice: %s", at)
	}
	to := s.h.Address("user4")
	until(t, "the way to a new factor", func() bool { return s.mailsTo(to, "Set up a new proof") > 0 && s.mailsTo(to, "removed") > 0 })
	s.deskHears(s.h.Address("manager1"), "user4", "tech1", "INC-9")
	if n, gone := s.mailsTo(to, "Set up a new proof"), s.mailsTo(to, "removed"); n != 1 || gone != 1 {
		t.Errorf("%d ways and %d notices for one act", n, gone)
	}
	for _, m := range s.p.Mail.Mails() {
		if strings.Contains(m.Text, "/link/") {
			t.Errorf("who has something left got a link that stands for a proof: %s", m.Text)
		}
	}
	tech.Open(m[1])
	if seen := tech.Eval(`document.documentElement.outerHTML`); strings.Contains(seen, "/link/") {
		t.Error("the technician sees a link")
	}
	// They sign in with what they still have, and set up the next one.
	phone.Open("/signin")
	phone.Fill("login", "user4")
	phone.Fill("current", s.h.Password("user4"))
	phone.Click(`form[action="/signin/start"] .acts button`)
	phone.Choose("recovery_code")
	phone.Fill("answer", s.codes["user4"][1])
	phone.Submit()
	phone.WantStep("me")
	phone.Open("/me/factors")
	phone.Click(`form[action="/me/factors/totp/offer"] button`)
	phone.WantStep("offer")
	uri, err := url.Parse(phone.Eval(`document.querySelector('a[href^="otpauth:"]').href`))
	if err != nil {
		t.Fatal(err)
	}
	if s.apps["user4"], err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(uri.Query().Get("secret")); err != nil {
		t.Fatal(err)
	}
	roomy()
	phone.Fill("answer", s.app("user4", 0))
	phone.Submit()
	phone.WantStep("factors")
}
