package desk

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
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
	Unlock   Act = "unlock"
	// Codes clears all recovery codes: the sheet is lost. Replace is Clear, and mails
	// the way to set up another one. Invite mails an invitation to whoever has nothing.
	Codes   Act = "codes"
	Replace Act = "replace"
	Invite  Act = "invite"
)

// assisted is for how long after a caller was verified something can be done.
const assisted = 15 * time.Minute

// Choices are what can be done in a case now.
type Choices struct {
	Until  time.Time     // zero: nothing
	Did    []audit.Event // what was done already, the first one first
	Frozen bool
	Lost   []verify.Credential // what can be cleared
	Heard  bool                // verified by a spoken code alone: nothing that lets anybody in
	Held   bool                // not before a second technician says yes
	Codes  int                 // recovery codes that can be cleared, all at once
	Bare   bool                // nothing is enrolled: they can be invited
}

// Choices reads them.
func (s *Service) Choices(ctx context.Context, c *flow.Case) (o Choices, err error) {
	if o.Did, err = s.did(ctx, c); err != nil {
		return o, err
	}
	if o.Until = s.until(c); o.Until.IsZero() {
		return o, nil
	}
	known, err := s.Known.Standing(ctx, c.Key)
	if err != nil {
		return o, unavailable(err)
	}
	o.Frozen, o.Heard, o.Held = !known.Frozen.IsZero(), heard(c), c.OnHold()
	if o.Heard || disowned(c, known) {
		return o, nil
	}
	all, err := s.Known.Methods(ctx, c.Key)
	o.Lost, o.Codes, o.Bare = lost(c, all), saved(c, all), len(all) == 0
	return o, unavailable(err)
}

// did are the acts of a case. Who cannot see that something was done does it again.
func (s *Service) did(ctx context.Context, c *flow.Case) ([]audit.Event, error) {
	if c.Purpose != policy.Assist || c.Outcome.Status != flow.Applied {
		return nil, nil // the page says what became of it
	}
	list, err := s.History.OfCase(ctx, c.ID, mostEvents)
	return slices.DeleteFunc(list, func(e audit.Event) bool {
		return !slices.Contains(deeds, e.Kind) || e.Outcome == audit.Intent || e.Kind == "caller.verified"
	}), unavailable(err)
}

// disowned reports whether the account was frozen, or "this wasn't me" said once more,
// after its caller was verified in c: that is then about this very call, and a freeze of
// the technician's own is ended by who has been verified anew.
func disowned(c *flow.Case, known access.Standing) bool {
	return known.Frozen.After(c.Outcome.At) || known.NotMe.After(c.Outcome.At)
}

