package flow

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

// AssistRequest is what a technician begins for somebody.
type AssistRequest struct {
	// ID of the case, of random's form; empty: a random one. ErrExists when there is one.
	ID      string
	Purpose policy.Purpose   // reset, unlock, or assist: to act on the account afterwards
	By      access.Principal // the technician, signed in; who they may help is portal/desk's to say
	Target  directory.User   // read a moment ago
	Cause   string
	Ticket  string
	Address string
	Lang    string
	Tell    []string // addresses beside the person's that hear of what comes of it
	// At is the shared screen that opens it (ClaimAt); the zero one: a code does.
	At access.Screen
	// Send mails the way in to the address on file, besides the code to read out.
	Send bool
	Hold []string // why it waits for a second technician; empty: it does not
}

// NotServed: the portal does not act on that account. The reason is for the
// technician, who may know.
type NotServed struct{ Reason string }

func (e *NotServed) Error() string { return "flow: not served: " + e.Reason }

// Assist begins a case that somebody else walks: the person on the telephone
// opens it in a browser of their own by the code, proves there who they are, and
// reads a number to the technician. Code gives nothing to who has it alone; there is
// none while the case is held.
func (s *Service) Assist(ctx context.Context, r AssistRequest) (*Case, error) {
	if r.By.ID == "" || r.By.ID == r.Target.ID || !slices.Contains([]policy.Purpose{policy.Reset, policy.Unlock, policy.Assist}, r.Purpose) {
		return nil, ErrNotOffered
	}
	if why := s.Policy.Eligible(r.Target); why != "" {
		return nil, &NotServed{why}
	}
	now := s.Now()
	c := &Case{ID: cmp.Or(r.ID, s.random(20)), Purpose: r.Purpose, Door: access.Desk, At: r.At, Address: r.Address, Lang: r.Lang, By: r.By, Key: r.Target.ID, Named: r.Target.Login,
		Login: r.Target.Login, Cause: r.Cause, Ticket: r.Ticket, Tell: r.Tell, Send: r.Send, Created: now, Plan: s.Policy.For(access.Desk, r.Purpose, r.Target)}
	frozen, err := s.observe(ctx, c, r.Target)
	if err != nil {
		return nil, err
	}
	if frozen && r.Purpose != policy.Assist { // to end that, somebody must be verified first
		return nil, &NotServed{string(ReasonFrozen)}
	}
	if c.Plan.Life <= 0 || c.Plan.Tries <= 0 {
		return nil, errors.New("flow: the policy gives no lifetime or no tries for the desk")
	}
	c.Expires = now.Add(c.Plan.Life)
	u := r.Target
	u.Groups, c.By.User.Groups = nil, nil
	c.Person = &u
	if err := s.tighten(ctx, c); err != nil {
		return nil, err
	}
	if nobody, err := s.nobodyToAsk(ctx, c); err != nil {
		return nil, err
	} else if nobody {
		return nil, &NotServed{"no_approver"}
	}
	started := s.event(c, "case.started", ok, withDetail("plan", c.Plan.Name), withDetail("cause", r.Cause), withDetail("ticket", r.Ticket), withDetail("name", r.Target.Name))
	started.Actor, started.ActorName = r.By.ID, r.By.User.Login
	e := Effects{Events: events(started)}
	if len(r.Hold) > 0 {
		c.Expires = now.Add(HoldLife + c.Plan.Life) // it is never given a longer life later
		held := s.hold(c, r.Hold, now)
		e.Events, e.Messages = append(e.Events, held.Events...), held.Messages
	}
	if err := s.Store.Create(ctx, c, e); err != nil || c.OnHold() {
		return c, err
	}
	return s.Store.Update(ctx, c.ID, func(ctx context.Context, c *Case) (e Effects, err error) {
		e.Messages, err = s.wayIn(ctx, c)
		return e, err
	})
}

func language(u directory.User, usual string) string {
	if u.Language != "" {
		return u.Language
	}
	return usual
}

// Claim opens such a case in the browser that asks, once. ErrNoRequest when the
// code opens nothing, or not any more.
func (s *Service) Claim(ctx context.Context, code, address, lang string) (*Case, error) {
	l, err := s.Accounts.Link(ctx, notify.Claim, code)
	if errors.Is(err, notify.ErrNoLink) {
		return nil, ErrNoRequest
	} else if err != nil {
		return nil, unavailable(err)
	}
	now := s.Now()
	return s.Store.Update(ctx, l.Case, func(ctx context.Context, c *Case) (Effects, error) {
		// In one transaction: of two browsers with the code one gets the case.
		if _, err := s.Accounts.SpendLink(ctx, notify.Claim, code); errors.Is(err, notify.ErrNoLink) {
			return Effects{}, ErrNoRequest
		} else if err != nil {
			return Effects{}, unavailable(err)
		}
		if !c.Claimed.IsZero() || !c.Live(now) || c.Outcome.Status == InFlight || c.Ghost() || c.OnHold() {
			return Effects{}, ErrNoRequest
		}
		c.Claimed, c.Code, c.Address, c.Lang = now, "", address, lang
		return Effects{Events: events(s.event(c, "case.claimed", ok))}, nil
	})
}

// Match takes the number that the person on the telephone reads to the technician
// who began the case. Three wrong ones end it.
func (s *Service) Match(ctx context.Context, id string, by access.Principal, number, address string) (*Case, error) {
	voter, err := s.voter(ctx, by)
	if err != nil {
		return nil, err
	}
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Door != access.Desk || c.By.ID != by.ID {
		return nil, ErrNoRequest
	}
	if c.Next(s.Now()) != StepWait || c.Open.Kind != verify.Handover {
		return c, ErrConflict
	}
	r, err := s.vouch(ctx, c, voter, Answer{By: by, Address: address, Number: number}, verify.Handover)
	return r.Case, err
}

// tellOthers tells those beside the person of what a technician's case did: the
// technician cannot keep it from them (security case 106).
func (s *Service) tellOthers(c *Case, what string) []notify.Message {
	if c.Door != access.Desk || len(c.Tell) == 0 {
		return nil
	}
	return []notify.Message{{Channel: notify.Mail, To: c.Tell, Template: "desk_done", Lang: c.Lang, Case: c.ID, Args: map[string]string{"login": c.Named,
		"technician": c.By.User.Login, "what": what, "ticket": c.Ticket, "note": c.Cause, "receipt": c.Outcome.Receipt, "at": s.Now().UTC().Format(time.RFC3339)}}}
}

// verifiedNotice tells the person that somebody was verified as them, before anything is
// done by it: they have a quarter of an hour to say that it was not they.
func (s *Service) verifiedNotice(c *Case) []notify.Message {
	list := s.notice(c, "caller_verified")
	for _, m := range list {
		m.Args["technician"] = cmp.Or(c.By.User.Name, c.By.User.Login)
	}
	return list
}

// Withdraw ends a case that a technician began, in their name. ErrNoRequest for
// everybody else's.
func (s *Service) Withdraw(ctx context.Context, id string, by access.Principal, address string) error {
	now := s.Now()
	_, err := s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		switch {
		case c.Door != access.Desk || by.ID == "" || c.By.ID != by.ID:
			return Effects{}, ErrNoRequest
		case !c.Live(now) || c.Outcome.Status == InFlight:
			return Effects{}, ErrConflict
		}
		c.end(ReasonCancelled)
		e := s.event(c, "case.closed", ok, withReason(string(ReasonCancelled)))
		e.Actor, e.ActorName, e.Door, e.Address = by.ID, by.User.Login, string(access.Desk), address
		return Effects{Events: events(e)}, nil
	})
	return err
}
