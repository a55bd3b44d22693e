package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"

	"postern/directory"
	"postern/portal/access"
	"postern/verify"
)

// Policy is a checked Config, ready to be asked. It is safe for concurrent use.
type Policy struct {
	scope    place
	denied   place
	defaults map[Purpose]Plan
	rules    []compiled
	// personas are the sorts of people there are: member of nothing in
	// particular, and one for each set of groups and OUs some rule names. A
	// decoy is one of them, for every purpose and at every door the same.
	personas []persona
}

type compiled struct {
	Rule
	where place
	plans map[Purpose]Plan
}

type persona struct{ groups, ous, directories []string }

func (r Rule) persona() persona { return persona{r.Groups, r.OUs, r.Directories} }

func (a persona) equal(b persona) bool {
	return slices.Equal(a.groups, b.groups) && slices.Equal(a.ous, b.ous) && slices.Equal(a.directories, b.directories)
}

// New returns an error that holds every fault of c.
func New(c Config) (*Policy, error) {
	if faults := c.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	p := &Policy{
		scope: newPlace(c.Scope.Groups, c.Scope.OUs), denied: newPlace(c.Scope.DenyGroups, c.Scope.DenyOUs),
		defaults: map[Purpose]Plan{}, personas: []persona{{}},
	}
	for _, purpose := range purposes() {
		p.defaults[purpose] = c.plan(purpose, Rule{})
	}
	for _, r := range c.Rules {
		one := compiled{Rule: r, where: newPlace(r.Groups, r.OUs), plans: map[Purpose]Plan{}}
		for _, purpose := range r.purposes() {
			one.plans[purpose] = c.plan(purpose, r)
		}
		p.rules = append(p.rules, one)
		if !slices.ContainsFunc(p.personas, r.persona().equal) {
			p.personas = append(p.personas, r.persona())
		}
	}
	return p, nil
}

// For returns the plan for u; the zero Plan, which nothing satisfies, for a
// purpose nobody knows.
func (p *Policy) For(door access.Door, purpose Purpose, u directory.User) Plan {
	if door == access.Desk {
		purpose = Assist // whatever it is for, a technician began it
	}
	return p.find(door, purpose, func(r compiled) bool {
		return r.where.has(u) && (len(r.Directories) == 0 || slices.Contains(r.Directories, u.Directory))
	})
}

// StepUp is For of a person of whom is known what they have enrolled: once
// there is something bound or saved, the password and a mailed code are not
// enough any more.
func (p *Policy) StepUp(door access.Door, u directory.User, enrolled []verify.Kind) Plan {
	plan := p.For(door, StepUp, u)
	strong := plan
	weak := func(k verify.Kind) bool { return k.Class() == verify.Knowledge || k.Class() == verify.Issued }
	strong.Allowed = slices.DeleteFunc(slices.Clone(plan.Allowed), weak)
	strong.Alone = slices.DeleteFunc(slices.Clone(plan.Alone), weak)
	if strong.First != "" && weak(strong.First) {
		strong.First = ""
	}
	if strong.Reachable(enrolled) {
		return strong
	}
	return plan
}

// Decoy returns the plan of somebody who does not exist. The same seed always
// gets the same sort of person, so that asking again, for another purpose or at
// another node tells nothing (security case 3). seed must be unpredictable to
// strangers: a keyed hash of the name.
func (p *Policy) Decoy(door access.Door, purpose Purpose, seed []byte) Plan {
	h := sha256.Sum256(seed)
	as := p.personas[binary.BigEndian.Uint64(h[:])%uint64(len(p.personas))]
	return p.find(door, purpose, func(r compiled) bool {
		return r.persona().equal(persona{}) || r.persona().equal(as)
	})
}

func (p *Policy) find(door access.Door, purpose Purpose, matches func(compiled) bool) Plan {
	for _, r := range p.rules {
		plan, covered := r.plans[purpose]
		if covered && (len(r.Doors) == 0 || slices.Contains(r.Doors, door)) && matches(r) {
			return plan.clone()
		}
	}
	return p.defaults[purpose].clone()
}

func (p Plan) clone() Plan {
	p.Allowed, p.Alone, p.Anchor = slices.Clone(p.Allowed), slices.Clone(p.Alone), slices.Clone(p.Anchor)
	p.Ask.Approvers, p.Spoken = slices.Clone(p.Ask.Approvers), slices.Clone(p.Spoken)
	return p
}

// Kinds lists every factor some plan allows, for the check at start that each
// is set up.
func (p *Policy) Kinds() []verify.Kind {
	var kinds []verify.Kind
	add := func(plans map[Purpose]Plan) {
		for _, plan := range plans {
			kinds = append(kinds, plan.Allowed...)
		}
	}
	add(p.defaults)
	for _, r := range p.rules {
		add(r.plans)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Spoken reports whether some plan lets a code be read to a technician.
func (p *Policy) Spoken() bool {
	some := func(plans map[Purpose]Plan) bool {
		for _, plan := range plans {
			if len(plan.Spoken) > 0 {
				return true
			}
		}
		return false
	}
	return some(p.defaults) || slices.ContainsFunc(p.rules, func(r compiled) bool { return some(r.plans) })
}

// Eligible returns why the portal must not act on u, as a code for the audit
// log: unknown_account, privileged, denied, out_of_scope, disabled,
// account_expired. Empty: it may.
func (p *Policy) Eligible(u directory.User) string {
	switch {
	case u.ID == "":
		return "unknown_account"
	case u.Privileged != "", u.CopyOf != "":
		return "privileged"
	// Before what may change on any day: the desk shows a disabled account of whom it
	// helps, and nothing of who is none of its business (security case 99).
	case p.denied.touches(u):
		return "denied"
	case !p.scope.has(u):
		return "out_of_scope"
	case u.State.Disabled:
		return "disabled"
	case u.State.AccountExpired:
		return "account_expired"
	}
	return ""
}
