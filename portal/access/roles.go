package access

import (
	"fmt"
	"slices"
	"strings"

	"postern/directory"
)

// Role is what somebody may see and do at the desk. Nobody has one but by a
// group of the directory, and only for as long as they are in it.
type Role string

const (
	Technician Role = "technician" // helps people who call
	Senior     Role = "senior"     // a technician who may do what needs a second pair of eyes
	Auditor    Role = "auditor"    // reads everything, changes nothing
	Operator   Role = "operator"   // runs the portal
)

// Config is the part of the configuration file that says who has which role.
type Config struct {
	Roles Roles `yaml:"roles"`
	Scope Scope `yaml:"scope"`
	// FourEyes are people who are helped by two technicians only.
	FourEyes Part `yaml:"four_eyes"`
	// Crossing are people whom a technician may begin something for although they are
	// beyond their scope, with a second technician in whose scope they are.
	Crossing Part `yaml:"crossing"`
	// Hours are when one technician is enough; outside them there are two.
	Hours Hours `yaml:"hours"`
	// Ticket is a regular expression for ticket numbers; empty: up to 40 characters.
	Ticket string `yaml:"ticket"`
}

// Roles are the groups whose members have a role: DNs or common names, as in
// policy.scope. The zero value gives nobody any.
type Roles struct {
	Technician []string `yaml:"technician"`
	Senior     []string `yaml:"senior"`
	Auditor    []string `yaml:"auditor"`
	Operator   []string `yaml:"operator"`
}

// each is every role with its groups, in the order of the file.
func (r Roles) each(do func(role Role, groups []string)) {
	do(Technician, r.Technician)
	do(Senior, r.Senior)
	do(Auditor, r.Auditor)
	do(Operator, r.Operator)
}

// On reports whether some group has some role at all.
func (r Roles) On() (on bool) {
	r.each(func(_ Role, groups []string) { on = on || len(groups) > 0 })
	return on
}

// Of returns the roles of u by the groups it was read with. A user whose groups
// were not read has none, so ask with one that has just been read.
func (r Roles) Of(u directory.User) (roles []Role) {
	r.each(func(role Role, groups []string) {
		if directory.MemberOf(u, groups...) {
			roles = append(roles, role)
		}
	})
	return roles
}

// Validate returns every fault, each beginning with the name of its key.
func (c Config) Validate() (faults []error) {
	c.Roles.each(func(role Role, groups []string) {
		for i, g := range groups {
			at := fmt.Sprintf("roles.%s[%d]", role, i)
			switch {
			case strings.TrimSpace(g) == "":
				faults = append(faults, fmt.Errorf("%s: is empty", at))
			case strings.Contains(g, "=") && directory.ParseDN(g) == nil:
				// Taken for a common name it would match nobody, and never say so.
				faults = append(faults, fmt.Errorf("%s: %q is neither a name nor a DN", at, g))
			case slices.Contains(groups[:i], g):
				faults = append(faults, fmt.Errorf("%s: %q is there twice", at, g))
			}
		}
	})
	faults = append(faults, c.Scope.faults()...)
	faults = append(faults, Reach(c.FourEyes).faults("four_eyes")...)
	faults = append(faults, Reach(c.Crossing).faults("crossing")...)
	faults = append(faults, c.Hours.faults()...)
	if _, err := c.Tickets(); err != nil {
		faults = append(faults, fmt.Errorf("ticket: %w", err))
	}
	return faults
}

// Doors are all there are.
func Doors() []Door { return []Door{Web, Kiosk, Desk, API} }
