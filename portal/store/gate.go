package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/sony/gobreaker/v2"

	"postern/directory"
)

const (
	// After tripAfter questions in a row that PostgreSQL left open, nobody before a page
	// asks it for tripFor, and then one finds out for all.
	tripAfter = 3
	tripFor   = 2 * time.Second
)

// slow is a database that left a question open for longer than anybody waits.
type slow struct{}

func (slow) Error() string   { return "store: no answer within " + directory.Patience.String() }
func (slow) Timeout() bool   { return true }
func (slow) Temporary() bool { return true }

var _ net.Error = slow{}

// gate stands before PostgreSQL for those who wait (see directory.Hurry): a question of
// theirs ends after directory.Patience, and while the database is away they are told so at
// once. A nil gate lets everything through: SQLite is in the same process. So do jobs and
// commands pass, which have their own time.
//
// Lists are refused too while it is shut, and are otherwise not timed: a long one says
// nothing of whether the database is there. Nor does a row that somebody holds: PostgreSQL
// answers that before we give up (see lock_timeout in openPostgres). Nor does a wait for
// one of our own connections.
type gate struct {
	full   func() bool
	broken *gobreaker.TwoStepCircuitBreaker[any]
}

func newGate(db *sql.DB) *gate {
	full := func() bool {
		s := db.Stats()
		return s.InUse >= s.MaxOpenConnections
	}
	return &gate{full, gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name: "postgres", MaxRequests: 1, Timeout: tripFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
	})}
}

// enter begins what somebody waits for. Whoever is let in must call leave of the watch.
func (g *gate) enter(ctx context.Context) (context.Context, *watch, error) {
	if g == nil || !directory.Hurried(ctx) {
		return ctx, nil, nil
	}
	done, err := g.broken.Allow()
	if err != nil {
		return ctx, nil, fmt.Errorf("%w, and others have waited for it: %w", slow{}, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{ctx: ctx, cancel: cancel, done: done, full: g.full}
	w.timer = time.AfterFunc(directory.Patience, func() { cancel(slow{}) })
	w.timer.Stop()
	return ctx, w, nil
}

// watch times the questions of one transaction, or one question. A nil watch times nothing.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	done   func(error)
	full   func() bool // every connection is in use
	holds  bool        // one of them is ours
	gone   error       // the first sign that the database was away
}

// has is told that a connection was got.
func (w *watch) has() {
	if w != nil {
		w.holds = true
	}
}

// ask runs one question under the clock.
func (w *watch) ask(question func() error) error {
	if w == nil {
		return question()
	}
	w.timer.Reset(directory.Patience)
	err := question()
	w.timer.Stop()
	switch cause := context.Cause(w.ctx); {
	case err == nil:
	case errors.Is(cause, slow{}):
		err = fmt.Errorf("%w: %w", cause, err)
		if w.holds || !w.full() { // who only waited in line knows nothing
			w.gone = err
		}
	case cause == nil && away(err): // the end of a caller's own time says nothing
		w.gone = err
	}
	return err
}

// leave ends it, and says what it was like.
func (w *watch) leave() {
	if w != nil {
		w.timer.Stop()
		w.cancel(nil)
		w.done(w.gone)
	}
}

// away reports whether an error of the driver says that the database could not be asked,
// as opposed to what it answered.
func away(err error) bool {
	var answer *pgconn.PgError
	var n net.Error
	switch {
	case err == nil, errors.Is(err, sql.ErrNoRows):
		return false
	case errors.As(err, &answer):
		// Connection exception, insufficient resources, and operator intervention but for
		// a query that was cancelled (PostgreSQL, appendix A).
		return strings.HasPrefix(answer.Code, "08") || strings.HasPrefix(answer.Code, "53") || strings.HasPrefix(answer.Code, "57P")
	case errors.As(err, &n), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	var dial *pgconn.ConnectError
	return errors.As(err, &dial)
}
