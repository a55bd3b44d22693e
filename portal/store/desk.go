package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/notify"
)

const runningCases = `SELECT id FROM cases WHERE account = $1 AND closed = '' AND status IN ('', 'applying') ORDER BY created DESC LIMIT 20`

// Running are the newest cases of an account that have no outcome (desk.Known).
func (db *DB) Running(ctx context.Context, account directory.ID) (ids []string, err error) {
	err = db.reader(ctx).each(ctx, runningCases, []any{string(account)}, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: running cases: %w", err)
	}
	return ids, nil
}

const heldCases = `SELECT id FROM cases WHERE held > $1 ORDER BY held DESC LIMIT 100`

// Held are the newest cases that have waited for a second technician since then
// (desk.Known).
func (db *DB) Held(ctx context.Context, since time.Time) (ids []string, err error) {
	err = db.reader(ctx).each(ctx, heldCases, []any{micros(since)}, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: held cases: %w", err)
	}
	return ids, nil
}

// Note writes events and the messages that go with them, both or none (desk.Record).
func (db *DB) Note(ctx context.Context, events []audit.Event, messages []notify.Message) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		if err := t.record(ctx, events); err != nil {
			return err
		}
		return t.post(ctx, messages)
	})
}
