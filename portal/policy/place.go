package policy

import (
	"slices"

	"postern/directory"
)

// place is a set of accounts by group and by where they are filed.
type place struct {
	groups []string
	ous    [][]string // as directory.ParseDN has them
}

func newPlace(groups, ous []string) place {
	p := place{groups: slices.Clone(groups)}
	for _, ou := range ous {
		p.ous = append(p.ous, directory.ParseDN(ou))
	}
	return p
}

func (p place) everybody() bool { return len(p.groups) == 0 && len(p.ous) == 0 }

// has reports whether u is in one of the groups and below one of the OUs; what
// is not named does not matter.
func (p place) has(u directory.User) bool {
	return (len(p.groups) == 0 || p.member(u)) && (len(p.ous) == 0 || p.below(u))
}

// touches reports whether u is in one of the groups or below one of the OUs.
func (p place) touches(u directory.User) bool { return p.member(u) || p.below(u) }

func (p place) member(u directory.User) bool { return directory.MemberOf(u, p.groups...) }

func (p place) below(u directory.User) bool {
	if len(p.ous) == 0 {
		return false
	}
	dn := directory.ParseDN(u.DN)
	for _, ou := range p.ous {
		if len(dn) > len(ou) && slices.Equal(dn[len(dn)-len(ou):], ou) {
			return true
		}
	}
	return false
}
