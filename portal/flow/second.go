package flow

import (
	"context"
	"slices"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
)

// Hold is why a case that a technician began waits for the yes of another one
// (security cases 103 and 105). Who that may be is portal/desk's to say; that it is
// somebody else, with a proof given for this, is said here.
type Hold struct {
	Reasons []string // codes
	Since   time.Time
	// Of the one who answered.
	Second     directory.ID `json:",omitempty"`
	SecondName string       `json:",omitempty"`
	Let        time.Time    `json:",omitzero"` // zero: not yet, or no
	Refused    bool         `json:",omitempty"`
}

// HoldLife is how long a case waits for the second technician.
const HoldLife = time.Hour

// OnHold reports whether c waits for a second technician. Nothing can be proved in it
// and nothing done then: not even the code to read out is there yet.
func (c *Case) OnHold() bool { return c.Hold != nil && c.Hold.Let.IsZero() }

// Lacking are those of reasons that no second technician has said yes to in c.
func (c *Case) Lacking(reasons []string) []string {
	if c.Hold == nil || c.Hold.Let.IsZero() {
		return reasons
	}
	return slices.DeleteFunc(slices.Clone(reasons), func(r string) bool { return slices.Contains(c.Hold.Reasons, r) })
}

// helpers are who helps the person of c, and so can vouch for them in nothing else.
func (c *Case) helpers() (ids []directory.ID) {
	if c.Door == access.Desk {
		ids = append(ids, c.By.ID)
	}
	if c.Hold != nil && c.Hold.Second != "" {
		ids = append(ids, c.Hold.Second)
	}
	return ids
}

// hold makes c wait, and tells security.
func (s *Service) hold(c *Case, reasons []string, now time.Time) Effects {
	c.Hold = &Hold{Reasons: reasons, Since: now}
	e := s.event(c, "case.held", audit.Refused, withReason(reasons[0]), withDetail("reasons", strings.Join(reasons, " ")))
	e.Actor, e.ActorName = c.By.ID, c.By.User.Login
	return Effects{Events: events(e), Messages: s.alarm(c, "desk_alarm", map[string]string{"technician": c.By.User.Login, "ticket": c.Ticket, "reasons": strings.Join(reasons, " ")})}
}

// Hold makes a case wait before its technician does anything more in it.
// ErrNoRequest for everybody else's.
func (s *Service) Hold(ctx context.Context, id string, by access.Principal, reasons []string) error {
	now := s.Now()
	_, err := s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		switch more := c.Lacking(reasons); {
		case c.Door != access.Desk || by.ID == "" || c.By.ID != by.ID:
			return Effects{}, ErrNoRequest
		case c.OnHold() || len(more) == 0:
			return Effects{}, nil
		case c.Hold != nil:
			return s.hold(c, append(slices.Clone(c.Hold.Reasons), more...), now), nil
		default:
			return s.hold(c, more, now), nil
		}
	})
	return err
}

// Release is the yes of a second technician. Their proof must be younger than the
// hold: their own touch, for this. ErrWeak when it is not, ErrNoRequest when they
// cannot be the second, ErrConflict when nothing waits.
func (s *Service) Release(ctx context.Context, id string, by access.Principal, address string) (*Case, error) {
	voter, err := s.voter(ctx, by)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	return s.Store.Update(ctx, id, func(ctx context.Context, c *Case) (Effects, error) {
		if err := c.second(voter, now); err != nil {
			return Effects{}, err
		}
		if !by.Proven.After(c.Hold.Since) {
			return Effects{}, ErrWeak
		}
		c.Hold.Second, c.Hold.SecondName, c.Hold.Let = voter.ID, voter.Login, now
		e := Effects{Events: events(s.secondEvent(c, "case.released", audit.OK, by, address))}
		if c.Outcome.Status != Pending {
			return e, nil
		}
		// Held on the way it has less than that left, and its code already.
		if ends := now.Add(c.Plan.Life); ends.Before(c.Expires) {
			c.Expires = ends
		}
		if c.Code != "" || !c.Claimed.IsZero() {
			return e, nil
		}
		told, err := s.wayIn(ctx, c)
		e.Messages = told
		return e, err
	})
}

// Refuse is the no of a second technician. It ends a case in which nothing was done.
func (s *Service) Refuse(ctx context.Context, id string, by access.Principal, address string) (*Case, error) {
	voter, err := s.voter(ctx, by)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	return s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		if err := c.second(voter, now); err != nil {
			return Effects{}, err
		}
		c.Hold.Second, c.Hold.SecondName, c.Hold.Refused = voter.ID, voter.Login, true
		e := Effects{Events: events(s.secondEvent(c, "case.not_released", audit.Refused, by, address))}
		if c.Outcome.Status == Pending {
			c.end(ReasonDeclined)
			e.Events = append(e.Events, s.event(c, "case.closed", refused, withReason(string(ReasonDeclined))))
		}
		return e, nil
	})
}

// second says whether u, who has just been read, can answer the hold of c now.
func (c *Case) second(u directory.User, now time.Time) error {
	switch {
	case c.Door != access.Desk || u.ID == c.Key || slices.Contains(c.helpers(), u.ID) || slices.Contains(c.Asked, u.ID),
		directory.SamePerson(c.By.User, u): // another account of the first one's (security case 100)
		return ErrNoRequest
	case !c.OnHold() || c.Hold.Refused || now.Sub(c.Hold.Since) >= HoldLife || c.Outcome.Status == Pending && !c.Live(now):
		return ErrConflict
	}
	return nil
}

func (s *Service) secondEvent(c *Case, kind string, o audit.Outcome, by access.Principal, address string) audit.Event {
	e := s.event(c, kind, o, withDetail("reasons", strings.Join(c.Hold.Reasons, " ")), withDetail("technician", c.By.User.Login))
	e.Actor, e.ActorName, e.Door, e.Address = by.ID, by.User.Login, string(access.Desk), address
	return e
}

// wayIn makes the code that the technician reads out, and the mail with the same
// way in when it was asked for. Within the transaction that lets the case run.
func (s *Service) wayIn(ctx context.Context, c *Case) ([]notify.Message, error) {
	if c.At.Here() {
		return nil, nil // the screen that called opens it
	}
	link := notify.LinkTo{Kind: notify.Claim, Account: c.Key, Case: c.ID, Life: c.Plan.Life}
	path, err := s.Accounts.AddLink(ctx, link)
	if err != nil {
		return nil, unavailable(err)
	}
	c.Code = strings.TrimPrefix(path, link.Kind.Path())
	u := *c.Person
	if !c.Send || len(u.Mail) == 0 {
		return nil, nil
	}
	return []notify.Message{{Channel: notify.Mail, Who: u, Template: "desk_claim", Lang: language(u, c.Lang), Case: c.ID, NotAfter: c.Expires,
		Args: map[string]string{"login": u.Login, "technician": c.By.User.Name, "until": c.Expires.UTC().Format(time.RFC3339)}, Links: []notify.LinkTo{link}}}, nil
}
