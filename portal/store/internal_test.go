package store

import (
	"database/sql"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/riverqueue/river/rivermigrate"
)

// Only the way forward exists: security case 120.
func TestNoMigrationGoesDown(t *testing.T) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := fs.ReadFile(migrations, f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(text)), "+goose down") {
			t.Errorf("%s goes down", f)
		}
		for _, d := range []dialect{sqliteDialect, postgresDialect} {
			if s := d.schema.Replace(string(text)); strings.Contains(strings.ReplaceAll(s, "{{so}}", ""), "{{") {
				t.Errorf("%s: %s does not fill everything in", f, d.name)
			}
		}
	}
}

// River's tables are those of the version we migrate to.
func TestRiverSchemaIsTheNewest(t *testing.T) {
	db := openMemory(t)
	m, err := rivermigrate.New(sqliteDialect.river(db), nil)
	if err != nil {
		t.Fatal(err)
	}
	all := m.AllVersions()
	if newest := all[len(all)-1].Version; newest != riverSchema {
		t.Errorf("River is at %d, riverSchema at %d: raise it and add a migration", newest, riverSchema)
	}
}

// Every connection has the settings that safety rests on.
func TestSQLiteSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd ?#%41&name", "x.db")
	for durability, synchronous := range map[string]int{"": 1, "normal": 1, "full": 2} {
		write, read, err := openSQLite(t.Context(), Config{Path: path, Durability: durability})
		if err != nil {
			t.Fatal(err)
		}
		for name, db := range map[string]*sql.DB{"write": write, "read": read} {
			for pragma, want := range map[string]string{"journal_mode": "wal", "foreign_keys": "1", "busy_timeout": "10000",
				"trusted_schema": "0", "synchronous": string(rune('0' + synchronous)), "query_only": map[string]string{"write": "0", "read": "1"}[name]} {
				var got string
				if err := db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
					t.Errorf("%s %s: %s is %q, want %q (%v)", durability, name, pragma, got, want, err)
				}
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if found, err := fs.Glob(os.DirFS(filepath.Dir(path)), "x.db"); err != nil || len(found) != 1 {
		t.Errorf("the file is not where it was asked for: %v %v", found, err)
	}
}

// A PostgreSQL connection that could fall back to plaintext over a network is refused.
func TestPostgresMustBeEncrypted(t *testing.T) {
	for dsn, ok := range map[string]bool{
		"postgres://u:canary@db.example.org/p":                                    false,
		"postgres://u:canary@db.example.org/p?sslmode=disable":                    false,
		"postgres://u:canary@db.example.org/p?sslmode=prefer":                     false,
		"postgres://u:canary@db.example.org/p?sslmode=allow":                      false,
		"postgres://u:canary@localhost,db.example.org/p?sslmode=prefer":           false,
		"postgres://u:canary@db.example.org/p?sslmode=require":                    true,
		"postgres://u:canary@db.example.org/p?sslmode=verify-full":                true,
		"postgres://u:canary@127.0.0.1/p?sslmode=disable":                         true,
		"postgres://u@/p?host=/run/postgresql":                                    true,
		"postgres://u:canary@db.example.org:port/p?sslmode=verify-full":           false,
		"postgres://u:canary@a.example.org,b.example.org/p?sslmode=verify-full":   true,
		"host=db.example.org user=u password=canary sslmode=verify-full dbname=p": true,
	} {
		faults := Config{Postgres: dsn}.Validate()
		if (len(faults) == 0) != ok {
			t.Errorf("%s: %v", dsn, faults)
		}
		for _, f := range faults {
			if strings.Contains(f.Error(), "canary") {
				t.Errorf("the fault quotes the password: %v", f)
			}
		}
	}
}

func TestConfigFaults(t *testing.T) {
	for name, test := range map[string]struct {
		Config
		want int
	}{
		"nothing":    {Config{}, 1},
		"both":       {Config{Path: "x", Postgres: "postgres://localhost/x"}, 1},
		"everything": {Config{Durability: "maybe", Connections: 1}, 3},
		"fine":       {Config{Path: "x", Durability: "full"}, 0},
	} {
		if got := test.Validate(); len(got) != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func openMemory(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Nothing in a request scans a table: with a year of rows behind it, it costs
// what it cost on the first day.
func TestNoRequestScans(t *testing.T) {
	db := emptyDB(t)
	for _, query := range []string{selectCase, touchCase, moveCase, endOtherCases, endRestingCases, insertEvent, recentEvents, selectSession, touchSession, endSession, endSessions,
		spendCredential, burnCredential, byHandle, byOwner, byOwnerAndKind, selectHandle, handleOwner, removeCredential, removeKind, tryOffer, dropOffer,
		lockStrikes, setStrikes, selectStrikes, anyDue, finishMessage, postponeMessage, unsettledCases,
		kioskByID, kioskByPrint, kioskByCode, updateKiosk, seeKiosk, errandByID, errandByCode, openErrands, updateErrand} {
		query = sqliteDialect.query.Replace(query)
		args := make([]any, strings.Count(query, "$"))
		for i := range args {
			args[i] = "x"
		}
		most := 0
		for most < len(args) && strings.Contains(query, fmt.Sprintf("$%d", most+1)) {
			most++
		}
		rows, err := db.write.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args[:most]...)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(detail, "SCAN") && !strings.Contains(detail, "INDEX cases_applying") {
				t.Errorf("%s\n\t%s", query, detail)
			}
		}
		rows.Close()
	}
}
