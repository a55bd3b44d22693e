package main

import (
	"fmt"
	"slices"

	"postern/portal/policy"
	"postern/portal/web/view"
	"postern/verify"
)

// checksPasswords says whether a person can prove to know the directory's password.
func (d Directory) checksPasswords() bool { return d.Entra == nil }

// can says whether a case of that purpose can end well. A tenant lets no application
// check a password, which a change begins with, and ends its locks itself ("Microsoft
// Entra smart lockout").
func (d Directory) can(p policy.Purpose) bool {
	return d.Entra == nil || p != policy.Unlock && p != policy.Change
}

// someCan says whether some directory can; all can where none is named, which is a fault
// of its own.
func (c *Config) someCan(p policy.Purpose) bool {
	return len(c.Directories) == 0 || slices.ContainsFunc(c.Directories, func(d Directory) bool { return d.can(p) })
}

// purposes are what the first page offers, in this order.
func (c *Config) purposes() []policy.Purpose {
	return slices.DeleteFunc([]policy.Purpose{policy.Reset, policy.Unlock, policy.Change, policy.SignIn}, func(p policy.Purpose) bool { return !c.someCan(p) })
}

// passwords says whom the sign-in form asks for one.
func (c *Config) passwords() view.Asked {
	switch {
	case !slices.ContainsFunc(c.Directories, Directory.checksPasswords):
		return view.AskNone
	case slices.ContainsFunc(c.Directories, func(d Directory) bool { return !d.checksPasswords() }):
		return view.AskSome
	}
	return view.AskAll
}

// adapt takes the password out of the default plans where no directory checks any. What
// the file itself asks for stays, and is a fault.
func (c *Config) adapt(r *reader) {
	if len(c.Directories) == 0 || slices.ContainsFunc(c.Directories, Directory.checksPasswords) {
		return
	}
	for at, plan := range map[string]*policy.PlanConfig{"policy.plans.signin": &c.Policy.Plans.SignIn, "policy.plans.stepup": &c.Policy.Plans.StepUp} {
		if r.lines[at+".allowed"] == 0 {
			plan.Allowed = slices.DeleteFunc(slices.Clone(plan.Allowed), func(k verify.Kind) bool { return k == verify.Password })
		}
		if r.lines[at+".first"] == 0 && plan.First != nil && *plan.First == verify.Password {
			plan.First = new(verify.Kind)
		}
	}
}

// validateAbilities refuses plans for what no directory they are for can do: nobody would
// find out why they never hold.
func (c *Config) validateAbilities(r *reader) {
	const cure = "no directory it is for can (a tenant ends locks itself and lets no password be checked); leave it out"
	for _, p := range []policy.Purpose{policy.Unlock, policy.Change} {
		if at := "plans." + string(p); r.lines["policy."+at] > 0 && !c.someCan(p) {
			r.add("policy", fmt.Errorf("%s: %s", at, cure))
		}
	}
	for i, rule := range c.Policy.Rules {
		meant := slices.DeleteFunc(slices.Clone(c.Directories), func(d Directory) bool {
			return len(rule.Directories) > 0 && !slices.Contains(rule.Directories, d.Name)
		})
		for j, p := range rule.Purposes {
			if len(meant) > 0 && !slices.ContainsFunc(meant, func(d Directory) bool { return d.can(p) }) {
				r.add("policy", fmt.Errorf("rules[%d].purposes[%d]: %s: %s", i, j, p, cure))
			}
		}
	}
}
