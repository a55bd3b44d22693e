package view

import (
	"slices"
	"strings"
	"time"

	"postern/portal/i18n"
	"postern/portal/policy"
	"postern/verify"
)

// fault is the sentence of a Fault, and what is worth knowing after it.
func (w *words) fault(f *Fault) string {
	key := "error." + f.Code
	if !w.bundle.Has(key) {
		key = "error.server"
	}
	args := i18n.Args{"N": f.Limit, "Until": f.Until}
	if (f.Limit == 0 || f.Code == "too_young" && f.Until.IsZero()) && w.bundle.Has(key+"_any") {
		key += "_any"
	}
	s := w.say(key, args)
	if f.Left > 0 {
		s += " " + w.say("error.left", i18n.Args{"N": f.Left})
	}
	if f.Retry > 0 {
		s += " " + w.say("error.retry", i18n.Args{"Span": f.Retry})
	}
	return s
}

// stray is the first fault that belongs to no field of the page, so that it is
// said above the form and never lost.
func stray(p Page) *Fault {
	var fields []string
	switch p := p.(type) {
	case *StartForm:
		fields = []string{"login"}
		if p.Purpose == policy.Change {
			fields = append(fields, "current")
		}
	case *SignIn:
		if fields = []string{"login", "current"}; p.Asked == AskNone {
			fields = fields[:1]
		}
		if p.Options != "" {
			fields = append(fields, "answer")
		}
	case *Welcome:
		fields = []string{"current"}
	case *DeskThreat:
		fields = []string{"cause"}
	case *Answer:
		fields = []string{"answer"}
	case *Approve:
		if p.Open {
			fields = []string{"answer", "number"}
		}
		if p.Mine {
			fields = append(fields, "note")
		}
	case *NewPassword:
		fields = []string{"password", "confirm"}
	case *OfferTOTP, *OfferPasskey, *OfferYubiKey:
		fields = []string{"answer", "name"}
	case *Link, *KioskRegister:
		fields = []string{"code"}
	case *Phone:
		fields = []string{"number"}
	case *DeskKiosks:
		fields = []string{"name", "site", "way", "allow"}
	case *DeskKiosk:
		fields = []string{"name", "site"}
	case *DeskPeople:
		fields = []string{"q"}
	case *DeskPerson:
		if p.Can {
			fields = []string{"purpose", "cause", "ticket"}
		}
	case *DeskCase:
		if p.Stage == "match" {
			fields = []string{"number"}
		}
		if len(p.Hear) > 0 {
			fields = append(fields, "answer")
		}
	case *DeskPolicy:
		fields = []string{"login", "purpose", "door"}
	case *Factors:
		if p.Editing != "" {
			fields = []string{"name"}
		}
	}
	faults := p.top().Faults
	for i := range faults {
		if !slices.Contains(fields, faults[i].Field) {
			return &faults[i]
		}
	}
	return nil
}

// problem is the code of an error page, as the person reads it.
func problem(p *ErrorPage) string {
	switch p.Code {
	case "not_found", "conflict", "limited", "unavailable", "csrf", "bad_form", "host":
		return p.Code
	}
	return "server"
}

func temporary(p *ErrorPage) bool { return p.Code == "unavailable" || p.Code == "limited" }

func (w *words) problemLead(p *ErrorPage) string {
	s := w.say("error."+problem(p), nil)
	if !p.Until.IsZero() {
		s += " " + w.say("problem.until", i18n.Args{"Time": p.Until})
	}
	if p.Retry > 0 {
		s += " " + w.say("error.retry", i18n.Args{"Span": p.Retry})
	}
	return s
}

// refusal is what a person may read of why a case ended: for a stranger all
// but four reasons are the same words, so that they tell nothing about whose
// account it is (security cases 1 to 8).
func refusal(p *Refused) string {
	switch p.Reason {
	case "cancelled", "too_often", "outcome_unknown", "not_applied",
		"declined", "frozen": // which only somebody who proved something can meet
		return p.Reason
	case "superseded", "directory_denied", "unsupported", "too_many_refused_passwords":
		if p.Proven {
			return p.Reason
		}
	}
	return "neutral"
}

// reason says why an option cannot be chosen now.
func (w *words) reason(p *Choose, o Option) string {
	for _, have := range p.Proven {
		if have.Kind == o.Kind {
			return w.say("reason.used", nil)
		}
		if o.Reason == "same_class" && have.Kind.Class() == o.Kind.Class() {
			return w.say("reason.same_class", i18n.Args{"Factor": kindText(have.Kind)})
		}
	}
	key := "reason." + o.Reason
	if o.Reason == "same_class" || o.Reason == "" || !w.bundle.Has(key) {
		key = "reason.not_allowed"
	}
	return w.say(key, nil)
}

func (w *words) answerLead(p *Answer) string {
	key := "answer.lead_" + string(p.Kind)
	if p.Kind == verify.TOTP && w.brands["name"] != "" {
		return w.say("answer.lead_totp_for", i18n.Args{"Name": w.brands["name"]})
	}
	s := w.say(key, nil)
	if !p.Until.IsZero() && p.Kind.Class() == verify.Issued {
		s += " " + w.say("answer.until", i18n.Args{"Time": p.Until})
	}
	return s
}

func kindText(k verify.Kind) Text { return Text{Key: "factor." + string(k)} }

func (w *words) kinds(list []verify.Kind) string {
	texts := make([]Text, len(list))
	for i, k := range list {
		texts[i] = kindText(k)
	}
	return w.bundle.List(w.lang.Tag, texts)
}

