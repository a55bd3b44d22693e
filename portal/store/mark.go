package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
)

// ErrOtherKeys is a database that was sealed with the keys of another file.
// Nothing of anybody's could be opened, and what is written now could not be
// opened once the right file is back.
var ErrOtherKeys = errors.New("store: the key file is not the one of this database")

const (
	markID     = "keys"
	insertMark = `INSERT INTO key_mark (id, body) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`
	readMark   = `SELECT body FROM key_mark WHERE id = $1`
)

// mark is sealed with the sealing keys and holds a trace of the derivation key, so
// that it knows both. The trace tells nothing of the key.
func (db *DB) mark() []byte {
	sum := sha256.Sum256(db.keys.Derive("mark of a database"))
	return sum[:]
}

// MarkKeys makes a new database this key file's for ever, and otherwise is
// CheckKeys. Call it after Migrate, before anything is read or written. A copy that was
// not finished is ErrHalfCopied.
func (db *DB) MarkKeys(ctx context.Context) error {
	if err := db.CheckWhole(ctx); err != nil {
		return err
	}
	marked, err := db.checkMark(ctx)
	if marked || err != nil {
		return err
	}
	body, err := db.seal(sealedMarks, db.mark(), []byte(markID))
	if err != nil {
		return err
	}
	if err := db.within(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, insertMark, markID, body); err != nil {
			return err
		}
		// A copy that began just now saw no mark yet.
		_, half, err := db.state(ctx, t, stateCopy)
		if err == nil && half {
			err = ErrHalfCopied
		}
		return err
	}); err != nil {
		return fmt.Errorf("store: mark: %w", err)
	}
	return db.CheckKeys(ctx) // another node may have been first, with other keys
}

// CheckKeys returns ErrOtherKeys when the database was marked with other keys,
// and nil also when nothing has marked it yet. It changes nothing.
func (db *DB) CheckKeys(ctx context.Context) error {
	_, err := db.checkMark(ctx)
	return err
}

func (db *DB) checkMark(ctx context.Context) (marked bool, err error) {
	var body []byte
	switch err := db.reader(ctx).one(ctx, readMark, []any{markID}, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("store: mark: %w", err)
	}
	return true, db.opensMark(body)
}

// opensMark returns ErrOtherKeys for a mark that was made with other keys.
func (db *DB) opensMark(body []byte) error {
	var kept []byte
	err := db.open(sealedMarks, body, &kept, []byte(markID))
	if errors.Is(err, errSealed) || err == nil && subtle.ConstantTimeCompare(kept, db.mark()) != 1 {
		return ErrOtherKeys
	}
	return err
}
