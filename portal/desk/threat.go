package desk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/notify"
)

// LevelChange is what becomes of the threat level, and what is told of that. It may
// run again.
type LevelChange = func(access.Threat) (access.Threat, []audit.Event, []notify.Message, error)

// Levels keeps the threat level (*store.DB). Any error is a no.
type Levels interface {
	access.Threats
	// SetThreat changes it under its lock, with all that is told of it, or not at all;
	// an error of change comes back as it is.
	SetThreat(ctx context.Context, change LevelChange) error
}

// Switch raises and lowers the threat level. While it is raised nothing that proves
// somebody is taken away from anybody, and every reset and unlock needs an approval.
// All parts are required but Alerts.
type Switch struct {
	Levels Levels
	Roles  Roles
	Alerts []string // mail addresses that hear of every turn
	Lang   string   // they are written in
	Now    func() time.Time
}

// Turn is what somebody does with the switch.
type Turn struct {
	To     access.Level
	Reason string
	For    time.Duration // raised for so long, 1m to 720h; 0: until somebody lowers it
}

// longest is for how long the level is raised at most, where it is to end by itself.
const longest = 30 * day

// Turn is for operators with a fresh proof of what they hold; to everybody else
// there is no switch: ErrUnknown. *flow.Invalid says what is wrong.
func (s Switch) Turn(ctx context.Context, w Who, t Turn) error {
	p := w.Principal
	switch {
	case p.ID == "" || !slices.Contains(s.Roles.Of(p.User), access.Operator):
		return ErrUnknown
	case !p.Bound() || !p.Fresh(s.Now(), fresh):
		return ErrStale
	}
	return s.turn(ctx, t, audit.Event{Actor: p.ID, ActorName: p.User.Login, Door: string(access.Desk), Address: w.Address})
}

// Threat is how the level stands.
func (s Switch) Threat(ctx context.Context) (access.Threat, error) { return s.Levels.Threat(ctx) }

// TurnFrom is Turn by who is at the machine itself: by has the actor and the door.
func (s Switch) TurnFrom(ctx context.Context, by audit.Event, t Turn) error {
	return s.turn(ctx, t, by)
}

// sameTurn is how far apart two ends of one double click can be.
const sameTurn = time.Minute

// turn does what was asked for, once: what is so already is not told again.
func (s Switch) turn(ctx context.Context, t Turn, by audit.Event) error {
	if err := t.check(); err != nil {
		return err
	}
	now := s.Now()
	err := s.Levels.SetThreat(ctx, func(was access.Threat) (access.Threat, []audit.Event, []notify.Message, error) {
		next := access.Threat{Level: t.To, Since: now, By: by.Actor, Login: by.ActorName, Reason: t.Reason}
		if t.To == access.Raised && t.For > 0 {
			next.Until = now.Add(t.For)
		}
		if was.Raised(now) && next.Level == access.Raised {
			next.Since = was.Since // with another reason or end it goes on
		}
		if same(was, next, now) {
			return was, nil, nil, errSame
		}
		e, m := s.told(next, by, now)
		return next, []audit.Event{e}, m, nil
	})
	if errors.Is(err, errSame) {
		return nil
	}
	return unavailable(err)
}

// errSame undoes a turn that changes nothing.
var errSame = errors.New("desk: the level is that already")

func same(was, next access.Threat, now time.Time) bool {
	if next.Level == access.Normal {
		return !was.Raised(now)
	}
	apart := was.Until.Sub(next.Until).Abs()
	return was.Raised(now) && was.Reason == next.Reason && was.Until.IsZero() == next.Until.IsZero() && apart < sameTurn
}

// told is the event of a turn, and the mail of it.
func (s Switch) told(t access.Threat, by audit.Event, now time.Time) (audit.Event, []notify.Message) {
	by.At, by.Kind, by.Outcome, by.Detail = now, audit.ThreatRaised, audit.OK, map[string]string{"why": t.Reason}
	template := "threat_raised"
	if t.Level == access.Normal {
		by.Kind, template = audit.ThreatLowered, "threat_lowered"
	}
	args := map[string]string{"approver": by.ActorName, "note": t.Reason, "address": by.Address, "door": by.Door, "at": now.UTC().Format(time.RFC3339)}
	if !t.Until.IsZero() {
		until := t.Until.UTC().Format(time.RFC3339)
		by.Detail["until"], args["ends"] = until, until
	}
	if len(s.Alerts) == 0 {
		return by, nil
	}
	return by, []notify.Message{{Channel: notify.Mail, To: s.Alerts, Template: template, Lang: s.Lang, Args: args}}
}

func (t *Turn) check() error {
	t.Reason = strings.TrimSpace(t.Reason)
	switch {
	case t.To != access.Raised && t.To != access.Normal:
		return &flow.Invalid{Code: "bad_choice"}
	case t.Reason == "" || !utf8.ValidString(t.Reason) || utf8.RuneCountInString(t.Reason) > access.MaxReason ||
		strings.ContainsFunc(t.Reason, func(r rune) bool { return !unicode.IsPrint(r) }):
		return &flow.Invalid{Field: "cause", Code: "bad_cause"}
	case t.For < 0 || t.For > longest || t.For > 0 && t.For < time.Minute:
		return &flow.Invalid{Code: "bad_choice"}
	}
	return nil
}
