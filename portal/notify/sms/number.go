package sms

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// Why a number gets no SMS. None of them holds the number: it is personal data,
// and errors are logged.
var (
	ErrNotNumber = errors.New("sms: that is not one telephone number")
	ErrCountry   = errors.New("sms: the number is of a country that is not allowed")
	ErrKind      = errors.New("sms: the number cannot receive SMS, or costs whoever writes to it")
)

// Numbers says which telephone numbers may be written to. The zero value
// refuses all. It is safe for concurrent use.
type Numbers struct {
	region    string
	countries map[string]bool
}

// NewNumbers takes the country that numbers without a country code are of, and
// the countries that may be written to, none for that one alone; both as in
// ISO 3166-1 (DE, AT). It is countries and not calling codes because +1 is also
// half the Caribbean, where bought-up numbers earn money for each SMS.
func NewNumbers(region string, countries []string) (Numbers, error) {
	known := phonenumbers.GetSupportedRegions()
	if !known[region] {
		return Numbers{}, fmt.Errorf("region: %q is not a country like DE", region)
	}
	n := Numbers{region: region, countries: map[string]bool{}}
	for i, c := range countries {
		if !known[c] {
			return Numbers{}, fmt.Errorf("countries[%d]: %q is not a country like DE", i, c)
		}
		n.countries[c] = true
	}
	if len(countries) == 0 {
		n.countries[region] = true
	}
	return n, nil
}

// e164 is what E.164 section 6.2 allows: at most 15 digits, the country's first.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// Normalize returns a number as people write it in E.164 form, +491701234567.
// The errors are ErrNotNumber, ErrCountry and ErrKind. It asks nobody. Whoever
// counts what goes to a destination counts by what it returns: 0170 1234567 and
// +49 (0)170/1234567 are one telephone.
func (n Numbers) Normalize(raw string) (string, error) {
	if n.region == "" || !plain(raw) {
		return "", ErrNotNumber
	}
	p, err := phonenumbers.Parse(raw, n.region)
	if err != nil || p.GetExtension() != "" || !phonenumbers.IsValidNumber(p) {
		return "", ErrNotNumber
	}
	if !n.countries[phonenumbers.GetRegionCodeForNumber(p)] {
		return "", ErrCountry
	}
	switch phonenumbers.GetNumberType(p) {
	case phonenumbers.MOBILE, phonenumbers.FIXED_LINE_OR_MOBILE:
	default: // premium and shared-cost numbers too
		return "", ErrKind
	}
	s := phonenumbers.Format(p, phonenumbers.E164)
	if !e164.MatchString(s) {
		return "", ErrNotNumber
	}
	return s, nil
}

// plain: the library reads more than people mean to write. It takes letters for
// digits and what is behind a semicolon for parameters, among them the country
// (RFC 3966).
func plain(raw string) bool {
	if len(raw) > 64 {
		return false
	}
	for _, r := range strings.TrimSpace(raw) {
		if !unicode.IsDigit(r) && !strings.ContainsRune("+ -./()\u00a0\u2007\u202f\u2010\u2011\u2012\u2013", r) {
			return false
		}
	}
	return true
}
