package ldapconn

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

const base = "ou=People,dc=example,dc=org"

func TestReferencesLeadNowhereButIntoTheBase(t *testing.T) {
	for ref, want := range map[string]string{
		"uid=manager1," + base:                              "uid=manager1,ou=People,dc=example,dc=org",
		"UID = manager1 , OU=people , DC=EXAMPLE, dc=org":   "uid=manager1,ou=people,dc=EXAMPLE,dc=org",
		`uid=\6danager1;` + base:                            "uid=manager1,ou=People,dc=example,dc=org",
		`cn=O'Hara\, Zoë \"Zo\" (QA) \5c *,ou=deep,` + base: `cn=O'Hara\, Zo\c3\ab \"Zo\" (QA) \\ *,ou=deep,ou=People,dc=example,dc=org`,
		"sn=b+cn=a," + base:                                 "cn=a+sn=b,ou=People,dc=example,dc=org",
		base:                                                base,
		"":                                                  "",
		" ":                                                 "",
		"manager1":                                          "",
		"=," + base:                                         "",
		"uid=," + base:                                      "",
		"dc=example,dc=org":                                 "",
		"cn=admin,dc=example,dc=org":                        "",
		"uid=manager1,ou=People,dc=example,dc=com":            "",
		"uid=manager1,ou=People,dc=example":                   "",
		`uid=manager1\,ou=People,dc=example,dc=org`:           "",
		"uid=manager1," + base + ",dc=evil":                   "",
		"<GUID=00112233-4455-6677-8899-aabbccddeeff>":         "",
		"<SID=S-1-5-21-1-2-3-500>":                            "",
		"<GUID=00112233-4455-6677-8899-aabbccddeeff>," + base: "",
		"ldap://evil.example/uid=manager1," + base:            "",
		"(uid=*)," + base:                                     "",
		"uid=*)(objectClass=*," + base:                        "uid=*)(objectClass=*,ou=People,dc=example,dc=org", // a value, and one that nobody has
		"uid=a\x00," + base:                                   "",
		`uid=a\00,` + base:                                    "",
		"uid=a\r\nb," + base:                                  "",
		"uid=\xff," + base:                                    "",
		"uid=" + strings.Repeat("a", 5000) + "," + base:       "",
		"1.2.3)(x=a," + base:                                  "",
	} {
		got, ok := Within(base, ref)
		if ok != (want != "") || got != want {
			t.Errorf("%.60q: %q, %v; want %q", ref, got, ok, want)
		}
	}
}

// Whatever is in an attribute: what is sent reads back as a name in the base.
func FuzzWithin(f *testing.F) {
	for _, s := range []string{"uid=a," + base, `cn=\,\+\"\\\<\>\;\=\20,` + base, "cn=a+sn=b," + base, "uid=#040161," + base, "<GUID=1>"} {
		f.Add(s)
	}
	branch, err := ldap.ParseDN(base)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		dn, ok := Within(base, ref)
		if !ok {
			return
		}
		again, err := ldap.ParseDN(dn)
		if err != nil || !branch.EqualFold(again) && !branch.AncestorOfFold(again) {
			t.Errorf("%q became %q: %v", ref, dn, err)
		}
	})
}

func TestOnlyAnAnswerSaysThatThereIsNoSuchEntry(t *testing.T) {
	for _, code := range []uint16{ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultReferral} {
		if !Absent(ldap.NewError(code, errors.New("x"))) {
			t.Errorf("%d", code)
		}
	}
	for _, err := range []error{nil, errors.New("x"), ldap.NewError(ldap.LDAPResultBusy, errors.New("x")), ldap.NewError(ldap.ErrorNetwork, errors.New("x")),
		ldap.NewError(ldap.LDAPResultInsufficientAccessRights, errors.New("x"))} {
		if Absent(err) {
			t.Errorf("%v", err)
		}
	}
}
