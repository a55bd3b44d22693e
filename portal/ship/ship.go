// Package ship sends the sealed record out of the portal's reach as it grows: its events
// to where others watch them (syslog, a file, a webhook), and its signed checkpoints to
// whoever keeps them as a witness. Each place has a cursor in the database, which moves
// when the place has taken what was sent, and not before: everything arrives at least
// once, in order. What does not arrive waits; where too much waits the store lets
// nothing more be done (store.ErrHeld). It decides nothing about a case.
package ship

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"postern/portal/audit"
)

// Cursor is how far a place was sent the record.
type Cursor struct {
	Next      int64     // entry to send next
	Witnessed int64     // size of the checkpoint sent last
	Told      time.Time // when that was
}

// Record is the log, and how far it was sent (*store.DB, through the program).
type Record interface {
	// Cursor reads, and Take also keeps other nodes from sending to the place for a
	// while; it returns false when one of them does.
	Cursor(ctx context.Context, place string) (Cursor, error)
	Take(ctx context.Context, place, node string, lease time.Duration) (Cursor, bool, error)
	// Move moves the cursor; it fails when the place was taken over meanwhile.
	Move(ctx context.Context, place, node string, to Cursor, lease time.Duration) error
	// Filed returns up to n sealed events from an entry on; personal: with names.
	Filed(ctx context.Context, from int64, n int, personal bool) ([]audit.Filed, error)
	// Checkpoint is the newest one, signed.
	Checkpoint(ctx context.Context) (size int64, signed string, err error)
}

// Place takes the record. An error means that nothing, or not all, of it arrived: it is
// sent again as a whole.
type Place interface {
	Ship(ctx context.Context, entries []audit.Filed) error
	Witness(ctx context.Context, signed string) error
}

// Options of a Runner.
type Options struct {
	Config Config
	Record Record
	// Log is the name of the sealed log (audit.Signer.Name).
	Log     string
	Version string // of this program, for CEF
	// Mail sends a checkpoint to an address; nil when no target needs it.
	Mail func(ctx context.Context, to, subject, text string) error
	// Safe and Alarm are as in job.Config.
	Safe  func(name string, fn func()) bool
	Alarm func(name string)
	Now   func() time.Time
	Slog  *slog.Logger
}

const (
	batch     = 200
	lease     = 45 * time.Second
	sendMost  = 20 * time.Second // within the lease
	idle      = time.Second
	firstWait = time.Second
	lastWait  = time.Minute
)

// Runner ships to every place there is.
type Runner struct {
	Options
	node   string
	places []target
}

type target struct {
	Target
	place Place
}

// New opens nothing: a place is reached when there is something to send.
func New(o Options) (*Runner, error) {
	r := &Runner{Options: o, node: rand.Text()}
	for i, t := range o.Config.To {
		p, err := t.open(o)
		if err != nil {
			return nil, fmt.Errorf("ship.to[%d]: %w", i, err)
		}
		r.places = append(r.places, target{t, p})
	}
	return r, nil
}

// Run ships until ctx ends.
func (r *Runner) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, t := range r.places {
		all.Go(func() { r.work(ctx, t) })
	}
	all.Wait()
}

// work is one place's. A fault is told when it begins and when it is over.
func (r *Runner) work(ctx context.Context, t target) {
	var pause time.Duration
	faulty := false
	for ctx.Err() == nil {
		var more bool
		err := errors.New("shipping panicked")
		r.Safe("ship", func() { more, err = r.round(ctx, t) })
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if !faulty {
				faulty = true
				r.Slog.ErrorContext(ctx, "the record cannot be sent; it waits", "to", t.Name, "error", err)
				r.Alarm("ship")
			}
			pause = min(max(2*pause, firstWait), lastWait)
		default:
			if faulty {
				faulty = false
				r.Slog.InfoContext(ctx, "the record is sent again", "to", t.Name)
			}
			if pause = idle; more {
				pause = 0
			}
		}
		wait(ctx, pause)
	}
}

func wait(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// round sends one batch, or a checkpoint, where there is one to send and no other node
// does. more says that there may be another at once.
func (r *Runner) round(ctx context.Context, t target) (more bool, err error) {
	size, signed, err := r.Record.Checkpoint(ctx)
	if err != nil {
		return false, err
	}
	at, err := r.Record.Cursor(ctx, t.Name)
	if err != nil || !r.due(t, at, size) {
		return false, err
	}
	at, ours, err := r.Record.Take(ctx, t.Name, r.node, lease)
	if err != nil || !ours || !r.due(t, at, size) {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendMost)
	defer cancel()
	if !t.CheckpointsOnly && at.Next < size {
		entries, err := r.Record.Filed(ctx, at.Next, batch, t.Personal)
		if err != nil {
			return false, err
		}
		if len(entries) == 0 || entries[0].Index != at.Next {
			return false, fmt.Errorf("entry %d of the sealed record is not there", at.Next)
		}
		if err := t.place.Ship(ctx, entries); err != nil {
			return false, err
		}
		at.Next = entries[len(entries)-1].Index + 1
		return true, r.Record.Move(ctx, t.Name, r.node, at, lease)
	}
	if err := t.place.Witness(ctx, signed); err != nil {
		return false, err
	}
	if at.Witnessed, at.Told = size, r.Now(); t.CheckpointsOnly {
		at.Next = size
	}
	return false, r.Record.Move(ctx, t.Name, r.node, at, lease)
}

// due says whether there is anything to send now.
func (r *Runner) due(t target, at Cursor, size int64) bool {
	if !t.CheckpointsOnly && at.Next < size {
		return true
	}
	return at.Witnessed < size && r.Now().Sub(at.Told).Abs() >= r.Config.Witness
}
