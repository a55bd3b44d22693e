package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/portal/kiosk"
)

const (
	insertKiosk = `INSERT INTO kiosks (id, print, code, body) VALUES ($1, $2, $3, $4)`
	kioskRow    = `SELECT id, seen, addr, body FROM kiosks WHERE `
	kioskByID   = kioskRow + `id = $1`
	// SQLite uses a partial index only where its condition is repeated.
	kioskByPrint = kioskRow + `print = $1 AND print <> ''`
	kioskByCode  = kioskRow + `code = $1 AND code <> ''`
	lockKiosk    = kioskByID + ` {lock}`
	allKiosks    = `SELECT id, seen, addr, body FROM kiosks ORDER BY id`
	updateKiosk  = `UPDATE kiosks SET print = $2, code = $3, body = $4 WHERE id = $1`
	seeKiosk     = `UPDATE kiosks SET seen = $2, addr = $3 WHERE id = $1 AND seen < $2`
)

// AddKiosk stores a device (kiosk.Store).
func (db *DB) AddKiosk(ctx context.Context, d kiosk.Device, e kiosk.Effects) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		body, err := db.seal(sealedKiosks, d, []byte(d.ID))
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, insertKiosk, d.ID, d.Print, d.Code, body); db.dialect.classes(err) == duplicate {
			return kiosk.ErrTaken
		} else if err != nil {
			return fmt.Errorf("store: add kiosk: %w", err)
		}
		return t.told(ctx, e)
	})
}

// told records and sends what goes with a change.
func (t *tx) told(ctx context.Context, e kiosk.Effects) error {
	if err := t.record(ctx, e.Events); err != nil {
		return err
	}
	return t.post(ctx, e.Messages)
}

// Kiosk reads one (kiosk.Store).
func (db *DB) Kiosk(ctx context.Context, by kiosk.Index) (kiosk.Device, error) {
	query, key := kioskByID, by.ID
	switch {
	case by.Print != "":
		query, key = kioskByPrint, by.Print
	case by.Code != "":
		query, key = kioskByCode, by.Code
	}
	return db.kiosk(ctx, db.reader(ctx), query, key)
}

func (db *DB) kiosk(ctx context.Context, from rower, query, key string) (d kiosk.Device, err error) {
	if key == "" || !storable(key) {
		return d, kiosk.ErrNone
	}
	var id, addr string
	var seen int64
	var body []byte
	switch err := from.one(ctx, query, []any{key}, &id, &seen, &addr, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return d, kiosk.ErrNone
	case err != nil:
		return d, fmt.Errorf("store: kiosk: %w", err)
	}
	if d, err = db.openKiosk(id, seen, addr, body); err != nil {
		return d, err
	}
	// Who writes to the database could else give a device's rights to a key of theirs,
	// or its code to another device.
	if query == kioskByPrint && d.Print != key || query == kioskByCode && d.Code != key {
		return kiosk.Device{}, fmt.Errorf("%w (kiosks)", errSealed)
	}
	return d, nil
}

func (db *DB) openKiosk(id string, seen int64, addr string, body []byte) (d kiosk.Device, err error) {
	if err := db.open(sealedKiosks, body, &d, []byte(id)); err != nil {
		return kiosk.Device{}, err
	}
	d.ID, d.Seen, d.From = id, fromMicros(seen), addr
	return d, nil
}

// Kiosks are all (kiosk.Store). Their names are sealed, so they are sorted here.
func (db *DB) Kiosks(ctx context.Context) (list []kiosk.Device, err error) {
	err = db.reader(ctx).each(ctx, allKiosks, nil, func(rows *sql.Rows) error {
		var id, addr string
		var seen int64
		var body []byte
		if err := rows.Scan(&id, &seen, &addr, &body); err != nil {
			return err
		}
		d, err := db.openKiosk(id, seen, addr, body)
		list = append(list, d)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: kiosks: %w", err)
	}
	slices.SortStableFunc(list, func(a, b kiosk.Device) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// UpdateKiosk changes one under its lock (kiosk.Store).
func (db *DB) UpdateKiosk(ctx context.Context, id string, change func(context.Context, *kiosk.Device) (kiosk.Effects, error)) (d kiosk.Device, err error) {
	err = db.within(ctx, func(ctx context.Context, t *tx) error {
		if d, err = db.kiosk(ctx, t, lockKiosk, id); err != nil {
			return err
		}
		e, err := change(ctx, &d)
		if err != nil {
			return err
		}
		body, err := db.seal(sealedKiosks, d, []byte(id))
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, updateKiosk, id, d.Print, d.Code, body)
		switch {
		case db.dialect.classes(err) == duplicate:
			return kiosk.ErrTaken
		case err != nil || n != 1:
			return errors.Join(errors.New("store: kiosk: not updated"), err)
		}
		return t.told(ctx, e)
	})
	if err != nil {
		return kiosk.Device{}, err
	}
	return d, nil
}

// SeenKiosk notes that a device is there (kiosk.Sightings).
func (db *DB) SeenKiosk(ctx context.Context, id string, at time.Time, from string) error {
	if !storable(from) {
		from = ""
	}
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, seeKiosk, id, micros(at), from)
		return err
	})
}
