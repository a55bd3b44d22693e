// Package policy turns door, group and purpose into a Plan: which proofs are
// enough. A Plan is written into the case when it starts, so that nothing a
// browser sends can change it.
package policy

import (
	"slices"
	"time"

	"postern/verify"
)

// Purpose is what a case is for.
type Purpose string

const (
	Reset  Purpose = "reset"
	Unlock Purpose = "unlock"
	Change Purpose = "change"
	SignIn Purpose = "signin"
	StepUp Purpose = "stepup" // a fresh proof by somebody signed in
	Assist Purpose = "assist" // so that a technician may act on the account
)

// Plan says which proofs are enough for one case.
type Plan struct {
	Name    string        // which rule of the file gave it, for the audit log
	Allowed []verify.Kind // in the order the page offers them
	First   verify.Kind   // must be the first proof (the password, to sign in or change); empty: any
	Alone   []verify.Kind // one of these is enough by itself
	Gates   int           // otherwise: proofs of so many different classes
	// Anchor: at least one proof must be of one of these classes; empty: none
	// needed. An approval (contact) never stands without another class.
	Anchor []verify.Class
	Life   time.Duration // of the whole case
	Tries  int           // wrong answers before the case ends
	// Person limits that go with the purpose, e.g. unlocks a day.
	PerDay int
	// CoolingOff is for how long after a factor was added, or the address it goes to
	// was changed, it cannot be the only proof: whoever has just got into an account
	// must not be able to take it over with what they added there.
	CoolingOff time.Duration
	// Match: without a number that a technician typed nothing is enough. It is so of
	// every case a technician began: else whoever calls could name a person who just
	// proves themselves somewhere else.
	Match bool
	// Vouched: an approval is needed besides all this, also where the plan has none.
	// Such a plan is never satisfied by what the same plan without it is not.
	Vouched bool `json:",omitempty"`
	// Ask says whom an approval may be asked of.
	Ask verify.Ask
	// Spoken are kinds whose code the person may read to a technician, who types it.
	// It proves less: whoever calls may have it from somebody else on another line.
	Spoken []verify.Kind
}

// Given is a proof that was given. Cooling: with something that is new.
type Given struct {
	Kind    verify.Kind
	Cooling bool
	Spoken  bool // typed by a technician; see Heard
}

// Enough is Satisfied by proofs of these kinds, none of them new.
func (p Plan) Enough(proofs []verify.Kind) bool {
	given := make([]Given, len(proofs))
	for i, k := range proofs {
		given[i].Kind = k
	}
	return p.Satisfied(given)
}

// Satisfied reports whether these proofs, in the order they were given, are
// enough. One class opens one gate, however often it is proved (NIST SP 800-63B-4
// section 4.2.2.2). A new one is never enough by itself, and at least one of
// several must not be new.
func (p Plan) Satisfied(proofs []Given) bool {
	if p.Vouched {
		approved := slices.ContainsFunc(proofs, func(g Given) bool { return g.Kind == verify.Approval })
		return approved && p.unvouched().Satisfied(proofs)
	}
	anchored, settled := len(p.Anchor) == 0, false
	var classes []verify.Class
	for _, g := range proofs {
		k, c := g.Kind, g.Kind.Class()
		if c == "" || g.Spoken || !slices.Contains(p.Allowed, k) {
			continue
		}
		if p.alone(k) && !g.Cooling && !p.Match {
			return true
		}
		// A matched number is never new, and says nothing of whose the other proof is.
		settled = settled || !g.Cooling && c != verify.Match
		if !slices.Contains(classes, c) {
			classes = append(classes, c)
		}
		anchored = anchored || slices.Contains(p.Anchor, c)
	}
	if p.First != "" && (len(proofs) == 0 || proofs[0].Kind != p.First || proofs[0].Spoken) {
		return false
	}
	if len(classes) == 1 && (classes[0] == verify.Contact || classes[0] == verify.Match) {
		return false
	}
	if p.Match && !slices.Contains(classes, verify.Match) {
		return false
	}
	return p.Gates > 0 && len(classes) >= p.Gates && anchored && settled
}

// Heard reports whether a code that was read to a technician is among the proofs,
// which is enough to unlock an account or to shut it, and for nothing that lets
// anybody in: a reset or a factor always take what Satisfied asks for.
func (p Plan) Heard(proofs []Given) bool {
	return slices.ContainsFunc(proofs, func(g Given) bool { return g.Spoken && !g.Cooling && slices.Contains(p.Spoken, g.Kind) })
}

// alone: an approval or a matched number never is, whatever a plan says.
func (p Plan) alone(k verify.Kind) bool {
	return slices.Contains(p.Alone, k) && k.Class() != verify.Contact && k.Class() != verify.Match
}

// Offer says whether kind may be proved next, given what is proved already, and
// the reason code when not: "", "not_allowed", "same_class", "needs_other_first",
// "needs_stronger", "needs_number".
func (p Plan) Offer(k verify.Kind, proofs []verify.Kind) string {
	if p.Vouched {
		return p.offerVouched(k, proofs)
	}
	if k.Class() == "" || !slices.Contains(p.Allowed, k) {
		return "not_allowed"
	}
	if slices.Contains(proofs, k) {
		return "same_class"
	}
	// A passkey is enough even after a proof of its own class.
	if p.alone(k) && !p.Match {
		return ""
	}
	var classes []verify.Class
	for _, have := range proofs {
		if c := have.Class(); c == k.Class() {
			return "same_class"
		} else if !slices.Contains(classes, c) {
			classes = append(classes, c)
		}
	}
	if len(proofs) == 0 && (k.Class() == verify.Contact || p.First != "" && k != p.First) {
		return "needs_other_first"
	}
	// The gates that are left after it must still be able to bring the anchor, and
	// the number.
	anchor := func(c verify.Class) bool { return slices.Contains(p.Anchor, c) }
	left := p.Gates - len(classes) - 1
	if p.Match && k.Class() != verify.Match && !slices.Contains(classes, verify.Match) {
		if left--; left < 0 {
			return "needs_number"
		}
	}
	if left == 0 && len(p.Anchor) > 0 && !anchor(k.Class()) && !slices.ContainsFunc(classes, anchor) {
		return "needs_stronger"
	}
	return ""
}

// Reachable reports whether somebody who can prove these kinds, and no others,
// can satisfy the plan by taking only what Offer allows.
func (p Plan) Reachable(have []verify.Kind) bool { return p.reachable(have, nil) }

func (p Plan) reachable(have, proofs []verify.Kind) bool {
	if p.Enough(proofs) {
		return true
	}
	for _, k := range have {
		if p.Offer(k, proofs) == "" && p.reachable(have, append(slices.Clip(proofs), k)) {
			return true
		}
	}
	return false
}
