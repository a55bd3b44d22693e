package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postern/directory"
	"postern/portal/session"
)

const (
	selectSession = `SELECT owner, created, used, expires, desk, body FROM sessions WHERE hash = $1`
	insertSession = `INSERT INTO sessions (hash, owner, created, used, expires, body) VALUES ($1, $2, $3, $4, $5, $6)`
	touchDesk     = `UPDATE sessions SET desk = $2 WHERE hash = $1 AND desk < $2`
	touchSession  = `UPDATE sessions SET used = $2 WHERE hash = $1 AND used < $2`
	endSession    = `DELETE FROM sessions WHERE hash = $1 RETURNING owner`
	// SQLite uses a partial index only where its condition is repeated.
	endSessions = `DELETE FROM sessions WHERE owner = $1 AND owner <> ''`
)

// Session reads one (session.Store).
func (db *DB) Session(ctx context.Context, hash []byte) (session.Row, error) {
	var (
		owner                        string
		created, used, expires, desk int64
		body                         []byte
	)
	switch err := db.reader(ctx).one(ctx, selectSession, []any{hash}, &owner, &created, &used, &expires, &desk, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return session.Row{}, session.ErrNone
	case err != nil:
		return session.Row{}, fmt.Errorf("store: session: %w", err)
	}
	r := session.Row{Hash: hash, Owner: directory.ID(owner), Created: fromMicros(created), Used: fromMicros(used), Expires: fromMicros(expires), Desk: fromMicros(desk)}
	if err := db.open(sealedSessions, body, &r.State, hash, []byte(owner)); err != nil {
		return session.Row{}, err
	}
	return r, nil
}

// ReplaceSession removes one session and stores another (session.Store). When
// the old one is gone already, nobody gets signed in by it: that is
// session.ErrNone. Else a request that was under way while all sessions of a person
// ended would bring one back (security case 38).
func (db *DB) ReplaceSession(ctx context.Context, old []byte, next session.Row) error {
	var body []byte
	if len(next.Hash) > 0 {
		var err error
		if body, err = db.seal(sealedSessions, next.State, next.Hash, []byte(next.Owner)); err != nil {
			return err
		}
	}
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		if len(old) > 0 {
			var owner string
			switch err := t.one(ctx, endSession, []any{old}, &owner); {
			case errors.Is(err, sql.ErrNoRows) && next.Owner != "":
				return session.ErrNone
			case err != nil && !errors.Is(err, sql.ErrNoRows):
				return fmt.Errorf("store: end session: %w", err)
			}
		}
		if body == nil {
			return nil
		}
		if _, err := t.exec(ctx, insertSession, next.Hash, string(next.Owner), micros(next.Created), micros(next.Used), micros(next.Expires), body); err != nil {
			return fmt.Errorf("store: session: %w", err)
		}
		return nil
	})
}

// TouchSession notes a use (session.Store).
func (db *DB) TouchSession(ctx context.Context, hash []byte, at time.Time) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, touchSession, hash, micros(at)); err != nil {
			return fmt.Errorf("store: session: %w", err)
		}
		return nil
	})
}

// TouchDesk notes a use of the desk (session.Store).
func (db *DB) TouchDesk(ctx context.Context, hash []byte, at time.Time) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, touchDesk, hash, micros(at)); err != nil {
			return fmt.Errorf("store: session: %w", err)
		}
		return nil
	})
}

// endSessions ends every browser session of a person.
func (t *tx) endSessions(ctx context.Context, owner directory.ID) error {
	_, err := t.exec(ctx, endSessions, string(owner))
	return err
}
