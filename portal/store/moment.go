package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// moment is one state of a database, however long it is read and whatever is written
// meanwhile. It holds a connection: end it.
type moment struct {
	db   *DB
	conn *sql.Conn
}

func (db *DB) moment(ctx context.Context) (*moment, error) {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return nil, err
	}
	m := &moment{db, conn}
	// SQLite chooses the moment at the first read.
	for _, s := range append(db.dialect.snapshot[:len(db.dialect.snapshot):len(db.dialect.snapshot)], "SELECT count(*) FROM key_mark") {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			m.end()
			return nil, err
		}
	}
	return m, nil
}

// end gives the connection back. It only read: nothing can be lost by a failure here.
func (m *moment) end() {
	_, _ = m.conn.ExecContext(context.Background(), "ROLLBACK")
	_ = m.conn.Close()
}

// count is how many rows of a table are taken.
func (m *moment) count(ctx context.Context, t copied) (n int64, err error) {
	err = m.conn.QueryRowContext(ctx, "SELECT count(*) FROM "+t.name+t.where("")).Scan(&n)
	return n, err
}

// each calls do with every row that meets the condition, in the order of the key. do must
// not keep the slice.
func (m *moment) each(ctx context.Context, t copied, condition string, args []any, do func(row []any) error) error {
	rows, err := m.conn.QueryContext(ctx, t.read(m.db.dialect, condition), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	row, dest := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i := range row {
		dest[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := t.normal(row); err != nil {
			return err
		}
		if err := do(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// digest hashes the rows that meet the condition.
func (m *moment) digest(ctx context.Context, t copied, condition string, args ...any) (*digest, error) {
	d := newDigest()
	err := m.each(ctx, t, condition, args, func(row []any) error { d.add(row); return nil })
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.name, err)
	}
	return d, nil
}

// digests hashes everything that is copied.
func (m *moment) digests(ctx context.Context) (map[string]*digest, error) {
	all := map[string]*digest{}
	for _, t := range copiedTables {
		d, err := m.digest(ctx, t, "")
		if err != nil {
			return nil, err
		}
		all[t.name] = d
	}
	return all, nil
}

// digests is of a moment of now.
func (db *DB) digests(ctx context.Context) (map[string]*digest, error) {
	m, err := db.moment(ctx)
	if err != nil {
		return nil, err
	}
	defer m.end()
	return m.digests(ctx)
}

// differing names the tables in which two are not the same.
func differing(a, b map[string]*digest) string {
	var names []string
	for _, t := range copiedTables {
		if !a[t.name].equal(b[t.name]) {
			names = append(names, fmt.Sprintf("%s (%d and %d rows)", t.name, a[t.name].rows, b[t.name].rows))
		}
	}
	return strings.Join(names, ", ")
}
