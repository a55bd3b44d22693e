package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/audit"
)

// maxProof is how long what goes with an event whole may be, in bytes.
const maxProof = 16 << 10

const (
	insertEvent = `INSERT INTO audit_events (at, case_id, subject, event) VALUES ($1, $2, $3, $4)`
	// SQLite uses a partial index only where its condition is repeated.
	recentEvents = `SELECT seq, event FROM audit_events WHERE subject = $1 AND subject <> '' ORDER BY seq DESC LIMIT $2`
	exportEvents = `SELECT seq, event FROM audit_events
		WHERE seq > $1 AND at >= $2 AND at < $3 AND ($4 = '' OR subject = $4) AND ($5 = '' OR case_id = $5) AND {settled}
		ORDER BY seq LIMIT 500`
)

// Record writes events that go with no other change: in ctx's transaction when
// there is one.
func (db *DB) Record(ctx context.Context, events ...audit.Event) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error { return t.record(ctx, events) })
}

func (t *tx) record(ctx context.Context, events []audit.Event) error {
	for _, e := range events {
		if e.Outcome == audit.Intent { // no directory is written to without one
			if err := t.room(ctx); err != nil {
				return err
			}
		}
		e = e.Bounded()
		e.Seq = 0 // given by the database
		if e.At.IsZero() {
			e.At = t.db.now()
		}
		if e.ID == "" {
			id, err := t.db.newID()
			if err != nil {
				return err
			}
			e.ID = id
		}
		if len(e.Proof) > maxProof {
			return errors.New("store: audit: a proof is longer than any can be")
		}
		if err := t.conceal(ctx, &e); err != nil {
			return err
		}
		text, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("store: audit: %w", err)
		}
		if err := t.insertEventRow(ctx, e, string(text)); err != nil {
			return fmt.Errorf("store: audit: %w", err)
		}
		t.recorded = true
	}
	return nil
}

// Recorded has wake called right after every commit here that wrote events; nil stops
// that. wake must not block.
func (db *DB) Recorded(wake func()) {
	if wake == nil {
		db.recorded.Store(nil)
		return
	}
	db.recorded.Store(&wake)
}

// key is text as every database can index it. The event itself is JSON, where
// a NUL is written out.
func key(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func scanEvent(rows *sql.Rows) (e audit.Event, err error) {
	var seq int64
	var text []byte
	if err := rows.Scan(&seq, &text); err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("event %d is not JSON: %w", seq, err)
	}
	e.Seq = seq
	return e, nil
}

// Recent returns up to n events about one account, newest first (audit.Reader).
func (db *DB) Recent(ctx context.Context, subject directory.ID, n int) ([]audit.Event, error) {
	var list []audit.Event
	if subject == "" {
		return nil, nil
	}
	err := db.reader(ctx).each(ctx, recentEvents, []any{key(string(subject)), n}, func(rows *sql.Rows) error {
		e, err := scanEvent(rows)
		list = append(list, e)
		return err
	})
	if err == nil {
		err = db.revealAll(ctx, list)
	}
	if err != nil {
		return nil, fmt.Errorf("store: recent events: %w", err)
	}
	return list, nil
}

// Export reads the record in order (audit.Reader). It holds no transaction open
// while each runs.
func (db *DB) Export(ctx context.Context, q audit.Query, each func(audit.Event) error) error {
	until := q.Until
	if until.IsZero() {
		until = time.UnixMicro(1<<62 - 1)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var page []audit.Event
		err := db.reader(ctx).each(ctx, exportEvents, []any{q.After, micros(q.From), micros(until), key(string(q.Subject)), key(q.Case)}, func(rows *sql.Rows) error {
			e, err := scanEvent(rows)
			page = append(page, e)
			return err
		})
		if err == nil {
			err = db.revealAll(ctx, page)
		}
		if err != nil {
			return fmt.Errorf("store: export: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		for _, e := range page {
			if e.Seq <= q.After {
				return errors.New("store: export: the record is out of order")
			}
			if err := each(e); err != nil {
				return err
			}
			q.After = e.Seq
		}
	}
}
