package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/notify"
)

const (
	selectStanding = `SELECT frozen, body FROM accounts WHERE account = $1`
	// Locks the row also when it is not there yet.
	lockStanding = `INSERT INTO accounts (account, frozen, body) VALUES ($1, 0, $2)
		ON CONFLICT (account) DO UPDATE SET frozen = accounts.frozen RETURNING frozen, body`
	setStanding    = `UPDATE accounts SET frozen = $2, body = $3 WHERE account = $1`
	frozenAccounts = `SELECT account, frozen FROM accounts WHERE frozen > 0 ORDER BY frozen, account`
)

// Standing reads what is remembered of an account (flow.Accounts); the zero
// value for one that was never seen.
func (db *DB) Standing(ctx context.Context, id directory.ID) (access.Standing, error) {
	if !storable(string(id)) {
		return access.Standing{}, nil
	}
	s, err := db.scanStanding(ctx, db.reader(ctx), selectStanding, id, string(id))
	if errors.Is(err, sql.ErrNoRows) {
		return access.Standing{}, nil
	}
	return s, err
}

// Remember changes it under its lock, with what change tells of it in the same
// transaction (flow.Memory, enrol.Memory). change may run again.
func (db *DB) Remember(ctx context.Context, id directory.ID, change flow.Change) error {
	return db.within(ctx, func(ctx context.Context, t *tx) error {
		var told []audit.Event
		var messages []notify.Message
		if err := t.remember(ctx, id, func(s access.Standing) access.Standing {
			s, told, messages = change(s)
			return s
		}); err != nil {
			return err
		}
		if err := t.record(ctx, told); err != nil {
			return err
		}
		return t.post(ctx, messages)
	})
}

func (t *tx) remember(ctx context.Context, id directory.ID, change func(access.Standing) access.Standing) error {
	if !storable(string(id)) || id == "" {
		return errors.New("store: that is no account")
	}
	was, err := t.db.scanStanding(ctx, t, lockStanding, id, string(id), []byte{})
	if err != nil {
		return err
	}
	s := change(was)
	body, err := t.db.seal(sealedAccounts, s, []byte(id))
	if err != nil {
		return err
	}
	n, err := t.exec(ctx, setStanding, string(id), micros(s.Frozen), body)
	if err == nil && n != 1 {
		err = errors.New("the account is gone")
	}
	if err != nil {
		return fmt.Errorf("store: account: %w", err)
	}
	return nil
}

func (db *DB) scanStanding(ctx context.Context, from rower, query string, id directory.ID, args ...any) (s access.Standing, err error) {
	var frozen int64
	var body []byte
	switch err := from.one(ctx, query, args, &frozen, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return s, err
	case err != nil:
		return s, fmt.Errorf("store: account: %w", err)
	}
	if len(body) > 0 { // else it was locked before anything was known
		if err := db.open(sealedAccounts, body, &s, []byte(id)); err != nil {
			return s, err
		}
	}
	s.Frozen = fromMicros(frozen)
	return s, nil
}

// Frozen lists the accounts that are, the longest first (enrol.Store).
func (db *DB) Frozen(ctx context.Context) (list []enrol.Frozen, err error) {
	err = db.reader(ctx).each(ctx, frozenAccounts, nil, func(rows *sql.Rows) error {
		var id string
		var at int64
		err := rows.Scan(&id, &at)
		list = append(list, enrol.Frozen{ID: directory.ID(id), Since: fromMicros(at)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: frozen accounts: %w", err)
	}
	return list, nil
}

// served makes sure that the account is, until the transaction ends: a freeze comes
// before it or after. Else the thief whom it is to stop would still get in the
// factor that was being set up.
func (t *tx) served(ctx context.Context, c enrol.Change) error {
	if !c.Served {
		return nil
	}
	s, err := t.db.scanStanding(ctx, t, lockStanding, c.Owner, string(c.Owner), []byte{})
	if err == nil && !s.Frozen.IsZero() {
		err = enrol.ErrEnded
	}
	return err
}

// freeze stops everything that is under way for the account; thaw is a
// technician's.
func (t *tx) freeze(ctx context.Context, c enrol.Change) error {
	if c.Spend != nil {
		if _, err := t.spendLink(ctx, c.Spend.Kind, c.Spend.Token); err != nil {
			return err
		}
	}
	if c.Standing != nil {
		if err := t.remember(ctx, c.Owner, c.Standing); err != nil {
			return err
		}
	}
	if !c.EndAll {
		return nil
	}
	if err := t.endCases(ctx, c.Owner, "", flow.ReasonFrozen); err != nil {
		return fmt.Errorf("store: end cases: %w", err)
	}
	if err := t.endSessions(ctx, c.Owner); err != nil {
		return fmt.Errorf("store: end sessions: %w", err)
	}
	return nil
}
