package entra

import (
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"postern/directory"
)

// What Entra asks of a password ("Password policies and account restrictions in
// Microsoft Entra ID").
const (
	minLength = 8
	maxLength = 256
)

// failure is an error as Graph wrote it.
type failure struct {
	status        int
	code, message string
}

func (f *failure) Error() string {
	return fmt.Sprintf("Graph: %d %s: %s", f.status, f.code, f.message)
}

// reading is what a failed question means.
func (f *failure) reading() error {
	switch f.status {
	case http.StatusNotFound:
		return fmt.Errorf("%w: %w", directory.ErrNotFound, f)
	case http.StatusForbidden:
		// Whoever cannot be read cannot be cleared of being privileged.
		return fmt.Errorf("%w: %w: %w", directory.ErrUnavailable, directory.ErrDenied, f)
	}
	return fmt.Errorf("%w: %w", directory.ErrUnavailable, f)
}

// writing is what a refused write means. 429 says that nothing was done; of other
// faults of the server nobody knows.
func (f *failure) writing() error {
	switch {
	case f.status == http.StatusNotFound:
		return fmt.Errorf("%w: %w", directory.ErrNotFound, f)
	case f.status == http.StatusTooManyRequests || f.status == http.StatusUnauthorized:
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, f)
	case f.status >= 500:
		return fmt.Errorf("%w: %w: %w", directory.ErrUnavailable, directory.ErrUncertain, f)
	}
	return fmt.Errorf("%w: %w", directory.ErrDenied, f)
}

// password is what a refused new password means. Graph has one sentence for every
// rule; what its length, characters and classes do not explain is the list of banned
// passwords, global or the tenant's own, of which nobody is told more.
func (f *failure) password(pw directory.Secret) error {
	text := strings.ToLower(f.message)
	if f.status != http.StatusBadRequest || !strings.Contains(text, "password") || strings.Contains(text, "directory sync objects") {
		return f.writing()
	}
	value := pw.Reveal()
	no := &directory.Refusal{Rule: directory.RuleBanned, Text: f.message}
	switch n := utf8.RuneCountInString(value); {
	case n < minLength:
		no.Rule, no.Limit = directory.RuleTooShort, minLength
	case n > maxLength:
		no.Rule, no.Limit = directory.RuleTooLong, maxLength
	case !directory.PlainCharacters(value):
		no.Rule = directory.RuleCharacters
	case classes(value) < 3:
		no.Rule = directory.RuleComplexity
	}
	return no
}

// classes counts lower case, upper case, digits and everything else.
func classes(s string) int {
	n := 0
	for _, has := range []func(rune) bool{
		func(r rune) bool { return r >= 'a' && r <= 'z' }, func(r rune) bool { return r >= 'A' && r <= 'Z' }, func(r rune) bool { return r >= '0' && r <= '9' },
		func(r rune) bool { return r < '0' || r > '9' && r < 'A' || r > 'Z' && r < 'a' || r > 'z' },
	} {
		if strings.ContainsFunc(s, has) {
			n++
		}
	}
	return n
}
