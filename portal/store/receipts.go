package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postern/portal/audit"
)

const (
	insertEventSeq = insertEvent + ` RETURNING seq`
	// The first event with a number is the one that finished the case; later ones tell of it.
	insertReceipt = `INSERT INTO receipts (code, seq) VALUES ($1, $2) ON CONFLICT (code) DO NOTHING`
	readReceipt   = `SELECT e.event, coalesce(l.idx, -1) FROM receipts r JOIN audit_events e ON e.seq = r.seq LEFT JOIN log_entries l ON l.seq = r.seq WHERE r.code = $1`
)

// insertEventRow writes an event, and its receipt when it has one.
func (t *tx) insertEventRow(ctx context.Context, e audit.Event, text string) error {
	args := []any{micros(e.At), key(e.Case), key(string(e.Subject)), text}
	code := e.Detail["receipt"]
	if code == "" {
		_, err := t.exec(ctx, insertEvent, args...)
		return err
	}
	var seq int64
	if err := t.one(ctx, insertEventSeq, args, &seq); err != nil {
		return err
	}
	_, err := t.exec(ctx, insertReceipt, key(code), seq)
	return err
}

// Receipt proves the event that finished a case, by the number its person was given
// (web.Receipts). It returns audit.ErrNoReceipt and audit.ErrNotSealed.
func (db *DB) Receipt(ctx context.Context, code string) (audit.Receipt, error) {
	r := db.reader(ctx)
	var text []byte
	var index int64
	switch err := r.one(ctx, readReceipt, []any{key(code)}, &text, &index); {
	case errors.Is(err, sql.ErrNoRows):
		return audit.Receipt{}, audit.ErrNoReceipt
	case err != nil:
		return audit.Receipt{}, fmt.Errorf("store: receipt: %w", err)
	case index < 0:
		return audit.Receipt{}, audit.ErrNotSealed
	}
	size, signed, err := db.Checkpoint(ctx)
	if err != nil {
		return audit.Receipt{}, err
	}
	if index >= size {
		return audit.Receipt{}, audit.ErrNotSealed
	}
	got, err := audit.NewReceipt(code, index, audit.Leaf(text), size, signed, nodes{ctx, r})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("store: receipt: %w", err)
	}
	return got, nil
}
