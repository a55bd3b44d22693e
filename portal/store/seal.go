package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// sealed is a table with a body: JSON encrypted with the table's name and the
// values of the bound columns as associated data. A body that is copied into
// another row, another table, or under another owner, cannot be opened there
// (security case 120).
type sealed struct {
	table string
	bound []string // columns, the primary key first; they never change in a row
	id    int      // how many of them make the primary key
	bytes bool     // the primary key is bytes, not text
}

var (
	sealedCases       = sealed{table: "cases", bound: []string{"id"}, id: 1}
	sealedCredentials = sealed{table: "credentials", bound: []string{"id", "owner", "kind", "handle"}, id: 1}
	sealedOffers      = sealed{table: "offers", bound: []string{"owner", "kind", "session"}, id: 2}
	sealedSessions    = sealed{table: "sessions", bound: []string{"hash", "owner"}, id: 1, bytes: true}
	sealedMessages    = sealed{table: "messages", bound: []string{"id"}, id: 1}
	sealedMarks       = sealed{table: "key_mark", bound: []string{"id"}, id: 1}
	sealedAccounts    = sealed{table: "accounts", bound: []string{"account"}, id: 1}
	sealedThreat      = sealed{table: "threat", bound: []string{"id"}, id: 1}
	sealedKiosks      = sealed{table: "kiosks", bound: []string{"id"}, id: 1}
	sealedErrands     = sealed{table: "errands", bound: []string{"id"}, id: 1}
	sealedPersons     = sealed{table: "person_keys", bound: []string{"person"}, id: 1}
	sealedState       = sealed{table: "store_state", bound: []string{"id"}, id: 1}
	sealedTables      = []sealed{sealedCases, sealedCredentials, sealedOffers, sealedSessions, sealedMessages, sealedMarks, sealedAccounts, sealedThreat, sealedKiosks, sealedErrands, sealedPersons, sealedState}
)

// place is the associated data of one row; every part with its length before
// it, so that ("ab", "c") is not ("a", "bc").
func (s sealed) place(values ...[]byte) []byte {
	b := make([]byte, 0, 128)
	b = append(b, s.table...)
	b = append(b, 0)
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return b
}

func (db *DB) seal(s sealed, v any, values ...[]byte) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", s.table, err)
	}
	return db.keys.seal(plain, s.place(values...))
}

func (db *DB) open(s sealed, body []byte, v any, values ...[]byte) error {
	plain, err := db.keys.open(body, s.place(values...))
	if err != nil {
		return fmt.Errorf("%w (%s)", err, s.table)
	}
	if err := json.Unmarshal(plain, v); err != nil {
		// The error of the parser could quote the plaintext.
		return fmt.Errorf("store: a row of %s is not what this program writes", s.table)
	}
	return nil
}

// resealBatch keeps the write lock short.
const resealBatch = 64

// Reseal encrypts again, under the primary key, every row that is not, while
// the portal runs, and returns how many there were. When it returns 0 with every
// node on the new keys, the old ones may go (RetireKeys).
func (db *DB) Reseal(ctx context.Context) (int, error) {
	total := 0
	for _, s := range sealedTables {
		n, err := db.reseal(ctx, s)
		total += n
		if err != nil {
			return total, fmt.Errorf("store: reseal %s: %w", s.table, err)
		}
	}
	return total, nil
}

// oldRow is a row as it stands: the bound columns and the body.
type oldRow struct {
	values [][]byte
	keys   []any
	body   []byte
}

func (db *DB) reseal(ctx context.Context, s sealed) (int, error) {
	ids := strings.Join(s.bound[:s.id], ", ")
	after := "TRUE"
	var last []any
	total := 0
	for {
		var batch []oldRow
		seen := 0
		query := fmt.Sprintf("SELECT %s, body FROM %s WHERE %s ORDER BY %s LIMIT %d", strings.Join(s.bound, ", "), s.table, after, ids, resealBatch)
		err := db.reader(ctx).each(ctx, query, last, func(rows *sql.Rows) error {
			r := oldRow{values: make([][]byte, len(s.bound))}
			dest := make([]any, 0, len(s.bound)+1)
			for i := range r.values {
				dest = append(dest, &r.values[i])
			}
			if err := rows.Scan(append(dest, &r.body)...); err != nil {
				return err
			}
			last = last[:0]
			for _, v := range r.values[:s.id] {
				if s.bytes {
					r.keys = append(r.keys, v)
				} else {
					r.keys = append(r.keys, string(v))
				}
			}
			last = append(last, r.keys...)
			seen++
			if !db.keys.current(r.body) {
				batch = append(batch, r)
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		n, err := db.resealRows(ctx, s, batch)
		total += n
		if err != nil || seen < resealBatch {
			return total, err
		}
		after = "(" + ids + ") > (" + placeholders(1, s.id) + ")"
	}
}

func (db *DB) resealRows(ctx context.Context, s sealed, batch []oldRow) (n int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	where := make([]string, s.id)
	for i, column := range s.bound[:s.id] {
		where[i] = fmt.Sprintf("%s = $%d", column, i+3)
	}
	// Only if it is still what was read: a writer in between used the new key.
	update := fmt.Sprintf("UPDATE %s SET body = $1 WHERE body = $2 AND %s", s.table, strings.Join(where, " AND "))
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		n = 0
		for _, r := range batch {
			plain, err := db.keys.open(r.body, s.place(r.values...))
			if err != nil {
				return err
			}
			body, err := db.keys.seal(plain, s.place(r.values...))
			if err != nil {
				return err
			}
			if bytes.Equal(body, r.body) {
				return errors.New("the same key sealed it again")
			}
			changed, err := t.exec(ctx, update, append([]any{body, r.body}, r.keys...)...)
			if err != nil {
				return err
			}
			n += int(changed)
		}
		return nil
	})
	return n, err
}

// placeholders gives "$from, …", n of them.
func placeholders(from, n int) string {
	p := make([]string, n)
	for i := range p {
		p[i] = fmt.Sprintf("$%d", from+i)
	}
	return strings.Join(p, ", ")
}
