package main

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/directorytest"
	"postern/directory/openldap"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/store"
	"postern/verify"
)

// BenchmarkCoverage is the whole survey of 2,000 people of a real OpenLDAP, half of
// them with an app, with the store: listing, reading and judging. The first one,
// which remembers everybody's contacts as well, is told beside.
func BenchmarkCoverage(b *testing.B) {
	ldap := directorytest.Slapd(b)
	const most = 2000
	for i := range most - len(ldap.People) {
		if _, err := ldap.AddUser(directorytest.Person{Login: fmt.Sprintf("person%04d", i), Password: "Start-word-0"}); err != nil {
			b.Fatal(err)
		}
	}
	dir := b.TempDir()
	if err := store.CreateKeys(filepath.Join(dir, "keys.json")); err != nil {
		b.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Keys, cfg.Store.Path = filepath.Join(dir, "keys.json"), filepath.Join(dir, "postern.db")
	db, keys, err := cfg.openStore(b.Context(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	c := openldap.DefaultConfig()
	c.Servers, c.CAFile, c.BaseDN = []string{ldap.URL}, ldap.CAFile, ldap.PeopleDN
	c.BindDN, c.Password = ldap.ServiceDN, directory.NewSecret(ldap.ServicePassword)
	staff, err := openldap.New("staff", c)
	if err != nil {
		b.Fatal(err)
	}
	defer staff.Close()
	people, err := directory.NewSet(directory.Named{Name: "staff", Directory: staff})
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	if err := people.People(b.Context(), func(id directory.ID) error {
		if n++; n%2 == 0 {
			return nil
		}
		return db.Commit(b.Context(), enrol.Change{Owner: id, Events: []audit.Event{{Kind: "factor.added", Subject: id, Outcome: audit.OK}},
			Add: []verify.Credential{{ID: string(id), Owner: id, Kind: verify.TOTP, Secret: []byte("made up"), Created: time.Now().Add(-48 * time.Hour)}}})
	}); err != nil {
		b.Fatal(err)
	}
	s := &survey{door: "web", purpose: policy.Reset, people: people, db: db, names: []string{"staff"}, now: time.Now}
	if err := s.add(cfg); err != nil {
		b.Fatal(err)
	}
	all := s.of(db)
	watch := flow.Watch{Memory: db, Key: keys.Derive(keyContacts), Now: time.Now}
	all.Observe = func(ctx context.Context, u directory.User) error { _, err := watch.Observe(ctx, u); return err }
	survey := func() {
		got, err := all.Coverage(b.Context())
		if err != nil || len(got.People) < most-20 || !got.Everybody {
			b.Fatalf("%d people, everybody %v, %v", len(got.People), got.Everybody, err)
		}
	}
	began := time.Now()
	survey()
	first := time.Since(began)
	for b.Loop() {
		survey()
	}
	b.ReportMetric(float64(first.Milliseconds()), "first-ms")
}
