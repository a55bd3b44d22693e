package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Errors of Copy. In each of these cases the source is as it was.
var (
	// ErrOccupied is a target with rows that are not the source's. Nothing was written.
	ErrOccupied = errors.New("store: copy: the target holds something else")
	// ErrChanged is a source that was at work meanwhile. The copy is not finished.
	ErrChanged = errors.New("store: copy: the source changed meanwhile; stop the portal and run it again")
	// ErrUnlike is a copy that is not the same. It is not finished.
	ErrUnlike = errors.New("store: copy: what arrived is not what was sent")
)

// Copied is one table of a finished copy.
type Copied struct {
	Table string
	Rows  int64
}

// rows of one statement, and of one transaction, of a table that grows.
const (
	copyRows  = 250
	copyBatch = 2000
)

// Copy takes everything over from one database into another of any kind, which must be
// empty, and migrates that. No portal may work in either. It reads one moment of the
// source and changes nothing there. Interrupted at any point, the target is ErrHalfCopied
// for every portal, and the next Copy goes on: with tables that only grow where it ended,
// with the others anew. At the end every table of the target was read again and is the
// same as the source's, by number and by hash, and the source is still what it was.
//
// again reports that the target was the same already, and nothing was done. tell may be
// nil, is called often, and must not block.
func Copy(ctx context.Context, from, to *DB, tell func(table string, done, of int64)) (list []Copied, again bool, err error) {
	if tell == nil {
		tell = func(string, int64, int64) {}
	}
	c := &copying{from: from, to: to, tell: tell, sums: map[string]*digest{}}
	if err := c.fit(ctx); err != nil {
		return nil, false, err
	}
	if c.at, err = from.moment(ctx); err != nil {
		return nil, false, fmt.Errorf("store: copy: %w", err)
	}
	defer c.at.end()
	if again, err = c.begin(ctx); err == nil && !again {
		err = c.run(ctx)
	}
	if err != nil && ctx.Err() != nil {
		// What a driver says of it is not always that.
		return nil, false, fmt.Errorf("store: copy: interrupted; run it again: %w", ctx.Err())
	}
	if err != nil {
		return nil, false, wrapped(err)
	}
	for _, t := range copiedTables {
		list = append(list, Copied{t.name, c.sums[t.name].rows})
	}
	return list, again, nil
}

func wrapped(err error) error {
	if strings.HasPrefix(err.Error(), "store: ") {
		return err
	}
	return fmt.Errorf("store: copy: %w", err)
}

type copying struct {
	from, to *DB
	at       *moment // of the source
	tell     func(table string, done, of int64)
	sums     map[string]*digest // of the source's rows
}

func (c *copying) run(ctx context.Context) error {
	for _, t := range copiedTables {
		if t.grows {
			if err := c.grow(ctx, t); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	if err := c.to.transact(ctx, func(ctx context.Context, s *sql.Tx, _ *watch) error { return c.replace(ctx, s) }); err != nil {
		return err
	}
	return c.finish(ctx)
}

// grow adds what the target does not have yet, some of it at a time.
func (c *copying) grow(ctx context.Context, t copied) error {
	of, err := c.at.count(ctx, t)
	if err != nil {
		return err
	}
	sum := c.sums[t.name]
	last, there, err := c.to.last(ctx, t)
	if err != nil {
		return err
	}
	if !there {
		last = -1 << 62
	}
	c.tell(t.name, sum.rows, of)
	var batch [][]any
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := c.to.transact(ctx, func(ctx context.Context, s *sql.Tx, _ *watch) error { return c.to.insertRows(ctx, s, t, batch) }); err != nil {
			return err
		}
		batch = batch[:0]
		c.tell(t.name, sum.rows, of)
		return ctx.Err()
	}
	if err := c.at.each(ctx, t, t.columns[0].name+" > $1", []any{last}, func(row []any) error {
		sum.add(row)
		if batch = append(batch, append([]any(nil), row...)); len(batch) < copyBatch {
			return nil
		}
		return flush()
	}); err != nil {
		return err
	}
	return flush()
}

// replace takes over all that changes, in one transaction.
func (c *copying) replace(ctx context.Context, s *sql.Tx) error {
	for _, t := range copiedTables {
		if t.grows {
			continue
		}
		of, err := c.at.count(ctx, t)
		if err != nil {
			return err
		}
		c.tell(t.name, 0, of)
		if _, err := s.ExecContext(ctx, "DELETE FROM "+t.name+t.where("")); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		sum := newDigest()
		c.sums[t.name] = sum
		var batch [][]any
		if err := c.at.each(ctx, t, "", nil, func(row []any) error {
			sum.add(row)
			if err := c.to.opensRow(t, row); err != nil {
				return err
			}
			if batch = append(batch, append([]any(nil), row...)); len(batch) < copyRows {
				return nil
			}
			err := c.to.insertRows(ctx, s, t, batch)
			batch = batch[:0]
			c.tell(t.name, sum.rows, of)
			return errors.Join(err, ctx.Err())
		}); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		if err := c.to.insertRows(ctx, s, t, batch); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		c.tell(t.name, sum.rows, of)
	}
	if c.to.dialect.local {
		return nil // SQLite goes on behind the highest number by itself
	}
	_, err := s.ExecContext(ctx, `SELECT setval(pg_get_serial_sequence('audit_events', 'seq'), coalesce(max(seq), 1), max(seq) IS NOT NULL) FROM audit_events`)
	return err
}

func (db *DB) insertRows(ctx context.Context, s *sql.Tx, t copied, batch [][]any) error {
	for from := 0; from < len(batch); from += copyRows {
		part := batch[from:min(from+copyRows, len(batch))]
		args := make([]any, 0, len(part)*len(t.columns))
		for _, row := range part {
			args = append(args, row...)
		}
		if _, err := s.ExecContext(ctx, db.dialect.query.Replace(t.insert(len(part))), args...); err != nil {
			return err
		}
	}
	return nil
}

// finish reads both again, and ends the copy where they are the same.
func (c *copying) finish(ctx context.Context) error {
	arrived, err := c.to.digests(ctx)
	if err != nil {
		return err
	}
	if d := differing(c.sums, arrived); d != "" {
		return fmt.Errorf("%w: %s", ErrUnlike, d)
	}
	now, err := c.from.digests(ctx)
	if err != nil {
		return err
	}
	if d := differing(c.sums, now); d != "" {
		return fmt.Errorf("%w: %s", ErrChanged, d)
	}
	return c.to.within(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, dropState, stateCopy)
		if err == nil && n != 1 {
			err = errors.New("another copy has ended it")
		}
		return err
	})
}

// opensRow sees that these keys open a sealed row in its place.
func (db *DB) opensRow(t copied, row []any) error {
	for _, s := range sealedTables {
		if s.table != t.name {
			continue
		}
		var place [][]byte
		for _, name := range s.bound {
			place = append(place, bytesOf(row[t.index(name)]))
		}
		body := bytesOf(row[t.index("body")])
		if len(body) == 0 {
			return nil // locked before anything was known
		}
		if _, err := db.keys.open(body, s.place(place...)); err != nil {
			return fmt.Errorf("%w (%s)", err, t.name)
		}
	}
	return nil
}

func bytesOf(v any) []byte {
	switch v := v.(type) {
	case string:
		return []byte(v)
	case []byte:
		return v
	}
	return nil
}
