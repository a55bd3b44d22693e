package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/limit"
	"postern/portal/policy"
	"postern/verify"
)

// Prove checks an answer to the open challenge. hold is the browser's own key,
// needed when the answer is the current password that a change uses later.
//
// The counters rise in one transaction, the answer is checked after it (it may
// ask the directory, which must never happen under the row lock), and what
// came of it is recorded in a second, which only counts in the same turn. So
// of any number of answers at once no more are looked at than the limits
// allow, and a crash in between costs a try, never gives one (security case 9).
func (s *Service) Prove(ctx context.Context, id string, answer, hold []byte) (*Case, error) {
	return s.prove(ctx, id, answer, hold, nil)
}

func (s *Service) prove(ctx context.Context, id string, answer, hold []byte, heard *hearing) (*Case, error) {
	a, err := s.takeAnswer(ctx, id, heard)
	if err != nil {
		if errors.As(err, new(*Limited)) {
			s.tellLimited(ctx, a.c)
		}
		return a.c, err
	}
	ch := *a.c.Open
	sub, found, err := s.discover(ctx, a.c, ch, answer)
	if a.over {
		// A stranger's answer is looked at in its place, at the same cost.
		sub = verify.Subject{ID: s.decoyID("over:" + string(a.c.Key)), Case: a.c.ID, Purpose: string(a.c.Purpose), Lang: a.c.Lang}
	}
	var ev verify.Evidence
	if err == nil {
		ev, err = s.factors[ch.Kind].Check(ctx, sub, ch, answer)
	}
	if a.over && (err == nil || wrongCode(ch.Kind, err) != "") {
		err = errOver
	}
	if err == nil {
		err = s.recheckSignIn(ctx, a.c, sub)
	}
	if err != nil {
		return s.wrong(ctx, a, ch.Kind, err)
	}
	return s.right(ctx, a, ch.Kind, ev, found, answer, hold)
}

// attempt is one answer that was counted and not looked at yet.
type attempt struct {
	c *Case // with the challenge, though the row may have it no longer
	// over: the account's own counter is used up, so the answer must not be looked
	// at, and nobody may see that it was not.
	over  bool
	heard *hearing // nil: the person typed it themselves
}

// by makes an event one of whoever typed the answer.
func (a attempt) by(c *Case) func(*audit.Event) {
	if a.heard == nil {
		return func(*audit.Event) {}
	}
	return func(e *audit.Event) {
		byTechnician(c, a.heard.address)(e)
		withDetail("spoken", "yes")(e)
	}
}

// errOver is an answer nobody looked at. To the person it is a wrong one.
var errOver = fmt.Errorf("flow: over the account's own limit: %w", verify.ErrWrong)

// takeAnswer raises every counter. The row of an unguessable factor loses its
// challenge: WebAuthn's is answered once, right or wrong (security case 76).
func (s *Service) takeAnswer(ctx context.Context, id string, heard *hearing) (a attempt, err error) {
	a.heard = heard
	before, err := s.Store.Case(ctx, id)
	if err != nil {
		return a, err
	}
	if heard != nil && heard.turn != before.Turn {
		return attempt{c: before}, ErrConflict
	}
	if before.Open == nil || before.Next(s.Now()) != StepAnswer {
		return attempt{c: before}, ErrConflict
	}
	kind := before.Open.Kind
	who := string(s.shown(before))
	if who == "" || !kind.Guessable() {
		// Nobody is known yet: never one bucket for all. And what cannot be guessed
		// needs no limit by account, which strangers could use up to keep the owner
		// out of the one way they cannot attack (security case 14).
		who = "case:" + before.ID
	}
	if err := s.take(ctx, limit.Answer, who+"\x00"+string(kind)); err != nil {
		return attempt{c: before}, err
	}
	everybodys, own, err := s.strikeRules(ctx, before, kind)
	if err != nil {
		return attempt{c: before}, err
	}
	var open verify.Challenge
	var spent bool
	now := s.Now()
	c, err := s.Store.Update(ctx, id, func(ctx context.Context, c *Case) (Effects, error) {
		if c.Next(now) != StepAnswer || c.Turn != before.Turn {
			return Effects{}, ErrConflict
		}
		if spent = c.Misses >= c.Plan.Tries; spent {
			c.end(ReasonTries)
			return Effects{Events: events(s.event(c, "case.closed", refused, withReason(string(ReasonTries))))}, nil
		}
		if kind.Guessable() {
			var err error
			if a.over, err = s.strike(ctx, c, kind, everybodys, own, now); err != nil {
				return Effects{}, err
			}
		}
		c.Misses++
		open = *c.Open
		if !kind.Guessable() {
			c.Open = nil
		}
		return Effects{}, nil
	})
	if err != nil {
		return attempt{c: before}, err
	}
	if spent {
		return attempt{c: c}, ErrConflict
	}
	a.c = c
	a.c.Open = &open
	return a, nil
}

