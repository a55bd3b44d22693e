package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

const (
	spendMark = `INSERT INTO spent (mark, at) VALUES ($1, $2) ON CONFLICT (mark) DO NOTHING`
	spentMark = `SELECT at FROM spent WHERE mark = $1`
)

// Spent reports whether a mark is (desk.Spent).
func (db *DB) Spent(ctx context.Context, mark string) (bool, error) {
	var at int64
	switch err := db.reader(ctx).one(ctx, spentMark, []any{mark}, &at); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("store: spent: %w", err)
	}
	return true, nil
}

// Once spends a mark together with what work does (desk.Spent). Of any number at
// once one inserts the row; the others wait for its commit and then find it.
func (db *DB) Once(ctx context.Context, mark string, work func(context.Context) error) (first bool, err error) {
	if !storable(mark) || mark == "" {
		return false, errors.New("store: that mark cannot be stored")
	}
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		first = false
		n, err := t.exec(ctx, spendMark, mark, micros(db.now()))
		if err != nil {
			return fmt.Errorf("store: spend: %w", err)
		}
		if n == 0 {
			return nil
		}
		first = true
		if work == nil {
			return nil
		}
		return work(ctx)
	})
	return first && err == nil, err
}
