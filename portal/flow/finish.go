package flow

import (
	"context"
	"errors"
	"slices"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/password"
	"postern/portal/policy"
	"postern/verify"
)

// maxSaves is how many passwords the directory may refuse in one case.
const maxSaves = 10

// Checklist is what the page for a new password shows beforehand.
type Checklist struct {
	Rules directory.Rules // of all accounts at once
	Items []password.Item
	Who   directory.User
	// Also are the person's other accounts, in the same act: see FinishAll.
	Also []Also
}

// Checklist gives the rules to somebody who has proved who they are, and to
// nobody else (security case 6).
func (s *Service) Checklist(ctx context.Context, c *Case) (Checklist, error) {
	if c.Next(s.Now()) != StepNewPassword {
		return Checklist{}, ErrConflict
	}
	rules, err := s.Directory.Rules(ctx, *c.Person)
	if err != nil {
		return Checklist{}, err
	}
	others, err := s.others(ctx, c, *c.Person)
	if err != nil {
		return Checklist{}, err
	}
	for _, o := range others.list {
		if o.Left != "" {
			continue
		}
		if theirs, err := s.Directory.Rules(ctx, *o.one.Person); err == nil {
			rules = rules.With(theirs)
		}
	}
	return Checklist{Rules: rules, Items: s.Judge.Checklist(rules, *c.Person), Who: *c.Person, Also: others.named()}, nil
}

// Finish sets the new password: judge it, read the account again, write down
// the intent, write to the directory, write down the outcome. At most one
// write ever happens; after a crash Settle finds out what became of it.
func (s *Service) Finish(ctx context.Context, id string, pw directory.Secret, hold []byte) (*Case, error) {
	return s.finish(ctx, id, pw, hold, false)
}

func (s *Service) finish(ctx context.Context, id string, pw directory.Secret, hold []byte, all bool) (*Case, error) {
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Next(s.Now()) != StepNewPassword {
		return c, ErrConflict
	}
	rules, err := s.Directory.Rules(ctx, *c.Person)
	if err != nil {
		return c, err
	}
	var old directory.Secret
	if c.Purpose == policy.Change {
		if old, err = s.unseal(c, hold); err != nil {
			return s.close(ctx, c, ReasonChanged, err.Error())
		}
		if old == pw {
			return c, &Weak{Problems: []password.Problem{{Key: "same_as_old"}}}
		}
	}
	if problems := s.Judge.Judge(pw, rules, *c.Person); len(problems) > 0 {
		return c, &Weak{Problems: problems}
	}
	now, err := s.recheck(ctx, c)
	if err != nil {
		return c, err
	}
	if now == nil {
		return s.Load(ctx, id)
	}
	var with others
	if all {
		if len(c.Also) > 0 { // the directory refused an earlier password
			c, with, err = s.lookAgain(ctx, c, *now)
		} else {
			with, err = s.others(ctx, c, *now)
		}
		if err == nil {
			err = s.judgeAll(ctx, pw, with)
		}
		if err != nil {
			return c, err
		}
	}
	s.reach("before-intent")
	if c, err = s.intend(ctx, c, *now, with); err != nil || c.Outcome.Status != InFlight {
		return c, err
	}
	s.reach("after-intent")
	return s.write(ctx, c, rules, *now, old, pw)
}

// recheck reads the account again and closes the case when it is no longer the
// account the proofs were about (security cases 26, 46, 65, 99). nil without
// an error: the case is closed now.
func (s *Service) recheck(ctx context.Context, c *Case) (*directory.User, error) {
	if c.Purpose == policy.Change && s.Now().Sub(c.Created) < stale {
		return c.Person, nil
	}
	u, reason, err := s.again(ctx, c)
	if err != nil {
		return nil, err
	}
	if reason != "" {
		_, err := s.close(ctx, c, reason, "")
		return nil, err
	}
	u.Groups = nil
	return &u, nil
}

