package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/enrol"
)

const (
	threatID     = "portal"
	selectThreat = `SELECT body FROM threat WHERE id = $1`
	// Locks the row also when it is not there yet.
	lockThreat = `INSERT INTO threat (id, body) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET body = threat.body RETURNING body`
	setThreat  = `UPDATE threat SET body = $2 WHERE id = $1`
	// Whoever acts by the level keeps it from changing until they are done, and does
	// not keep others who act from doing the same.
	shareThreat = `SELECT body FROM threat WHERE id = $1 {share}`
)

// Threat is how the level stands (access.Threats).
func (db *DB) Threat(ctx context.Context) (access.Threat, error) {
	query := selectThreat
	r := db.reader(ctx)
	if _, in := r.(*tx); in {
		query = shareThreat
	}
	return db.scanThreat(ctx, r, query, threatID)
}

func (db *DB) scanThreat(ctx context.Context, from rower, query string, args ...any) (t access.Threat, err error) {
	var body []byte
	switch err := from.one(ctx, query, args, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return t, nil
	case err != nil:
		return t, fmt.Errorf("store: threat: %w", err)
	}
	if len(body) == 0 { // it was locked before anybody had raised it
		return t, nil
	}
	err = db.open(sealedThreat, body, &t, []byte(threatID))
	return t, err
}

// SetThreat changes it under its lock, with what is told of that (desk.Levels).
func (db *DB) SetThreat(ctx context.Context, change desk.LevelChange) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		was, err := db.scanThreat(ctx, t, lockThreat, threatID, []byte{})
		if err != nil {
			return err
		}
		next, events, messages, err := change(was)
		if err != nil {
			return err
		}
		body, err := db.seal(sealedThreat, next, []byte(threatID))
		if err != nil {
			return err
		}
		if n, err := t.exec(ctx, setThreat, threatID, body); err != nil || n != 1 {
			return errors.Join(errors.New("store: threat: not set"), err)
		}
		if err := t.record(ctx, events); err != nil {
			return err
		}
		return t.post(ctx, messages)
	})
}

// calm makes sure that the level is not raised, until the transaction ends.
func (t *tx) calm(ctx context.Context, c enrol.Change) error {
	if !c.Calm {
		return nil
	}
	level, err := t.db.Threat(ctx)
	if err == nil && level.Raised(t.db.now()) {
		err = enrol.ErrThreat
	}
	return err
}
