package ad

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// encodePassword is the value of unicodePwd: the password in quotation marks, in
// UTF-16LE without a byte order mark (MS-ADTS section 3.1.1.3.1.5.1).
func encodePassword(pw directory.Secret) string {
	units := utf16.Encode([]rune(`"` + pw.Reveal() + `"`))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

// attempt is what a refused write was about; only what is needed to find the rule.
type attempt struct {
	change   bool // with the old password
	password directory.Secret
	user     directory.User
	rules    directory.Rules
	now      time.Time
}

var win32Code = regexp.MustCompile(`^\s*([0-9A-Fa-f]{8}):`)

// win32 is the code in the first eight hexadecimal digits of a server's text.
func win32(text string) (code uint32, ok bool) {
	m := win32Code.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(m[1], 16, 32)
	return uint32(n), err == nil
}

const (
	win32AccessDenied       = 0x5
	win32GenFailure         = 0x1F
	win32InvalidPassword    = 0x56
	win32LogonFailure       = 0x52E
	win32AccountRestricted  = 0x52F
	win32PasswordRestricted = 0x52D
	win32LockedOut          = 0x775
)

// decodeWrite reads the answer to a password write (MS-ADTS section 3.1.1.3.1.5).
func decodeWrite(err error, a attempt) error {
	if err == nil {
		return nil
	}
	e, answered := ldapconn.Answer(err)
	if !answered {
		return err
	}
	text := e.Err.Error()
	code, _ := win32(text)
	switch e.ResultCode {
	case ldap.LDAPResultConstraintViolation, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultUnwillingToPerform:
		switch code {
		case win32InvalidPassword, win32LogonFailure:
			if a.change {
				return fmt.Errorf("%w: %w", directory.ErrWrongPassword, err)
			}
		case win32LockedOut:
			return &directory.BindDenied{Reason: "locked", Err: err}
		case win32AccessDenied, win32AccountRestricted:
			return &directory.Refusal{Rule: directory.RuleCannotChange, Text: text}
		case win32PasswordRestricted:
			r := refusedRule(text, a)
			r.Text = text
			return r
		case win32GenFailure:
			return fmt.Errorf("%w: the connection is not encrypted, or the password was badly encoded: %w",
				directory.ErrUnavailable, err)
		}
		if e.ResultCode == ldap.LDAPResultInvalidCredentials && a.change {
			return fmt.Errorf("%w: %w", directory.ErrWrongPassword, err)
		}
		if e.ResultCode == ldap.LDAPResultConstraintViolation {
			return &directory.Refusal{Rule: directory.RuleQuality, Text: text}
		}
	}
	return ldapconn.Wrap(err)
}

// refusedRule finds which rule 0000052D means. Samba says it in words; Windows
// does not, so the rules are tried in the order in which they can be known, and
// what remains is named as what it is: the history, or an installed filter.
func refusedRule(text string, a attempt) *directory.Refusal {
	t := strings.ToLower(text)
	switch {
	case strings.Contains(t, "too short"):
		r := &directory.Refusal{Rule: directory.RuleTooShort, Limit: a.rules.MinLength}
		// Samba says the number that holds, which may be of a PSO nobody can read.
		if m := sambaLength.FindStringSubmatch(t); m != nil {
			r.Limit, _ = strconv.Atoi(m[1])
		}
		return r
	case strings.Contains(t, "complexity"):
		return &directory.Refusal{Rule: directory.RuleComplexity}
	case strings.Contains(t, "too young"):
		return tooYoung(a)
	case strings.Contains(t, "history"), strings.Contains(t, "already used"):
		return &directory.Refusal{Rule: directory.RuleHistory, Limit: a.rules.History}
	}
	// The server counts UTF-16 units.
	if units := len(utf16.Encode([]rune(a.password.Reveal()))); units < a.rules.MinLength {
		return &directory.Refusal{Rule: directory.RuleTooShort, Limit: a.rules.MinLength}
	}
	if a.rules.Complexity && !complexEnough(a.password.Reveal(), a.user.Login, a.user.Name) {
		return &directory.Refusal{Rule: directory.RuleComplexity}
	}
	if a.change && a.rules.MinAge > 0 && !a.user.State.PasswordSet.IsZero() &&
		a.user.State.PasswordSet.Add(a.rules.MinAge).After(a.now) {
		return tooYoung(a)
	}
	if a.rules.Unreadable != "" {
		// The rules tried above were not the ones in force: any of them may be it.
		return &directory.Refusal{Rule: directory.RuleQuality}
	}
	return &directory.Refusal{Rule: directory.RuleHistoryOrFilter, Limit: a.rules.History}
}

var sambaLength = regexp.MustCompile(`longer than (\d{1,4}) characters`)

func tooYoung(a attempt) *directory.Refusal {
	r := &directory.Refusal{Rule: directory.RuleTooYoung}
	if !a.user.State.PasswordSet.IsZero() {
		r.Until = a.user.State.PasswordSet.Add(a.rules.MinAge)
	}
	return r
}

// complexEnough is "Password must meet complexity requirements" (MS-SAMR section
// 3.1.1.7.2): three of five classes of characters, not the account name, and no
// part of the display name of three or more characters.
func complexEnough(pw, account, display string) bool {
	lower := strings.ToLower(pw)
	if len([]rune(account)) > 2 && strings.Contains(lower, strings.ToLower(account)) {
		return false
	}
	for _, token := range strings.FieldsFunc(display, func(r rune) bool {
		return strings.ContainsRune(",.-_ #\t", r)
	}) {
		if len([]rune(token)) > 2 && strings.Contains(lower, strings.ToLower(token)) {
			return false
		}
	}
	var upper, low, digit, symbol, other bool
	for _, r := range pw {
		switch {
		case r >= '0' && r <= '9':
			digit = true
		case strings.ContainsRune("~!@#$%^&*_-+=`|\\(){}[]:;\"'<>,.?/ ", r):
			symbol = true
		case unicode.IsUpper(r):
			upper = true
		case unicode.IsLower(r):
			low = true
		case unicode.IsLetter(r):
			other = true
		}
	}
	n := 0
	for _, has := range []bool{upper, low, digit, symbol, other} {
		if has {
			n++
		}
	}
	return n >= 3
}