// again reads the account and says why nothing may be written to it any more;
// empty when all the proofs rested on still stands.
func (s *Service) again(ctx context.Context, c *Case) (u directory.User, why Reason, err error) {
	u, err = s.Directory.Read(ctx, *c.Person)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return u, ReasonChanged, nil
	case err != nil:
		return u, "", err
	case s.Policy.Eligible(u) != "":
		return u, ReasonNotEligible, nil
	}
	if frozen, err := s.stopped(ctx, c, u.ID); err != nil {
		return u, "", err
	} else if frozen && c.Purpose != policy.Assist { // which writes nothing, and is how that ends
		return u, ReasonFrozen, nil
	}
	fell, err := s.fell(ctx, c, *c.Person, u)
	if fell {
		why = ReasonChanged
	}
	return u, why, err
}

// fell reports whether something the proofs of c rested on is gone: the account
// is another than before, or its owner has taken away what was used (security
// case 36), perhaps because somebody else has it.
func (s *Service) fell(ctx context.Context, c *Case, before, now directory.User) (bool, error) {
	if moved(before, now) {
		return true, nil
	}
	for _, p := range c.Proofs {
		if v, can := s.factors[p.Kind].(verify.Voucher); can {
			sub := s.subject(c)
			sub.User = &now
			if err := v.Stands(ctx, sub, p.Evidence); errors.As(err, new(*verify.Unfit)) {
				return true, nil
			} else if err != nil {
				return true, err
			}
		}
		if p.Evidence.Credential == "" {
			continue
		}
		owner := before.ID
		if c.Owner != "" {
			owner = c.Owner
		}
		have, err := s.Vault.Credentials(ctx, owner, p.Kind)
		if err != nil {
			return true, unavailable(err)
		}
		// A recovery code is gone with its use; it is its set that may have been replaced.
		held := func(have verify.Credential) bool { return have.ID == p.Evidence.Credential }
		newer := func(have verify.Credential) bool { return have.Created.After(p.Evidence.Since) }
		if p.Kind == verify.RecoveryCode && slices.ContainsFunc(have, newer) || p.Kind != verify.RecoveryCode && !slices.ContainsFunc(have, held) {
			return true, nil
		}
	}
	return false, nil
}

// moved reports whether what a proof rested on is different now: the password,
// the addresses codes go to, the manager, or where the account is filed.
func moved(before, now directory.User) bool {
	return !before.State.PasswordSet.Equal(now.State.PasswordSet) || before.ID != now.ID || before.DN != now.DN ||
		before.Manager != now.Manager || !slices.Equal(before.Mail, now.Mail) || !slices.Equal(before.Phone, now.Phone)
}

func (s *Service) close(ctx context.Context, c *Case, why Reason, detail string) (*Case, error) {
	now := s.Now()
	return s.Store.Update(ctx, c.ID, func(_ context.Context, c *Case) (Effects, error) {
		if !c.Live(now) || c.Outcome.Status == InFlight {
			return Effects{}, ErrConflict
		}
		c.end(why)
		return Effects{Events: events(s.event(c, "case.closed", refused, withReason(string(why)), withDetail("cause", detail)))}, nil
	})
}

