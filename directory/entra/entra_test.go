//go:build !noentra

package entra_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/directorytest"
	"postern/directory/entra"
	"postern/directory/graphstub"
)

const (
	suffix   = "@example.com"
	vips     = "11111111-aaaa-4aaa-8aaa-000000000001"
	admins   = "11111111-aaaa-4aaa-8aaa-000000000002"
	ring     = "11111111-aaaa-4aaa-8aaa-000000000003"
	everyone = "11111111-aaaa-4aaa-8aaa-000000000004"
)

// sample is a tenant with people in every state there is.
func sample() graphstub.Config {
	one := func(login string, f func(*graphstub.Person)) graphstub.Person {
		p := graphstub.Person{UPN: login + suffix, Mail: login + "@mail.example.org", Name: "Sample " + login, Given: "Samp", Surname: "Ler", Password: "Quay-Lantern-7734"}
		if f != nil {
			f(&p)
		}
		return p
	}
	cfg := graphstub.Config{
		Groups: []graphstub.Group{{ID: vips, Name: "VIPs"}, {ID: admins, Name: "Admins", RoleBearing: true, Roles: []string{"User Administrator"}},
			{ID: ring, Name: "Ring", In: []string{vips}}, {ID: everyone, Name: "Everyone"}},
		Units:   []graphstub.Unit{{ID: "22222222-aaaa-4aaa-8aaa-000000000001", Name: "Board", Restricted: true}, {ID: "22222222-aaaa-4aaa-8aaa-000000000002", Name: "Berlin"}},
		Domains: []graphstub.Domain{{Name: "example.com", ValidityDays: 90}, {Name: "partner.example", Federated: true}},
		Banned:  []string{"contoso"}, Page: pageSize,
	}
	for i := 1; i <= 20; i++ {
		cfg.People = append(cfg.People, one(fmt.Sprintf("user%d", i), nil))
	}
	cfg.People = append(cfg.People, one("director1", nil), one("o'hara", nil), one("berlin1", func(p *graphstub.Person) { p.Units = []string{"Berlin"}; p.Groups = []string{everyone} }),
		one("admin1", func(p *graphstub.Person) { p.Roles = []string{"Global Administrator"} }),
		one("scoped1", func(p *graphstub.Person) { p.UnitRoles = []string{"Helpdesk Administrator"} }),
		one("eligible1", func(p *graphstub.Person) { p.Eligible = []string{"Privileged Role Administrator"} }),
		one("group1", func(p *graphstub.Person) { p.Groups = []string{admins} }),
		one("nested1", func(p *graphstub.Person) { p.Groups = []string{ring} }),
		one("board1", func(p *graphstub.Person) { p.Units = []string{"Board"} }),
		one("twin1", func(p *graphstub.Person) { p.Mail = directorytest.TwinsMail }),
		one("twin2", func(p *graphstub.Person) { p.Mail = directorytest.TwinsMail }),
		one("victim1", nil), one("mallory1", func(p *graphstub.Person) { p.Mail = "victim1@mail.example.org" }),
		one("guest1", func(p *graphstub.Person) { p.Guest, p.UPN = true, "guest1_partner.example#EXT#"+suffix }),
		one("fed1", func(p *graphstub.Person) { p.UPN = "fed1@partner.example" }),
		one("synced1", func(p *graphstub.Person) { p.Synced, p.SID = true, "S-1-5-21-1-2-3-1104" }),
	)
	return cfg
}

const pageSize = 7

