package openldap_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/directory/directorytest"
	"postern/directory/openldap"
)

// BenchmarkKnownPasswordChange is find, bind, change: through the connector, and
// by a bare client that keeps a service and a user connection for each worker.
func BenchmarkKnownPasswordChange(b *testing.B) {
	p := directorytest.DefaultPolicy()
	p.History = 0
	s := directorytest.Slapd(b, directorytest.WithPolicy(p))
	var people atomic.Int64
	for _, at := range []int{2, 8, 32} {
		run := func(name string, worker func(b *testing.B, person string) func(old, pw string) error) {
			b.Run(fmt.Sprintf("%s/%d", name, at), func(b *testing.B) {
				b.SetParallelism(max(1, at/runtime.GOMAXPROCS(0)))
				b.RunParallel(func(pb *testing.PB) {
					person, last := fmt.Sprintf("bench%d", people.Add(1)), "Start-word-0"
					if _, err := s.AddUser(directorytest.Person{Login: person, Password: last}); err != nil {
						b.Error(err)
						return
					}
					change := worker(b, person)
					for i := 0; pb.Next(); i++ {
						next := fmt.Sprintf("Word-number-%d", i)
						if err := change(last, next); err != nil {
							b.Error(err)
							return
						}
						last = next
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
			})
		}
		run("connector", func() func(b *testing.B, person string) func(old, pw string) error {
			d, err := openldap.New("staff", config(s))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(d.Close)
			return func(b *testing.B, person string) func(old, pw string) error {
				return func(old, pw string) error {
					u, err := d.Find(b.Context(), person)
					if err != nil {
						return err
					}
					if err := d.Authenticate(b.Context(), u, secret(old)); err != nil {
						return err
					}
					return d.ChangePassword(b.Context(), u, secret(old), secret(pw))
				}
			}
		}())
		run("bare", func(b *testing.B, person string) func(old, pw string) error {
			service, err := s.Dial()
			if err == nil {
				err = service.Bind(s.ServiceDN, s.ServicePassword)
			}
			user, err2 := s.Dial()
			if err != nil || err2 != nil {
				b.Fatal(err, err2)
			}
			b.Cleanup(func() { service.Close(); user.Close() })
			return func(old, pw string) error {
				res, err := service.Search(ldap.NewSearchRequest(s.PeopleDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false,
					"(uid="+person+")", []string{"*", "+"}, nil))
				if err != nil {
					return err
				}
				dn := res.Entries[0].DN
				if err := user.Bind(dn, old); err != nil {
					return err
				}
				_, err = service.PasswordModify(ldap.NewPasswordModifyRequest(dn, old, pw))
				return err
			}
		})
	}
}
