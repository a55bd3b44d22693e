package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// dialect is everything in which SQLite and PostgreSQL differ. Both take $1 for
// a parameter, RETURNING, ON CONFLICT and partial indexes.
type dialect struct {
	name    string
	goose   goose.Dialect
	query   *strings.Replacer // {tokens} in statements
	schema  *strings.Replacer // {{tokens}} in migrations
	river   func(*sql.DB) riverdriver.Driver[*sql.Tx]
	classes func(error) fault
	// snapshot begins a transaction that sees one moment, however long it reads.
	snapshot []string
	// binary compares text by its bytes, as SQLite does.
	binary string
	// local: a statement takes microseconds and waits for nothing once there is
	// a connection. Watching a context then costs more than the statement.
	local bool
}

// fault is what an error of the database means to the callers here.
type fault int

const (
	otherFault fault = iota
	duplicate        // a unique key exists
	again            // lost against another transaction: run the whole of it again
)

var sqliteDialect = dialect{
	name: "sqlite", goose: goose.DialectSQLite3, local: true,
	snapshot: []string{"BEGIN DEFERRED"},
	query: strings.NewReplacer(
		"{lock}", "", "{lock now}", "", "{share}", "", "{skip locked}", "",
		// Writers queue up: what can be seen is complete.
		"{settled}", "TRUE", "{given}", "",
		"{xmin}", "1", "{xmax}", "1"),
	schema: strings.NewReplacer(
		"{{bytes}}", "BLOB",
		"{{sequence}}", "INTEGER PRIMARY KEY AUTOINCREMENT",
		"{{txid}}", "INTEGER NOT NULL DEFAULT 0",
		"{{append_only}}", sqliteAppendOnly("audit_events"),
		"{{append_only_receipts}}", sqliteAppendOnly("receipts"),
		"{{append_only_log}}", sqliteAppendOnly(logTables...)),
	river: func(db *sql.DB) riverdriver.Driver[*sql.Tx] { return riversqlite.New(db) },
	classes: func(err error) fault {
		var e *sqlite.Error
		if !errors.As(err, &e) {
			return otherFault
		}
		switch {
		case e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE, e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return duplicate
		case e.Code()&0xff == sqlite3.SQLITE_BUSY, e.Code()&0xff == sqlite3.SQLITE_LOCKED:
			return again
		}
		return otherFault
	},
}

var postgresDialect = dialect{
	name: "postgres", goose: goose.DialectPostgres,
	snapshot: []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET LOCAL idle_in_transaction_session_timeout = 0"},
	binary:   ` COLLATE "C"`,
	query: strings.NewReplacer(
		"{lock}", "FOR UPDATE", "{share}", "FOR SHARE", "{lock now}", "FOR UPDATE NOWAIT", "{skip locked}", "FOR UPDATE SKIP LOCKED",
		// The number of a row that has one already.
		"{given}", "OVERRIDING SYSTEM VALUE",
		// Numbers are given out before the commit: a reader that remembers the last
		// one it saw would never see a slower neighbour's smaller one.
		"{settled}", "txid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
		// No transaction older than the first is left; none yet is as young as the second.
		"{xmin}", "pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
		"{xmax}", "pg_snapshot_xmax(pg_current_snapshot())::text::bigint"),
	schema: strings.NewReplacer(
		"{{bytes}}", "BYTEA",
		"{{sequence}}", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
		"{{txid}}", "BIGINT NOT NULL DEFAULT (pg_current_xact_id()::text::bigint)",
		"{{append_only}}", postgresAppendOnly("audit_events"),
		"{{append_only_receipts}}", postgresAppendOnly("receipts"),
		"{{append_only_log}}", postgresAppendOnly(logTables...)),
	river: func(db *sql.DB) riverdriver.Driver[*sql.Tx] { return riverdatabasesql.New(db) },
	classes: func(err error) fault {
		var e *pgconn.PgError
		if !errors.As(err, &e) {
			return otherFault
		}
		switch e.Code {
		case "23505": // unique_violation
			return duplicate
		case "40001", "40P01", "55P03": // serialization_failure, deadlock_detected, lock_not_available
			return again
		}
		return otherFault
	},
}

// logTables are those of the log that only grow.
var logTables = []string{"log_entries", "log_hashes", "log_checkpoints"}