// intend is the first transaction: from here on the case cannot write again.
func (s *Service) intend(ctx context.Context, c *Case, u directory.User, with others) (*Case, error) {
	at := s.Now()
	return s.Store.Update(ctx, c.ID, func(ctx context.Context, c *Case) (Effects, error) {
		if c.Next(at) != StepNewPassword {
			return Effects{}, ErrConflict
		}
		var e Effects
		if held, err := s.tightened(ctx, c, &e); held || err != nil {
			return e, err
		}
		if often, err := s.tooOften(ctx, c, at); err != nil {
			return Effects{}, err
		} else if often {
			told, err := s.oftenNotice(ctx, c)
			c.end(ReasonTooOften)
			return Effects{Messages: told, Events: events(s.event(c, "case.closed", refused, withReason(string(ReasonTooOften))))}, err
		}
		// In the transaction of the intent: "this wasn't me" comes before it or after.
		if frozen, err := s.stopped(ctx, c, u.ID); err != nil {
			return Effects{}, err
		} else if frozen {
			c.end(ReasonFrozen)
			return Effects{Events: events(s.event(c, "case.closed", refused, withReason(string(ReasonFrozen))))}, nil
		}
		var joined []audit.Event
		if len(c.Also) == 0 {
			if err := s.enlist(ctx, c, with); err != nil {
				return Effects{}, err
			}
			joined = with.events
		}
		c.Person = &u
		c.Outcome = Outcome{Status: InFlight, Intent: at, Before: u.State.PasswordSet, Saves: c.Outcome.Saves, Receipt: s.receipt()}
		s.reach("in-intent")
		return Effects{Events: append(joined, s.event(c, "password.intent", intent, withDetail("server", u.Server)))}, nil
	})
}

// write does the one directory write and records what came of it.
func (s *Service) write(ctx context.Context, c *Case, rules directory.Rules, u directory.User, old, pw directory.Secret) (*Case, error) {
	// The browser going away must not tear the write from its outcome.
	ctx, cancel := context.WithTimeout(directory.Calm(context.WithoutCancel(ctx)), writeTimeout)
	defer cancel()
	var err error
	if c.Purpose == policy.Change {
		if ch, can := s.Directory.(directory.Changer); can {
			err = ch.ChangePassword(ctx, u, old, pw)
		} else {
			err = directory.ErrUnsupported
		}
	} else {
		err = s.Directory.SetPassword(ctx, u, pw)
	}
	s.reach("after-write")
	var no *directory.Refusal
	switch {
	case err == nil:
		o := Outcome{Status: Applied, ChangeAgain: c.Purpose == policy.Reset && rules.ResetForcesChange}
		if u.State.Locked {
			o.Unlocked, o.StillLocked = s.endLock(ctx, c, rules, u)
		}
		o.SessionsEnded, o.SessionsLeft = s.endSessions(ctx, c, u)
		return s.conclude(ctx, c, o, nil)
	case errors.As(err, &no):
		return s.conclude(ctx, c, Outcome{Status: Pending, Reason: Reason(no.Rule)}, err)
	case errors.Is(err, directory.ErrWrongPassword):
		return s.conclude(ctx, c, Outcome{Status: Declined, Reason: ReasonChanged}, nil)
	case errors.Is(err, directory.ErrDenied):
		return s.conclude(ctx, c, Outcome{Status: Declined, Reason: ReasonDenied}, nil)
	case errors.Is(err, directory.ErrUnsupported):
		return s.conclude(ctx, c, Outcome{Status: Declined, Reason: ReasonUnsupported}, nil)
	case errors.Is(err, directory.ErrUnavailable) && !errors.Is(err, directory.ErrUncertain):
		// Nothing was sent: the proofs stand, and the person may try again.
		return s.conclude(ctx, c, Outcome{Status: Pending, Reason: "directory_unavailable"}, err)
	}
	s.Log.WarnContext(ctx, "directory write without an answer", "case", c.ID, "cause", err.Error())
	return s.Settle(ctx, c.ID)
}

// endLock ends the lock of an account whose password was just reset, where the
// directory does not do so by itself (Samba and AD do not; tried).
func (s *Service) endLock(ctx context.Context, c *Case, rules directory.Rules, u directory.User) (unlocked, still bool) {
	if rules.ResetUnlocks && c.Purpose == policy.Reset {
		return true, false
	}
	un, can := s.Directory.(directory.Unlocker)
	if !can {
		return false, true
	}
	if err := un.Unlock(ctx, u); err != nil {
		s.Log.WarnContext(ctx, "the lock could not be ended after a reset", "case", c.ID, "cause", err.Error())
		return false, true
	}
	return true, false
}

