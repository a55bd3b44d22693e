package policy

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/verify"
)

// Means is what somebody could prove with, as far as the portal can tell.
type Means struct {
	Enrolled []verify.Kind // what is bound or saved
	Mail     bool          // the directory has an address codes can go to
	Phone    bool          // …a number codes can go to
	Manager  bool          // …somebody to ask for an approval
	Ended    []verify.Kind // what too many wrong answers have ended, until it is bound anew
	// Cooling is what was added, or got another address, so short a time ago that it
	// cannot be the only proof yet.
	Cooling []verify.Kind
}

// Lack is why a proof of one kind cannot be given.
type Lack string

const (
	NotEnrolled Lack = "not_enrolled"
	NoMail      Lack = "no_mail"
	NoPhone     Lack = "no_phone"
	NoManager   Lack = "no_manager"
	Ended       Lack = "ended"
	Cooling     Lack = "cooling"
)

// lacks returns why k cannot be proved; empty: it can. Everybody is taken to
// know their password: nobody here can tell who has forgotten it.
func (m Means) lacks(k verify.Kind) Lack {
	have, why := slices.Contains(m.Enrolled, k), NotEnrolled
	switch k {
	case verify.Email:
		have, why = m.Mail, NoMail
	case verify.SMS:
		have, why = m.Phone, NoPhone
	case verify.Approval:
		have, why = m.Manager, NoManager
	case verify.Password, verify.Handover: // the technician is there when it is asked for
		have = true
	}
	switch {
	case !have:
		return why
	case slices.Contains(m.Ended, k):
		return Ended
	}
	return ""
}

// Strength is what an attacker must overcome.
type Strength string

const (
	PhishingResistant Strength = "phishing_resistant" // one proof at least cannot be phished
	TwoKinds          Strength = "two_kinds"          // two classes or more, each of which can be
	OneKind           Strength = "one_kind"           // one class, which can be
)

// rank is higher for what is stronger.
func (s Strength) rank() int {
	return slices.Index([]Strength{OneKind, TwoKinds, PhishingResistant}, s)
}

func strengthOf(proofs []verify.Kind) Strength {
	for _, k := range proofs {
		if k.PhishingResistant() {
			return PhishingResistant
		}
	}
	for _, k := range proofs {
		if k.Class() != proofs[0].Class() {
			return TwoKinds
		}
	}
	return OneKind
}

// Path is one minimal set of proofs that is enough: without any one of them the
// rest is not.
type Path struct {
	Proofs   []verify.Kind `json:"proofs"` // in an order in which they may be given
	Strength Strength      `json:"strength"`
	Missing  []Missing     `json:"missing"` // empty: the path is open
}

// Missing is a proof of a path that cannot be given.
type Missing struct {
	Kind verify.Kind `json:"kind"`
	Why  Lack        `json:"why"`
}

// Explanation is what a plan means for one person.
type Explanation struct {
	Plan  string `json:"plan"` // the rule that gave the plan
	Open  bool   `json:"open"` // at least one path is open
	Paths []Path `json:"paths"`
	// Weakest of the open paths: the one an attacker would take. Empty: none is open.
	Weakest Strength `json:"weakest,omitempty"`
}

// Explain returns every path of the plan: the open ones first, the strongest of
// them first, then those of which least is missing.
func Explain(p Plan, m Means) Explanation {
	p = p.cooled(m.Cooling)
	return explain(p, p.ways(), m)
}

// cooled is the plan of somebody who has what these kinds ask for since a short
// time only: none of them is enough alone, and each still is beside another.
func (p Plan) cooled(kinds []verify.Kind) Plan {
	if len(kinds) > 0 {
		p.Alone = slices.DeleteFunc(slices.Clone(p.Alone), func(k verify.Kind) bool { return slices.Contains(kinds, k) })
	}
	return p
}

func explain(p Plan, ways [][]verify.Kind, m Means) Explanation {
	e := Explanation{Plan: p.Name, Paths: make([]Path, 0, len(ways))}
	for _, way := range ways {
		path := Path{Proofs: slices.Clone(way), Strength: strengthOf(way), Missing: []Missing{}}
		for _, k := range way {
			if why := m.lacks(k); why != "" {
				path.Missing = append(path.Missing, Missing{k, why})
			}
		}
		if settled := func(k verify.Kind) bool { return !slices.Contains(m.Cooling, k) && slices.Contains(p.Allowed, k) }; len(path.Missing) == 0 && !slices.ContainsFunc(way, settled) {
			for _, k := range way {
				path.Missing = append(path.Missing, Missing{k, Cooling})
			}
		}
		if len(path.Missing) == 0 && (!e.Open || path.Strength.rank() < e.Weakest.rank()) {
			e.Open, e.Weakest = true, path.Strength
		}
		e.Paths = append(e.Paths, path)
	}
	slices.SortStableFunc(e.Paths, func(a, b Path) int {
		return cmp.Or(cmp.Compare(len(a.Missing), len(b.Missing)), cmp.Compare(b.Strength.rank(), a.Strength.rank()))
	})
	return e
}

