package embedded

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"postern/directory"
)

// account is one person as kept in the file.
type account struct {
	GUID         guid      `json:"guid"`
	RID          uint32    `json:"rid"`
	Login        string    `json:"login"`
	DN           string    `json:"dn"`
	Name         string    `json:"name"`
	Given        string    `json:"given,omitempty"`
	Surname      string    `json:"surname,omitempty"`
	Mail         string    `json:"mail,omitempty"`
	Phone        string    `json:"phone,omitempty"`
	Employee     string    `json:"employee,omitempty"`
	Language     string    `json:"language,omitempty"`
	Manager      string    `json:"manager,omitempty"` // login
	Groups       []string  `json:"groups,omitempty"`  // names
	PrimaryGroup string    `json:"primary_group"`
	Protected    bool      `json:"protected,omitempty"`
	Disabled     bool      `json:"disabled,omitempty"`
	NeverExpires bool      `json:"never_expires,omitempty"`
	Expires      time.Time `json:"expires,omitzero"`
	Created      time.Time `json:"created"`

	PasswordSet time.Time `json:"password_set,omitzero"` // zero: must change
	Failures    int       `json:"failures,omitempty"`
	FailedAt    time.Time `json:"failed_at,omitzero"`
	LockedAt    time.Time `json:"locked_at,omitzero"`
	// Remembered is newest first; the first is the password in force.
	Remembered []hash `json:"remembered"`
	// SamplePassword is dropped with the first change.
	SamplePassword string `json:"sample_password,omitempty"`
}

// policy is the domain's, for everybody.
type policy struct {
	minLength, history, threshold int
	minAge, maxAge                time.Duration
	lockoutDuration, window       time.Duration
}

func domainPolicy(minAge time.Duration) policy {
	return policy{minLength: 10, history: 5, threshold: 5, minAge: minAge, maxAge: 365 * 24 * time.Hour,
		lockoutDuration: 30 * time.Minute, window: 30 * time.Minute}
}

func (a *account) upn() string { return a.Login + "@" + domain }

func (a *account) locked(p policy, now time.Time) bool {
	return !a.LockedAt.IsZero() && now.Before(a.LockedAt.Add(p.lockoutDuration))
}

func (a *account) mustChange() bool { return !a.NeverExpires && a.PasswordSet.IsZero() }

func (a *account) passwordExpired(p policy, now time.Time) bool {
	return !a.NeverExpires && !a.mustChange() && !now.Before(a.PasswordSet.Add(p.maxAge))
}

func (a *account) accountExpired(now time.Time) bool {
	return !a.Expires.IsZero() && !now.Before(a.Expires)
}

// missed counts one wrong password (MS-SAMR 3.1.1.8.7, badPwdCount).
func (a *account) missed(p policy, now time.Time) {
	if now.After(a.FailedAt.Add(p.window)) {
		a.Failures = 0
	}
	a.Failures++
	a.FailedAt = now
	if a.Failures >= p.threshold {
		a.LockedAt = now
	}
}

// refusedBecause returns the rule a new password breaks, or "". AD tells its
// client none of this; it is for the server's own order of checks.
func (a *account) refusedBecause(p policy, password string) directory.Rule {
	// AD counts UTF-16 code units, so that an emoji is two characters.
	if len(utf16.Encode([]rune(password))) < p.minLength {
		return directory.RuleTooShort
	}
	if !complex(password, a.Login, a.Name) {
		return directory.RuleComplexity
	}
	return ""
}

func (a *account) remembers(p policy, password string) bool {
	for _, h := range a.Remembered[:min(len(a.Remembered), p.history)] {
		if h.is(password) {
			return true
		}
	}
	return false
}

// is reports whether password is the one in force.
func (a *account) is(password string) bool {
	return len(a.Remembered) > 0 && a.Remembered[0].is(password)
}

// complex is AD's rule "Password must meet complexity requirements": three of
// five classes, not the account name, no part of the display name of three or
// more characters.
func complex(password, login, name string) bool {
	var upper, lower, digit, special, other int
	for _, r := range password {
		switch {
		case unicode.IsUpper(r):
			upper = 1
		case unicode.IsLower(r):
			lower = 1
		case r >= '0' && r <= '9':
			digit = 1
		case unicode.IsLetter(r):
			other = 1
		default:
			special = 1
		}
	}
	if upper+lower+digit+special+other < 3 {
		return false
	}
	folded := strings.ToLower(password)
	parts := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(",.-_#", r) || unicode.IsSpace(r) })
	for _, part := range append(parts, login) {
		if len([]rune(part)) >= 3 && strings.Contains(folded, strings.ToLower(part)) {
			return false
		}
	}
	return true
}

// dnOf is where a person of that name and login lives. The login is part of the
// name so that two people may be called the same.
func (p Person) dnOf() string {
	return fmt.Sprintf("CN=%s,%s", escapeDN(p.Login), peopleDN)
}