// discover finds out who answers a passkey challenge that was opened for
// nobody in particular. found is nil when the case has its subject already.
func (s *Service) discover(ctx context.Context, c *Case, ch verify.Challenge, answer []byte) (verify.Subject, *directory.User, error) {
	if c.Key != "" {
		return s.subject(c), nil, nil
	}
	d, can := s.factors[ch.Kind].(verify.Discoverer)
	if !can {
		return verify.Subject{}, nil, ErrNotOffered
	}
	id, err := d.Discover(ctx, ch, answer)
	if err != nil {
		return verify.Subject{}, nil, err
	}
	u, err := s.Directory.Read(ctx, directory.User{ID: id})
	if errors.Is(err, directory.ErrNotFound) || err == nil && s.Policy.Eligible(u) != "" {
		return verify.Subject{}, nil, verify.ErrWrong
	}
	if err != nil {
		return verify.Subject{}, nil, err
	}
	// The case began under a plan for anybody: leaving the name away must not be
	// a way round a stricter one of this person's own.
	if !s.Policy.For(c.Door, c.Purpose, u).Enough([]verify.Kind{ch.Kind}) {
		return verify.Subject{}, nil, verify.ErrWrong
	}
	if frozen, err := s.frozen(ctx, u.ID); err != nil {
		return verify.Subject{}, nil, err
	} else if frozen {
		return verify.Subject{}, nil, verify.ErrWrong
	}
	u.Groups = nil
	sub := verify.Subject{ID: u.ID, User: &u, Case: c.ID, Purpose: string(c.Purpose), Lang: c.Lang}
	return sub, &u, nil
}

// recheckSignIn looks once more at the account, unless it was read just now,
// and at the proofs before the session they are to give: what they rested on
// may be gone since the case began.
func (s *Service) recheckSignIn(ctx context.Context, c *Case, sub verify.Subject) error {
	if c.Purpose != policy.SignIn && c.Purpose != policy.StepUp || sub.User == nil {
		return nil
	}
	now := *sub.User
	if s.Now().Sub(c.Created) >= stale {
		var err error
		if now, err = s.Directory.Read(ctx, *sub.User); errors.Is(err, directory.ErrNotFound) {
			return verify.ErrWrong
		} else if err != nil {
			return err
		}
		if s.Policy.Eligible(now) != "" {
			return verify.ErrWrong
		}
	}
	if frozen, err := s.frozen(ctx, sub.ID); err != nil {
		return err
	} else if frozen {
		return verify.ErrWrong
	}
	if fell, err := s.fell(ctx, c, *sub.User, now); err != nil {
		return err
	} else if fell {
		return verify.ErrWrong
	}
	return nil
}

// right records a proof, and what follows from it, in one transaction.
func (s *Service) right(ctx context.Context, a attempt, kind verify.Kind, ev verify.Evidence, found *directory.User, answer, hold []byte) (*Case, error) {
	now, taken := s.Now(), a.c
	c, err := s.Store.Update(ctx, taken.ID, func(ctx context.Context, c *Case) (Effects, error) {
		// A ghost still looks alive. Its answer may have been checked for the person
		// just before another case ended it (security case 38).
		if c.Turn != taken.Turn || !c.Live(now) || c.Proven() || c.Ghost() {
			return Effects{}, ErrConflict
		}
		if found != nil {
			c.Key, c.Person = found.ID, found
		}
		c.Misses = max(0, c.Misses-1)
		s.accept(c, kind, ev, now)
		if a.heard != nil {
			c.Proofs[len(c.Proofs)-1].Spoken = true
			if !c.Heard() || !c.Claimed.IsZero() {
				return Effects{}, ErrConflict // too new to be enough, or opened elsewhere meanwhile
			}
		}
		if kind.Guessable() {
			if err := s.unstrike(ctx, c, kind); err != nil {
				return Effects{}, err
			}
		}
		if kind == verify.Password && c.Purpose == policy.Change {
			held, err := s.seal(c, hold, answer)
			if err != nil {
				return Effects{}, err
			}
			c.Held = held
		}
		e := Effects{Events: events(s.event(c, "proof.ok", ok, withFactor(kind), withDetail("credential", ev.Credential), a.by(c)))}
		if kind == verify.Password {
			if err := s.invited(ctx, c, now, &e); err != nil {
				return Effects{}, err
			}
		}
		if c.Proven() {
			return e, s.settleProven(ctx, c, now, &e)
		}
		return e, nil
	})
	if err != nil {
		return taken, err
	}
	if c.Purpose == policy.Unlock && c.Outcome.Status == InFlight {
		return s.unlock(ctx, c)
	}
	return c, nil
}