func start(t testing.TB, cfg graphstub.Config) *graphstub.Server {
	t.Helper()
	cfg.Dir = t.TempDir()
	s, err := graphstub.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	boss := ""
	for _, p := range s.People() {
		if p.UPN == "director1"+suffix {
			boss = p.ID
		}
	}
	if boss == "" {
		return s
	}
	id, err := s.Add(graphstub.Person{UPN: "manager1" + suffix, Name: "Manager", Mail: "manager1@mail.example.org", Manager: boss})
	if err == nil {
		err = s.Set("user1"+suffix, func(p *graphstub.Person) { p.Manager = id })
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func config(s *graphstub.Server) entra.Config {
	c := entra.DefaultConfig()
	c.Tenant, c.ClientID, c.Secret = s.Tenant(), s.Client(), directory.NewSecret(s.Secret())
	c.Authority, c.Graph, c.CAFile = s.URL(), s.Graph(), s.CAFile()
	c.PrivilegedGroups, c.PassMinutes = []string{vips}, 60
	return c
}

func open(t testing.TB, cfg entra.Config, opts ...entra.Option) *entra.Directory {
	t.Helper()
	d, err := entra.New("cloud", cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

var errNotTaken = errors.New("the tenant does not take that password")

// The suite that every back end passes.
func TestConformance(t *testing.T) {
	s := start(t, sample())
	person := func(p directorytest.Person) (graphstub.Person, error) {
		for _, q := range s.People() {
			if q.UPN == p.Login {
				return q, nil
			}
		}
		return graphstub.Person{}, errors.New("nobody called " + p.Login)
	}
	logins := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, n+suffix)
		}
		return out
	}
	directorytest.Run(t, directorytest.Fixture{
		Directory: open(t, config(s)),
		Policy:    directorytest.Policy{MinLength: 8, Complexity: true, PlainOnly: true},
		Add: func(p directorytest.Person) (directorytest.Person, error) {
			local := p.Login
			p.Login += suffix
			p.UPN = p.Login
			if p.Mail == "" {
				p.Mail = local + "@mail.example.org"
			}
			_, err := s.Add(graphstub.Person{UPN: p.UPN, Name: p.Name, Given: p.Given, Surname: p.Surname, Mail: p.Mail, Mobile: p.Phone, Employee: p.Employee,
				Password: p.Password, PasswordSet: time.Now().Add(-time.Hour).Truncate(time.Second)})
			return p, err
		},
		Bind: func(p directorytest.Person, password string) error {
			if q, err := person(p); err != nil || q.Password != password || q.Disabled {
				return errors.Join(errNotTaken, err)
			}
			return nil
		},
		Disable: func(p directorytest.Person) error {
			return s.Set(p.Login, func(q *graphstub.Person) { q.Disabled = true })
		},
		Expire: func(p directorytest.Person) error {
			return s.Set(p.Login, func(q *graphstub.Person) { q.PasswordSet = q.PasswordSet.AddDate(0, 0, -91) })
		},
		MustChange: func(p directorytest.Person) error {
			return s.Set(p.Login, func(q *graphstub.Person) { q.MustChange = true })
		},
		Facts: func(p directorytest.Person) (map[string]string, error) {
			q, err := person(p)
			return map[string]string{"set": q.PasswordSet.String(), "must": fmt.Sprint(q.MustChange), "off": fmt.Sprint(q.Disabled), "password": q.Password}, err
		},
		Aliases: func(p directorytest.Person) []string {
			return []string{" " + p.Login, p.Login + " ", strings.ToUpper(p.Mail), p.Mail}
		},
		Ambiguous:  []string{directorytest.TwinsMail, "victim1@mail.example.org"},
		Privileged: append(logins("admin1", "scoped1", "eligible1", "group1", "nested1", "board1"), "fed1@partner.example"),
		Managed:    "user1" + suffix, Manager: "manager1" + suffix, Director: "director1" + suffix,
		Odd:       logins("o'hara"),
		ById:      true,
		Reference: func(u directory.User) string { return strings.TrimPrefix(string(u.ID), u.Directory+":") },
		Delete:    func(p directorytest.Person) error { return s.Remove(p.Login) },
		Nowhere:   []string{vips, admins, s.Client(), s.Tenant()},
		Everybody: func() (all []string, err error) {
			for _, p := range s.People() {
				if !p.Guest && !p.Synced {
					all = append(all, p.UPN)
				}
			}
			return all, nil
		},
		WholeNumbers: true,
		PageSize:     pageSize,
		Through: func(addrs ...string) (directory.Directory, error) {
			c := config(s)
			c.Graph = "https://" + addrs[0]
			d, err := entra.New("cloud", c)
			if err == nil {
				t.Cleanup(d.Close)
			}
			return d, err
		},
	})
}
