package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// copied is a table as Copy takes it over.
type copied struct {
	name    string
	key     int // how many of the first columns make the primary key
	columns []column
	// left are columns that say something of the one database they stand in, and that the
	// other gives a value of its own.
	left []string
	// only is a condition for the rows that are taken; empty: all of them.
	only string
	// grows: rows are added and never changed, so that a copy can go on where it ended.
	grows bool
}

type column struct {
	name string
	kind string // text, int, bytes
}

func columns(list string) (all []column) {
	for _, c := range strings.Split(list, ", ") {
		name, kind, _ := strings.Cut(c, " ")
		all = append(all, column{name, kind})
	}
	return all
}

// copiedTables are all that a copy takes over, those that only grow first. A test holds
// them to the schema: a new table or column is decided on here before it can be used.
var copiedTables = []copied{
	// txid is the number of a transaction of that one server, and so is horizon: a number
	// from a server that has done more would hide an event for years. 0 is "long ago".
	{name: "audit_events", key: 1, columns: columns("seq int, at int, case_id text, subject text, event text"), left: []string{"txid"}, grows: true},
	{name: "log_entries", key: 1, columns: columns("idx int, seq int"), grows: true},
	{name: "log_hashes", key: 1, columns: columns("pos int, hash bytes"), grows: true},
	{name: "log_checkpoints", key: 1, columns: columns("size int, at int, note text"), grows: true},
	{name: "receipts", key: 1, columns: columns("seq int, code text"), grows: true},

	// Behind low everything is sealed, at any server; the rest of it is found out again.
	{name: "log_head", key: 1, columns: columns("id text, low int"), left: []string{"mid", "next", "horizon"}},
	{name: "accounts", key: 1, columns: columns("account text, frozen int, body bytes")},
	{name: "cases", key: 1, columns: columns("id text, version int, account text, purpose text, status text, closed text, intent int, created int, expires int, body bytes, held int, owner text")},
	{name: "credentials", key: 1, columns: columns("id text, owner text, kind text, handle bytes, counter int, created int, used int, body bytes")},
	{name: "errands", key: 1, columns: columns("id text, kind text, code text, expires int, ended int, body bytes")},
	{name: "handles", key: 1, columns: columns("owner text, handle bytes")},
	{name: "key_mark", key: 1, columns: columns("id text, body bytes")},
	{name: "kiosks", key: 1, columns: columns("id text, print text, code text, seen int, addr text, body bytes")},
	{name: "links", key: 1, columns: columns("hash bytes, kind text, account text, case_id text, created int, expires int, used int")},
	{name: "messages", key: 1, columns: columns("id text, created int, due int, tries int, body bytes")},
	{name: "offers", key: 2, columns: columns("owner text, kind text, session text, tries int, expires int, body bytes")},
	{name: "person_keys", key: 1, columns: columns("person text, created int, body bytes")},
	{name: "sessions", key: 1, columns: columns("hash bytes, owner text, created int, used int, expires int, body bytes, desk int")},
	{name: "ship_cursors", key: 1, columns: columns("name text, next int, hold int, witnessed int, told int, holder text, until int")},
	{name: "spent", key: 1, columns: columns("mark text, at int")},
	{name: "store_state", key: 1, columns: columns("id text, body bytes"), only: "id <> '" + stateCopy + "'"},
	{name: "strikes", key: 2, columns: columns("account text, kind text, consecutive int, win int, since int, last int")},
	{name: "threat", key: 1, columns: columns("id text, body bytes")},
}

// notCopied says why a table beginning so is not.
var notCopied = map[string]string{
	"goose_db_version": "Migrate writes it",
	"sqlite_sequence":  "SQLite writes it",
	// Its jobs are when to tidy up next: every portal makes them anew at its start. Who
	// leads and who works there is true of one server at one moment.
	"river_": "River's own",
}

// isNotCopied reports whether a table is one of notCopied.
func isNotCopied(name string) bool {
	for prefix := range notCopied {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (c copied) index(named string) int {
	return slices.IndexFunc(c.columns, func(o column) bool { return o.name == named })
}

func (c copied) names() string {
	names := make([]string, len(c.columns))
	for i, col := range c.columns {
		names[i] = col.name
	}
	return strings.Join(names, ", ")
}

// read selects the rows in the order of their key by its bytes, the same everywhere;
// condition is put before that.
func (c copied) read(d dialect, condition string) string {
	order := make([]string, c.key)
	for i, col := range c.columns[:c.key] {
		if order[i] = col.name; col.kind == "text" {
			order[i] += d.binary
		}
	}
	return fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s", c.names(), c.name, c.where(condition), strings.Join(order, ", "))
}

func (c copied) where(more string) string {
	if c.only != "" && more != "" {
		more = " AND " + more
	}
	if more = c.only + more; more == "" {
		return ""
	}
	return " WHERE " + more
}

// insert adds n rows.
func (c copied) insert(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s", c.name, c.names())
	zeros := ""
	for _, name := range c.left {
		b.WriteString(", " + name)
		zeros += ", 0"
	}
	b.WriteString(") {given} VALUES ")
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(" + placeholders(1+i*len(c.columns), len(c.columns)) + zeros + ")")
	}
	return b.String()
}

// normal is a row as both databases give it: SQLite lets anything stand in a column, and
// its driver gives an empty value as one without bytes.
func (c copied) normal(row []any) error {
	for i, v := range row {
		col := c.columns[i]
		switch v := v.(type) {
		case nil:
			continue
		case int64:
			if col.kind == "int" {
				continue
			}
		case string:
			if col.kind == "text" && storable(v) {
				continue
			}
		case []byte:
			if col.kind == "bytes" {
				if v == nil {
					row[i] = []byte{}
				}
				continue
			}
		}
		return fmt.Errorf("store: %s: the row %v: %s is not what this program writes", c.name, row[:c.key], col.name)
	}
	return nil
}

// digest is a hash over rows in their order, and how many they are.
type digest struct {
	rows int64
	sum  hash.Hash
}

func newDigest() *digest { return &digest{sum: sha256.New()} }

// add takes a row: how many values, and each with what it is and its length before it.
func (d *digest) add(row []any) {
	b := append(make([]byte, 0, 512), byte(len(row)))
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			b = append(b, 0)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 1), uint64(v))
		case string:
			b = append(binary.BigEndian.AppendUint64(append(b, 2), uint64(len(v))), v...)
		case []byte:
			b = append(binary.BigEndian.AppendUint64(append(b, 3), uint64(len(v))), v...)
		}
	}
	d.rows++
	d.sum.Write(b)
}

func (d *digest) equal(o *digest) bool {
	return d.rows == o.rows && string(d.sum.Sum(nil)) == string(o.sum.Sum(nil))
}
