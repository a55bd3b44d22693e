package flow

import (
	"strings"
	"time"

	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
	"postern/portal/policy"
)

const (
	ok      = audit.OK
	failed  = audit.Failed
	refused = audit.Refused
	intent  = audit.Intent
)

func events(e ...audit.Event) []audit.Event { return e }

// event describes something about c. The person acts for themselves unless the
// case was started by somebody else.
func (s *Service) event(c *Case, kind string, o audit.Outcome, more ...func(*audit.Event)) audit.Event {
	e := audit.Event{At: s.Now(), Kind: kind, Case: c.ID, Subject: c.Key, SubjectName: c.Named, Actor: c.Key, ActorName: c.Named,
		Door: string(c.Door), Address: c.Address, Purpose: string(c.Purpose), Outcome: o}
	if c.Person != nil {
		e.SubjectName, e.ActorName = c.Person.Login, c.Person.Login
	}
	if c.By.ID != "" && c.Door != access.Desk { // there it is the caller's browser, but for the start
		e.Actor, e.ActorName = c.By.ID, c.By.User.Login
	}
	withDetail("kiosk", c.At.Label())(&e)
	withDetail("of", c.Of)(&e)
	for _, m := range more {
		m(&e)
	}
	return e
}

func withFactor[K ~string](k K) func(*audit.Event) {
	return func(e *audit.Event) { e.Factor = string(k) }
}

// byTechnician makes an event of a case one of the technician who began it.
func byTechnician(c *Case, address string) func(*audit.Event) {
	return func(e *audit.Event) {
		e.Actor, e.ActorName, e.Door, e.Address = c.By.ID, c.By.User.Login, string(access.Desk), address
	}
}

func withReason(r string) func(*audit.Event) { return func(e *audit.Event) { e.Reason = r } }

func withDetail(k, v string) func(*audit.Event) {
	return func(e *audit.Event) {
		if v == "" {
			return
		}
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail[k] = v
	}
}

// veiled is how a name that nobody has stands in the record: enough to see a
// pattern in many of them, too little to be the password it may be.
func veiled(typed string) string {
	const shown = 2
	runes := []rune(strings.ToValidUTF8(strings.TrimSpace(typed), "\uFFFD"))
	if len(runes) <= 2*shown {
		return strings.Repeat("•", len(runes))
	}
	return string(runes[:shown]) + "…"
}

func (s *Service) startEvent(c *Case, reason string) audit.Event {
	o := ok
	if reason != "" {
		o = refused
	}
	return s.event(c, "case.started", o, withReason(reason), withDetail("plan", c.Plan.Name), withDetail("account", string(c.Barred)),
		withDetail("why", c.because))
}

func verb(p policy.Purpose) string {
	switch p {
	case policy.Change:
		return "password.changed"
	case policy.Unlock:
		return "account.unlocked"
	}
	return "password.reset"
}

func outcomeOf(st Status) audit.Outcome {
	if st == Lost {
		return audit.Unknown
	}
	return audit.Refused
}

// applied is everything that goes with a success: the event, a notice to every
// address, and the end of all other cases and sessions of the account. Nobody
// is signed in by it.
func (s *Service) applied(c *Case) Effects {
	e := Effects{Events: events(s.event(c, verb(c.Purpose), ok, withDetail("receipt", c.Outcome.Receipt))), EndCases: c.Key, EndSessions: c.Key}
	if c.Outcome.Unlocked && c.Purpose != policy.Unlock {
		e.Events = append(e.Events, s.event(c, "account.unlocked", ok))
	}
	if c.Outcome.SessionsEnded || c.Outcome.SessionsLeft {
		o, why := ok, Reason("")
		if c.Outcome.SessionsLeft {
			o, why = failed, "not_applied"
		}
		e.Events = append(e.Events, s.event(c, "sessions.ended", o, withReason(string(why))))
	}
	template := "password_changed"
	if c.Purpose == policy.Unlock {
		template = "account_unlocked"
	}
	e.Messages = append(s.notice(c, template), s.tellOthers(c, verb(c.Purpose))...)
	return e
}

// notice tells every address of the person what happened in c.
func (s *Service) notice(c *Case, template string) []notify.Message {
	kinds := make([]string, len(c.Proofs))
	for i, p := range c.Proofs {
		kinds[i] = string(p.Kind)
	}
	return s.tellAbout(c, *c.Person, template, map[string]string{"purpose": string(c.Purpose), "at": c.Outcome.At.UTC().Format(time.RFC3339),
		"proofs": strings.Join(kinds, ","), "receipt": c.Outcome.Receipt})
}
