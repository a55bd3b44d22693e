package view

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	text "text/template"
	"unicode"

	"postern/portal/i18n"
	"postern/portal/notify"
	"postern/verify"
)

// letter is what the mail templates get.
type letter struct {
	Subject string
	Lead    string
	Code    string // shown large; empty for notices
	Facts   []fact
	NotYou  bool   // says what to do when it was somebody else
	NotMe   string // address of the page with the button "This wasn't me"; empty: none
	Open    string // address of the page where somebody can act; empty: none
	About   string // what to know before opening it
	Go      string // what its button says
	Later   string // address of the page that snoozes reminders; empty: none
	Claim   string // address of the page that goes on with the help desk; empty: none
}

type fact struct {
	Name, Value string
	Mono        bool
}

// notices are the messages that tell of something that happened.
func notices() []string {
	return []string{"password_changed", "account_unlocked", "factor_added", "factor_removed", "recovery_codes_replaced", "signin_new",
		"contacts_changed", "limit_reached", "too_often", "account_frozen", "account_unfrozen", "approval_request", "approval_denied", "incident", "approval_alarm",
		"invitation", "reminder",
		"caller_verified", "sessions_ended", "factor_replace", "invitation_sent", "change_required", "desk_frozen", "desk_claim", "desk_done", "desk_alarm", "threat_raised", "threat_lowered", "kiosk_changed", "kiosk_copied",
		"method_removed", "pass_issued"}
}

// others are those that do not tell somebody of their own account, or of what
// they did themselves just now: "not you?" would be the wrong question.
func others() []string {
	return []string{"approval_request", "account_frozen", "incident", "approval_alarm", "invitation", "reminder", "factor_replace", "desk_claim", "desk_done", "desk_alarm", "threat_raised", "threat_lowered", "kiosk_changed", "kiosk_copied"}
}

// mails are the names of the templates that notices and codes are written with.
func mails() []string { return []string{"code", "notice"} }

func (s *set) readMails(src sources, funcs template.FuncMap) error {
	for _, name := range mails() {
		own, err := src.mails[name].in(s.words)
		if err == nil {
			s.mails[name], err = own.template("mail", funcs)
		}
		if err == nil {
			err = s.mails[name].Execute(io.Discard, letter{})
		}
		if err != nil {
			return fmt.Errorf("view: mail/%s.html: %w", name, err)
		}
		s.texts[name], err = text.New(name).Funcs(text.FuncMap(funcs)).Parse(src.texts[name])
		if err == nil {
			err = s.texts[name].Execute(io.Discard, letter{})
		}
		if err != nil {
			return fmt.Errorf("view: mail/%s.txt: %w", name, err)
		}
	}
	return nil
}

// Mail renders a message: mail as text and HTML, SMS as one short text. Its
// Args are "code" and "minutes" for the template code; for the notices "login",
// "at" (RFC 3339), "address", "door", "proofs" (kinds with commas), "receipt",
// "purpose", "kind", "name", "requester", "approver", "note", "until", "deadline",
// "ends", "technician", "method" (as directory.Method has it), "what" (kind of an event), "screen" (a kiosk), "ticket", and the paths "notme",
// "approve", "invite", "snooze" and "claim" of those pages, each of which may be
// missing.
func (r *Renderer) Mail(m notify.Message) (notify.Rendered, error) {
	lang := r.bundle.Choose(m.Lang, "", m.Lang)
	s := r.langs[lang]
	out := notify.Rendered{Lang: lang}
	file := "notice"
	switch {
	case m.Template == "code":
		file = "code"
	case !slices.Contains(notices(), m.Template):
		return out, fmt.Errorf("view: no message template %q", m.Template)
	}
	m.Args = plain(m.Args)
	args := i18n.Args{"Code": m.Args["code"], "Name": s.brands["name"], "Minutes": m.Args["minutes"], "Login": m.Args["login"], "Factor": kindText(verify.Kind(m.Args["kind"])),
		"Requester": cmp.Or(m.Args["requester"], m.Args["login"]), "Link": s.link(m.Args["approve"]), "Technician": m.Args["technician"]}
	if m.Args["kind"] == "" {
		args["Factor"] = i18n.Msg("factor.some")
	}
	if m.Channel == notify.SMS {
		out.Text = unmark(s.say("sms."+m.Template, args))
		return out, nil
	}
	l := letter{Subject: unmark(s.say("mail."+m.Template+".subject", args)), Lead: s.say("mail."+m.Template+".lead", args)}
	if file == "code" {
		l.Code = m.Args["code"]
	} else {
		l.Facts, l.NotYou = s.facts(m), !slices.Contains(others(), m.Template)
		l.NotMe, l.Later = s.link(m.Args["notme"]), s.link(m.Args["snooze"])
		l.Claim = s.link(m.Args["claim"])
		l.Open, l.About, l.Go = s.opens(m)
	}
	var h, t bytes.Buffer
	if err := s.mails[file].Execute(&h, l); err != nil {
		return out, fmt.Errorf("view: mail/%s.html: %w", file, err)
	}
	if err := s.texts[file].Execute(&t, l); err != nil {
		return out, fmt.Errorf("view: mail/%s.txt: %w", file, err)
	}
	out.Subject, out.HTML, out.Text = oneLine(l.Subject), h.String(), unmark(t.String())
	return out, nil
}

