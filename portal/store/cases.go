package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"postern/directory"
	"postern/portal/flow"
)

const (
	insertCase = `INSERT INTO cases (id, version, account, purpose, status, closed, intent, created, expires, body, held, owner)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	selectCase = `SELECT version, closed, body FROM cases WHERE id = $1`
	lockCase   = selectCase + ` {lock}`
	// Most updates only change the body; naming a column is enough for its
	// indexes to be written again.
	touchCase = `UPDATE cases SET version = $3, body = $4 WHERE id = $1 AND version = $2`
	moveCase  = `UPDATE cases SET version = $3, body = $4, account = $5, purpose = $6, status = $7, closed = $8, intent = $9, expires = $10, held = $11
		WHERE id = $1 AND version = $2`
	running        = `account = $1 AND id <> $2 AND closed = '' AND status IN ('', 'applying')`
	lockOtherCases = `SELECT id FROM cases WHERE ` + running + ` ORDER BY id {lock now}`
	endOtherCases  = `UPDATE cases SET closed = $3, version = version + 1 WHERE ` + running
	// Those that rest on the proofs of $2 itself are named after it (flow.Case.Of).
	resting          = `owner = $1 AND owner <> '' AND id NOT LIKE $2 || '-%' AND closed = '' AND status IN ('', 'applying')`
	lockRestingCases = `SELECT id FROM cases WHERE ` + resting + ` ORDER BY id {lock now}`
	endRestingCases  = `UPDATE cases SET closed = $3, version = version + 1 WHERE ` + resting
	unsettledCases   = `SELECT id FROM cases WHERE status = 'applying' AND intent < $1 ORDER BY intent LIMIT 1000`
)

// Create stores a new case with what goes with it (flow.Store).
func (db *DB) Create(ctx context.Context, c *flow.Case, e flow.Effects) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		c.Version = 1
		body, err := db.seal(sealedCases, c, []byte(c.ID))
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, insertCase, c.ID, c.Version, string(c.Key), string(c.Purpose), string(c.Outcome.Status),
			string(c.Closed), micros(c.Outcome.Intent), micros(c.Created), micros(c.Expires), body, waits(c), string(c.Owner)); t.db.dialect.classes(err) == duplicate {
			return flow.ErrExists
		} else if err != nil {
			return fmt.Errorf("store: create case: %w", err)
		}
		return t.apply(ctx, c.ID, e)
	})
}

// Case reads one (flow.Store).
func (db *DB) Case(ctx context.Context, id string) (*flow.Case, error) {
	return db.loadCase(ctx, db.reader(ctx), selectCase, id)
}

func (db *DB) loadCase(ctx context.Context, from rower, query, id string) (*flow.Case, error) {
	if !storable(id) {
		return nil, flow.ErrNoCase
	}
	var (
		version int64
		closed  string
		body    []byte
	)
	switch err := from.one(ctx, query, []any{id}, &version, &closed, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, flow.ErrNoCase
	case err != nil:
		return nil, fmt.Errorf("store: read case: %w", err)
	}
	c := new(flow.Case)
	if err := db.open(sealedCases, body, c, []byte(id)); err != nil {
		return nil, err
	}
	c.Version = version
	if c.Closed == "" {
		c.Closed = flow.Reason(closed)
	}
	return c, nil
}

// Update changes one under its row lock (flow.Store). Whatever change does, a
// case that was closed stays closed, one that is settled stays settled, and no
// case gets a longer life: that is flow.ErrConflict.
func (db *DB) Update(ctx context.Context, id string, change func(context.Context, *flow.Case) (flow.Effects, error)) (*flow.Case, error) {
	var updated *flow.Case
	err := db.within(ctx, func(ctx context.Context, t *tx) error {
		c, err := db.loadCase(ctx, t, lockCase, id)
		if err != nil {
			return err
		}
		was := *c
		e, err := change(ctx, c)
		if err != nil {
			return err
		}
		if revived(&was, c) {
			return fmt.Errorf("%w: it had ended", flow.ErrConflict)
		}
		c.ID, c.Version = id, was.Version+1
		body, err := db.seal(sealedCases, c, []byte(id))
		if err != nil {
			return err
		}
		query, args := touchCase, []any{id, was.Version, c.Version, body}
		if moved(&was, c) {
			query, args = moveCase, append(args, string(c.Key), string(c.Purpose), string(c.Outcome.Status),
				string(c.Closed), micros(c.Outcome.Intent), micros(c.Expires), waits(c))
		}
		switch n, err := t.exec(ctx, query, args...); {
		case err != nil:
			return fmt.Errorf("store: update case: %w", err)
		case n != 1:
			return flow.ErrConflict
		}
		updated = c
		return t.apply(ctx, id, e)
	})
	if err != nil {
		return nil, err
	}
	return updated, nil
}

// moved reports whether any column beside the body changed.
func moved(was, is *flow.Case) bool {
	return was.Key != is.Key || was.Purpose != is.Purpose || was.Outcome.Status != is.Outcome.Status || was.Closed != is.Closed ||
		!was.Outcome.Intent.Equal(is.Outcome.Intent) || !was.Expires.Equal(is.Expires) ||
		waits(was) != waits(is)
}

// waits is the column held.
func waits(c *flow.Case) int64 {
	if !c.OnHold() || c.Hold.Refused {
		return 0
	}
	return micros(c.Hold.Since)
}

// revived reports whether a case that had ended would live again (security case 38).
func revived(was, is *flow.Case) bool {
	switch was.Outcome.Status {
	case flow.Applied, flow.Declined, flow.Lost:
		if is.Outcome.Status == flow.Pending || is.Outcome.Status == flow.InFlight {
			return true
		}
	}
	return was.Closed != "" && is.Closed == "" || is.Expires.After(was.Expires)
}

// Unsettled lists cases whose write has no known outcome since before (flow.Store).
func (db *DB) Unsettled(ctx context.Context, before time.Time) ([]string, error) {
	var ids []string
	err := db.reader(ctx).each(ctx, unsettledCases, []any{micros(before)}, func(rows *sql.Rows) error {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: unsettled cases: %w", err)
	}
	return ids, nil
}

// apply writes what goes with a change of the case of that id.
func (t *tx) apply(ctx context.Context, id string, e flow.Effects) error {
	if err := t.record(ctx, e.Events); err != nil {
		return err
	}
	if err := t.post(ctx, e.Messages); err != nil {
		return err
	}
	if e.EndCases != "" {
		if err := t.endCases(ctx, e.EndCases, id, flow.ReasonSuperseded); err != nil {
			return fmt.Errorf("store: end cases: %w", err)
		}
	}
	if e.EndSessions != "" {
		if err := t.endSessions(ctx, e.EndSessions); err != nil {
			return fmt.Errorf("store: end sessions: %w", err)
		}
	}
	return nil
}

// endCases closes the other running cases of an account, and those of other accounts
// that rest on its owner's proofs; none that rests on those of the case itself.
func (t *tx) endCases(ctx context.Context, account directory.ID, but string, why flow.Reason) error {
	for _, query := range []struct{ lock, end string }{{lockOtherCases, endOtherCases}, {lockRestingCases, endRestingCases}} {
		if !t.db.dialect.local {
			// Two cases of one account that end each other would wait for each other's
			// row until the server notices. Asking for all rows at once or none turns
			// that into another attempt, which then sees how it was closed.
			if err := t.each(ctx, query.lock, []any{string(account), but}, func(*sql.Rows) error { return nil }); err != nil {
				return err
			}
		}
		if _, err := t.exec(ctx, query.end, string(account), but, string(why)); err != nil {
			return err
		}
	}
	return nil
}

// storable reports whether text can be a key in every database. What cannot be
// stored cannot be found either.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
