package directorytest_test

import (
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
)

func TestSamba(t *testing.T) {
	dc := directorytest.Samba(t)
	cfg := ad.DefaultConfig()
	cfg.DialTimeout, cfg.RequestTimeout = 5*time.Second, 5*time.Second // a busy machine is no outage
	cfg.Servers, cfg.CAFile = []string{dc.URL}, dc.CAFile
	cfg.BindDN, cfg.Password = dc.ServiceDN, directory.NewSecret(dc.ServicePassword)
	cfg.BaseDN, cfg.NetBIOSDomains = dc.BaseDN, []string{"POSTERN"}
	open := func(cfg ad.Config) (*ad.Directory, error) {
		d, err := ad.New("corp", cfg, ad.WithPageSize(pageSize))
		if err == nil {
			t.Cleanup(d.Close)
		}
		return d, err
	}
	d, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}

	dn := func(act func(string) error) func(directorytest.Person) error {
		return func(p directorytest.Person) error { return act(p.DN) }
	}
	directorytest.Run(t, directorytest.Fixture{
		Directory: d,
		Policy:    dc.Policy,
		Add:       dc.AddUser,
		Bind:      func(p directorytest.Person, password string) error { return dc.Bind(p.DN, password) },
		Lock:      dn(dc.Lock), Disable: dn(dc.Disable), MustChange: dn(dc.MustChange),
		Expire:       func(p directorytest.Person) error { return dc.Expire(t.Context(), p.DN) },
		NeverExpires: dn(dc.NeverExpires),
		CannotChange: func(p directorytest.Person) error { return dc.ForbidChange(t.Context(), p.DN) },
		Facts: func(p directorytest.Person) (map[string]string, error) {
			return facts(func() (*ldap.Entry, error) { return dc.Entry(p.DN, adFacts...) }, adFacts...)
		},
		Young: func() (directory.Directory, directorytest.Person, error) {
			p, err := dc.AddUser(directorytest.Person{Login: "young1", Password: "Quay-Lantern-7734"})
			if err != nil {
				return nil, p, err
			}
			policy := dc.Policy
			policy.MinAgeDays = 1
			return d, p, dc.AddPSO("Young", policy, p.DN)
		},
		Aliases: func(p directorytest.Person) []string {
			return []string{" " + p.Login, p.Login + " ", p.UPN, p.Mail, `POSTERN\` + p.Login, `postern\` + p.Login}
		},
		Ambiguous:  []string{directorytest.TwinsMail, dc.Person("victim1").UPN},
		Privileged: []string{"admin1", "nested1", "primary1", "stale1", "Administrator", "krbtgt"},
		Strong:     "strong1",
		Managed:    "user1", Manager: "manager1", Director: "director1",
		Odd:    []string{"odd1"},
		Delete: func(p directorytest.Person) error { return dc.Delete(p.DN) },
		Nowhere: []string{dc.BaseDN, dc.PeopleDN, "CN=Domain Admins,CN=Users," + dc.BaseDN, "CN=" + directorytest.TechGroup + ",OU=Groups," + dc.BaseDN,
			"CN=DC1,OU=Domain Controllers," + dc.BaseDN, "CN=Schema,CN=Configuration," + dc.BaseDN, "CN=Configuration," + dc.BaseDN,
			"CN=user1,DC=child," + dc.BaseDN, "CN=Administrator,CN=Users,DC=other,DC=test", "DC=test", ""},
		Everybody: func() ([]string, error) { return dc.Logins("(sAMAccountType=805306368)") },
		PageSize:  pageSize,
		Through: func(addrs ...string) (directory.Directory, error) {
			there := cfg
			there.Servers = ldaps(addrs)
			return open(there)
		},
	})
}
