package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// tx is one write transaction. It travels in the context given to whoever works
// inside it, so that a counter that rises or a code that is spent there commits
// or vanishes with the case.
type tx struct {
	db      *DB
	sql     *sql.Tx
	sent    []Outgoing // handed over once committed
	persons personKeys
	watch   *watch // where somebody waits
	// recorded: it wrote events, which are to be sealed.
	recorded bool
	// fresh are statements seen for the first time, to be kept from now on.
	fresh []string
}

type txKey struct{}

// attempts at a transaction that keeps losing against others, at 2 to 40 ms of
// waiting in between.
const attempts = 12

// within runs work in ctx's transaction, or in one of its own, which is run
// again when another transaction was in the way.
func (db *DB) within(ctx context.Context, work func(context.Context, *tx) error) error {
	if t, ok := ctx.Value(txKey{}).(*tx); ok && t.db == db {
		return work(ctx, t)
	}
	once := db.once
	if db.line != nil {
		once = db.line.once
	}
	for attempt := 1; ; attempt++ {
		done, err := once(ctx, work)
		if err == nil {
			db.settled(ctx, done)
			return nil
		}
		if attempt == attempts || db.dialect.classes(err) != again {
			return err
		}
		wait := time.NewTimer(time.Millisecond * time.Duration(2+rand.IntN(min(40, 4<<attempt))))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return errors.Join(ctx.Err(), err)
		}
	}
}

// settled does what waits for the commit.
func (db *DB) settled(ctx context.Context, t *tx) {
	db.handOver(t.sent)
	db.remember(t.persons)
	if wake := db.recorded.Load(); t.recorded && wake != nil {
		(*wake)()
	}
	for _, text := range t.fresh {
		// What fails here is prepared again next time.
		_, _ = db.prepared(context.WithoutCancel(ctx), db.write, &db.writing, text)
	}
}

// once does work in a transaction of its own.
func (db *DB) once(ctx context.Context, work func(context.Context, *tx) error) (*tx, error) {
	this := &tx{db: db}
	err := db.transact(ctx, func(ctx context.Context, t *sql.Tx, w *watch) error {
		this.sql, this.watch = t, w
		if err := work(context.WithValue(ctx, txKey{}, this), this); err != nil {
			return err
		}
		// Nobody waits for the answer any more: better not to have happened.
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return this, nil
}

// transact commits what work does, or nothing where it fails.
func (db *DB) transact(ctx context.Context, work func(context.Context, *sql.Tx, *watch) error) (err error) {
	ctx, w, err := db.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer w.leave()
	// Waiting for the connection obeys ctx; what follows on it need not watch it
	// where it is a matter of microseconds.
	var conn *sql.Conn
	if err := w.ask(func() (err error) { conn, err = db.write.Conn(ctx); return err }); err != nil {
		return fmt.Errorf("store: no connection: %w", err)
	}
	defer conn.Close()
	w.has()
	var t *sql.Tx
	if err := w.ask(func() (err error) { t, err = conn.BeginTx(db.patience(ctx), nil); return err }); err != nil {
		return fmt.Errorf("store: begin: %w", err)
	}
	// Also when work panics: an open transaction would stop every writer.
	defer func() {
		if rollback := t.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) && err == nil {
			err = rollback
		}
	}()
	if err := work(ctx, t, w); err != nil {
		return err
	}
	if err := w.ask(t.Commit); err != nil {
		return fmt.Errorf("store: commit: %w", err)
	}
	return nil
}

// patience is the context statements run under.
func (db *DB) patience(ctx context.Context) context.Context {
	if db.dialect.local {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

// prepared returns the statement for a text, prepared at most a few times.
func (db *DB) prepared(ctx context.Context, pool *sql.DB, cache *sync.Map, text string) (*sql.Stmt, error) {
	if s, ok := cache.Load(text); ok {
		return s.(*sql.Stmt), nil
	}
	s, err := pool.PrepareContext(ctx, db.dialect.query.Replace(text))
	if err != nil {
		return nil, err
	}
	if first, raced := cache.LoadOrStore(text, s); raced {
		return first.(*sql.Stmt), s.Close()
	}
	return s, nil
}

func (t *tx) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := t.db.writing.Load(text); ok {
		return t.sql.StmtContext(ctx, s.(*sql.Stmt)), nil
	}
	// With one connection, preparing on the pool now would wait for ourselves.
	t.fresh = append(t.fresh, text)
	return t.sql.PrepareContext(ctx, t.db.dialect.query.Replace(text))
}

// exec runs a statement and returns how many rows it touched.
func (t *tx) exec(ctx context.Context, text string, args ...any) (n int64, err error) {
	ctx = t.db.patience(ctx)
	err = t.watch.ask(func() error {
		s, err := t.stmt(ctx, text)
		if err != nil {
			return err
		}
		r, err := s.ExecContext(ctx, args...)
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
		return err
	})
	return n, err
}

// rower is where a row is read from: a transaction or the pool of readers.
type rower interface {
	// one scans the single row a statement gives; sql.ErrNoRows when there is none.
	one(ctx context.Context, text string, args []any, dest ...any) error
	// each calls scan for every row.
	each(ctx context.Context, text string, args []any, scan func(*sql.Rows) error) error
}

func (t *tx) one(ctx context.Context, text string, args []any, dest ...any) error {
	ctx = t.db.patience(ctx)
	return t.watch.ask(func() error {
		s, err := t.stmt(ctx, text)
		if err != nil {
			return err
		}
		return s.QueryRowContext(ctx, args...).Scan(dest...)
	})
}

func (t *tx) each(ctx context.Context, text string, args []any, scan func(*sql.Rows) error) error {
	ctx = t.db.patience(ctx)
	s, err := t.stmt(ctx, text)
	if err != nil {
		return err
	}
	return each(ctx, s, args, scan)
}

// reader reads in ctx's transaction when there is one, so that it sees what that
// has done, or else from the pool.
func (db *DB) reader(ctx context.Context) rower {
	if t, ok := ctx.Value(txKey{}).(*tx); ok && t.db == db {
		return t
	}
	return (*pool)(db)
}

type pool DB

func (p *pool) one(ctx context.Context, text string, args []any, dest ...any) error {
	db := (*DB)(p)
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, w, err := db.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer w.leave()
	ctx = db.patience(ctx)
	return w.ask(func() error {
		s, err := db.prepared(ctx, db.read, &db.reading, text)
		if err != nil {
			return err
		}
		return s.QueryRowContext(ctx, args...).Scan(dest...)
	})
}

func (p *pool) each(ctx context.Context, text string, args []any, scan func(*sql.Rows) error) error {
	db := (*DB)(p)
	ctx, w, err := db.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer w.leave()
	var s *sql.Stmt
	if err := w.ask(func() (err error) { s, err = db.prepared(ctx, db.read, &db.reading, text); return err }); err != nil {
		return err
	}
	return each(ctx, s, args, scan)
}

func each(ctx context.Context, s *sql.Stmt, args []any, scan func(*sql.Rows) error) error {
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
