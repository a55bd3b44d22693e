package ldapconn

import (
	"strings"
	"time"
)

// ParseTime reads a GeneralizedTime (RFC 4517 section 3.3.13) as servers write
// it: UTC, with or without a fraction. It is false for anything else.
func ParseTime(s string) (time.Time, bool) {
	if !strings.HasSuffix(s, "Z") {
		return time.Time{}, false
	}
	// Go's parser takes a fraction after the seconds unasked.
	t, err := time.Parse("20060102150405", strings.Replace(strings.TrimSuffix(s, "Z"), ",", ".", 1))
	return t, err == nil
}