// accept adds a proof, and notes until when it cannot be the only one.
func (s *Service) accept(c *Case, kind verify.Kind, ev verify.Evidence, now time.Time) {
	c.Turn++
	c.Open = nil
	c.Proofs = append(c.Proofs, Proof{Kind: kind, At: now, Evidence: ev, Settles: c.Contacts.settles(kind, ev, c.Plan, now)})
}

// settleProven does what the last proof itself decides. A reset or change
// waits for its password.
func (s *Service) settleProven(ctx context.Context, c *Case, now time.Time, e *Effects) error {
	switch c.Purpose {
	case policy.Assist:
		c.Outcome = Outcome{Status: Applied, At: now, Receipt: s.receipt()}
		e.Events = append(e.Events, s.event(c, "caller.verified", ok, withDetail("receipt", c.Outcome.Receipt)))
		e.Messages = append(e.Messages, s.verifiedNotice(c)...)
	case policy.SignIn, policy.StepUp:
		c.Outcome = Outcome{Status: Applied, At: now}
		e.Events = append(e.Events, s.event(c, "signin", ok))
		if slices.Contains(c.Kinds(), verify.RecoveryCode) {
			// A code on paper is for emergencies: its owner hears of every use
			// (security case 87). A recovery tells of itself.
			e.Messages = append(e.Messages, s.notice(c, "signin_new")...)
		}
	case policy.Unlock:
		if held, err := s.tightened(ctx, c, e); held || err != nil {
			return err
		}
		if often, err := s.tooOften(ctx, c, now); err != nil {
			return err
		} else if often {
			told, err := s.oftenNotice(ctx, c)
			if err != nil {
				return err
			}
			c.end(ReasonTooOften)
			e.Messages = append(e.Messages, told...)
			e.Events = append(e.Events, s.event(c, "case.closed", refused, withReason(string(ReasonTooOften))))
			return nil
		}
		if frozen, err := s.frozen(ctx, c.Key); err != nil {
			return err
		} else if frozen {
			c.end(ReasonFrozen)
			e.Events = append(e.Events, s.event(c, "case.closed", refused, withReason(string(ReasonFrozen))))
			return nil
		}
		c.Outcome = Outcome{Status: InFlight, Intent: now, Before: c.Person.State.PasswordSet, Receipt: s.receipt()}
		e.Events = append(e.Events, s.event(c, "unlock.intent", intent))
	}
	return nil
}

// wrong records an answer that did not open the gate. A fault of ours or of a
// server is not a wrong answer, but it keeps its strike: it fails closed.
func (s *Service) wrong(ctx context.Context, a attempt, kind verify.Kind, cause error) (*Case, error) {
	code := wrongCode(kind, cause)
	now, taken := s.Now(), a.c
	c, err := s.Store.Update(ctx, taken.ID, func(ctx context.Context, c *Case) (e Effects, err error) {
		if c.Turn != taken.Turn || !c.Live(now) {
			return Effects{}, ErrConflict
		}
		reason := auditReason(cause)
		if code == "" {
			// The person did nothing wrong: give the miss of this case back.
			c.Misses = max(0, c.Misses-1)
			return Effects{Events: events(s.event(c, "proof.error", failed, withFactor(kind), withReason(reason), a.by(c)))}, nil
		}
		e = Effects{Events: events(s.event(c, "proof.failed", failed, withFactor(kind), withReason(reason), a.by(c)))}
		last := c.Misses >= c.Plan.Tries
		if last || errors.Is(cause, errOver) {
			if e.Messages, err = s.limitNotice(ctx, c, kind); err != nil {
				return e, err
			}
		}
		if last {
			c.end(ReasonTries)
			e.Events = append(e.Events, s.event(c, "case.closed", refused, withReason(string(ReasonTries))))
		}
		return e, nil
	})
	if err != nil {
		return taken, err
	}
	if code == "" {
		return c, unavailable(cause)
	}
	// The answer is no already; what this finds out stops the next start.
	if err := s.Limits.Failed(ctx, c.origin(), string(s.shown(c))); err != nil {
		s.Log.WarnContext(ctx, "failures of an address", "address", c.Address, "cause", err.Error())
	}
	return c, &Wrong{Code: code, Left: c.TriesLeft()}
}

// Cancel ends a case that its owner no longer wants.
func (s *Service) Cancel(ctx context.Context, id string) error {
	now := s.Now()
	_, err := s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		if !c.Live(now) || c.Outcome.Status == InFlight {
			return Effects{}, ErrConflict
		}
		c.end(ReasonCancelled)
		return Effects{Events: events(s.event(c, "case.closed", ok, withReason(string(ReasonCancelled))))}, nil
	})
	return err
}
