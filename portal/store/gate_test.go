package store_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

// strike is a transaction of somebody who waits.
func strike(ctx context.Context, db *store.DB, id directory.ID) error {
	return db.Strike(ctx, id, verify.TOTP, func(s flow.Strikes) flow.Strikes { s.Window++; return s })
}

// looks is a question outside of one.
func looks(ctx context.Context, db *store.DB) error {
	_, err := db.Case(ctx, "none")
	if errors.Is(err, flow.ErrNoCase) {
		return nil
	}
	return err
}

// Whoever waits for a page hears within two seconds that PostgreSQL is silent, and at once
// when others have waited for it; work that nobody waits for goes on trying; and with the
// first answer everything is as before.
func TestWhileTheDatabaseIsSilentOneWaitsForAll(t *testing.T) {
	p, line := through(t, storetest.Postgres(t))
	db := p.Open(t)
	here := directory.Hurry(t.Context())
	if err := errors.Join(strike(here, db, "a"), looks(here, db)); err != nil {
		t.Fatal(err)
	}
	line.held.Store(true)
	timed := func(ask func() error) (time.Duration, error) {
		began := time.Now()
		err := ask()
		return time.Since(began), err
	}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			ask := func() error { return looks(here, db) }
			if i%2 == 0 {
				ask = func() error { return strike(here, db, "a") }
			}
			took, err := timed(ask)
			var n net.Error
			if !errors.As(err, &n) || took > 2*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}
	all.Wait()
	for range 50 {
		took, err := timed(func() error { return errors.Join(strike(here, db, "a"), looks(here, db)) })
		var n net.Error
		if !errors.As(err, &n) || took > 200*time.Millisecond {
			t.Fatalf("left alone, after %s: %v", took, err)
		}
	}
	// Nobody waits for this one: it has its own time, and gets it.
	patient, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- strike(patient, db, "b") }()
	line.held.Store(false)
	if err := <-done; err != nil {
		t.Errorf("what nobody waits for: %v", err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		err := errors.Join(strike(here, db, "a"), looks(here, db))
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it is back, and still: %v", err)
		}
	}
}

// A row that somebody holds makes those wait who want it, and nobody believe that the
// database is gone: otherwise whoever opens many requests at one case shuts everybody out.
func TestARowThatIsHeldShutsNobodyElseOut(t *testing.T) {
	p := storetest.Postgres(t)
	p.Config.Connections = 4 // and so no connection is left for most of them
	db := p.Open(t)
	here := directory.Hurry(t.Context())
	if err := strike(here, db, "held"); err != nil {
		t.Fatal(err)
	}
	holds, err := p.Raw(t).Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holds.Rollback() }()
	if _, err := holds.Exec(`SELECT 1 FROM strikes FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(here, 2500*time.Millisecond)
			defer cancel()
			if err := strike(ctx, db, "held"); err == nil {
				t.Error("it was not held")
			}
		})
	}
	all.Wait()
	if err := errors.Join(strike(here, db, "another"), looks(here, db)); err != nil {
		t.Error(err)
	}
}
