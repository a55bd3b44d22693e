// Package store keeps everything Postern must remember, on database/sql: in one
// SQLite file by default, in PostgreSQL where several nodes share the work. It
// implements the Store and Vault interfaces of the rooms that own them.
//
// What it promises: a change and its audit events and messages commit together
// or not at all; single use is spent by one statement that finds its row or does
// not; secrets are sealed under a key that is not in the database, to the row they
// stand in. It decides nothing: which proofs count is portal/flow's.
package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river/riverdriver"
)

// Config says where the database is. The zero value is not usable: name one.
type Config struct {
	// Path of the SQLite file; its folder is made when it is missing.
	Path string `yaml:"path"`
	// Postgres is the address of a PostgreSQL database (postgres://…), instead of
	// Path. It holds a password: give it as a file: or env: reference.
	Postgres string `yaml:"postgres"`
	// Durability of SQLite: "normal" (default) survives a crash of the program
	// and never corrupts; the last commits before a power cut may be lost.
	// "full" waits for the disk at every commit. PostgreSQL follows its own
	// synchronous_commit.
	Durability string `yaml:"durability"`
	// Connections to PostgreSQL at most; 0 means 20.
	Connections int `yaml:"connections"`

	// ReadOnly opens what is there, and nothing can be changed through it.
	ReadOnly bool `yaml:"-"`

	Now  func() time.Time `yaml:"-"` // nil: time.Now
	Rand io.Reader        `yaml:"-"` // nil: crypto/rand
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config { return Config{Durability: "normal", Connections: 20} }

// Validate returns every fault, each beginning with the name of its key.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if (c.Path == "") == (c.Postgres == "") {
		add("path: give exactly one of path and postgres")
	}
	switch c.Durability {
	case "", "normal", "full":
	default:
		add("durability: %q is neither normal nor full", c.Durability)
	}
	if c.Connections < 0 || c.Connections == 1 || c.Connections > 1000 {
		add("connections: %d is not within 2 and 1000", c.Connections)
	}
	if c.Postgres != "" {
		if _, err := parsePostgres(c.Postgres); err != nil {
			add("postgres: %w", err)
		}
	}
	return faults
}

// DB is the open database. It is safe for concurrent use, and by several
// processes at once.
type DB struct {
	dialect dialect
	path    string // of the file; empty on PostgreSQL
	keys    *Keys
	now     func() time.Time
	rand    io.Reader

	write, read *sql.DB // the same one on PostgreSQL
	line        *line   // to SQLite's one writer; nil on PostgreSQL
	gate        *gate   // before PostgreSQL; nil on SQLite
	// Statements are prepared once and kept for the life of the program, by text.
	writing, reading sync.Map

	courier  atomic.Pointer[courier]
	recorded atomic.Pointer[func()]
	persons  knownKeys
}

// Open opens the database. It changes nothing in it: call Migrate before use.
func Open(ctx context.Context, c Config, keys *Keys) (*DB, error) {
	if err := errors.Join(c.Validate()...); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if keys == nil {
		return nil, errors.New("store: no keys")
	}
	db := &DB{path: c.Path, keys: keys, now: c.Now, rand: c.Rand}
	if db.now == nil {
		db.now = time.Now
	}
	if db.rand == nil {
		db.rand = rand.Reader
	}
	open := openSQLite
	db.dialect = sqliteDialect
	if c.Postgres != "" {
		open, db.dialect = openPostgres, postgresDialect
	}
	var err error
	if db.write, db.read, err = open(ctx, c); err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	if db.dialect.local {
		db.line = &line{db: db}
	} else {
		db.gate = newGate(db.write)
	}
	if err := db.Ping(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Ping reports whether the database answers, for readiness and the doctor.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.read.PingContext(ctx); err != nil {
		return fmt.Errorf("store: %s does not answer: %w", db.dialect.name, err)
	}
	return nil
}

// Close waits for running statements and closes every connection.
func (db *DB) Close() error {
	err := db.read.Close()
	if db.write != db.read {
		err = errors.Join(err, db.write.Close())
	}
	return err
}

// River is the driver for River's own tables in this database, for portal/job.
func (db *DB) River() riverdriver.Driver[*sql.Tx] { return db.dialect.river(db.write) }

// newID is 128 random bits as text. It is a name, never a secret.
func (db *DB) newID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(db.rand, b[:]); err != nil {
		return "", fmt.Errorf("store: no randomness: %w", err)
	}
	return fmt.Sprintf("%x", b), nil
}

// micros is how a time is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}
