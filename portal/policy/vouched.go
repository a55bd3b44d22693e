package policy

import (
	"slices"

	"postern/verify"
)

// Vouch is the plan with an approval needed on top: what the threat level makes of
// every reset and unlock. What the plan asks for it goes on asking for; an approval
// counts as one of its gates only where it did before.
func (p Plan) Vouch() Plan {
	p = p.clone()
	p.Vouched = true
	return p
}

// Vouches reports whether the threat level adds an approval to cases of a purpose.
// Nobody may be let in to somebody's account by another one, and who changes a
// password knows it: those go on as ever. An assisted case is portal/desk's to hold.
func Vouches(purpose Purpose) bool { return purpose == Reset || purpose == Unlock }

func (p Plan) unvouched() Plan {
	p.Vouched = false
	return p
}

// Kinds are what the plan can ask for, in the order of the page.
func (p Plan) Kinds() []verify.Kind {
	if p.Vouched && !slices.Contains(p.Allowed, verify.Approval) {
		return append(slices.Clone(p.Allowed), verify.Approval)
	}
	return p.Allowed
}

// OnlyApproval reports whether the approval on top is all that is missing.
func (p Plan) OnlyApproval(proofs []Given) bool {
	return p.Vouched && !p.Satisfied(proofs) && p.unvouched().Satisfied(proofs)
}

// offerVouched is Offer of a plan with an approval on top. Nobody is asked before the
// rest stands: a manager who is asked about everybody looks at nobody.
func (p Plan) offerVouched(k verify.Kind, proofs []verify.Kind) string {
	own, gate := p.unvouched(), slices.Contains(p.Allowed, verify.Approval)
	if !gate {
		given := slices.Contains(proofs, verify.Approval)
		proofs = slices.DeleteFunc(slices.Clone(proofs), func(k verify.Kind) bool { return k == verify.Approval })
		switch {
		case k != verify.Approval:
		case given:
			return "same_class"
		case !own.Enough(proofs):
			return "needs_other_first"
		default:
			return ""
		}
	}
	if k == verify.Approval && !slices.Contains(proofs, k) && own.Enough(proofs) {
		return ""
	}
	return own.Offer(k, proofs)
}
