package flow

import (
	"context"
	"errors"
	"time"

	"postern/directory"
	"postern/portal/policy"
)

const (
	// settleAfter is how long after the intent a write can still be on its way
	// by itself: the write's own deadline and some.
	settleAfter = 2 * writeTimeout
	// giveUpAfter is when a write that left no trace is called not done.
	giveUpAfter = time.Minute
	// lostAfter is when an account that cannot be read is given up on.
	lostAfter = 2 * time.Minute
)

// Settle finds out what became of a write without an answer, by reading the
// account. It never writes a password: the portal no longer has it, and a
// retry of a reset that did succeed would be refused by history. While the
// account does not tell yet the case stays at applying.
func (s *Service) Settle(ctx context.Context, id string) (*Case, error) {
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Outcome.Status != InFlight {
		return c, nil
	}
	age := s.Now().Sub(c.Outcome.Intent)
	u, err := s.Directory.Read(ctx, *c.Person)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return s.conclude(ctx, c, Outcome{Status: Lost, Reason: ReasonUnknown}, nil)
	case err != nil && age >= lostAfter:
		return s.conclude(ctx, c, Outcome{Status: Lost, Reason: ReasonUnknown}, nil)
	case err != nil:
		s.Log.WarnContext(ctx, "cannot read the account back yet", "case", c.ID, "cause", err.Error())
		return c, nil
	case happened(c, u):
		return s.conclude(ctx, c, Outcome{Status: Applied, Unconfirmed: true, Unlocked: c.Person.State.Locked && !u.State.Locked, StillLocked: u.State.Locked}, nil)
	case age < giveUpAfter:
		return c, nil // it may still arrive
	case c.Purpose != policy.Unlock && c.Outcome.Before.IsZero() && u.State.PasswordSet.IsZero():
		// "Must change" before and after: a reset may leave that very mark.
		return s.conclude(ctx, c, Outcome{Status: Lost, Reason: ReasonUnknown}, nil)
	}
	return s.conclude(ctx, c, Outcome{Status: Declined, Reason: ReasonNotApplied}, nil)
}

// happened reads the account's own mark: when the password was set, or the lock.
func happened(c *Case, u directory.User) bool {
	if c.Purpose == policy.Unlock {
		return !u.State.Locked
	}
	return !u.State.PasswordSet.Equal(c.Outcome.Before)
}

// Reconcile settles every case whose write has had no outcome for longer than
// a write can take: after a crash, or when the directory went away.
func (s *Service) Reconcile(ctx context.Context) error {
	ids, err := s.Store.Unsettled(ctx, s.Now().Add(-settleAfter))
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if _, err := s.Settle(ctx, id); err != nil && !errors.Is(err, ErrConflict) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
