package ldapconn

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// MaxLogin is how many bytes of a typed name are looked up at all.
const MaxLogin = 256

// attributeName is RFC 4512 section 2.5 without the numeric form: EscapeFilter
// is for values, so a name is matched against a grammar instead.
var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)

// ValidAttribute reports whether name may stand on the left of a filter.
func ValidAttribute(name string) bool { return attributeName.MatchString(name) }

// Typable reports whether a typed name can be looked up: 1 to MaxLogin bytes of
// UTF-8 without control characters. Everything else is up to the directory's
// own matching rules.
func Typable(login string) bool {
	return login != "" && len(login) <= MaxLogin && utf8.ValidString(login) &&
		!strings.ContainsFunc(login, unicode.IsControl)
}

// AnyEqual builds the RFC 4515 filter that is true where one of the attributes
// equals value: one equality node for each attribute, whatever value holds. It
// panics on a name that ValidAttribute refuses, which Validate has refused before.
func AnyEqual(value string, attributes ...string) string {
	return anyOf(ldap.EscapeFilter(value), attributes)
}

// AnyPresent builds the filter that is true where one of the attributes has a
// value: of whom AnyEqual could find by some name. It panics as AnyEqual does.
func AnyPresent(attributes ...string) string { return anyOf("*", attributes) }

// anyOf takes its value as it stands in the filter.
func anyOf(value string, attributes []string) string {
	var b strings.Builder
	b.WriteString("(|")
	for _, a := range attributes {
		if !ValidAttribute(a) {
			panic(fmt.Sprintf("ldapconn: %q is not an attribute name", a))
		}
		b.WriteString("(" + a + "=" + value + ")")
	}
	b.WriteString(")")
	return b.String()
}
