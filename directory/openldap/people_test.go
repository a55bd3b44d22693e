package openldap_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"postern/directory"
	"postern/directory/directorytest"
	"postern/directory/openldap"
)

// A reference leads to no other server and through no alias, and nobody outside of
// the places people are in is listed.
func TestPeopleAndReferencesStayInTheirPlaces(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	from := find(t, d, "user1")
	elsewhere := s.StartTLSURL + "/" + s.Person("user2").DN
	for dn, attrs := range map[string]map[string][]string{
		"uid=referred1," + s.PeopleDN: {"objectClass": {"extensibleObject", "referral"}, "ref": {elsewhere}},
		"uid=alias1," + s.PeopleDN:    {"objectClass": {"extensibleObject", "alias"}, "aliasedObjectName": {s.Person("admin1").DN}},
		"ou=deep," + s.PeopleDN:       {"objectClass": {"organizationalUnit"}},
	} {
		if err := s.Add(dn, attrs); err != nil {
			t.Fatal(err)
		}
	}
	deep, err := s.AddUser(directorytest.Person{Login: "deep1", DN: "uid=deep1,ou=deep," + s.PeopleDN, Password: "Quay-Lantern-7734"})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"uid=referred1," + s.PeopleDN, "uid=user2,uid=referred1," + s.PeopleDN, "uid=alias1," + s.PeopleDN} {
		if u, err := d.Resolve(t.Context(), from, ref); !errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("%s leads to %q, %v", ref, u.DN, err)
		}
	}
	if u, err := d.Resolve(t.Context(), from, deep.DN); err != nil || u.Login != "deep1" {
		t.Errorf("%+v, %v", u, err)
	}
	for name, tt := range map[string]struct {
		change func(*openldap.Config)
		n      int
		deep   bool
	}{
		"everybody":          {func(*openldap.Config) {}, len(s.People) + 1, true},
		"user_ous":           {func(c *openldap.Config) { c.UserOUs = []string{"OU=Deep," + s.PeopleDN} }, 1, true},
		"denied_ous":         {func(c *openldap.Config) { c.DeniedOUs = []string{"ou=deep," + s.PeopleDN} }, len(s.People), false},
		"user_filter":        {func(c *openldap.Config) { c.UserFilter = "(uid=deep1)" }, 1, true},
		"nobody has a login": {func(c *openldap.Config) { c.LoginAttributes = []string{"employeeNumber"} }, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(s)
			tt.change(&cfg)
			id, n, seen := find(t, d, "deep1").ID, 0, false
			err := open(t, cfg).People(t.Context(), func(got directory.ID) error { n++; seen = seen || got == id; return nil })
			if err != nil || n != tt.n || seen != tt.deep {
				t.Errorf("%d people, deep1 %v, %v", n, seen, err)
			}
		})
	}
}

// Where the server ends a listing early there is none, and the doctor says so.
func TestAListingBeyondTheServersLimitIsNoListing(t *testing.T) {
	listing := func(d *openldap.Directory) (out directory.Finding) {
		t.Helper()
		for _, f := range d.Examine(t.Context()) {
			if f.Check == "listing" {
				out = f
			}
		}
		return out
	}
	s := directorytest.Slapd(t)
	if f := listing(open(t, config(s))); f.Severity != directory.OK || !strings.Contains(f.What, fmt.Sprintf("all %d people", len(s.People))) {
		t.Errorf("without a limit: %+v", f)
	}
	p := directorytest.DefaultPolicy()
	p.ListLimit = 20
	s = directorytest.Slapd(t, directorytest.WithPolicy(p))
	d, err := openldap.New("staff", config(s), openldap.WithPageSize(10))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n := 0
	if err := d.People(t.Context(), func(directory.ID) error { n++; return nil }); !errors.Is(err, directory.ErrUnavailable) || n != 20 {
		t.Errorf("%d people, %v", n, err)
	}
	if f := listing(d); f.Severity != directory.Warning || !strings.Contains(f.What, "after 20") || !strings.Contains(f.Mend, "size.prtotal=unlimited") {
		t.Errorf("with a limit: %+v", f)
	}
}
