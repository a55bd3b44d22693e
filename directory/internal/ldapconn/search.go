package ldapconn

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// SearchBases are the DNs to search for a scope: base alone where it names none.
// One that does not lie at or below base is ErrOutside, so that a mistyped branch
// is never read as "everywhere". One below another is left out.
func SearchBases(base string, scope []string) ([]string, error) {
	if len(scope) == 0 {
		return []string{base}, nil
	}
	var out []string
	for _, s := range scope {
		dn, ok := Within(base, s)
		if !ok {
			return nil, fmt.Errorf("%w: %q is not in %s", directory.ErrOutside, s, base)
		}
		out = append(out, dn)
	}
	slices.SortFunc(out, func(a, b string) int { return len(a) - len(b) })
	var kept []string
	for _, dn := range out {
		if !slices.ContainsFunc(kept, func(k string) bool { _, below := Within(k, dn); return below }) {
			kept = append(kept, dn)
		}
	}
	return kept, nil
}

// SearchBelow runs one search for each base and returns what was found together. more
// says that one of them ended at limit, or at a limit of the server's own. Any other
// end before everything was looked at is ErrUnavailable.
func (c *Conn) SearchBelow(bases []string, filter string, attributes []string, limit int) (found []*ldap.Entry, more bool, err error) {
	// The server stops, too, when we have stopped waiting.
	seconds := int(math.Ceil(c.timeout.Seconds()))
	for _, base := range bases {
		res, err := c.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, limit, seconds, false,
			filter, attributes, nil))
		switch code := Code(err); {
		case code == ldap.LDAPResultSizeLimitExceeded:
			more = true
		case err != nil && (code < 0 || isBusy(err)):
			return nil, false, err
		case err != nil:
			return nil, false, fmt.Errorf("%w: searching %s: %w", directory.ErrUnavailable, base, err)
		}
		found = append(found, res.Entries...)
	}
	return found, more, nil
}

// Union is the attributes of several lists, each once, whatever its case.
func Union(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		for _, a := range l {
			if !slices.ContainsFunc(out, func(have string) bool { return strings.EqualFold(have, a) }) {
				out = append(out, a)
			}
		}
	}
	return out
}
