package directory

import (
	"slices"
	"strings"
	"testing"
)

func TestAGroupIsKnownByItsDNOrItsCommonName(t *testing.T) {
	u := User{Groups: []string{`CN=Payroll \, Berlin,OU=Groups,DC=corp,DC=example`, "Staff  Members", "cn=Second,dc=corp", `CN=Odd\`}}
	for group, want := range map[string]bool{
		`cn=payroll \2c berlin, ou=groups,DC=Corp,dc=EXAMPLE`: true,
		"PAYROLL , Berlin":           true,
		"staff members":              true,
		"second":                     true,
		"cn=second;dc=corp":          true,
		"":                           false,
		"CN=second":                  false,
		"cn=Second,dc=other":         false,
		"CN=Payroll":                 false,
		"Payroll":                    false,
		"Groups":                     false,
		"cn":                         false,
		"corp":                       false,
		"CN=Staff Members,DC=corp":   false,
		"Staff":                      false,
		"Second,dc=corp":             false,
		"cn=Second,dc=corp,dc=other": false,
	} {
		if got := MemberOf(u, group); got != want {
			t.Errorf("%q: %v", group, got)
		}
		if got := MemberOf(u, "nobody", group); got != want {
			t.Errorf("%q as the second: %v", group, got)
		}
		if MemberOf(User{}, group) {
			t.Errorf("%q has somebody who is in no group", group)
		}
	}
	if MemberOf(u) {
		t.Error("a member of no groups at all")
	}
}

func TestDNsAreComparedBySenseNotBySpelling(t *testing.T) {
	same := [][]string{
		{`CN=Ada,OU=A\,B,DC=x`, `cn=ada , ou=a\2cb,dc=X`, `CN=Ada;OU=A\2C B,DC=x`},
	}
	if a, b := ParseDN(same[0][0]), ParseDN(same[0][1]); !slices.Equal(a, b) || len(a) != 3 {
		t.Errorf("%q and %q differ: %v %v", same[0][0], same[0][1], a, b)
	}
	if a, c := ParseDN(same[0][0]), ParseDN(same[0][2]); slices.Equal(a, c) {
		t.Error("a space inside a value was lost")
	}
	for _, bad := range []string{"", "Staff", "=x", "CN=a,", `CN=a\`, "CN=a,,DC=x"} {
		if got := ParseDN(bad); got != nil {
			t.Errorf("%q is no DN, and gave %v", bad, got)
		}
	}
}

func FuzzParseDN(f *testing.F) {
	f.Add(`CN=Ada\, B\20,OU=x;DC= y`)
	f.Add(`\2`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, rdn := range ParseDN(s) {
			if !strings.Contains(rdn, "=") {
				t.Errorf("%q gave the part %q", s, rdn)
			}
		}
	})
}
