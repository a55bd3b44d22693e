package directorytest_test

import (
	"cmp"
	"fmt"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
	"postern/directory/embedded"
)

// The connector for Active Directory runs against the embedded directory as it is.
func TestEmbedded(t *testing.T) {
	directorytest.Run(t, embeddedFixture(t))
}

func embeddedDirectory(t *testing.T, s *embedded.Server) directory.Directory {
	t.Helper()
	d, err := embeddedAt(t, s, s.URL())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func embeddedAt(t *testing.T, s *embedded.Server, urls ...string) (directory.Directory, error) {
	t.Helper()
	cfg := ad.DefaultConfig()
	cfg.Servers, cfg.CAFile = urls, s.CAFile()
	cfg.BindDN, cfg.Password, cfg.BaseDN = s.ServiceDN(), s.ServicePassword(), s.PeopleDN()
	cfg.NetBIOSDomains = []string{s.NetBIOS()}
	d, err := ad.New("demo", cfg, ad.WithPageSize(pageSize))
	if err != nil {
		return nil, err
	}
	t.Cleanup(d.Close)
	return d, nil
}

func embeddedFixture(t *testing.T) directorytest.Fixture {
	secret := directory.NewSecret("Quay-Lantern-7734")
	people, err := embedded.SamplePeople(deterministic(1))
	if err != nil {
		t.Fatal(err)
	}
	const odd = `o'hara (QA) é`
	people = append(people,
		embedded.Person{Login: odd, Name: "Odd", Password: secret},
		embedded.Person{Login: "twin1", Name: "Twin One", Mail: directorytest.TwinsMail, Password: secret},
		embedded.Person{Login: "twin2", Name: "Twin Two", Mail: directorytest.TwinsMail, Password: secret},
		embedded.Person{Login: "victim1", Name: "Victor Im", Mail: "v@example.org", Password: secret},
		embedded.Person{Login: "mallory1", Name: "Mallory", Mail: "victim1@example.org", Password: secret},
		embedded.Person{Login: "nested1", Name: "Nested", Groups: []string{"Inner Ring"}, Password: secret},
		embedded.Person{Login: "primary1", Name: "Primary", PrimaryGroup: embedded.DomainAdmins, Password: secret},
		embedded.Person{Login: "stale1", Name: "Stale", Protected: true, Password: secret},
	)
	s, err := embedded.Start(t.Context(), embedded.Config{
		Dir: t.TempDir(), People: people,
		Nested: map[string][]string{"Inner Ring": {"Middle Ring"}, "Middle Ring": {embedded.DomainAdmins}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })

	bind := func(p directorytest.Person, password string) error { return bindAs(s, p.DN, password) }
	return directorytest.Fixture{
		Directory: embeddedDirectory(t, s),
		Policy:    directorytest.DefaultPolicy(),
		Add: func(p directorytest.Person) (directorytest.Person, error) {
			p.Mail = cmp.Or(p.Mail, p.Login+"@mail.example.org")
			err := s.Add(embedded.Person{Login: p.Login, Name: p.Name, Given: p.Given, Surname: p.Surname, Mail: p.Mail,
				Phone: p.Phone, Employee: p.Employee, Password: directory.NewSecret(p.Password)})
			p.DN = "CN=" + p.Login + "," + s.PeopleDN()
			p.UPN = p.Login + "@example.org"
			return p, err
		},
		Bind: bind,
		Lock: func(p directorytest.Person) error {
			for range 5 {
				if bind(p, "not-the-password-1") == nil {
					return fmt.Errorf("a wrong password bound")
				}
			}
			return nil
		},
		Disable: func(p directorytest.Person) error {
			return s.Set(p.Login, func(st *embedded.Person) { st.Disabled = true })
		},
		Expire: func(p directorytest.Person) error {
			return s.Set(p.Login, func(st *embedded.Person) { st.PasswordExpired = true })
		},
		MustChange: func(p directorytest.Person) error {
			return s.Set(p.Login, func(st *embedded.Person) { st.MustChange = true })
		},
		NeverExpires: func(p directorytest.Person) error {
			return s.Set(p.Login, func(st *embedded.Person) { st.NeverExpires = true })
		},
		Facts: func(p directorytest.Person) (map[string]string, error) {
			return facts(func() (*ldap.Entry, error) {
				return readAs(s, s.ServiceDN(), s.ServicePassword().Reveal(), p.DN)
			}, adFacts...)
		},
		Young: func() (directory.Directory, directorytest.Person, error) {
			young, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir(), MinAge: 24 * time.Hour})
			if err != nil {
				return nil, directorytest.Person{}, err
			}
			t.Cleanup(func() { _ = young.Close() })
			p := young.People()[0]
			return embeddedDirectory(t, young), directorytest.Person{Login: p.Login, DN: p.DN, Password: p.Password.Reveal()}, nil
		},
		Aliases: func(p directorytest.Person) []string {
			return []string{" " + p.Login, p.Login + " ", p.UPN, p.Mail, `EXAMPLE\` + p.Login, `example\` + p.Login}
		},
		Ambiguous:  []string{directorytest.TwinsMail, "victim1@example.org"},
		Privileged: []string{"admin1", "nested1", "primary1", "stale1"},
		Managed:    "user1", Manager: "manager1", Director: "director1",
		ChecksNames: true,
		Odd:         []string{odd},
		Delete:      func(p directorytest.Person) error { return s.Remove(p.Login) },
		Nowhere: []string{s.ServiceDN(), s.BaseDN(), s.PeopleDN(), "CN=" + embedded.DomainAdmins + ",CN=Users," + s.BaseDN(),
			"CN=" + embedded.Technicians + ",OU=Groups," + s.BaseDN(), "DC=org"},
		Everybody: func() ([]string, error) {
			var logins []string
			for _, p := range s.People() {
				logins = append(logins, p.Login)
			}
			return logins, nil
		},
		PageSize: pageSize,
		Through:  func(addrs ...string) (directory.Directory, error) { return embeddedAt(t, s, ldaps(addrs)...) },
	}
}

// A program that shares no code with us agrees about the password.
func TestEmbeddedWithOpenLDAPsOwnClient(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no programs of others")
	}
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	e := directorytest.Endpoint{URL: s.URL(), CAFile: s.CAFile()}
	p := s.People()[0]
	_, err = e.Whoami(t.Context(), p.DN, p.Password.Reveal())
	directorytest.Require(t, err)
	if _, err := e.Whoami(t.Context(), p.DN, p.Password.Reveal()+" "); err == nil {
		t.Error("a wrong password is taken")
	}
	if _, err := e.Whoami(t.Context(), "user2@example.org", s.People()[1].Password.Reveal()); err != nil {
		t.Errorf("by UPN: %v", err)
	}
}

// What the doctor reads of the embedded directory is what the service account may do.
func TestEmbeddedSatisfiesTheDoctor(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	d, ok := embeddedDirectory(t, s).(directory.Examiner)
	if !ok {
		t.Fatal("the connector does not examine")
	}
	findings := d.Examine(t.Context())
	if len(findings) == 0 {
		t.Error("nothing was examined")
	}
	for _, f := range findings {
		t.Logf("%s %s: %s %s %s", f.Severity, f.Check, f.What, f.Why, f.Mend)
		if f.Severity == directory.Failure {
			t.Errorf("%s: %s", f.Check, f.What)
		}
	}
}
