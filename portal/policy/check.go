package policy

import (
	"fmt"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/verify"
)

// Validate returns every fault, each beginning with the path of its key. It
// tries each plan with every set of proofs there is, so what it lets pass
// holds for the very function that decides later.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, p := range purposes() {
		faults = append(faults, check("plans."+string(p), p, c.plan(p, Rule{}))...)
	}
	checkApproval(add, "approval.", c.Approval)
	checkPlaces(add, "scope.", c.Scope.Groups, c.Scope.OUs)
	checkPlaces(add, "scope.deny_", c.Scope.DenyGroups, c.Scope.DenyOUs)
	names := map[string]bool{"default": true}
	for i, r := range c.Rules {
		at := fmt.Sprintf("rules[%d]", i)
		switch {
		case r.Name == "":
			add("%s.name: missing; the audit log names the rule by it", at)
		case names[r.Name]:
			add("%s.name: %q is taken", at, r.Name)
		}
		names[r.Name] = true
		for j, d := range r.Doors {
			if !slices.Contains([]access.Door{access.Web, access.Kiosk, access.Desk, access.API}, d) {
				add("%s.doors[%d]: %q is not one of web, kiosk, desk, api", at, j, d)
			}
		}
		known := true
		for j, p := range r.Purposes {
			if !slices.Contains(purposes(), p) {
				known = false
				add("%s.purposes[%d]: %q is not one of reset, unlock, change, signin, stepup, assist", at, j, p)
			}
		}
		r.checkDesk(add, at)
		checkPlaces(add, at+".", r.Groups, r.OUs)
		if r.Plan.Approval != nil {
			checkApproval(add, at+".plan.approval.", *r.Plan.Approval)
		}
		if slices.Contains(r.Directories, "") {
			add("%s.directories: one of them is empty", at)
		}
		for _, p := range r.purposes() {
			if !known {
				break
			}
			if found := check(at+".plan", p, c.plan(p, r)); len(found) > 0 {
				faults = append(faults, found...)
				break // the other purposes would say the same again
			}
		}
		for j := range i {
			if c.Rules[j].covers(r) {
				add("%s: never matches, because rules[%d] always matches first", at, j)
				break
			}
		}
	}
	return faults
}

// checkDesk: at the desk every case is an assist, whatever it is for, and nowhere else
// is one. A stricter plan that never holds would not be missed.
func (r Rule) checkDesk(add func(string, ...any), at string) {
	door, assist := slices.Index(r.Doors, access.Desk), slices.Index(r.Purposes, Assist)
	if door >= 0 && len(r.Purposes) > 0 && assist < 0 {
		add("%s.doors[%d]: at the desk every case is assist, which is not among purposes", at, door)
	}
	if assist >= 0 && len(r.Doors) > 0 && door < 0 {
		add("%s.purposes[%d]: assist is at the desk only, which is not among doors", at, assist)
	}
}

// covers reports whether r matches whatever later matches. It may miss a case,
// and never claims one.
func (r Rule) covers(later Rule) bool {
	return within(later.Doors, r.Doors) && within(later.Purposes, r.Purposes) &&
		within(later.Groups, r.Groups) && within(later.OUs, r.OUs) && within(later.Directories, r.Directories)
}

// maxApprovers is how many are asked at once where no manager can be.
const maxApprovers = 5

// within reports whether everything that matches the list few matches the list
// many too; an empty list matches everything.
func within[T comparable](few, many []T) bool {
	if len(many) == 0 {
		return true
	}
	return len(few) > 0 && !slices.ContainsFunc(few, func(v T) bool { return !slices.Contains(many, v) })
}

// checkApproval: also where no plan has an approval, a raised threat level adds one.
func checkApproval(add func(string, ...any), at string, a Approval) {
	if a.Levels < 0 || a.Levels > 5 {
		add("%slevels: %d is not between 0 and 5", at, a.Levels)
	}
	if len(a.Approvers) > maxApprovers {
		add("%sapprovers: more than %d would be asked at once", at, maxApprovers)
	}
	if slices.Contains(a.Approvers, "") {
		add("%sapprovers: one of them is empty", at)
	}
}

func checkPlaces(add func(string, ...any), at string, groups, ous []string) {
	for i, g := range groups {
		if g == "" {
			add("%sgroups[%d]: is empty", at, i)
		}
	}
	for i, ou := range ous {
		if len(directory.ParseDN(ou)) == 0 {
			add("%sous[%d]: %q is not a DN, like OU=Staff,DC=example,DC=org", at, i, ou)
		}
	}
}