// opens is the page a message asks to open, and the words for it.
func (s *set) opens(m notify.Message) (to, about, label string) {
	switch m.Template {
	case "invitation":
		return s.link(m.Args["invite"]), s.say("mail.invitation.about", nil), s.say("mail.invitation.open", nil)
	case "factor_replace":
		return s.link("/signin"), s.say("mail.factor_replace.about", nil), s.say("signin.title", nil)
	case "reminder":
		return s.link("/signin"), s.say("mail.reminder.about", nil), s.say("signin.title", nil)
	}
	return s.link(m.Args["approve"]), s.say("mail.open_about", nil), s.say("mail.open", nil)
}

// link is the address of one of our own pages. It comes from the configuration
// and the store alone (security case 27).
func (s *set) link(path string) string {
	if !strings.HasPrefix(path, "/") || s.brands["origin"] == "" {
		return ""
	}
	return s.brands["origin"] + path
}

func (s *set) facts(m notify.Message) []fact {
	var list []fact
	add := func(key, value string, mono bool) {
		if value != "" {
			list = append(list, fact{s.say(key, nil), value, mono})
		}
	}
	login := m.Args["login"]
	if login == "" {
		login = m.Who.Login
	}
	if who := m.Args["requester"]; who != "" && who != login {
		login = who + " (" + login + ")"
	}
	add("receipt.account", login, false)
	if p := m.Args["purpose"]; p != "" && m.Template == "approval_request" {
		add("approve.want", s.say("approve.want_"+p, nil), false)
	}
	if why := m.Args["why"]; slices.Contains(verify.Whys(), why) {
		add("approve.why", s.say("approve.why_"+why, nil), false)
	}
	add("mail.screen", m.Args["screen"], false)
	add("mail.approver", m.Args["approver"], false)
	add("mail.technician", m.Args["technician"], false)
	if what := m.Args["what"]; what != "" {
		add("mail.what", s.activity(Activity{Kind: what, Outcome: "ok"}), false)
	}
	add("mail.ticket", m.Args["ticket"], false)
	add("mail.note", m.Args["note"], false)
	if until := rfc3339(m.Args["until"]); !until.IsZero() {
		key := "approve.until"
		if m.Template == "invitation" || m.Template == "pass_issued" {
			key = "mail.good_until"
		}
		add(key, s.bundle.DateTime(s.lang.Tag, until)+" ("+s.bundle.Zone()+")", false)
	}
	if ends := rfc3339(m.Args["ends"]); !ends.IsZero() {
		add("mail.ends", s.bundle.DateTime(s.lang.Tag, ends)+" ("+s.bundle.Zone()+")", false)
	}
	if last := rfc3339(m.Args["deadline"]); !last.IsZero() {
		add("mail.deadline", s.bundle.Date(s.lang.Tag, last), false)
	}
	if k := m.Args["kind"]; k != "" {
		value := s.text(kindText(verify.Kind(k)))
		if n := m.Args["name"]; n != "" {
			value += " (" + n + ")"
		}
		add("mail.method", value, false)
	}
	if kind := m.Args["method"]; kind != "" {
		add("mail.kept", s.keptKind(kind), false)
	}
	if at := rfc3339(m.Args["at"]); !at.IsZero() {
		add("mail.when", s.bundle.DateTime(s.lang.Tag, at)+" ("+s.bundle.Zone()+")", false)
	}
	add("mail.where", s.where(Activity{Door: m.Args["door"], Address: m.Args["address"]}), false)
	if p := m.Args["proofs"]; p != "" {
		var kinds []verify.Kind
		for k := range strings.SplitSeq(p, ",") {
			kinds = append(kinds, verify.Kind(k))
		}
		add("receipt.proofs", s.kinds(kinds), false)
	}
	add("receipt.number", m.Args["receipt"], true)
	return list
}

// plain makes one line of everything a message is told: names come from directories
// and reasons from people, and neither may add a paragraph or turn the text around.
func plain(args map[string]string) map[string]string {
	clean := make(map[string]string, len(args))
	for k, v := range args {
		clean[k] = strings.Map(func(r rune) rune {
			switch {
			case unicode.IsControl(r), r == '\u2028', r == '\u2029':
				return ' '
			case r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069': // Unicode UAX 9 section 2
				return -1
			}
			return r
		}, v)
	}
	return clean
}

// unmark takes the direction marks out where a reader may show them as boxes
// (subjects, SMS, text parts).
func unmark(s string) string { return strings.NewReplacer("\u2068", "", "\u2069", "").Replace(s) }

// oneLine: no header may be smuggled in by a name (security case 51).
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
