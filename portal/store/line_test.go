package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// emptyDB opens a new, migrated SQLite database.
func emptyDB(t *testing.T) *DB {
	t.Helper()
	dir := t.TempDir()
	if err := CreateKeys(filepath.Join(dir, "keys.json")); err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeys(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Config{Path: filepath.Join(dir, "x.db")}, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// queued opens a database whose line is held, and returns what lets it go once
// that many wait.
func queued(t *testing.T) (db *DB, letGo func(waiting int)) {
	t.Helper()
	db = emptyDB(t)
	if _, err := db.write.Exec(`CREATE TABLE marks (who TEXT)`); err != nil {
		t.Fatal(err)
	}
	if !db.line.enter(&passenger{}) {
		t.Fatal("the line of a new database is not free")
	}
	return db, func(waiting int) {
		for {
			db.line.mu.Lock()
			n := len(db.line.waiting)
			db.line.mu.Unlock()
			if n == waiting {
				break
			}
			runtime.Gosched()
		}
		db.line.next()
	}
}

func marks(t *testing.T, db *DB) map[string]int {
	t.Helper()
	rows, err := db.write.Query(`SELECT who, COUNT(*) FROM marks GROUP BY who`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]int{}
	for rows.Next() {
		var who string
		var n int
		if err := rows.Scan(&who, &n); err != nil {
			t.Fatal(err)
		}
		found[who] = n
	}
	return found
}

// Whoever fails, panics or goes away takes nobody along, and everybody else's
// work is kept exactly once.
func TestOneFaultInTheLineIsNobodyElses(t *testing.T) {
	const crowd = 100 // more than share one transaction
	wrong := errors.New("no")
	for name, odd := range map[string]func(i int, cancel func()) error{
		"nobody":            nil,
		"some fail":         func(int, func()) error { return wrong },
		"some panic":        func(int, func()) error { panic("work") },
		"some are given up": func(_ int, cancel func()) error { cancel(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			db, letGo := queued(t)
			var all sync.WaitGroup
			for i := range crowd {
				strange := odd != nil && i%7 == 3
				all.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					defer func() {
						if p := recover(); (p != nil) != (strange && name == "some panic") {
							t.Errorf("%d: panic %v", i, p)
						}
					}()
					err := db.within(ctx, func(ctx context.Context, tx *tx) error {
						if _, err := tx.exec(ctx, `INSERT INTO marks (who) VALUES ($1)`, fmt.Sprint(i)); err != nil {
							return err
						}
						if strange {
							return odd(i, cancel)
						}
						return nil
					})
					if (err != nil) != strange {
						t.Errorf("%d: %v", i, err)
					}
				})
			}
			letGo(crowd)
			all.Wait()
			found := marks(t, db)
			for i := range crowd {
				want := 1
				if odd != nil && i%7 == 3 {
					want = 0
				}
				if found[fmt.Sprint(i)] != want {
					t.Errorf("%d is there %d times", i, found[fmt.Sprint(i)])
				}
			}
			if db.line.busy || len(db.line.waiting) > 0 {
				t.Error("the line was not left free")
			}
		})
	}
}

// Those who wait are not made to wait for each other's commit.
func TestThoseWhoWaitShareOneTransaction(t *testing.T) {
	db, letGo := queued(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	transactions := map[any]int{}
	for range aboard {
		all.Go(func() {
			if err := db.within(t.Context(), func(_ context.Context, tx *tx) error {
				mu.Lock()
				defer mu.Unlock()
				transactions[tx.sql]++
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	letGo(aboard)
	all.Wait()
	if len(transactions) != 1 {
		t.Errorf("%d transactions", len(transactions))
	}
}

// Somebody whose time is over while they wait is not kept waiting, and their
// work is never done.
func TestWhoGivesUpInTheLineIsGone(t *testing.T) {
	db, letGo := queued(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := db.within(ctx, func(context.Context, *tx) error {
		t.Error("it was done all the same")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	letGo(0)
}
