package directory

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// SamePerson reports whether two accounts look like one person's: a second
// account "for administration" must not vouch for the first. It errs towards yes,
// which costs somebody an approver, and never gives one.
func SamePerson(a, b User) bool {
	shares := func(x, y []string, same func(a, b string) bool) bool {
		return slices.ContainsFunc(x, func(v string) bool {
			return slices.ContainsFunc(y, func(w string) bool { return same(v, w) })
		})
	}
	// Accounts for administration often have only the name that is shown.
	names := func(u User) (list []string) {
		if u.GivenName != "" && u.Surname != "" {
			list = append(list, plainName(u.GivenName+" "+u.Surname))
		}
		if name := plainName(u.Name); name != "" {
			list = append(list, name)
		}
		return list
	}
	return shares(a.Mail, b.Mail, strings.EqualFold) ||
		shares(a.Phone, b.Phone, func(x, y string) bool { return digits(x) == digits(y) && len(digits(x)) >= 6 }) ||
		shares(names(a), names(b), func(x, y string) bool { return x == y })
}

// plainName is a name as people compare it.
func plainName(s string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(s))), " ")
}

// digits of a number without what is written before it in one country only; two
// spellings of one number have the same seven at the end.
func digits(number string) string {
	d := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
	return d[max(0, len(d)-7):]
}
