package directorytest_test

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/directory/directorytest"
)

func TestSlapdIsReadyWithPeopleInEveryState(t *testing.T) {
	s := directorytest.Slapd(t)
	for login, want := range map[string]bool{
		"user1": true, "odd1": true, "strong1": true, "admin1": true, "mustchange1": true,
		"locked1": false, "disabled1": false, "expired1": false,
	} {
		p := s.Person(login)
		if err := s.Bind(p.DN, p.Password); (err == nil) != want {
			t.Errorf("%s: bind says %v", login, err)
		}
	}
	who, err := s.Whoami(t.Context(), s.Person("user1").DN, s.Person("user1").Password)
	if err != nil || who != "dn:"+s.Person("user1").DN {
		t.Errorf("ldapwhoami says %q, %v", who, err)
	}
	if err := s.Bind(s.ServiceDN, s.ServicePassword); err != nil {
		t.Errorf("service account: %v", err)
	}
	e, err := s.Entry(s.Person("tech1").DN, "memberOf")
	if err != nil || !strings.Contains(e.GetAttributeValue("memberOf"), directorytest.TechGroup) {
		t.Errorf("groups of tech1: %v, %v", e, err)
	}
}

func TestCountersCountWhatOthersDo(t *testing.T) {
	s := directorytest.Slapd(t)
	before, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(s.Person("user1").DN, s.Person("user1").Password); err != nil {
		t.Fatal(err)
	}
	m := ldap.NewModifyRequest(s.Person("user2").DN, nil)
	m.Replace("mobile", []string{"+1 555 0199"})
	if err := s.Modify(m); err != nil {
		t.Fatal(err)
	}
	after, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := after.Sub(before), (directorytest.Counters{Connections: 2, Binds: 2, Writes: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}