func sqliteAppendOnly(tables ...string) string {
	var b strings.Builder
	for _, t := range tables {
		for _, act := range []string{"UPDATE", "DELETE"} {
			fmt.Fprintf(&b, `
-- +goose StatementBegin
CREATE TRIGGER %[1]s_no_%[2]s BEFORE %[3]s ON %[1]s
BEGIN SELECT RAISE(ABORT, '%[1]s is append-only'); END;
-- +goose StatementEnd`, t, strings.ToLower(act), act)
		}
	}
	return b.String()
}

func postgresAppendOnly(tables ...string) string {
	var b strings.Builder
	for _, t := range tables {
		fmt.Fprintf(&b, `
-- +goose StatementBegin
CREATE FUNCTION %[1]s_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '%[1]s is append-only'; END $$;
-- +goose StatementEnd
CREATE TRIGGER %[1]s_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %[1]s
EXECUTE FUNCTION %[1]s_append_only();`, t)
	}
	return b.String()
}

// openSQLite opens one connection to write with and a few to read with: WAL lets
// them work at the same time, and a second writer could only wait.
func openSQLite(_ context.Context, c Config) (write, read *sql.DB, err error) {
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, nil, err
	}
	if err := createSQLite(path, c.ReadOnly); err != nil {
		return nil, nil, err
	}
	synchronous := "NORMAL"
	if c.Durability == "full" {
		synchronous = "FULL"
	}
	dsn := func(pragmas ...string) string {
		q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{
			"busy_timeout(10000)", "journal_mode(WAL)", "foreign_keys(1)", "trusted_schema(0)",
			"temp_store(MEMORY)", "synchronous(" + synchronous + ")"}, pragmas...)}
		if c.ReadOnly {
			q.Set("mode", "ro")
		}
		// As an opaque part, or a drive letter or a leading slash would turn into a host.
		return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
	}
	// A checkpoint waits for the disk with everybody behind it: 16 MiB apart, not 4.
	if write, err = sql.Open("sqlite", dsn("cache_size(-4096)", "journal_size_limit(67108864)", "wal_autocheckpoint(4096)")); err != nil {
		return nil, nil, err
	}
	write.SetMaxOpenConns(1)
	if read, err = sql.Open("sqlite", dsn("query_only(1)", "cache_size(-2048)")); err != nil {
		return nil, nil, errors.Join(err, write.Close())
	}
	readers := max(2, runtime.GOMAXPROCS(0))
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return write, read, nil
}

// createSQLite makes the file where there is none. SQLite would by the umask; its WAL
// takes the mode over from it.
func createSQLite(path string, never bool) error {
	if never {
		_, err := os.Stat(path)
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// postgresMessage is the longest message of PostgreSQL's that is read, in bytes. The
// longest there is are the events of a page of the record, a row each.
const postgresMessage = 16 << 20

func openPostgres(_ context.Context, c Config) (write, read *sql.DB, err error) {
	cfg, err := parsePostgres(c.Postgres)
	if err != nil {
		return nil, nil, err
	}
	for name, value := range map[string]string{
		"application_name": "postern",
		// A lock or a session that hangs must not hang everybody behind it, and who waits
		// for a lock must hear of it before they take the database for gone.
		"lock_timeout":                        "1s",
		"idle_in_transaction_session_timeout": "15s",
	} {
		if _, set := cfg.RuntimeParams[name]; !set {
			cfg.RuntimeParams[name] = value
		}
	}
	// A length that cannot be must not become memory: pgx alone believes up to 1 GiB, which
	// a broken line or whoever stands in it can ask for with four bytes, at every connection.
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		f := pgproto3.NewFrontend(r, w)
		f.SetMaxBodyLen(postgresMessage)
		return f
	}
	if c.ReadOnly {
		cfg.RuntimeParams["default_transaction_read_only"] = "on"
	}
	db := stdlib.OpenDB(*cfg)
	conns := c.Connections
	if conns == 0 {
		conns = 20
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, db, nil
}

// parsePostgres refuses an address that may be spoken to in the clear over a
// network. What libpq calls "prefer", the default, falls back to plaintext for
// whoever stands in between and says no to TLS.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// The error of pgx quotes the address, which may hold a password.
		return nil, errors.New("the address cannot be read")
	}
	clear := func(host string, tls bool) bool {
		ip := net.ParseIP(host)
		local := strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback()
		return !tls && !local
	}
	bad := clear(cfg.Host, cfg.TLSConfig != nil)
	for _, f := range cfg.Fallbacks {
		bad = bad || clear(f.Host, f.TLSConfig != nil)
	}
	if bad {
		return nil, fmt.Errorf("the connection to %s would not always be encrypted: add sslmode=verify-full", cfg.Host)
	}
	return cfg, nil
}
