package flow

import (
	"context"
	"errors"

	"postern/portal/policy"
	"postern/verify"
)

// tighten adds the approval that a raised threat level asks for to the plan of c,
// person or decoy alike. A plan that has it keeps it: lowering the level is for
// cases to come.
func (s *Service) tighten(ctx context.Context, c *Case) error {
	if !policy.Vouches(c.Purpose) || c.Plan.Vouched {
		return nil
	}
	t, err := s.Threats.Threat(ctx)
	if err != nil {
		return unavailable(err)
	}
	if t.Raised(s.Now()) {
		c.Plan = c.Plan.Vouch()
	}
	return nil
}

// tightened is tighten at the moment of the act, in the transaction of its intent: the
// level was raised before it or after. A case that was proven, and is not any more,
// goes back to the choice with all its proofs, and needs the approval besides.
func (s *Service) tightened(ctx context.Context, c *Case, e *Effects) (bool, error) {
	if err := s.tighten(ctx, c); err != nil || c.Proven() {
		return false, err
	}
	c.Turn++
	e.Events = append(e.Events, s.event(c, "case.tightened", refused, withReason("threat")))
	return true, nil
}

// nobodyToAsk reports whether a case needs an approval that nobody can give.
func (s *Service) nobodyToAsk(ctx context.Context, c *Case) (bool, error) {
	if !c.Plan.Vouched {
		return false, nil
	}
	f := s.factors[verify.Approval]
	if f == nil {
		return true, nil
	}
	// Nothing is sent by it.
	_, err := f.Begin(ctx, s.subject(c))
	if errors.Is(err, verify.ErrNobody) {
		return true, nil
	}
	return false, unavailable(err)
}