// endSessions ends what the directory itself let in with the old password: whoever
// made the reset necessary may be signed in still.
func (s *Service) endSessions(ctx context.Context, c *Case, u directory.User) (ended, left bool) {
	r, can := s.Directory.(directory.Revoker)
	if !can {
		return false, false
	}
	switch err := r.RevokeSessions(ctx, u); {
	case err == nil:
		return true, false
	case errors.Is(err, directory.ErrUnsupported):
		return false, false
	default:
		s.Log.WarnContext(ctx, "the directory's sessions could not be ended after a reset", "case", c.ID, "cause", err.Error())
		return false, true
	}
}

// conclude is the second transaction. again is returned beside the case when
// the person may try another password.
func (s *Service) conclude(ctx context.Context, c *Case, o Outcome, again error) (*Case, error) {
	at := s.Now()
	done, err := s.Store.Update(ctx, c.ID, func(ctx context.Context, c *Case) (Effects, error) {
		if c.Outcome.Status != InFlight {
			return Effects{}, ErrConflict
		}
		was := c.Outcome
		c.Outcome = o
		c.Outcome.Intent, c.Outcome.Before, c.Outcome.Receipt, c.Outcome.At = was.Intent, was.Before, was.Receipt, at
		switch o.Status {
		case Pending:
			c.Outcome.Saves = was.Saves
			if o.Reason != "directory_unavailable" {
				c.Outcome.Saves++
			}
			e := Effects{Events: events(s.event(c, "password.refused", refused, withReason(string(o.Reason))))}
			c.Outcome.Reason, c.Outcome.At = "", c.Outcome.Intent
			if c.Outcome.Saves >= maxSaves {
				c.end(ReasonRefusedSaves)
				e.Events = append(e.Events, s.event(c, "case.closed", refused, withReason(string(ReasonRefusedSaves))))
			}
			return e, nil
		case Applied:
			c.Held = nil
			s.reach("in-outcome")
			return s.applied(c), errors.Join(s.forgive(ctx, c), s.countDone(ctx, c, at))
		}
		c.Held = nil
		return Effects{Events: events(s.event(c, verb(c.Purpose), outcomeOf(o.Status), withReason(string(o.Reason))))}, nil
	})
	if err != nil {
		return c, err
	}
	s.reach("after-outcome")
	if s.Observe != nil && o.Status != Pending {
		s.Observe(done.Purpose, string(o.Status), at.Sub(done.Created))
	}
	return done, again
}

// unlock ends the lock and nothing else.
func (s *Service) unlock(ctx context.Context, c *Case) (*Case, error) {
	ctx, cancel := context.WithTimeout(directory.Calm(context.WithoutCancel(ctx)), writeTimeout)
	defer cancel()
	s.reach("after-intent")
	un, can := s.Directory.(directory.Unlocker)
	if !can {
		return s.conclude(ctx, c, Outcome{Status: Declined, Reason: ReasonUnsupported}, nil)
	}
	u, why, err := s.again(ctx, c)
	if err == nil && why != "" {
		return s.conclude(ctx, c, Outcome{Status: Declined, Reason: why}, nil)
	}
	if err == nil {
		err = un.Unlock(ctx, u)
	}
	s.reach("after-write")
	switch {
	case err == nil:
		return s.conclude(ctx, c, Outcome{Status: Applied, Unlocked: u.State.Locked}, nil)
	case errors.Is(err, directory.ErrDenied):
		return s.conclude(ctx, c, Outcome{Status: Declined, Reason: ReasonDenied}, nil)
	case errors.Is(err, directory.ErrUnsupported):
		return s.conclude(ctx, c, Outcome{Status: Declined, Reason: ReasonUnsupported}, nil)
	case errors.Is(err, directory.ErrUncertain):
		return s.Settle(ctx, c.ID)
	}
	return s.conclude(ctx, c, Outcome{Status: Declined, Reason: ReasonNotApplied}, nil)
}
