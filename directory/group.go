package directory

import (
	"encoding/hex"
	"slices"
	"strings"
)

// MemberOf reports whether u is in one of the groups, as far as u.Groups tells.
// A group is named by its DN, however spelt, or by its common name alone, which
// matches a group of that name wherever it is filed. Nobody is in none.
func MemberOf(u User, groups ...string) bool {
	if len(groups) == 0 {
		return false
	}
	named := make([]string, len(groups))
	for i, g := range groups {
		named[i] = groupKey(g)
	}
	for _, g := range u.Groups {
		if slices.Contains(named, groupKey(g)) {
			return true
		}
		if dn := ParseDN(g); len(dn) > 0 {
			if _, name, ok := strings.Cut(dn[0], "="); ok && slices.Contains(named, name) {
				return true
			}
		}
	}
	return false
}

// groupKey is one spelling for a group, whether a DN or a bare name.
func groupKey(g string) string {
	if dn := ParseDN(g); len(dn) > 0 {
		return strings.Join(dn, "\x00")
	}
	return fold(g)
}

func fold(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// ParseDN splits a DN at its commas and undoes escapes (RFC 4514 section 3),
// so that two spellings of one DN compare equal: case, spaces around the
// separators, and \, against \2C do not matter. The result is the normalised RDNs,
// leaf first; nil when s is no DN.
func ParseDN(s string) []string {
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
