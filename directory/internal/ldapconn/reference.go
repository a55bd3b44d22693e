package ldapconn

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// maxReference is how many bytes of a reference are looked at.
const maxReference = 4096

// Within reads a reference to an entry, as attributes like manager hold it (RFC
// 4514), and returns it in normal form when it names something in base. It is
// false for everything else. Whoever may write the attribute writes what stands in
// it: what is sent is built from the parts that were read, never the text itself
// (Active Directory would take <GUID=…> or <SID=…> for a name, anywhere in the
// forest), and nothing is sent for a name that leads out of base.
func Within(base, ref string) (dn string, ok bool) {
	if len(ref) > maxReference || !utf8.ValidString(ref) || strings.ContainsFunc(ref, unicode.IsControl) {
		return "", false
	}
	branch, err := ldap.ParseDN(base)
	if err != nil {
		return "", false
	}
	named, err := ldap.ParseDN(ref)
	if err != nil || len(named.RDNs) == 0 || !branch.EqualFold(named) && !branch.AncestorOfFold(named) {
		return "", false
	}
	for _, rdn := range named.RDNs {
		for _, a := range rdn.Attributes {
			// A NUL may have come in as \00.
			if !ValidAttribute(a.Type) || a.Value == "" || strings.Contains(a.Value, "\x00") {
				return "", false
			}
		}
	}
	return named.String(), true
}

// Absent reports whether err is a server's answer to a base search that says: there
// is no such entry here. A name it cannot read (invalidDNSyntax) is none, and one
// that it refers to another server for (RFC 4511 section 4.1.10) is not here.
func Absent(err error) bool {
	switch Code(err) {
	case ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultReferral:
		return true
	}
	return false
}
