package openldap

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// refused is an answer as slapd sends it, with the password policy control when
// value is not empty.
func refused(t testing.TB, code int, text string, value []byte) error {
	t.Helper()
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, int64(7), ""))
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationExtendedResponse, nil, "")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, ""))
	p.AppendChild(r)
	if value != nil {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		c := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		c.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, ldap.ControlTypeBeheraPasswordPolicy, ""))
		c.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, string(value), ""))
		list.AppendChild(c)
		p.AppendChild(list)
	}
	// Through the bytes, as it comes off the wire.
	back, err := ber.DecodePacketErr(p.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return ldap.GetLDAPError(back)
}

// errorValue is PasswordPolicyResponseValue { error [1] n }; 6 is what slapd 2.5
// sends as MAOBAQY=.
func errorValue(n byte) []byte { return []byte{0x30, 0x03, 0x81, 0x01, n} }

func TestWriteAnswersNameTheRule(t *testing.T) {
	if golden, _ := base64.StdEncoding.DecodeString("MAOBAQY="); string(golden) != string(errorValue(6)) {
		t.Fatalf("%x", golden)
	}
	set := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	rules := directory.Rules{MinLength: 10, MaxLength: 64, History: 3, MinAge: time.Hour}
	u := directory.User{State: directory.State{PasswordSet: set}}
	for n, want := range map[byte]directory.Refusal{
		3: {Rule: directory.RuleCannotChange}, 4: {Rule: directory.RuleMustSupplyOld}, 5: {Rule: directory.RuleQuality},
		6: {Rule: directory.RuleTooShort, Limit: 10}, 7: {Rule: directory.RuleTooYoung, Until: set.Add(time.Hour)},
		8: {Rule: directory.RuleHistory, Limit: 3}, 9: {Rule: directory.RuleTooLong, Limit: 64},
	} {
		err := decodeWrite(refused(t, 19, "why", errorValue(n)), rules, u, true)
		var r *directory.Refusal
		want.Text = "why"
		if !errors.As(err, &r) || *r != want {
			t.Errorf("%d: %v %+v", n, err, r)
		}
	}
	for _, tt := range []struct {
		name   string
		err    error
		change bool
		is     error
		rule   directory.Rule
	}{
		{"wrong old", refused(t, 53, wrongOldText, nil), true, directory.ErrWrongPassword, ""},
		{"the same text without an old password", refused(t, 53, wrongOldText, nil), false, nil, directory.RuleNotAllowed},
		{"wrong old, other servers", refused(t, 49, "", nil), true, directory.ErrWrongPassword, ""},
		{"49 in a reset is no wrong password", refused(t, 49, "", nil), false, directory.ErrUnavailable, ""},
		{"locked", refused(t, 19, "", errorValue(1)), true, directory.ErrWrongPassword, ""},
		{"rights", refused(t, 50, "", nil), false, directory.ErrDenied, ""},
		{"gone", refused(t, 32, "", nil), false, directory.ErrNotFound, ""},
		{"no control", refused(t, 19, "Password fails quality checking policy", nil), false, nil, directory.RuleQuality},
		{"broken control", refused(t, 19, "x", []byte{0x30, 0x7f}), false, nil, directory.RuleQuality},
		{"busy", refused(t, 51, "", nil), false, directory.ErrUnavailable, ""},
		{"service account refused", fmt.Errorf("%w: %w", directory.ErrUnavailable, refused(t, 49, "", nil)), true, directory.ErrUnavailable, ""},
	} {
		err := decodeWrite(tt.err, rules, u, tt.change)
		var r *directory.Refusal
		switch {
		case tt.rule != "" && (!errors.As(err, &r) || r.Rule != tt.rule):
			t.Errorf("%s: %v", tt.name, err)
		case tt.is != nil && !errors.Is(err, tt.is), tt.is == directory.ErrUnavailable && errors.Is(err, directory.ErrWrongPassword):
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestBindAnswersAreRead(t *testing.T) {
	control := func(e int8, grace int64) []ldap.Control {
		c := ldap.NewControlBeheraPasswordPolicy()
		c.Error, c.Grace = e, grace
		return []ldap.Control{c}
	}
	for _, tt := range []struct {
		name     string
		err      error
		controls []ldap.Control
		is       error
	}{
		{"right", nil, control(-1, -1), nil},
		{"right, no control", nil, nil, nil},
		{"right, must change", nil, control(2, -1), directory.ErrMustChange},
		{"right, expired with grace", nil, control(-1, 2), directory.ErrPasswordExpired},
		{"expired", refused(t, 49, "", nil), control(0, -1), directory.ErrPasswordExpired},
		{"locked", refused(t, 49, "", nil), control(1, -1), directory.ErrWrongPassword},
		{"wrong", refused(t, 49, "", nil), control(-1, -1), directory.ErrWrongPassword},
		{"no password on the entry", refused(t, 48, "", nil), nil, directory.ErrWrongPassword},
		{"confidentiality required", refused(t, 13, "", nil), nil, directory.ErrUnavailable},
	} {
		if err := decodeBind(tt.err, tt.controls); !errors.Is(err, tt.is) || tt.is == directory.ErrUnavailable && errors.Is(err, directory.ErrWrongPassword) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func FuzzRefusal(f *testing.F) {
	for n := range byte(12) {
		f.Add(19, "x", errorValue(n))
	}
	f.Add(53, wrongOldText, []byte{})
	f.Fuzz(func(t *testing.T, code int, text string, value []byte) {
		if code <= 0 || code > 120 {
			return
		}
		if decodeWrite(refused(t, code, text, value), directory.Rules{}, directory.User{}, true) == nil {
			t.Error("a refusal became a success")
		}
	})
}

func TestState(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	p := policy{allowsChange: true, mustChange: true,
		rules: directory.Rules{MaxAge: 24 * time.Hour, LockoutDuration: time.Hour, LockoutWindow: 10 * time.Minute}}
	last := time.Date(2026, 6, 1, 11, 55, 0, 123456000, time.UTC)
	endless := p
	endless.rules.LockoutDuration, endless.rules.LockoutWindow = 0, 0
	for _, tt := range []struct {
		name  string
		attrs map[string][]string
		p     policy
		want  directory.State
	}{
		{"nothing", nil, p, directory.State{}},
		{"locked", map[string][]string{"pwdAccountLockedTime": {"20260601113000Z"}}, p,
			directory.State{Locked: true, LockedAt: now.Add(-30 * time.Minute), LockedUntil: now.Add(30 * time.Minute)}},
		{"was locked", map[string][]string{"pwdAccountLockedTime": {"20260601100000Z"}}, p, directory.State{}},
		{"locked until somebody acts", map[string][]string{"pwdAccountLockedTime": {"20200101000000Z"}}, endless, directory.State{Locked: true, LockedAt: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{"by an administrator", map[string][]string{"pwdAccountLockedTime": {"000001010000Z"}}, p, directory.State{Locked: true, Disabled: true}},
		{"an unreadable time is a lock", map[string][]string{"pwdAccountLockedTime": {"soon"}}, p, directory.State{Locked: true}},
		{"failures in the window", map[string][]string{"pwdFailureTime": {"20260601115500.123456Z", "20260601100000Z"}}, p,
			directory.State{BadPasswords: 1, FirstBad: last, LastBad: last}},
		{"failures for ever", map[string][]string{"pwdFailureTime": {"20260601115500.123456Z", "20200601100000Z"}}, endless,
			directory.State{BadPasswords: 2, FirstBad: time.Date(2020, 6, 1, 10, 0, 0, 0, time.UTC), LastBad: last}},
		{"must change", map[string][]string{"pwdReset": {"TRUE"}}, p, directory.State{MustChange: true}},
		{"expired", map[string][]string{"pwdChangedTime": {"20260531110000Z"}}, p,
			directory.State{PasswordExpired: true, PasswordSet: now.Add(-25 * time.Hour), PasswordExpires: now.Add(-time.Hour)}},
		{"ended", map[string][]string{"pwdEndTime": {"20260501000000Z"}}, p, directory.State{AccountExpired: true}},
		{"not begun", map[string][]string{"pwdStartTime": {"20270101000000Z"}}, p, directory.State{Disabled: true}},
	} {
		if got := state(ldap.NewEntry("uid=a", tt.attrs), tt.p, now); got != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	p.allowsChange = false
	if !state(ldap.NewEntry("uid=a", nil), p, now).CannotChange {
		t.Error("pwdAllowUserChange FALSE is lost")
	}
}
