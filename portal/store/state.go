package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// state is a row of store_state.
type state struct {
	Epoch int64     `json:",omitempty"` // of stateEpoch: how often it was restored from a backup
	Since time.Time // when that was, or the copy began
}

const (
	stateEpoch = "epoch"
	stateCopy  = "copy" // there from a copy's first row until its last is verified

	selectState = `SELECT body FROM store_state WHERE id = $1`
	setState    = `INSERT INTO store_state (id, body) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET body = excluded.body`
	dropState   = `DELETE FROM store_state WHERE id = $1`
)

// ErrHalfCopied is a database that postern store copy began to fill and did not finish.
var ErrHalfCopied = errors.New("store: the database is a copy that was not finished")

// state reads a row; there is none yet in a new database.
func (db *DB) state(ctx context.Context, r rower, id string) (s state, there bool, err error) {
	var body []byte
	switch err := r.one(ctx, selectState, []any{id}, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return s, false, nil
	case err != nil:
		return s, false, fmt.Errorf("store: state: %w", err)
	}
	return s, true, db.open(sealedState, body, &s, []byte(id))
}

func (t *tx) setState(ctx context.Context, id string, s state) error {
	body, err := t.db.seal(sealedState, s, []byte(id))
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, setState, id, body); err != nil {
		return fmt.Errorf("store: state: %w", err)
	}
	return nil
}

// CheckWhole returns ErrHalfCopied for what is not all of a database.
func (db *DB) CheckWhole(ctx context.Context) error {
	s, there, err := db.state(ctx, db.reader(ctx), stateCopy)
	if err == nil && there {
		err = fmt.Errorf("%w: it was begun at %s; run postern store copy again", ErrHalfCopied, s.Since.UTC().Format(time.RFC3339))
	}
	return err
}
