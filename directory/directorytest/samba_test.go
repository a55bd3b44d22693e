package directorytest_test

import (
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
)

func TestSamba(t *testing.T) {
	dc := directorytest.Samba(t)
	cfg := ad.DefaultConfig()
	cfg.Servers, cfg.CAFile = []string{dc.URL}, dc.CAFile
	cfg.BindDN, cfg.Password = dc.ServiceDN, directory.NewSecret(dc.ServicePassword)
	cfg.BaseDN, cfg.NetBIOSDomains = dc.BaseDN, []string{"POSTERN"}
	d, err := ad.New("corp", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)

	dn := func(act func(string) error) func(directorytest.Person) error {
		return func(p directorytest.Person) error { return act(p.DN) }
	}
	directorytest.Run(t, directorytest.Fixture{
		Directory: d,
		Policy:    dc.Policy,
		Add:       dc.AddUser,
		Bind:      func(p directorytest.Person, password string) error { return dc.Bind(p.DN, password) },
		Lock:      dn(dc.Lock), Disable: dn(dc.Disable), MustChange: dn(dc.MustChange),
		Expire: func(p directorytest.Person) error { return dc.Expire(t.Context(), p.DN) },
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
		Managed:    "user1",
	})
}
