package view

import (
	"strings"
	"testing"

	"postern/directory"
	"postern/portal/notify"
)

func message(template, lang string, channel notify.Channel) notify.Message {
	return notify.Message{Channel: channel, Template: template, Lang: lang, Who: directory.User{Login: "user1"}, Args: map[string]string{
		"code": "ABCD-EFGH", "minutes": "10", "login": "user1", "at": "2026-03-12T08:41:00Z", "address": "192.0.2.17", "door": "web",
		"proofs": "email,totp", "receipt": "P-7Q4K-29XM", "purpose": "reset", "kind": "totp", "name": "Phone <1>", "notme": "/notme/token"}}
}

func TestEveryMessageInEveryLanguage(t *testing.T) {
	r := renderer(t)
	for _, lang := range []string{"en", "de", "ar", "de-AT", "fr", ""} {
		for _, name := range append(notices(), "code") {
			m, err := r.Mail(message(name, lang, notify.Mail))
			if err != nil {
				t.Fatal(err)
			}
			s, err := r.Mail(message(name, lang, notify.SMS))
			if err != nil {
				t.Fatal(err)
			}
			for part, text := range map[string]string{"subject": m.Subject, "text": m.Text, "html": m.HTML, "sms": s.Text} {
				if strings.TrimSpace(text) == "" {
					t.Errorf("%s %q: %s is empty", name, lang, part)
				}
				for _, bad := range []string{"⟦", "<no value>", "{{", "ZgotmplZ", "<1>"} {
					if strings.Contains(text, bad) && !(bad == "<1>" && part == "text") {
						t.Errorf("%s %q: %s has %q", name, lang, part, bad)
					}
				}
			}
			if s.HTML != "" || len([]rune(s.Text)) > 160 {
				t.Errorf("%s %q: an SMS of %d characters: %s", name, lang, len([]rune(s.Text)), s.Text)
			}
			if strings.Contains(m.HTML, "<img") || strings.Contains(m.HTML, "<script") {
				t.Errorf("%s: the mail loads something", name)
			}
			if isCode := name == "code"; strings.Contains(m.Text, "ABCD-EFGH") != isCode || strings.Contains(m.Subject, "ABCD") {
				t.Errorf("%s: the code is where it should not be, or missing", name)
			}
			if name == "code" && strings.Contains(m.HTML, "href=\"https:") {
				t.Error("a code mail with a link: it would teach people to follow them")
			}
		}
	}
	if m, _ := r.Mail(message("code", "de-AT", notify.Mail)); m.Lang != "de" {
		t.Errorf("de-AT is answered in %q", m.Lang)
	}
}

func TestNoticeSaysWhatWhenWhereAndByWhat(t *testing.T) {
	r := renderer(t)
	m, err := r.Mail(message("password_changed", "en", notify.Mail))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"user1", "12 March 2026, 08:41 (UTC)", "192.0.2.17", "E-mail code, Authenticator app", "P-7Q4K-29XM", "https://postern.example.org/notme/token"} {
		if !strings.Contains(m.Text, want) || !strings.Contains(m.HTML, want) {
			t.Errorf("no %q in\n%s", want, m.Text)
		}
	}
}

func TestBareMessagesStillRead(t *testing.T) {
	r := renderer(t)
	for _, name := range notices() {
		m, err := r.Mail(notify.Message{Channel: notify.Mail, Template: name, Lang: "en", Who: directory.User{Login: "user1"}})
		if err != nil || strings.Contains(m.Text+m.HTML, "⟦") || strings.Contains(m.Text, "0001") {
			t.Errorf("%s: %v\n%s", name, err, m.Text)
		}
	}
	if _, err := r.Mail(notify.Message{Channel: notify.Mail, Template: "../layout"}); err == nil {
		t.Error("an unknown template is rendered")
	}
}

// Security case 51: nothing in a message becomes another header, or a link to elsewhere.
func TestNamesCannotAddHeadersOrLinks(t *testing.T) {
	r := renderer(t)
	m := message("factor_added", "en", notify.Mail)
	m.Args["name"], m.Args["notme"], m.Args["login"] = "x\r\nBcc: evil@example.org", "//evil.example/x", "<a href=https://evil.example>"
	got, err := r.Mail(m)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(got.Subject, "\r\n") {
		t.Errorf("subject %q", got.Subject)
	}
	if strings.Contains(got.HTML, "<a href=https://evil") || strings.Contains(got.HTML, `href="//evil`) || strings.Contains(got.HTML, `href="https://evil`) {
		t.Error("a link of somebody else's")
	}
}

// A mail that asks somebody to do something says where, and until when.
func TestInvitationsAndRemindersLeadToOurOwnPages(t *testing.T) {
	r := renderer(t)
	for template, want := range map[string][]string{
		"invitation": {"https://postern.example.org/link/token1", "Works until", "12 March 2026, 08:41 (UTC)"},
		"reminder":   {"https://postern.example.org/signin", "https://postern.example.org/link/token2", "Please do it by", "31 March 2026"},
	} {
		m := notify.Message{Channel: notify.Mail, Template: template, Lang: "en", Args: map[string]string{"login": "user1"}}
		if template == "invitation" {
			m.Args["invite"], m.Args["until"] = "/link/token1", "2026-03-12T08:41:00Z"
		} else {
			m.Args["snooze"], m.Args["deadline"] = "/link/token2", "2026-03-31T23:59:59Z"
		}
		got, err := r.Mail(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(got.Text, w) || !strings.Contains(got.HTML, w) {
				t.Errorf("%s: no %q in\n%s", template, w, got.Text)
			}
		}
		if strings.Contains(got.Text, "Not you?") {
			t.Errorf("%s:\n%s", template, got.Text)
		}
	}
	bare, err := r.Mail(notify.Message{Channel: notify.Mail, Template: "reminder", Lang: "en", Args: map[string]string{"snooze": "https://evil.example/x"}})
	if err != nil || strings.Contains(bare.HTML, "evil") || strings.Contains(bare.Text, "later") {
		t.Errorf("%v\n%s", err, bare.Text)
	}
}

// A name from the directory is a name: no second paragraph of a mail that people
// trust, no header, and nothing that turns what stands beside it around.
func TestANameCannotWriteTheMail(t *testing.T) {
	r := renderer(t)
	for _, template := range []string{"approval_request", "approval_denied", "incident", "factor_added"} {
		for _, channel := range []notify.Channel{notify.Mail, notify.SMS} {
			m := message(template, "en", channel)
			for _, arg := range []string{"requester", "login", "approver", "note", "name"} {
				m.Args[arg] = "A\r\n\r\nSee https://evil.example\u2028B\u2029C\u0085D\u202eE\u2066F"
			}
			got, err := r.Mail(m)
			if err != nil {
				t.Fatal(err)
			}
			for part, text := range map[string]string{"subject": got.Subject, "text": got.Text, "html": got.HTML} {
				if strings.Contains(text, "\nSee ") || strings.ContainsAny(text, "\r\u2028\u2029\u0085\u202e") || strings.Contains(text, "\u2066F") {
					t.Errorf("%s by %s: %s: %q", template, channel, part, text)
				}
			}
		}
	}
}