// ways returns every minimal set of kinds that reaches the plan, by Reachable
// itself and tried exhaustively: what is told here is what the case will do.
// The order is that of Allowed, smaller sets first.
func (p Plan) ways() [][]verify.Kind {
	// Validate refuses a kind twice, so there are no more than there are kinds. A
	// plan from elsewhere must not be able to ask for 2^n of work.
	var kinds []verify.Kind
	for _, k := range p.Kinds() {
		if k.Class() != "" && !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	var found []int
	var ways [][]verify.Kind
	for size := range len(kinds) + 1 {
		for set := range 1 << len(kinds) {
			// Whoever can prove more can do no less: above a way there is nothing minimal.
			if bits.OnesCount(uint(set)) != size || slices.ContainsFunc(found, func(f int) bool { return f&set == f }) {
				continue
			}
			var have []verify.Kind
			for i, k := range kinds {
				if set>>i&1 == 1 {
					have = append(have, k)
				}
			}
			if p.Reachable(have) {
				found = append(found, set)
				ways = append(ways, p.order(have, nil))
			}
		}
	}
	return ways
}

// order returns have in an order in which Offer takes it, until it is enough.
func (p Plan) order(have, proofs []verify.Kind) []verify.Kind {
	if p.Enough(proofs) {
		return proofs
	}
	for _, k := range have {
		if p.Offer(k, proofs) == "" {
			if way := p.order(have, append(slices.Clip(proofs), k)); way != nil {
				return way
			}
		}
	}
	return nil
}

// Simulator says what a policy means for many people, at one door and for one
// purpose. It is not safe for concurrent use.
type Simulator struct {
	policy  *Policy
	door    access.Door
	purpose Purpose
	// Raised explains what holds while the threat level is raised.
	Raised bool
	ways   map[string][][]verify.Kind // by plan: people by the thousand share a few
}

// Simulator returns an error for a door or purpose nobody knows.
func (p *Policy) Simulator(door access.Door, purpose Purpose) (*Simulator, error) {
	if !slices.Contains([]access.Door{access.Web, access.Kiosk, access.Desk, access.API}, door) {
		return nil, fmt.Errorf("door: %q is not one of web, kiosk, desk, api", door)
	}
	if !slices.Contains(purposes(), purpose) {
		return nil, fmt.Errorf("purpose: %q is not one of reset, unlock, change, signin, stepup, assist", purpose)
	}
	return &Simulator{policy: p, door: door, purpose: purpose, ways: map[string][][]verify.Kind{}}, nil
}

// Verdict is what the policy means for one person.
type Verdict struct {
	// Unserved is why the portal does not act on them at all, as Eligible says
	// it; then no path is open, whatever they have.
	Unserved string `json:"unserved,omitempty"`
	Explanation
}

// Stranded: the portal means to serve them, and no path is open.
func (v Verdict) Stranded() bool { return v.Unserved == "" && !v.Open }

// Cooling says which kinds cannot be the only proof for u yet. since is when what
// they rest on became what it is: the oldest credential of the kind was bound, or
// the address was last found changed; zero, or missing: as long as anybody knows.
func (s *Simulator) Cooling(u directory.User, since map[verify.Kind]time.Time, now time.Time) (kinds []verify.Kind) {
	off := s.policy.For(s.door, s.purpose, u).CoolingOff
	for k, t := range since {
		if !t.IsZero() && now.Before(t.Add(off)) {
			kinds = append(kinds, k)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Explain chooses u's plan as a case would, and explains it.
func (s *Simulator) Explain(u directory.User, m Means) Verdict {
	plan := s.policy.For(s.door, s.purpose, u)
	if s.purpose == StepUp {
		plan = s.policy.StepUp(s.door, u, m.Enrolled)
	}
	if s.Raised && Vouches(s.purpose) {
		plan = plan.Vouch()
	}
	plan = plan.cooled(m.Cooling)
	// By everything Offer and Enough look at: a step-up has several plans of one name.
	key := fmt.Sprintf("%q %q %q %d %q %v", plan.Allowed, plan.First, plan.Alone, plan.Gates, plan.Anchor, plan.Vouched)
	ways, known := s.ways[key]
	if !known {
		ways = plan.ways()
		s.ways[key] = ways
	}
	v := Verdict{Unserved: s.policy.Eligible(u)}
	if v.Unserved != "" {
		v.Explanation = Explanation{Plan: plan.Name, Paths: []Path{}}
		return v
	}
	v.Explanation = explain(plan, ways, m)
	return v
}

// Weaker reports whether s asks less of an attacker than other. No strength at
// all, where no path is open, is the least.
func (s Strength) Weaker(other Strength) bool { return s.rank() < other.rank() }
