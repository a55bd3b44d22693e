package desk

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// Reasons why something waits for a second technician (security cases 103, 105).
const (
	Velocity  = "velocity"   // more acts in an hour than one does
	Again     = "again"      // the same person twice a day
	NewFactor = "new_factor" // a reset while a factor is new
	OffHours  = "hours"      // when the desk is not staffed
	FourEyes  = "four_eyes"  // accounts that always take two
	Crossing  = "crossing"   // beyond the technician's own scope
	Threat    = "threat"     // the threat level is raised
	Cleared   = "cleared"    // a second thing of the same person to be taken away within a day
)

// reasons counts an act, and for a new case the person, and says why it takes two.
// It counts before anything is done, so that of any number at once none slips
// through. A new case has a purpose, an act has none.
func (s *Service) reasons(ctx context.Context, w Who, roles []access.Role, u directory.User, begins policy.Purpose) (list []string, err error) {
	add := func(is bool, why string) {
		if is {
			list = append(list, why)
		}
	}
	over, err := s.count(ctx, w.Principal.ID, hourly, time.Hour, mostAnHour)
	if err != nil {
		return nil, err
	}
	add(over, Velocity)
	if begins != "" {
		again, err := s.within(ctx, u.ID, targets)
		if err != nil {
			return nil, err
		}
		add(again, Again)
	}
	if begins == policy.Reset {
		have, err := s.Known.Methods(ctx, u.ID)
		if err != nil {
			return nil, unavailable(err)
		}
		// Whoever got a factor of their own in takes the password next.
		add(slices.ContainsFunc(have, func(m verify.Credential) bool { return s.Now().Sub(m.Created) < s.Cooling }), NewFactor)
	}
	add(!s.Hours(s.Now()), OffHours)
	add(s.FourEyes.Holds(u), FourEyes)
	add(!s.Scope.Of(roles, u), Crossing)
	level, err := s.Threats.Threat(ctx)
	add(level.Raised(s.Now()), Threat)
	return list, unavailable(err)
}

// Waiting are the cases that w could say yes or no to, newest first.
func (s *Service) Waiting(ctx context.Context, w Who) ([]*flow.Case, error) {
	if _, err := s.helps(w); err != nil {
		return nil, err
	}
	ids, err := s.Known.Held(ctx, s.Now().Add(-flow.HoldLife))
	if err != nil {
		return nil, unavailable(err)
	}
	var list []*flow.Case
	for _, id := range ids {
		c, _, err := s.held(ctx, w, id)
		switch {
		case err == nil:
			list = append(list, c)
		case !errors.Is(err, ErrUnknown):
			return nil, err
		}
	}
	if err := s.listed(ctx, w, list); err != nil {
		return nil, err
	}
	return list, nil
}

// listed records whose names are on the list that waits, as a search does.
func (s *Service) listed(ctx context.Context, w Who, list []*flow.Case) error {
	now := s.Now()
	var lines []audit.Event
	for _, c := range list {
		if !s.shown.lately(w.Principal.ID, c.Key, now) {
			lines = append(lines, s.event(w, audit.DeskSearched, directory.User{ID: c.Key, Login: c.Named}))
		}
	}
	if len(lines) == 0 {
		return nil
	}
	if err := s.note(ctx, lines...); err != nil {
		return err
	}
	for _, e := range lines {
		s.shown.note(w.Principal.ID, e.Subject, now)
	}
	return nil
}

// Held is a case that waits, for somebody who may be the second: not who began it,
// not whom it is about, and in whose own scope the person is. To everybody else it
// is ErrUnknown. The look is written down before anything is shown.
func (s *Service) Held(ctx context.Context, w Who, id string) (*flow.Case, error) {
	c, u, err := s.held(ctx, w, id)
	if err != nil {
		return nil, err
	}
	looked := s.event(w, audit.DeskViewed, u)
	looked.Case = c.ID
	if err := s.note(ctx, looked); err != nil {
		return nil, err
	}
	return c, nil
}

func (s *Service) held(ctx context.Context, w Who, id string) (*flow.Case, directory.User, error) {
	var u directory.User
	roles, err := s.helps(w)
	if err != nil {
		return nil, u, err
	}
	c, err := s.Cases.Load(ctx, id)
	switch {
	case errors.Is(err, flow.ErrNoCase):
		return nil, u, ErrUnknown
	case err != nil:
		return nil, u, err
	case c.Door != access.Desk || !c.OnHold() || c.Hold.Refused || c.By.ID == w.Principal.ID || c.Key == w.Principal.ID,
		directory.SamePerson(c.By.User, w.Principal.User), // their own second account
		c.Outcome.Status == flow.Pending && !c.Live(s.Now()), s.Now().Sub(c.Hold.Since) >= flow.HoldLife:
		return nil, u, ErrUnknown
	}
	u, err = s.People.Read(ctx, directory.User{ID: c.Key})
	if errors.Is(err, directory.ErrNotFound) {
		return nil, u, ErrUnknown
	} else if err != nil {
		return nil, u, err
	}
	if s.Policy.Eligible(u) != "" || !s.Scope.Of(roles, u) || len(s.Roles.Of(u)) > 0 || directory.SamePerson(w.Principal.User, u) {
		return nil, u, ErrUnknown
	}
	return c, u, nil
}

// Agree is w's yes to what waits. ErrStale, or flow.ErrWeak where their proof is
// older than the question.
func (s *Service) Agree(ctx context.Context, w Who, id string) error {
	c, err := s.answers(ctx, w, id)
	if err != nil {
		return err
	}
	_, err = s.Holds.Release(ctx, c.ID, w.by(), w.Address)
	return err
}

// Disagree is their no.
func (s *Service) Disagree(ctx context.Context, w Who, id string) error {
	c, err := s.answers(ctx, w, id)
	if err != nil {
		return err
	}
	_, err = s.Holds.Refuse(ctx, c.ID, w.by(), w.Address)
	return err
}

func (s *Service) answers(ctx context.Context, w Who, id string) (*flow.Case, error) {
	if _, err := s.acts(w); err != nil {
		return nil, err
	}
	c, _, err := s.held(ctx, w, id)
	if errors.Is(err, ErrUnknown) {
		return nil, s.refused(ctx, w, directory.User{}, "not_second", ErrUnknown)
	}
	return c, err
}

// holdsUp makes a case wait where something in it takes two, and is *Refused then.
// What shuts an account is held for too many of them alone: at night, or under an
// attack, it must not wait.
func (s *Service) holdsUp(ctx context.Context, w Who, c *flow.Case, roles []access.Role, u directory.User, act Act) error {
	if c.OnHold() {
		return &Refused{"held"}
	}
	why, err := s.reasons(ctx, w, roles, u, "")
	if err != nil {
		return err
	}
	if slices.Contains([]Act{Clear, Codes, Replace}, act) {
		more, err := s.within(ctx, u.ID, taken)
		if err != nil {
			return err
		}
		if more {
			why = append(why, Cleared)
		}
	}
	if act == Freeze || act == SignOut {
		why = slices.DeleteFunc(why, func(r string) bool { return r != Velocity })
	}
	if len(c.Lacking(why)) == 0 {
		return nil
	}
	if err := s.Holds.Hold(ctx, c.ID, w.by(), why); err != nil {
		return err
	}
	return s.refused(ctx, w, u, c.Lacking(why)[0], &Refused{"held"})
}