// check finds what is wrong with a plan for a purpose.
func check(at string, purpose Purpose, p Plan) []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(at+"."+format, args...)) }
	seen := map[verify.Kind]bool{}
	for i, k := range p.Allowed {
		switch {
		case k.Class() == "":
			add("allowed[%d]: there is no factor %q", i, k)
		case seen[k]:
			add("allowed[%d]: %s is there twice", i, k)
		case k == verify.Handover && purpose != Assist:
			add("allowed[%d]: only a case that a technician began has a number to match", i)
		case k == verify.Password && (purpose == Reset || purpose == Unlock || purpose == Assist):
			add("allowed[%d]: somebody who knows the password needs no %s", i, purpose)
		}
		seen[k] = true
	}
	if len(p.Allowed) == 0 {
		add("allowed: is empty")
	}
	if p.First != "" && !seen[p.First] {
		add("first: %q is not in allowed", p.First)
	}
	for i, k := range p.Alone {
		if !seen[k] {
			add("alone[%d]: %q is not in allowed", i, k)
		}
	}
	for i, k := range p.Spoken {
		if k != verify.TOTP && k != verify.YubiKey {
			add("spoken[%d]: %q is not one of totp, yubikey", i, k)
		}
	}
	for i, c := range p.Anchor {
		if !slices.Contains([]verify.Class{verify.Possession, verify.Issued, verify.Saved, verify.Contact, verify.Knowledge}, c) {
			add("anchor[%d]: %q is not one of possession, issued, saved, contact, knowledge", i, c)
		}
	}
	if p.Gates < 1 || p.Gates > 5 {
		add("gates: %d is not between 1 and 5", p.Gates)
	}
	if p.Life < time.Minute || p.Life > time.Hour {
		add("life: %s is not between 1m and 1h", p.Life)
	}
	if p.Tries < 1 || p.Tries > 20 {
		add("tries: %d is not between 1 and 20", p.Tries)
	}
	if p.PerDay < 0 || p.PerDay > 1000 {
		add("per_day: %d is not between 0 and 1000", p.PerDay)
	}
	if p.CoolingOff < 0 || p.CoolingOff > 30*24*time.Hour {
		add("cooling_off: %s is not between 0s and 720h", p.CoolingOff)
	}
	if seen[verify.Approval] {
		switch {
		case purpose == SignIn || purpose == StepUp || purpose == Change:
			add("allowed: an approval is for a reset or an unlock; nobody can be let in to somebody's account by another one")
		case p.Ask.Levels == 0 && len(p.Ask.Approvers) == 0:
			add("approval: there is nobody to ask: give levels or approvers")
		}
	}
	if purpose == Change && p.First != verify.Password {
		add("first: a change begins with the password")
	}
	if len(faults) > 0 {
		return faults
	}
	if weak := weakest(purpose, p); weak != nil {
		add("gates: %v would be enough for %s, and must not be: ask for two classes, or for a passkey", weak, purpose)
	}
	if !p.Reachable(p.Allowed) {
		add("gates: nobody could ever satisfy this plan")
	}
	return faults
}

// weakest returns a set of proofs that the plan takes and that this purpose
// must never take; nil when there is none. There is no switch to overrule it.
func weakest(purpose Purpose, p Plan) []verify.Kind {
	for set := range 1 << len(p.Allowed) {
		var proofs []verify.Kind
		for i, k := range p.Allowed {
			if set>>i&1 == 1 {
				proofs = append(proofs, k)
			}
		}
		// The order that helps the weak plan most.
		if i := slices.Index(proofs, p.First); i > 0 {
			proofs[0], proofs[i] = proofs[i], proofs[0]
		}
		if p.Enough(proofs) && !strong(purpose, proofs) {
			return proofs
		}
	}
	return nil
}

// strong is the floor under every plan: two classes, or something that cannot
// be phished. A true change proves the old password to the directory itself; a
// fresh proof comes on top of a sign-in, so one proof of a bound or saved kind
// will do there.
func strong(purpose Purpose, proofs []verify.Kind) bool {
	var classes []verify.Class
	for _, k := range proofs {
		if k.PhishingResistant() || purpose == Change && k == verify.Password {
			return true
		}
		c := k.Class()
		if purpose == StepUp && (c == verify.Possession || c == verify.Saved) {
			return true
		}
		if !slices.Contains(classes, c) {
			classes = append(classes, c)
		}
	}
	if !slices.ContainsFunc(classes, func(c verify.Class) bool { return c != verify.Issued && c != verify.Match }) {
		return false // a mailbox and a telephone are no proof of anybody
	}
	return len(classes) >= 2
}
