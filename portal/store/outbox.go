package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postern/portal/audit"
	"postern/portal/notify"
)

// Outgoing is a message on its way out, held by whoever has it until Until.
type Outgoing struct {
	notify.Message
	Created time.Time
	Tries   int       // including this one
	Until   time.Time // the end of the lease; afterwards somebody else may take it
	// Broken is set when the row cannot be read; then only ID and times are known.
	Broken error
}

// courier takes messages right after their commit.
type courier struct{ take func(Outgoing) }

// Lease is how long somebody who took a message has to deliver it before it is
// offered again. A crash delays a message by at most so much, and never loses it.
const Lease = 2 * time.Minute

const (
	insertMessage = `INSERT INTO messages (id, created, due, tries, body) VALUES ($1, $2, $3, $4, $5)`
	anyDue        = `SELECT id FROM messages WHERE due <= $1 LIMIT 1`
	claimMessages = `UPDATE messages SET tries = tries + 1, due = $2
		WHERE id IN (SELECT id FROM messages WHERE due <= $1 ORDER BY due LIMIT $3 {skip locked}) RETURNING id, created, due, tries, body`
	// Only by who still holds it: the lease is the proof.
	finishMessage   = `DELETE FROM messages WHERE id = $1 AND due = $2`
	postponeMessage = `UPDATE messages SET due = $3, body = $4 WHERE id = $1 AND due = $2`
	putOffMessage   = `UPDATE messages SET due = $3 WHERE id = $1 AND due = $2`
)

// Courier has messages handed to take as soon as they are committed here, held
// for Lease; nil stops that. take must not block.
//
// A River job for each message would cost six times the processor time of the
// insert, in the transaction people wait for, and be found by polling only.
func (db *DB) Courier(take func(Outgoing)) {
	if take == nil {
		db.courier.Store(nil)
		return
	}
	db.courier.Store(&courier{take})
}

// post writes messages with the transaction.
func (t *tx) post(ctx context.Context, messages []notify.Message) error {
	if len(messages) == 0 {
		return nil
	}
	// Of the database's own resolution, or the lease would not be found again.
	now := t.db.now().UTC().Truncate(time.Microsecond)
	for _, m := range messages {
		o := Outgoing{Message: m, Created: now, Until: now}
		if t.db.courier.Load() != nil {
			o.Until, o.Tries = now.Add(Lease), 1
		}
		if o.ID == "" {
			id, err := t.db.newID()
			if err != nil {
				return err
			}
			o.ID = id
		}
		if err := t.makeLinks(ctx, &o.Message); err != nil {
			return err
		}
		// The groups of a person are of no use to who delivers, and can be many.
		o.Who.Groups = nil
		body, err := t.db.seal(sealedMessages, o.Message, []byte(o.ID))
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, insertMessage, o.ID, micros(o.Created), micros(o.Until), o.Tries, body); err != nil {
			return fmt.Errorf("store: message: %w", err)
		}
		if o.Tries > 0 {
			t.sent = append(t.sent, o)
		}
	}
	return nil
}

func (db *DB) handOver(sent []Outgoing) {
	if c := db.courier.Load(); c != nil {
		for _, o := range sent {
			c.take(o)
		}
	}
}

// Claim takes up to n messages that are due, for Lease each.
func (db *DB) Claim(ctx context.Context, n int) (claimed []Outgoing, err error) {
	now := db.now().UTC().Truncate(time.Microsecond)
	var id string
	// Nearly always there is nothing: look without asking for the write lock.
	switch err := db.reader(ctx).one(ctx, anyDue, []any{micros(now)}, &id); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("store: messages: %w", err)
	}
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		claimed = claimed[:0]
		return t.each(ctx, claimMessages, []any{micros(now), micros(now.Add(Lease)), n}, func(rows *sql.Rows) error {
			var (
				o            Outgoing
				id           string
				created, due int64
				body         []byte
			)
			if err := rows.Scan(&id, &created, &due, &o.Tries, &body); err != nil {
				return err
			}
			// One bad row must not stop the mail of everybody else.
			o.Broken = db.open(sealedMessages, body, &o.Message, []byte(id))
			o.ID, o.Created, o.Until = id, fromMicros(created), fromMicros(due)
			claimed = append(claimed, o)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("store: messages: %w", err)
	}
	return claimed, nil
}

// Finish removes a message that is delivered or given up, with the events that
// say so. When it is held by somebody else by now, nothing happens.
func (db *DB) Finish(ctx context.Context, o Outgoing, events ...audit.Event) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, finishMessage, o.ID, micros(o.Until))
		if err != nil {
			return fmt.Errorf("store: finish message: %w", err)
		}
		if n == 0 {
			return nil
		}
		return t.record(ctx, events)
	})
}

// Postpone gives a message back until a later time, as it is now: addresses
// that were served are gone from it.
func (db *DB) Postpone(ctx context.Context, o Outgoing, until time.Time, events ...audit.Event) error {
	query, args := putOffMessage, []any{o.ID, micros(o.Until), micros(until)}
	if o.Broken == nil {
		body, err := db.seal(sealedMessages, o.Message, []byte(o.ID))
		if err != nil {
			return err
		}
		query, args = postponeMessage, append(args, body)
	}
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("store: postpone message: %w", err)
		}
		if n == 0 {
			return nil
		}
		return t.record(ctx, events)
	})
}