// owned refuses what opens anything once the owner has disowned the call.
func (s *Service) owned(ctx context.Context, w Who, c *flow.Case, u directory.User, act Act) error {
	if act == Freeze || act == SignOut {
		return nil
	}
	known, err := s.Known.Standing(ctx, u.ID)
	if err != nil {
		return unavailable(err)
	}
	if disowned(c, known) {
		return s.refused(ctx, w, u, "frozen", &Refused{"frozen"})
	}
	return nil
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
// not, or too long ago. credential is what Clear and Replace take away. The same form
// sent twice acts once, and the second time is no error.
func (s *Service) Do(ctx context.Context, w Who, id string, act Act, credential, once string) error {
	if !slices.Contains([]Act{Freeze, Unfreeze, Clear, SignOut, Renew, Unlock, Codes, Replace, Invite}, act) {
		return &flow.Invalid{Field: "act", Code: "bad_choice"}
	}
	c, roles, u, err := s.mine(ctx, w, id)
	if err != nil {
		return err
	}
	return s.actOnce(ctx, w, once, []string{"act", c.ID, string(act), credential}, func(commit func(func(context.Context) error) error) error {
		if s.until(c).IsZero() || heard(c) && !slices.Contains([]Act{Freeze, SignOut, Renew, Unlock}, act) {
			return flow.ErrConflict
		}
		if err := s.owned(ctx, w, c, u, act); err != nil {
			return err
		}
		if err := s.mends(ctx, w, c, u, act, credential); err != nil {
			return err
		}
		if act == Unlock {
			if err := s.unlockable(ctx, w, u); err != nil {
				return err
			}
		}
		if err := s.holdsUp(ctx, w, c, roles, u, act); err != nil {
			return err
		}
		by := s.event(w, "", u)
		by.Case, by.Purpose, by.Detail = c.ID, string(c.Purpose), map[string]string{"cause": c.Cause, "ticket": c.Ticket, "receipt": c.Outcome.Receipt}
		if act == Renew || act == Unlock {
			// The directory is asked between two transactions: the form is spent before.
			if err := commit(nil); err != nil {
				return err
			}
			return s.write(ctx, c, u, act, by)
		}
		return commit(func(ctx context.Context) error {
			by := by
			by.Detail = maps.Clone(by.Detail) // this may run again
			return s.carry(ctx, c, u, act, credential, by)
		})
	})
}

// mends checks what changes with which proofs somebody gets in: of such an act and a
// new password one technician does one alone (security case 103). Whoever sends a
// person the way to a new proof could otherwise hand the account over whole.
func (s *Service) mends(ctx context.Context, w Who, c *flow.Case, u directory.User, act Act, credential string) error {
	if !slices.Contains([]Act{Clear, Codes, Replace, Invite}, act) {
		return nil
	}
	if err := s.calm(ctx, w, u); err != nil {
		return err
	}
	all, err := s.Known.Methods(ctx, c.Key)
	if err != nil {
		return unavailable(err)
	}
	can := false
	switch act {
	case Clear, Replace:
		can = slices.ContainsFunc(lost(c, all), func(m verify.Credential) bool { return m.ID == credential })
	case Codes:
		can = saved(c, all) > 0
	case Invite:
		can = len(all) == 0
	}
	if !can {
		return errors.Join(flow.ErrConflict, errNotLost)
	}
	return s.apart(ctx, w, u, clears, resets)
}

// carry carries an act out.
func (s *Service) carry(ctx context.Context, c *flow.Case, u directory.User, act Act, credential string, by audit.Event) (err error) {
	why := ""
	switch act {
	case Freeze:
		err = s.Hands.FreezeFor(ctx, u, by, c.Tell)
	case Unfreeze:
		err = s.Hands.UnfreezeFor(ctx, u, by, c.Tell)
	case Clear:
		err = s.Hands.ClearFor(ctx, u, credential, by, c.Tell)
	case Codes:
		err = s.Mends.ClearCodesFor(ctx, u, by, c.Tell)
	case Replace:
		why, err = s.Mends.ReplaceFor(ctx, u, credential, by, c.Tell)
	case Invite:
		why, err = s.Mends.InviteFor(ctx, u, by, c.Tell)
	default:
		err = s.Hands.EndSessionsFor(ctx, u, by, c.Tell)
	}
	if err == nil && why != "" {
		err = &Refused{why}
	}
	return err
}

// unlockable refuses where an unlock would be more than the case it is done in: of
// somebody frozen, and while every unlock needs an approval, which this case has not.
func (s *Service) unlockable(ctx context.Context, w Who, u directory.User) error {
	known, err := s.Known.Standing(ctx, u.ID)
	if err != nil {
		return unavailable(err)
	}
	if !known.Frozen.IsZero() {
		return s.refused(ctx, w, u, "frozen", &Refused{"frozen"})
	}
	return s.calm(ctx, w, u)
}

// write is an act that the directory carries out.
func (s *Service) write(ctx context.Context, c *flow.Case, u directory.User, act Act, by audit.Event) (err error) {
	if act == Unlock {
		err = s.Writes.UnlockFor(ctx, u, by, c.Tell)
	} else {
		err = s.Writes.RequireChangeFor(ctx, u, by, c.Tell)
	}
	if errors.Is(err, directory.ErrUnsupported) || errors.Is(err, directory.ErrDenied) {
		return &Refused{"unsupported"} // the record has it from who tried
	}
	return err
}

// lost are the factors of a person that can be cleared: things they hold.
func lost(c *flow.Case, all []verify.Credential) (list []verify.Credential) {
	for _, m := range all {
		if m.Kind.Class() == verify.Possession && !used(c, m.ID) {
			list = append(list, m)
		}
	}
	return list
}

// saved is how many codes are on a lost sheet; none when one of them has just been
// used.
func saved(c *flow.Case, all []verify.Credential) (n int) {
	if slices.ContainsFunc(c.Proofs, func(p flow.Proof) bool { return p.Kind == verify.RecoveryCode }) {
		return 0
	}
	for _, m := range all {
		if m.Kind == verify.RecoveryCode {
			n++
		}
	}
	return n
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

var errNotLost = errors.New("desk: nothing of theirs that this act could be done to")

// Mends are acts on what somebody can prove with, that send them the way to set up
// something new themselves (enrol.Mender). why is not empty, and nothing happens, where
// that way would be closed to them: invite_weak, invite_no_mail, invite_new_mail,
// invite_enrolled or frozen. The technician sees no link.
type Mends interface {
	ClearCodesFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error
	ReplaceFor(ctx context.Context, u directory.User, credential string, by audit.Event, tell []string) (why string, err error)
	InviteFor(ctx context.Context, u directory.User, by audit.Event, tell []string) (why string, err error)
}
