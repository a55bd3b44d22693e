package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"postern/portal/kiosk"
)

const (
	insertErrand = `INSERT INTO errands (id, kind, code, expires, ended, body) VALUES ($1, $2, $3, $4, $5, $6)`
	errandByID   = `SELECT id, body FROM errands WHERE id = $1`
	errandByCode = `SELECT id, body FROM errands WHERE code = $1 AND code <> ''`
	lockErrand   = errandByID + ` {lock}`
	openErrands  = `SELECT id, body FROM errands WHERE kind = $1 AND expires > $2 AND ended = 0 ORDER BY expires, id LIMIT 200`
	updateErrand = `UPDATE errands SET code = $2, expires = $3, ended = $4, body = $5 WHERE id = $1`
)

// AddErrand stores one (kiosk.Errands).
func (db *DB) AddErrand(ctx context.Context, e kiosk.Errand, f kiosk.Effects) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		body, err := db.seal(sealedErrands, e, []byte(e.ID))
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, insertErrand, e.ID, string(e.Kind), e.Code, micros(e.Expires), bit(e.Ended), body); err != nil {
			return fmt.Errorf("store: add errand: %w", err)
		}
		return t.told(ctx, f)
	})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Errand reads one by its id, or by the hash of its code (kiosk.Errands).
func (db *DB) Errand(ctx context.Context, id, code string) (kiosk.Errand, error) {
	if code != "" {
		return db.errand(ctx, db.reader(ctx), errandByCode, code)
	}
	return db.errand(ctx, db.reader(ctx), errandByID, id)
}

func (db *DB) errand(ctx context.Context, from rower, query, key string) (e kiosk.Errand, err error) {
	if key == "" || !storable(key) {
		return e, kiosk.ErrNone
	}
	var id string
	var body []byte
	switch err := from.one(ctx, query, []any{key}, &id, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return e, kiosk.ErrNone
	case err != nil:
		return e, fmt.Errorf("store: errand: %w", err)
	}
	if err := db.open(sealedErrands, body, &e, []byte(id)); err != nil {
		return kiosk.Errand{}, err
	}
	if query == errandByCode && e.Code != key { // see kiosk
		return kiosk.Errand{}, fmt.Errorf("%w (errands)", errSealed)
	}
	return e, nil
}

// OpenErrands are those that wait (kiosk.Errands).
func (db *DB) OpenErrands(ctx context.Context, kind kiosk.ErrandKind, now time.Time) (list []kiosk.Errand, err error) {
	err = db.reader(ctx).each(ctx, openErrands, []any{string(kind), micros(now)}, func(rows *sql.Rows) error {
		var id string
		var body []byte
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		var e kiosk.Errand
		if err := db.open(sealedErrands, body, &e, []byte(id)); err != nil {
			return err
		}
		list = append(list, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: errands: %w", err)
	}
	return list, nil
}

// UpdateErrand changes one under its lock (kiosk.Errands).
func (db *DB) UpdateErrand(ctx context.Context, id string, change func(context.Context, *kiosk.Errand) (kiosk.Effects, error)) (e kiosk.Errand, err error) {
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		if e, err = db.errand(ctx, t, lockErrand, id); err != nil {
			return err
		}
		f, err := change(ctx, &e)
		if err != nil {
			return err
		}
		body, err := db.seal(sealedErrands, e, []byte(id))
		if err != nil {
			return err
		}
		if n, err := t.exec(ctx, updateErrand, id, e.Code, micros(e.Expires), bit(e.Ended), body); err != nil || n != 1 {
			return errors.Join(errors.New("store: errand: not updated"), err)
		}
		return t.told(ctx, f)
	})
	if err != nil {
		return kiosk.Errand{}, err
	}
	return e, nil
}
