package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/store"
)

// historyDays is how far back the demo's made-up past goes.
const historyDays = 29

// past makes up what happened at a portal before anybody came: so that figures are
// about something. Every line says that it is a sample. It belongs to the demo alone:
// a record with an invented line in it would be worth nothing.
type past struct {
	people []sample
	by     map[string]sample
	chance *rand.Rand
	now    time.Time
	events []audit.Event
	cases  int
}

// recordHistory writes the demo's made-up past, once.
func recordHistory(ctx context.Context, db *store.DB, people []sample, now time.Time) error {
	p := &past{by: map[string]sample{}, chance: rand.New(rand.NewPCG(5, 29)), now: now}
	for _, s := range people {
		p.by[s.Login] = s
		if len(s.Login) > 4 && s.Login[:4] == "user" {
			p.people = append(p.people, s)
		}
	}
	if len(p.people) == 0 || p.by["tech1"].Owner == "" || p.by["tech2"].Owner == "" {
		return nil
	}
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	for day := -historyDays; day <= 0; day++ {
		p.day(midnight.AddDate(0, 0, day), day)
	}
	return db.Record(ctx, p.events...)
}

// day is one of them: few come on a weekend, many in the morning, and more on the
// day after one.
func (p *past) day(from time.Time, ago int) {
	n := 9 + p.chance.IntN(6)
	switch from.Weekday() {
	case time.Saturday, time.Sunday:
		n = 2 + p.chance.IntN(3)
	case time.Monday:
		n += 7
	}
	for range n {
		hour := 8 + min(p.chance.IntN(11), p.chance.IntN(11))
		if ago == 0 && p.now.Hour() < 12 {
			hour = p.chance.IntN(12) // that the first page of an early visitor is not empty
		}
		p.visit(from.Add(time.Duration(hour)*time.Hour + time.Duration(p.chance.IntN(3600))*time.Second))
	}
}

// visit is one case, from its beginning to its end.
func (p *past) visit(at time.Time) {
	who := p.people[p.chance.IntN(len(p.people))]
	purpose, verb := "reset", "password.reset"
	switch dice := p.chance.IntN(10); {
	case dice > 7:
		purpose, verb = "change", "password.changed"
	case dice > 4:
		purpose, verb = "unlock", "account.unlocked"
	}
	p.cases++
	base := audit.Event{Case: fmt.Sprintf("SAMPLE%026d", p.cases), Subject: who.Owner, SubjectName: who.Login, Actor: who.Owner, ActorName: who.Login,
		Door: "web", Address: "192.0.2.17", Purpose: purpose, Outcome: audit.OK, Detail: map[string]string{"sample": "demo"}}
	add := func(after time.Duration, kind string, o audit.Outcome, factor, reason string) {
		e := base
		e.At, e.Kind, e.Outcome, e.Factor, e.Reason = at.Add(after), kind, o, factor, reason
		if e.At.Before(p.now) {
			p.events = append(p.events, e)
		}
	}
	took := time.Duration(35+p.chance.IntN(70)+p.chance.IntN(12)*p.chance.IntN(30)) * time.Second
	dice := p.chance.IntN(100)
	if dice < 7 { // somebody tries a name that nobody has
		base.Subject, base.SubjectName, base.Actor, base.ActorName = directory.ID(fmt.Sprintf("decoy:%032x", p.cases)), "ro…", "", ""
		add(0, "case.started", audit.Refused, "", "unknown_account")
		add(took/2, "proof.failed", audit.Failed, "totp", "wrong")
		return
	}
	if desk := dice >= 80; desk {
		tech := p.by[[]string{"tech1", "tech1", "tech2"}[p.chance.IntN(3)]]
		base.Door = "desk"
		started := base
		started.At, started.Kind, started.Actor, started.ActorName = at, "case.started", tech.Owner, tech.Login
		if at.Before(p.now) {
			p.events = append(p.events, started)
		}
		took += 3 * time.Minute
	} else {
		add(0, "case.started", audit.OK, "", "")
	}
	if p.chance.IntN(5) == 0 {
		add(took/4, "proof.failed", audit.Failed, "email", []string{"wrong", "wrong", "expired", "not_enrolled"}[p.chance.IntN(4)])
	}
	switch {
	case dice < 13:
		add(took/2, "proof.failed", audit.Failed, "totp", "wrong")
		add(took, "case.closed", audit.Refused, "", "too_many_tries")
	case dice < 18:
		add(took, "case.closed", audit.OK, "", "cancelled")
	case dice < 23: // somebody walks away
	case dice < 26:
		add(took/2, "proof.failed", audit.Failed, "password", "locked")
	default:
		add(took/2, "proof.ok", audit.OK, "totp", "")
		if purpose != "unlock" && p.chance.IntN(6) == 0 {
			add(took*3/4, "password.refused", audit.Refused, "", []string{"too_short", "history", "complexity"}[p.chance.IntN(3)])
		}
		add(took, verb, audit.OK, "", "")
	}
}
