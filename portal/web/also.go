package web

import (
	"postern/portal/flow"
	"postern/portal/web/view"
)

// asksPassword reports whether the page of a case has a form for a new password: before
// the first is set, and while the person's other accounts may wait for theirs.
func (s *Site) asksPassword(c *flow.Case) bool {
	return c.Next(s.Now()) == flow.StepNewPassword || c.Settled() && len(c.Also) > 0
}

// also is what came of the person's other accounts.
func (s *Site) also(v *visit, c *flow.Case, d door) (p view.Also, err error) {
	if len(c.Also) == 0 {
		return p, nil
	}
	list, err := s.Flow.Others(v.ctx(), c)
	for _, o := range list {
		p.Accounts = append(p.Accounts, view.Account{Login: o.Login, Directory: o.Directory, State: stateOf(o)})
		if o.Waits() {
			p.Again = d.path + "/password"
		}
	}
	return p, err
}

func stateOf(o flow.Other) string {
	switch {
	case o.Left == flow.ReasonProofs, o.Left == flow.ReasonUnreached && o.Waits():
		return string(o.Left)
	case o.Step == flow.StepDone, o.Step == flow.StepApplying:
		return string(o.Step)
	case o.Waits():
		return "waits"
	case o.Why == flow.ReasonUnknown:
		return string(o.Why)
	}
	return "over"
}
