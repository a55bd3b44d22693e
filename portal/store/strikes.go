package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postern/directory"
	"postern/portal/flow"
	"postern/verify"
)

const (
	// Locks the row also when it is not there yet: two first strikes at once must
	// count as two.
	lockStrikes = `INSERT INTO strikes (account, kind, consecutive, win, since, last) VALUES ($1, $2, 0, 0, 0, 0)
		ON CONFLICT (account, kind) DO UPDATE SET win = strikes.win RETURNING consecutive, win, since, last`
	setStrikes    = `UPDATE strikes SET consecutive = $3, win = $4, since = $5, last = $6 WHERE account = $1 AND kind = $2`
	selectStrikes = `SELECT consecutive, win, since, last FROM strikes WHERE account = $1 AND kind = $2`
)

// Strike changes one counter under its lock (flow.Counters).
func (db *DB) Strike(ctx context.Context, key directory.ID, kind verify.Kind, change func(flow.Strikes) flow.Strikes) error {
	err := db.within(ctx, func(ctx context.Context, t *tx) error {
		was, err := scanStrikes(ctx, t, lockStrikes, key, kind)
		if err != nil {
			return err
		}
		s := change(was)
		n, err := t.exec(ctx, setStrikes, string(key), string(kind), s.Consecutive, s.Window, micros(s.Since), micros(s.Last))
		if err == nil && n != 1 {
			err = errors.New("the counter is gone")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("store: strike: %w", err)
	}
	return nil
}

// Strikes reads one counter (flow.Counters).
func (db *DB) Strikes(ctx context.Context, key directory.ID, kind verify.Kind) (flow.Strikes, error) {
	s, err := scanStrikes(ctx, db.reader(ctx), selectStrikes, key, kind)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return flow.Strikes{}, nil
	case err != nil:
		return flow.Strikes{}, fmt.Errorf("store: strikes: %w", err)
	}
	return s, nil
}

func scanStrikes(ctx context.Context, from rower, query string, key directory.ID, kind verify.Kind) (flow.Strikes, error) {
	var s flow.Strikes
	var since, last int64
	err := from.one(ctx, query, []any{string(key), string(kind)}, &s.Consecutive, &s.Window, &since, &last)
	s.Since, s.Last = fromMicros(since), fromMicros(last)
	return s, err
}
