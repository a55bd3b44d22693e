package access

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"postern/directory"
)

// Scope is whom each role may help, within what the policy serves.
type Scope struct {
	Technician Reach `yaml:"technician"`
	Senior     Reach `yaml:"senior"`
}

// Reach is a part of the people: members of one of the groups, below one of the
// OUs, in one of the directories. What is empty does not matter.
type Reach struct {
	OUs         []string `yaml:"ous"`
	Groups      []string `yaml:"groups"`
	Directories []string `yaml:"directories"`
}

// Of reports whether somebody with these roles may help u, who has just been read.
func (s Scope) Of(roles []Role, u directory.User) bool {
	return slices.Contains(roles, Technician) && s.Technician.holds(u) || slices.Contains(roles, Senior) && s.Senior.holds(u)
}

func (r Reach) holds(u directory.User) bool {
	return (len(r.Groups) == 0 || directory.MemberOf(u, r.Groups...)) && (len(r.OUs) == 0 || r.below(u)) &&
		(len(r.Directories) == 0 || slices.Contains(r.Directories, u.Directory))
}

func (r Reach) below(u directory.User) bool {
	dn := directory.ParseDN(u.DN)
	return slices.ContainsFunc(r.OUs, func(at string) bool {
		ou := directory.ParseDN(at)
		return len(ou) > 0 && len(dn) > len(ou) && slices.Equal(dn[len(dn)-len(ou):], ou)
	})
}

func (s Scope) faults() []error {
	return append(s.Technician.faults("scope.technician"), s.Senior.faults("scope.senior")...)
}

func (r Reach) faults(at string) (faults []error) {
	for i, ou := range r.OUs {
		if directory.ParseDN(ou) == nil {
			faults = append(faults, fmt.Errorf("%s.ous[%d]: %q is no DN", at, i, ou))
		}
	}
	for i, g := range r.Groups {
		if strings.TrimSpace(g) == "" || strings.Contains(g, "=") && directory.ParseDN(g) == nil {
			faults = append(faults, fmt.Errorf("%s.groups[%d]: %q is neither a name nor a DN", at, i, g))
		}
	}
	return faults
}

// anyTicket is a number of whatever system a help desk has.
const anyTicket = `\S.{0,38}\S|\S`

// Tickets is the pattern that a ticket number must match as a whole.
func (c Config) Tickets() (*regexp.Regexp, error) {
	p := c.Ticket
	if p == "" {
		p = anyTicket
	}
	return regexp.Compile(`^(?:` + p + `)$`)
}
