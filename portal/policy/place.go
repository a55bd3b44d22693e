package policy

import (
	"encoding/hex"
	"slices"
	"strings"

	"postern/directory"
)

// place is a set of accounts by group and by where they are filed.
type place struct {
	groups []string   // as normalised by groupKey
	ous    [][]string // normalised RDNs, leaf first
}

func newPlace(groups, ous []string) place {
	var p place
	for _, g := range groups {
		p.groups = append(p.groups, groupKey(g))
	}
	for _, ou := range ous {
		p.ous = append(p.ous, parseDN(ou))
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

func (p place) member(u directory.User) bool {
	if len(p.groups) == 0 {
		return false
	}
	for _, g := range u.Groups {
		if slices.Contains(p.groups, groupKey(g)) {
			return true
		}
		// A bare name in the file matches the common name of a DN.
		if dn := parseDN(g); len(dn) > 0 {
			if _, name, ok := strings.Cut(dn[0], "="); ok && slices.Contains(p.groups, name) {
				return true
			}
		}
	}
	return false
}

func (p place) below(u directory.User) bool {
	if len(p.ous) == 0 {
		return false
	}
	dn := parseDN(u.DN)
	for _, ou := range p.ous {
		if len(dn) > len(ou) && slices.Equal(dn[len(dn)-len(ou):], ou) {
			return true
		}
	}
	return false
}

// groupKey is one spelling for a group, whether a DN or a bare name.
func groupKey(g string) string {
	if dn := parseDN(g); len(dn) > 0 {
		return strings.Join(dn, "\x00")
	}
	return fold(g)
}

func fold(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// parseDN splits a DN at its commas and undoes escapes (RFC 4514 section 3),
// so that two spellings of one DN compare equal: case, spaces around the
// separators, and \, against \2C do not matter. nil when s is no DN.
func parseDN(s string) []string {
	var rdns []string
	var part []byte
	kept := 0 // part[:kept] came escaped, and is not trimmed
	end := func() bool {
		text := strings.TrimRight(string(part[kept:]), " ")
		typ, value, ok := strings.Cut(strings.TrimLeft(string(part[:kept])+text, " "), "=")
		if !ok || strings.TrimSpace(typ) == "" {
			return false
		}
		rdns = append(rdns, fold(typ)+"="+fold(value))
		part, kept = part[:0], 0
		return true
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+2 < len(s) && ishex(s[i+1]) && ishex(s[i+2]):
			b, _ := hex.DecodeString(s[i+1 : i+3])
			part, i = append(part, b...), i+2
			kept = len(part)
		case c == '\\' && i+1 < len(s):
			part, i = append(part, s[i+1]), i+1
			kept = len(part)
		case c == '\\':
			return nil
		case c == ',' || c == ';':
			if !end() {
				return nil
			}
		default:
			part = append(part, c)
		}
	}
	if !end() {
		return nil
	}
	return rdns
}

func ishex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
