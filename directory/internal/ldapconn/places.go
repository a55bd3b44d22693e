package ldapconn

import (
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// Places is where accounts may be touched: in one of the allowed branches when
// any is named, and in none of the denied ones.
type Places struct{ allow, deny []*ldap.DN }

// NewPlaces parses the two lists of DNs.
func NewPlaces(allow, deny []string) (Places, error) {
	var p Places
	for _, l := range []struct {
		from []string
		to   *[]*ldap.DN
	}{{allow, &p.allow}, {deny, &p.deny}} {
		for _, text := range l.from {
			dn, err := ldap.ParseDN(text)
			if err != nil || len(dn.RDNs) == 0 {
				return p, fmt.Errorf("%q is not a DN", text)
			}
			*l.to = append(*l.to, dn)
		}
	}
	return p, nil
}

// Refuse says why the entry called name must not be touched, or nothing. A name
// that cannot be read is refused.
func (p Places) Refuse(name string) string {
	dn, err := ldap.ParseDN(name)
	if err != nil {
		return "its DN cannot be read"
	}
	for _, branch := range p.deny {
		if branch.EqualFold(dn) || branch.AncestorOfFold(dn) {
			return "in the denied branch " + branch.String()
		}
	}
	for _, branch := range p.allow {
		if branch.EqualFold(dn) || branch.AncestorOfFold(dn) {
			return ""
		}
	}
	if len(p.allow) > 0 {
		return "outside the allowed branches"
	}
	return ""
}
