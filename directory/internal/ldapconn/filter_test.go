package ldapconn

import (
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// oneEqualityEach parses the filter as the wire would carry it and returns the
// faults: there must be one equality node for each attribute, with value in it.
func oneEqualityEach(t *testing.T, value string, attributes ...string) {
	t.Helper()
	filter := AnyEqual(value, attributes...)
	p, err := ldap.CompileFilter(filter)
	if err != nil {
		t.Fatalf("%q: %v", filter, err)
	}
	if p.Tag != ldap.FilterOr || len(p.Children) != len(attributes) {
		t.Fatalf("%q is not an or of %d", filter, len(attributes))
	}
	for i, n := range p.Children {
		if n.Tag != ldap.FilterEqualityMatch || len(n.Children) != 2 {
			t.Fatalf("%q: node %d is no equality", filter, i)
		}
		if a := ber.DecodeString(n.Children[0].Data.Bytes()); a != attributes[i] {
			t.Errorf("%q: attribute %q", filter, a)
		}
		if v := ber.DecodeString(n.Children[1].Data.Bytes()); v != value {
			t.Errorf("%q: value %q, not %q", filter, v, value)
		}
	}
}

// security case 56
func TestWhateverIsTypedStaysAValue(t *testing.T) {
	for _, v := range []string{"alice", "*", "*)(objectClass=*", ")(|(uid=*", `\2a`, `\`, "(", ")", "a\x00b", "\xff\xfe", "é", "日本", "", " ", "=", "&", "|", "!"} {
		oneEqualityEach(t, v, "uid", "mail", "userPrincipalName")
	}
}

func FuzzAnyEqual(f *testing.F) {
	for _, v := range []string{"*", "*)(objectClass=*", `\2a`, "a\x00b", "\xff"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) { oneEqualityEach(t, v, "uid", "mail") })
}

func TestAttributeNamesAreNotData(t *testing.T) {
	for _, bad := range []string{"", "uid)", "u id", "uid=*)(x", "1uid", "uid;x", "-a", "ü"} {
		if ValidAttribute(bad) {
			t.Errorf("%q passes for a name", bad)
		}
	}
	for _, good := range []string{"uid", "sAMAccountName", "msDS-ResultantPSO", "x500uniqueIdentifier"} {
		if !ValidAttribute(good) {
			t.Errorf("%q does not", good)
		}
	}
}

// security case 52
func TestTypable(t *testing.T) {
	for in, want := range map[string]bool{
		"alice": true, " alice ": true, "é": true, "ﬁ": true, "": false, "a\x00": false, "a\r\nb": false, "a\x7f": false, "\u0085": false,
		"\xff": false, strings.Repeat("a", 256): true, strings.Repeat("a", 257): false,
	} {
		if Typable(in) != want {
			t.Errorf("%q: %v", in, !want)
		}
	}
}

func TestPlacesRefuseByBranchAndNotByText(t *testing.T) {
	p, err := NewPlaces([]string{"OU=People,DC=x"}, []string{"ou=admins,ou=people,dc=x"})
	if err != nil {
		t.Fatal(err)
	}
	for dn, allowed := range map[string]bool{
		"CN=a,OU=People,DC=x": true, "cn=a, ou=people, dc=X": true, "CN=a,OU=Admins,OU=People,DC=x": false,
		"CN=a,OU=Deep,OU=admins,OU=People,DC=x": false, "CN=a,OU=Other,DC=x": false, `CN=a\,OU=People,DC=x`: false, "not a dn": false,
	} {
		if got := p.Refuse(dn) == ""; got != allowed {
			t.Errorf("%q: allowed %v: %s", dn, got, p.Refuse(dn))
		}
	}
}

func TestWhoeverHasOneOfTheNamesIsPresent(t *testing.T) {
	p, err := ldap.CompileFilter(AnyPresent("uid", "mail"))
	if err != nil || p.Tag != ldap.FilterOr || len(p.Children) != 2 || p.Children[0].Tag != ldap.FilterPresent || p.Children[1].Tag != ldap.FilterPresent {
		t.Errorf("%v, %v", p, err)
	}
}
