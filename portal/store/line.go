package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// line is where transactions wait for SQLite's one writer. Whoever finds it
// free takes everybody along who waits: their work is done in one transaction,
// one after the other, and one commit makes all of it last. Who is alone
// notices nothing of it.
//
// Where any of them fails, panics or gives up, nothing is kept and each goes by
// themselves, as if there were no line. So one person's fault is never another's,
// and work that is handed to within may run more than once.
type line struct {
	db      *DB
	mu      sync.Mutex
	busy    bool
	waiting []*passenger
}

// passenger is one who waits, in the goroutine that has the work to do.
type passenger struct {
	ctx  context.Context
	work func(context.Context, *tx) error
	tx   *tx
	told chan answer // has room for one: telling never blocks
}

// answer is what a passenger is told.
type answer struct {
	drive bool // the line is yours
	alone bool // nothing was kept: go by yourself
	err   error
}

// aboard bounds how long the first has to wait for the last.
const aboard = 32

var errAlone = errors.New("store: not together")

// once is DB.once, with company where there is any.
func (l *line) once(ctx context.Context, work func(context.Context, *tx) error) (*tx, error) {
	p := &passenger{ctx: ctx, work: work, told: make(chan answer, 1)}
	told := answer{drive: true}
	if !l.enter(p) {
		select {
		case told = <-p.told:
		case <-ctx.Done():
			if l.leave(p) {
				return nil, fmt.Errorf("store: no connection: %w", ctx.Err())
			}
			told = <-p.told // too late: its turn has come
		}
	}
	if told.drive {
		told = l.drive(p)
	}
	if told.alone {
		return l.db.once(ctx, work)
	}
	return p.tx, told.err
}

// enter reports whether the line was free; it is p's then, who must drive.
func (l *line) enter(p *passenger) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy {
		l.waiting = append(l.waiting, p)
		return false
	}
	l.busy = true
	return true
}

// leave reports whether p could still step out of the line.
func (l *line) leave(p *passenger) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, p)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	return i >= 0
}

// board takes those who wait.
func (l *line) board() []*passenger {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting), aboard-1)
	taken := slices.Clone(l.waiting[:n])
	l.waiting = slices.Delete(l.waiting, 0, n)
	return taken
}

// next hands the line to whoever waits longest.
func (l *line) next() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.busy = false
		return
	}
	l.waiting[0].told <- answer{drive: true}
	l.waiting = slices.Delete(l.waiting, 0, 1)
}

// drive does p's work and that of everybody who waits, and passes the line on.
func (l *line) drive(p *passenger) (result answer) {
	defer l.next()
	others := l.board()
	if len(others) == 0 {
		p.tx, result.err = l.db.once(p.ctx, p.work)
		return result
	}
	result = answer{alone: true}
	defer func() {
		for _, o := range others {
			o.told <- result
		}
	}()
	// Who panics does so again by themselves, in their own goroutine.
	defer func() { _ = recover() }()
	worked := false
	err := l.db.transact(p.ctx, func(_ context.Context, s *sql.Tx, _ *watch) error {
		for _, each := range slices.Concat([]*passenger{p}, others) {
			each.tx = &tx{db: l.db, sql: s}
			if each.work(context.WithValue(each.ctx, txKey{}, each.tx), each.tx) != nil || each.ctx.Err() != nil {
				return errAlone
			}
		}
		worked = true
		return nil
	})
	if worked {
		// A commit that failed must not be followed by another try of each.
		result = answer{err: err}
	}
	return result
}
