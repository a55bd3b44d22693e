package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"postern/portal/audit"
)

const (
	// A new place begins with what is sealed from now on.
	holdCursor = `INSERT INTO ship_cursors (name, next, hold, witnessed, told, holder, until)
		VALUES ($1, (SELECT coalesce(max(idx), -1) + 1 FROM log_entries), $2, 0, 0, '', 0)
		ON CONFLICT (name) DO UPDATE SET hold = excluded.hold`
	cursorNames = `SELECT name FROM ship_cursors ORDER BY name`
	dropCursor  = `DELETE FROM ship_cursors WHERE name = $1`
	readCursor  = `SELECT next, witnessed, told FROM ship_cursors WHERE name = $1`
	takeCursor  = `UPDATE ship_cursors SET holder = $2, until = $3 WHERE name = $1 AND (holder = $2 OR until < $4) RETURNING next, witnessed, told`
	// Forwards alone, and by whoever holds it.
	moveCursor = `UPDATE ship_cursors SET next = $3, witnessed = $4, told = $5, until = $6 WHERE name = $1 AND holder = $2 AND next <= $3 AND witnessed <= $4`
	allCursors = `SELECT name, next, hold, witnessed, told, (SELECT coalesce(max(idx), -1) + 1 FROM log_entries) FROM ship_cursors ORDER BY name`
	// What is not sealed yet waits as well.
	heldBy = `SELECT name FROM ship_cursors WHERE hold > 0 AND hold <= (SELECT coalesce(max(idx), -1) + 1 FROM log_entries) - next
		+ (SELECT coalesce(max(seq), 0) FROM audit_events) - (SELECT coalesce(max(seq), 0) FROM log_entries) LIMIT 1`
	pageOfFiled = `SELECT l.idx, e.seq, e.event FROM log_entries l JOIN audit_events e ON e.seq = l.seq WHERE l.idx >= $1 AND l.idx < $2 ORDER BY l.idx`
)

// ErrHeld is a change that was not begun because too much of the record waits to be sent
// to where it must go.
var ErrHeld = errors.New("store: too much of the record waits to be sent")

// ErrNoCursor is a place that nothing is sent to any more.
var ErrNoCursor = errors.New("store: nothing is sent there")

// Shipment is how far a place was sent the record.
type Shipment struct {
	Name      string
	Next      int64 // entry to send next
	Size      int64 // of the log
	Hold      int64 // how many may wait; 0: any number
	Witnessed int64 // size of the checkpoint sent last
	Told      time.Time
}

// Ships says where the record is sent: names, and how many events may wait for each, 0
// for any number. What was sent to others before is forgotten.
func (db *DB) Ships(ctx context.Context, places map[string]int) error {
	err := db.within(ctx, func(ctx context.Context, t *tx) error {
		var names []string
		if err := t.each(ctx, cursorNames, nil, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			names = append(names, name)
			return err
		}); err != nil {
			return err
		}
		for _, name := range names {
			if _, there := places[name]; there {
				continue
			}
			if _, err := t.exec(ctx, dropCursor, name); err != nil {
				return err
			}
		}
		for name, hold := range places {
			if _, err := t.exec(ctx, holdCursor, name, hold); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: ships: %w", err)
	}
	return nil
}

// Shipment reads how far one place was sent the record.
func (db *DB) Shipment(ctx context.Context, place string) (Shipment, error) {
	return shipment(place, db.reader(ctx).one, ctx, readCursor, place)
}

// TakeShipment is Shipment, and keeps other nodes from sending there until the lease is
// over or Shipped extends it. It returns false when another one has it.
func (db *DB) TakeShipment(ctx context.Context, place, node string, lease time.Duration) (s Shipment, ours bool, err error) {
	now := db.now()
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		s, err = shipment(place, t.one, ctx, takeCursor, place, node, micros(now.Add(lease)), micros(now))
		return err
	})
	if errors.Is(err, ErrNoCursor) {
		return s, false, nil
	}
	return s, err == nil, err
}

func shipment(place string, one func(context.Context, string, []any, ...any) error, ctx context.Context, query string, args ...any) (Shipment, error) {
	s := Shipment{Name: place}
	var told int64
	err := one(ctx, query, args, &s.Next, &s.Witnessed, &told)
	if errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("%w: %s", ErrNoCursor, place)
	}
	if err != nil {
		return s, fmt.Errorf("store: shipment: %w", err)
	}
	s.Told = fromMicros(told)
	return s, nil
}

// Shipped moves how far a place was sent the record. It fails when another node took over.
func (db *DB) Shipped(ctx context.Context, node string, s Shipment, lease time.Duration) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, moveCursor, s.Name, node, s.Next, s.Witnessed, micros(s.Told), micros(db.now().Add(lease)))
		if err == nil && n != 1 {
			err = errors.New("another node took over")
		}
		if err != nil {
			return fmt.Errorf("store: shipped to %s: %w", s.Name, err)
		}
		return nil
	})
}

// Shipments lists all of them.
func (db *DB) Shipments(ctx context.Context) (list []Shipment, err error) {
	err = db.reader(ctx).each(ctx, allCursors, nil, func(rows *sql.Rows) error {
		var s Shipment
		var told int64
		err := rows.Scan(&s.Name, &s.Next, &s.Hold, &s.Witnessed, &told, &s.Size)
		s.Told = fromMicros(told)
		list = append(list, s)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: shipments: %w", err)
	}
	return list, nil
}

// Filed returns up to n sealed events from an entry of the log on. With personal they
// are as they happened, and otherwise as they are stored.
func (db *DB) Filed(ctx context.Context, from int64, n int, personal bool) ([]audit.Filed, error) {
	var list []audit.Filed
	var events []audit.Event
	if err := db.reader(ctx).each(ctx, pageOfFiled, []any{from, from + int64(n)}, func(rows *sql.Rows) error {
		var f audit.Filed
		var seq int64
		var text []byte
		if err := rows.Scan(&f.Index, &seq, &text); err != nil {
			return err
		}
		if err := json.Unmarshal(text, &f.Event); err != nil {
			return fmt.Errorf("event %d is not JSON: %w", seq, err)
		}
		f.Event.Seq, f.Hash = seq, audit.LeafHash(audit.Leaf(text))
		list, events = append(list, f), append(events, f.Event)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("store: filed: %w", err)
	}
	if !personal {
		return list, nil
	}
	if err := db.revealAll(ctx, events); err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Event = events[i]
	}
	return list, nil
}

// room returns ErrHeld when too much of the record waits.
func (t *tx) room(ctx context.Context) error {
	var name string
	switch err := t.one(ctx, heldBy, nil, &name); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("store: audit: %w", err)
	}
	return fmt.Errorf("%w to %s", ErrHeld, name)
}
