package directorytest_test

import (
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/directorytest"
	"postern/directory/openldap"
)

func TestSlapd(t *testing.T) {
	// Eight characters, so that the shortest exact password is really set somewhere.
	policy := directorytest.DefaultPolicy()
	policy.MinLength, policy.Complexity = 8, false
	s := directorytest.Slapd(t, directorytest.WithPolicy(policy))
	cfg := openldap.DefaultConfig()
	cfg.Servers, cfg.CAFile = []string{s.URL}, s.CAFile
	cfg.BindDN, cfg.Password = s.ServiceDN, directory.NewSecret(s.ServicePassword)
	cfg.BaseDN, cfg.DefaultPolicy = s.PeopleDN, s.PolicyDN
	cfg.PrivilegedGroups = []string{"cn=" + directorytest.AdminGroup + "," + s.GroupsDN}
	open := func(cfg openldap.Config) (*openldap.Directory, error) {
		d, err := openldap.New("staff", cfg, openldap.WithPageSize(pageSize))
		if err == nil {
			t.Cleanup(d.Close)
		}
		return d, err
	}
	d, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	outside, err := s.AddUser(directorytest.Person{Login: "outside1", DN: "uid=outside1," + s.BaseDN, Password: "Quay-Lantern-7734"})
	if err != nil {
		t.Fatal(err)
	}

	dn := func(act func(string) error) func(directorytest.Person) error {
		return func(p directorytest.Person) error { return act(p.DN) }
	}
	slapdFacts := []string{"userPassword", "pwdChangedTime", "pwdReset", "pwdPolicySubentry", "pwdHistory"}
	var own int64 // binds that Binds itself has cost
	directorytest.Run(t, directorytest.Fixture{
		Directory: d,
		Policy:    s.Policy,
		Add:       s.AddUser,
		Bind:      func(p directorytest.Person, password string) error { return s.Bind(p.DN, password) },
		Lock:      dn(s.Lock), Disable: dn(s.Disable), MustChange: dn(s.MustChange),
		Expire: func(p directorytest.Person) error { return s.Expire(t.Context(), p.DN) },
		CannotChange: func(p directorytest.Person) error {
			return s.AddPolicyOf("kept", map[string]string{"pwdMustChange": "TRUE", "pwdAllowUserChange": "FALSE"}, p.DN)
		},
		Facts: func(p directorytest.Person) (map[string]string, error) {
			return facts(func() (*ldap.Entry, error) { return s.Entry(p.DN, "*", "+") }, slapdFacts...)
		},
		Young: func() (directory.Directory, directorytest.Person, error) {
			p, err := s.AddUser(directorytest.Person{Login: "young1", Password: "Quay-Lantern-7734"})
			if err != nil {
				return nil, p, err
			}
			policy := s.Policy
			policy.MinAgeDays = 1
			return d, p, s.AddPolicy("young", policy, p.DN)
		},
		Binds: func() (int64, error) {
			n, err := s.Counters()
			own++
			return n.Binds - own, err
		},
		Aliases: func(p directorytest.Person) []string {
			return []string{" " + p.Login, p.Login + " ", p.Mail}
		},
		Ambiguous:  []string{directorytest.TwinsMail, s.Person("victim1").Mail},
		Privileged: []string{"admin1", "nested1"},
		Strong:     "strong1",
		Managed:    "user1", Manager: "manager1", Director: "director1",
		Odd:    []string{"odd1"},
		Delete: func(p directorytest.Person) error { return s.Delete(p.DN) },
		Nowhere: []string{outside.DN, s.ServiceDN, s.RootDN, s.PolicyDN, s.BaseDN, s.PeopleDN, s.GroupsDN, "cn=" + directorytest.AdminGroup + "," + s.GroupsDN,
			"cn=config", "cn=Monitor", "cn=Subschema"},
		Everybody: func() ([]string, error) { return s.Logins("(objectClass=inetOrgPerson)") },
		PageSize:  pageSize,
		Through: func(addrs ...string) (directory.Directory, error) {
			there := cfg
			there.Servers = ldaps(addrs)
			return open(there)
		},
	})
}
