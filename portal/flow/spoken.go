package flow

import (
	"context"
	"slices"

	"postern/portal/access"
	"postern/portal/policy"
	"postern/verify"
)

// Heard reports whether a code that was read to the technician is enough for what
// the case is for: to unlock, or to shut an account. What lets somebody in, a
// password or a factor, is never had by it.
func (c *Case) Heard() bool {
	return !c.Plan.Vouched && (c.Purpose == policy.Unlock || c.Purpose == policy.Assist) && c.Plan.Heard(c.given())
}

// Hearable are the kinds whose code the technician may type in c now: what the
// policy says, while nobody has opened the case in a browser of their own. Whoever
// has types it there.
func (c *Case) Hearable() []verify.Kind {
	if c.Door != access.Desk || c.OnHold() || c.Plan.Vouched || !c.Claimed.IsZero() || c.Purpose != policy.Unlock && c.Purpose != policy.Assist {
		return nil
	}
	return c.Plan.Spoken
}

// Spoken takes a code that the person on the telephone reads to the technician who
// began the case. It is counted and looked at as every other answer is, and proves
// less: see policy.Plan.Heard. ErrNotOffered where the policy does not allow it.
func (s *Service) Spoken(ctx context.Context, id string, by access.Principal, k verify.Kind, answer []byte, address string) (*Case, error) {
	if _, err := s.voter(ctx, by); err != nil {
		return nil, err
	}
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Door != access.Desk || c.By.ID != by.ID {
		return nil, ErrNoRequest
	}
	if !slices.Contains(c.Hearable(), k) || s.factors[k] == nil {
		return c, ErrNotOffered
	}
	if _, why, err := s.again(ctx, c); err != nil {
		return c, err
	} else if why != "" {
		return s.close(ctx, c, why, "found when a code was read out")
	}
	ch, err := s.factors[k].Begin(ctx, s.subject(c))
	if err != nil {
		return c, unavailable(err)
	}
	turn := c.Turn
	c, err = s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		if step := c.Next(s.Now()); c.Turn != turn || step != StepChoose && step != StepAnswer || len(c.Hearable()) == 0 {
			return Effects{}, ErrConflict
		}
		c.Open = &ch
		c.Turn++
		return Effects{Events: events(s.event(c, "factor.chosen", ok, withFactor(k), withDetail("spoken", "yes"), byTechnician(c, address)))}, nil
	})
	if err != nil {
		return c, err
	}
	return s.prove(ctx, id, answer, nil, &hearing{turn: c.Turn, address: address})
}

// hearing is an answer that a technician types.
type hearing struct {
	turn    int64 // in which alone it counts
	address string
}
