package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// fit sees that both can be what they are to be, and changes nothing.
func (c *copying) fit(ctx context.Context) error {
	have, want, err := c.from.Schema(ctx)
	if err != nil {
		return err
	}
	if have != want {
		return fmt.Errorf("store: copy: the source has schema %d, and this program's is %d: run postern migrate on it first", have, want)
	}
	if err := errors.Join(c.from.CheckWhole(ctx), c.from.CheckKeys(ctx)); err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	// Rows stay sealed as they are: the target's keys must open what the source's do.
	var body []byte
	switch err := c.from.reader(ctx).one(ctx, readMark, []any{markID}, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return errors.New("store: copy: no portal has ever used the source")
	case err != nil:
		return fmt.Errorf("store: mark: %w", err)
	}
	if err := c.to.opensMark(body); err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	return c.vacant(ctx)
}

// vacant refuses a target that is neither a database of this program nor empty.
func (c *copying) vacant(ctx context.Context) error {
	have, want, err := c.to.Schema(ctx)
	switch {
	case err != nil || have == want:
		return err
	case have > want:
		return fmt.Errorf("%w: the target's schema is %d, this program knows %d", ErrNewer, have, want)
	}
	there, err := c.to.tables(ctx)
	if err != nil {
		return err
	}
	for _, name := range there {
		if isNotCopied(name) {
			continue
		}
		var n int64
		if err := c.to.read.QueryRowContext(ctx, "SELECT count(*) FROM "+pgx.Identifier{name}.Sanitize()).Scan(&n); err != nil {
			return fmt.Errorf("store: copy: %w", err)
		}
		if n > 0 && name != "log_head" {
			return fmt.Errorf("%w: its table %s has %d rows", ErrOccupied, name, n)
		}
	}
	return nil
}

// begin migrates the target and marks it as a copy that is not finished. same: it is one
// that is.
func (c *copying) begin(ctx context.Context) (same bool, err error) {
	if err := c.to.Migrate(ctx); err != nil {
		return false, err
	}
	if err := c.to.CheckKeys(ctx); err != nil {
		return false, fmt.Errorf("the target: %w", err)
	}
	_, begun, err := c.to.state(ctx, c.to.reader(ctx), stateCopy)
	if err != nil {
		return false, err
	}
	if !begun {
		if same, err := c.settled(ctx); same || err != nil {
			return same, err
		}
	}
	for _, t := range copiedTables {
		if t.grows {
			if err := c.prefix(ctx, t); err != nil {
				return false, err
			}
		}
	}
	if begun {
		return false, nil
	}
	return false, c.to.within(ctx, func(ctx context.Context, t *tx) error {
		if err := t.setState(ctx, stateCopy, state{Since: c.to.now()}); err != nil {
			return err
		}
		var body []byte
		switch err := t.one(ctx, readMark, []any{markID}, &body); {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil:
			return err
		}
		return fmt.Errorf("%w: a portal has begun to work in it", ErrOccupied)
	})
}

// settled looks at a target without a copy under way: it must be empty, or the same.
func (c *copying) settled(ctx context.Context) (same bool, err error) {
	theirs, err := c.to.digests(ctx)
	if err != nil {
		return false, err
	}
	occupied := ""
	for _, t := range copiedTables {
		if n := theirs[t.name].rows; n > 0 && t.name != "log_head" {
			occupied += fmt.Sprintf(", %s %d", t.name, n)
		}
	}
	if occupied == "" {
		return false, nil
	}
	if c.sums, err = c.at.digests(ctx); err != nil {
		return false, err
	}
	if d := differing(c.sums, theirs); d != "" {
		return false, fmt.Errorf("%w, and was not filled by a copy that is under way: rows of %s; not the same as in the source: %s", ErrOccupied, occupied[2:], d)
	}
	return true, nil
}

// prefix sees that what the target has of a table that grows is how the source's begins.
func (c *copying) prefix(ctx context.Context, t copied) error {
	last, there, err := c.to.last(ctx, t)
	if err != nil {
		return err
	}
	c.sums[t.name] = newDigest()
	if !there {
		return nil
	}
	theirs, err := c.to.moment(ctx)
	if err != nil {
		return err
	}
	defer theirs.end()
	have, err := theirs.digest(ctx, t, "")
	if err != nil {
		return err
	}
	if c.sums[t.name], err = c.at.digest(ctx, t, t.columns[0].name+" <= $1", last); err != nil {
		return err
	}
	if !have.equal(c.sums[t.name]) {
		return fmt.Errorf("%w: %d rows of %s up to %d, which are not how the source's begin; empty the target and begin again", ErrOccupied, have.rows, t.name, last)
	}
	return nil
}

// last is the highest key of a table that grows.
func (db *DB) last(ctx context.Context, t copied) (last int64, there bool, err error) {
	var n sql.NullInt64
	err = db.read.QueryRowContext(ctx, fmt.Sprintf("SELECT max(%s) FROM %s", t.columns[0].name, t.name)).Scan(&n)
	return n.Int64, n.Valid, err
}
