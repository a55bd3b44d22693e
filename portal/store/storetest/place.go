// Package storetest opens empty, migrated databases for tests: SQLite in a
// temporary folder, and PostgreSQL on a private server that lives as long as the
// test binary. It is never linked into the program.
package storetest

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"postern/portal/store"

	_ "github.com/jackc/pgx/v5/stdlib" // for Raw
)

// Place is one database and its key file. Several handles on it are several nodes.
type Place struct {
	Config store.Config
	Keys   string // path of the key file
}

// SQLite is a new file.
func SQLite(t testing.TB) Place {
	t.Helper()
	return place(t, store.Config{Path: filepath.Join(t.TempDir(), "postern.db")})
}

// Postgres is a new database on the private server. Where there is none it skips
// the test, or fails it when CI is set; under -short it always skips.
func Postgres(t testing.TB) Place {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no services")
	}
	s, err := private.get()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dsn, err := s.clone()
	if err != nil {
		t.Fatal(err)
	}
	return place(t, store.Config{Postgres: dsn})
}

// Each runs test over both.
func Each(t *testing.T, test func(*testing.T, Place)) {
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, Postgres(t)) })
}

func place(t testing.TB, c store.Config) Place {
	t.Helper()
	p := Place{Config: c, Keys: filepath.Join(t.TempDir(), "keys.json")}
	if err := store.CreateKeys(p.Keys); err != nil {
		t.Fatal(err)
	}
	return p
}

// Open opens and migrates it, until the test ends.
func (p Place) Open(t testing.TB) *store.DB {
	t.Helper()
	keys, err := store.LoadKeys(p.Keys)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), p.Config, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}

// Raw is the database without the store: what a thief or a clumsy operator has.
func (p Place) Raw(t testing.TB) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", "file:"+p.Config.Path+"?_pragma=busy_timeout(5000)"
	if p.Config.Postgres != "" {
		driver, dsn = "pgx", p.Config.Postgres
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
