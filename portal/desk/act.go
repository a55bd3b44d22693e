package desk

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// Act is what can be done for a caller who was verified.
type Act string

const (
	Freeze   Act = "freeze"
	Unfreeze Act = "unfreeze"
	Clear    Act = "clear" // one lost factor
	SignOut  Act = "sessions"
	Renew    Act = "renew" // a new password at the next sign-in
)

// assisted is for how long after a caller was verified something can be done.
const assisted = 15 * time.Minute

// Choices are what can be done in a case now.
type Choices struct {
	Until  time.Time // zero: nothing
	Frozen bool
	Lost   []verify.Credential // what can be cleared
	Heard  bool                // verified by a spoken code alone: nothing that lets anybody in
	Held   bool                // not before a second technician says yes
}

// Choices reads them.
func (s *Service) Choices(ctx context.Context, c *flow.Case) (o Choices, err error) {
	if o.Until = s.until(c); o.Until.IsZero() {
		return o, nil
	}
	known, err := s.Known.Standing(ctx, c.Key)
	if err != nil {
		return o, unavailable(err)
	}
	o.Frozen, o.Heard, o.Held = !known.Frozen.IsZero(), heard(c), c.OnHold()
	if !o.Heard && !disowned(c, known) {
		o.Lost, err = s.lost(ctx, c)
	}
	return o, err
}

// disowned reports whether the account was frozen, or "this wasn't me" said once more,
// after its caller was verified in c: that is then about this very call, and a freeze of
// the technician's own is ended by who has been verified anew.
func disowned(c *flow.Case, known access.Standing) bool {
	return known.Frozen.After(c.Outcome.At) || known.NotMe.After(c.Outcome.At)
}

// until says until when something can be done in a case; zero: not now.
func (s *Service) until(c *flow.Case) time.Time {
	if c.Purpose != policy.Assist || c.Outcome.Status != flow.Applied || c.OnHold() && c.Hold.Refused {
		return time.Time{}
	}
	from := c.Outcome.At
	if c.Hold != nil && c.Hold.Let.After(from) {
		from = c.Hold.Let // the caller has waited for the second technician
	}
	if s.Now().Sub(from) >= assisted {
		return time.Time{}
	}
	return from.Add(assisted)
}

// heard reports whether the caller was verified by nothing but a spoken code.
func heard(c *flow.Case) bool {
	return !slices.ContainsFunc(c.Proofs, func(p flow.Proof) bool { return !p.Spoken })
}

// Do does one act in a case whose caller was verified; flow.ErrConflict when it was
// not, or too long ago. credential is what Clear takes away.
func (s *Service) Do(ctx context.Context, w Who, id string, act Act, credential string) error {
	if !slices.Contains([]Act{Freeze, Unfreeze, Clear, SignOut, Renew}, act) {
		return &flow.Invalid{Field: "act", Code: "bad_choice"}
	}
	c, roles, u, err := s.mine(ctx, w, id)
	if err != nil {
		return err
	}
	if s.until(c).IsZero() || heard(c) && !slices.Contains([]Act{Freeze, SignOut, Renew}, act) {
		return flow.ErrConflict
	}
	if act != Freeze && act != SignOut {
		known, err := s.Known.Standing(ctx, u.ID)
		if err != nil {
			return unavailable(err)
		}
		if disowned(c, known) {
			return s.refused(ctx, w, u, "frozen", &Refused{"frozen"})
		}
	}
	if act == Clear {
		if err := s.calm(ctx, w, u); err != nil {
			return err
		}
		if err := s.clearable(ctx, c, credential); err != nil {
			return err
		}
		if err := s.apart(ctx, w, u, clears, resets); err != nil {
			return err
		}
	}
	if err := s.holdsUp(ctx, w, c, roles, u); err != nil {
		return err
	}
	by := s.event(w, "", u)
	by.Case, by.Purpose, by.Detail = c.ID, string(c.Purpose), map[string]string{"cause": c.Cause, "ticket": c.Ticket, "receipt": c.Outcome.Receipt}
	switch act {
	case Freeze:
		return s.Hands.FreezeFor(ctx, u, by, c.Tell)
	case Unfreeze:
		return s.Hands.UnfreezeFor(ctx, u, by, c.Tell)
	case Clear:
		return s.Hands.ClearFor(ctx, u, credential, by, c.Tell)
	case Renew:
		err := s.Writes.RequireChangeFor(ctx, u, by, c.Tell)
		if errors.Is(err, directory.ErrUnsupported) || errors.Is(err, directory.ErrDenied) {
			return &Refused{"unsupported"} // the record has it from who tried
		}
		return err
	}
	return s.Hands.EndSessionsFor(ctx, u, by, c.Tell)
}

// lost are the factors of a person that can be cleared: things they hold. Saved
// codes are made anew by whoever still gets in.
func (s *Service) lost(ctx context.Context, c *flow.Case) (list []verify.Credential, err error) {
	all, err := s.Known.Methods(ctx, c.Key)
	for _, m := range all {
		if m.Kind.Class() == verify.Possession && !used(c, m.ID) {
			list = append(list, m)
		}
	}
	return list, unavailable(err)
}

// used: what proved the caller a moment ago is not lost.
func used(c *flow.Case, credential string) bool {
	return slices.ContainsFunc(c.Proofs, func(p flow.Proof) bool { return p.Evidence.Credential == credential })
}

// calm refuses while the threat level is raised. Whoever clears a factor then may be
// doing an attacker's work (security case 105); the store looks once more when it is
// done.
func (s *Service) calm(ctx context.Context, w Who, u directory.User) error {
	t, err := s.Threats.Threat(ctx)
	if err != nil {
		return unavailable(err)
	}
	if t.Raised(s.Now()) {
		return s.refused(ctx, w, u, "threat", &Refused{"threat"})
	}
	return nil
}

var errNotLost = errors.New("desk: no such factor to clear")

func (s *Service) clearable(ctx context.Context, c *flow.Case, credential string) error {
	list, err := s.lost(ctx, c)
	if err == nil && !slices.ContainsFunc(list, func(m verify.Credential) bool { return m.ID == credential }) {
		err = errors.Join(flow.ErrConflict, errNotLost)
	}
	return err
}
