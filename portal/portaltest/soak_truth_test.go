package portaltest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/portal/audit"
)

// settleTime is how long an outcome may stay unknown.
const settleTime = 2 * time.Minute

// binds asks the directory itself, past the portal and its lines.
func (s *soak) binds(dn, password string) (bool, error) {
	err := s.house.LDAP.Bind(dn, password)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		return false, nil
	}
	return err == nil, err
}

// lie says what is wrong with what somebody was told, where these are the passwords that
// the directory takes afterwards; empty: nothing.
func lie(e ending, old, next bool) string {
	switch {
	case e.told == odd:
		return e.why
	case e.unlocks && e.told == done && !old:
		return "told that the account is unlocked, and it is locked"
	case e.unlocks && e.told == refused && old:
		return "told that nothing was done, and the account is unlocked"
	case e.unlocks:
		return ""
	case e.told == done && !next:
		return "told that the new password is set, and it does not sign in"
	case e.told == done && old:
		return "told that the new password is set, and the old one signs in"
	case e.told == unknown && old == next:
		return fmt.Sprintf("after what nobody knew of: old password %v, new %v", old, next)
	case e.told != done && e.told != unknown && !old:
		return "told " + string(e.told) + ", and the old password is gone"
	case e.told != done && e.told != unknown && next:
		return "told " + string(e.told) + ", and the new password signs in"
	}
	return ""
}

// finds holds what somebody was told against the directory, and notes what is so.
func (s *soak) finds(m *member, e ending) (string, error) {
	// The right password last: it clears the row of wrong ones.
	next := false
	old, err := s.binds(m.dn, m.password)
	if err == nil && e.next != "" {
		next, err = s.binds(m.dn, e.next)
	}
	if err == nil && old && e.next != "" {
		_, err = s.binds(m.dn, m.password)
	}
	if err != nil {
		return "", fmt.Errorf("%s at the directory: %w", m.login, err)
	}
	if next {
		m.old, m.password = m.password, e.next
	}
	if e.unlocks && !old {
		lock := ldap.NewModifyRequest(m.dn, nil)
		lock.Delete("pwdAccountLockedTime", nil)
		if err := s.house.LDAP.Modify(lock); err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchAttribute) {
			return "", fmt.Errorf("%s: %w", m.login, err)
		}
	}
	return lie(e, old, next), nil
}

// account is what stands in the record about one person.
type account struct{ done, unlocked int }

// register reads the whole record and returns what in it cannot be: a code that was good
// twice, a case with two outcomes, an intent without one.
func register(export func(func(audit.Event) error) error) (map[directory.ID]account, []string, error) {
	people := map[directory.ID]account{}
	codes := map[string]int{}
	intents, outcomes, good := map[string]int{}, map[string]int{}, map[string]int{}
	err := export(func(e audit.Event) error {
		p := people[e.Subject]
		switch kind := e.Kind; {
		case kind == "proof.ok" && e.Factor == "recovery_code":
			codes[string(e.Subject)+" "+e.Detail["credential"]]++
		case strings.HasSuffix(kind, ".intent"):
			intents[e.Case]++
		case kind == "account.unlocked" && e.Purpose != "unlock": // beside a reset
		case kind == "password.reset", kind == "password.changed", kind == "account.unlocked", kind == "password.refused":
			outcomes[e.Case]++
			if e.Outcome == audit.OK {
				good[e.Case]++
				if kind == "account.unlocked" {
					p.unlocked++
				} else {
					p.done++
				}
			}
		}
		people[e.Subject] = p
		return nil
	})
	var wrong []string
	for _, c := range slices.Sorted(maps.Keys(codes)) {
		if codes[c] > 1 {
			wrong = append(wrong, fmt.Sprintf("the recovery code %s was good %d times", c, codes[c]))
		}
	}
	for _, c := range slices.Sorted(maps.Keys(intents)) {
		if intents[c] != outcomes[c] || good[c] > 1 {
			wrong = append(wrong, fmt.Sprintf("case %s has %d intents, %d outcomes, %d of them good", c, intents[c], outcomes[c], good[c]))
		}
	}
	for _, c := range slices.Sorted(maps.Keys(outcomes)) {
		if intents[c] == 0 {
			wrong = append(wrong, "case "+c+" has an outcome without an intent")
		}
	}
	if err == nil && len(codes) == 0 {
		wrong = append(wrong, "not one recovery code is on record")
	}
	return people, wrong, err
}