// shut are the options that cannot be chosen now.
func shut(all []Option) []Option {
	var list []Option
	for _, o := range all {
		if o.Reason != "" {
			list = append(list, o)
		}
	}
	return list
}

// vouching reports whether somebody can be asked to vouch now.
func vouching(all []Option) bool {
	return slices.ContainsFunc(all, func(o Option) bool { return o.Kind == verify.Approval && o.Reason == "" })
}

func (w *words) rule(r Rule) string { return w.say("rule."+r.Code, i18n.Args{"N": r.Limit}) }

// unfit is the sentence for why a request is not somebody's to answer.
func unfit(p *ApproveUnfit) string {
	switch p.Reason {
	case "same_person", "mutual", "manager_changed", "no_credential":
		return p.Reason
	}
	return "any"
}

// origin is where a request came from.
func (w *words) origin(p *Approve) string {
	return w.where(Activity{Door: p.Door, Kiosk: p.Screen, Address: p.Address})
}

// names lists people.
func (w *words) names(list []string) string {
	return strings.Join(list, w.say("format.comma", nil))
}

// replaceable says which methods have a successor that takes their place.
func replaceable(m Method) bool { return m.ID != "" && m.Kind.Class() == verify.Possession }

func kindIcon(k verify.Kind) string {
	switch k {
	case verify.Passkey:
		return "passkey"
	case verify.TOTP:
		return "app"
	case verify.YubiKey:
		return "key"
	case verify.Email:
		return "mail"
	case verify.SMS:
		return "sms"
	case verify.RecoveryCode:
		return "codes"
	case verify.Approval:
		return "person"
	case verify.Handover:
		return "call"
	}
	return "lock"
}

func purposeIcon(p policy.Purpose) string {
	switch p {
	case policy.Reset:
		return "turn"
	case policy.Unlock:
		return "unlock"
	case policy.Change:
		return "door"
	}
	return "passkey"
}

// alsoIcon is that of an Account.State.
func alsoIcon(state string) string {
	switch state {
	case "done":
		return "check"
	case "", "applying":
		return "dot"
	}
	return "info"
}

func startPath(p policy.Purpose) string {
	switch p {
	case policy.Reset, policy.Unlock, policy.Change:
		return "/recover/" + string(p)
	case policy.SignIn, policy.StepUp:
		return "/signin"
	}
	return "/"
}

// again is where "Start again" leads.
func again(p policy.Purpose) string {
	if p == policy.StepUp {
		return "/me"
	}
	return startPath(p)
}

// changesPassword says which purposes end with a new password.
func changesPassword(p policy.Purpose) bool { return p == policy.Reset || p == policy.Change }

// changes tells the two headings of the password page apart.
func changes(p policy.Purpose) string {
	if p == policy.Change {
		return "change"
	}
	return "reset"
}

func (w *words) methodName(m Method) string {
	switch {
	case m.Name != "":
		return m.Name
	case m.Masked != "":
		return m.Masked
	}
	return w.text(kindText(m.Kind))
}

func (w *words) methodFacts(m Method) string {
	var s []string
	if m.Name != "" || m.Masked != "" {
		s = append(s, w.say("method.is", i18n.Args{"Factor": kindText(m.Kind)}))
	}
	if m.Kind == verify.RecoveryCode && m.Total > 0 {
		s = append(s, w.say("method.left", i18n.Args{"N": m.Left, "All": m.Total}))
	}
	if m.Kind.Class() == verify.Issued {
		s = append(s, w.say("method.directory", nil))
	}
	if !m.Created.IsZero() {
		s = append(s, w.say("method.added", i18n.Args{"Time": m.Created}))
	}
	if !m.Used.IsZero() {
		s = append(s, w.say("method.used", i18n.Args{"Time": m.Used}))
	} else if !m.Created.IsZero() && m.Kind != verify.RecoveryCode {
		s = append(s, w.say("method.never", nil))
	}
	return strings.Join(s, " ")
}

// activity is the sentence of one line of the record. A kind without one of its
// own reads as a general one: the record grows faster than the translations.
func (w *words) activity(a Activity) string {
	key := "event." + strings.ReplaceAll(a.Kind, ".", "_")
	if a.Outcome != "" && a.Outcome != "ok" && w.bundle.Has(key+"_"+a.Outcome) {
		key += "_" + a.Outcome
	}
	if !w.bundle.Has(key) {
		key = "event.something"
	}
	factor := kindText(a.Factor)
	if a.Factor == "" {
		factor = i18n.Msg("factor.some")
	}
	purpose := Text{Key: "purpose." + string(a.Purpose)}
	if !w.bundle.Has(purpose.Key) {
		purpose = i18n.Msg("purpose.some")
	}
	return w.say(key, i18n.Args{"Factor": factor, "Purpose": purpose})
}

func (w *words) where(a Activity) string {
	var s []string
	if key := "door." + a.Door; a.Door != "" && w.bundle.Has(key) {
		s = append(s, w.say(key, nil))
	}
	if a.Kiosk != "" {
		s = append(s, a.Kiosk)
	}
	if a.Address != "" {
		s = append(s, w.say("where.address", i18n.Args{"Address": a.Address}))
	}
	return strings.Join(s, " · ")
}

// questions are the keys of a help topic up to their last letter: help.codes.1 …
func (w *words) questions(topic string) []string {
	var list []string
	for _, n := range []string{"1", "2", "3", "4", "5", "6"} {
		key := "help." + topic + "." + n
		if w.bundle.Has(key + "q") {
			list = append(list, key)
		}
	}
	return list
}

func rfc3339(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
