package directorytest_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
	"postern/directory/embedded"
	"postern/directory/openldap"
)

// BenchmarkEverybody is a report about everybody: list the people, and read each of
// them with eight readers at once. Samba gets fewer, because making them takes it
// longest.
func BenchmarkEverybody(b *testing.B) {
	const readers, many, fewer = 8, 2000, 300
	// everybody has a manager who is there.
	crowd := func(n int, manager string) []directorytest.Person {
		people := make([]directorytest.Person, n)
		for i := range people {
			login := fmt.Sprintf("crowd%d", i)
			people[i] = directorytest.Person{Login: login, Name: "Crowd " + login, Given: "Crowd", Surname: login, Password: "Quay-Lantern-7734", Manager: manager}
		}
		return people
	}
	for _, kind := range []struct {
		name string
		open func(b *testing.B) (directory.Directory, error)
	}{
		{"embedded", func(b *testing.B) (directory.Directory, error) {
			people, err := embedded.SamplePeople(deterministic(1))
			if err != nil {
				return nil, err
			}
			for _, p := range crowd(many, "manager1") {
				people = append(people, embedded.Person{Login: p.Login, Name: p.Name, Given: p.Given, Surname: p.Surname, Mail: p.Login + "@example.org",
					Password: directory.NewSecret(p.Password), Manager: p.Manager})
			}
			s, err := embedded.Start(b.Context(), embedded.Config{Dir: b.TempDir(), People: people})
			if err != nil {
				return nil, err
			}
			b.Cleanup(func() { _ = s.Close() })
			cfg := ad.DefaultConfig()
			cfg.Servers, cfg.CAFile = []string{s.URL()}, s.CAFile()
			cfg.BindDN, cfg.Password, cfg.BaseDN = s.ServiceDN(), s.ServicePassword(), s.PeopleDN()
			return ad.New("demo", cfg)
		}},
		{"slapd", func(b *testing.B) (directory.Directory, error) {
			s := directorytest.Slapd(b)
			if err := s.AddUsers(crowd(many, s.Person("manager1").DN)); err != nil {
				return nil, err
			}
			cfg := openldap.DefaultConfig()
			cfg.Servers, cfg.CAFile = []string{s.URL}, s.CAFile
			cfg.BindDN, cfg.Password = s.ServiceDN, directory.NewSecret(s.ServicePassword)
			cfg.BaseDN, cfg.DefaultPolicy = s.PeopleDN, s.PolicyDN
			cfg.PrivilegedGroups = []string{"cn=" + directorytest.AdminGroup + "," + s.GroupsDN}
			return openldap.New("staff", cfg)
		}},
		{"samba", func(b *testing.B) (directory.Directory, error) {
			dc := directorytest.Samba(b)
			if err := dc.AddUsers(crowd(fewer, dc.Person("manager1").DN)); err != nil {
				return nil, err
			}
			cfg := ad.DefaultConfig()
			cfg.Servers, cfg.CAFile = []string{dc.URL}, dc.CAFile
			cfg.BindDN, cfg.Password, cfg.BaseDN = dc.ServiceDN, directory.NewSecret(dc.ServicePassword), dc.BaseDN
			return ad.New("corp", cfg)
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			began := time.Now()
			d, err := kind.open(b)
			if err != nil {
				b.Fatal(err)
			}
			if c, ok := d.(interface{ Close() }); ok {
				b.Cleanup(c.Close)
			}
			made := time.Since(began)
			var listing, reading, resolving time.Duration
			var people int
			for b.Loop() {
				began := time.Now()
				ids, err := list(b, d)
				if err != nil {
					b.Fatal(err)
				}
				listing += time.Since(began)
				people = len(ids)

				began = time.Now()
				users, err := readAll(b, d, ids, readers)
				if err != nil {
					b.Fatal(err)
				}
				reading += time.Since(began)

				r, ok := d.(directory.Resolver)
				if !ok {
					b.Fatal("no resolver")
				}
				began = time.Now()
				for _, u := range users {
					if u.Manager == "" {
						continue
					}
					if _, err := r.Resolve(b.Context(), u, u.Manager); err != nil {
						b.Fatal(err)
					}
					resolving += time.Since(began)
					break
				}
			}
			each := func(d time.Duration) float64 { return float64(d.Milliseconds()) / float64(b.N) }
			b.ReportMetric(each(listing), "list-ms")
			b.ReportMetric(each(reading), "read-ms")
			b.ReportMetric(float64(people), "people")
			b.Logf("%s: %d people made in %v; listed in %.0f ms, each read by %d readers in %.0f ms (%.0f a second), one manager resolved in %v",
				kind.name, people, made.Round(time.Millisecond), each(listing), readers, each(reading), float64(people)/each(reading)*1000,
				(resolving / time.Duration(b.N)).Round(10*time.Microsecond))
		})
	}
}

func list(b *testing.B, d directory.Directory) (ids []directory.ID, err error) {
	l, ok := d.(directory.Lister)
	if !ok {
		return nil, directory.ErrUnsupported
	}
	return ids, l.People(b.Context(), func(id directory.ID) error { ids = append(ids, id); return nil })
}

func readAll(b *testing.B, d directory.Directory, ids []directory.ID, readers int) ([]directory.User, error) {
	users, faults := make([]directory.User, len(ids)), make([]error, readers)
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			for i := r; i < len(ids) && faults[r] == nil; i += readers {
				users[i], faults[r] = d.Read(b.Context(), directory.User{ID: ids[i]})
			}
		})
	}
	wg.Wait()
	return users, errors.Join(faults...)
}
