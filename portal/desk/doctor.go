package desk

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/limit"
)

const (
	// examineMost is how long an examination may take in all.
	examineMost = 2 * time.Minute
	// examineRest lies between two of them: each signs in to every directory and mail
	// server there is.
	examineRest = 30 * time.Second
)

// ErrExamining: an examination is under way already.
var ErrExamining = errors.New("desk: everything is being examined already")

// DoctorOptions are the parts of a Doctor; all are required.
type DoctorOptions struct {
	// Examine looks at everything the portal stands on and changes nothing. It ends
	// soon after ctx does.
	Examine func(ctx context.Context) []directory.Finding
	Roles   Roles
	Noter   Noter
	// Safe runs fn and returns false when it panicked.
	Safe func(name string, fn func()) (whole bool)
	Now  func() time.Time
	Log  *slog.Logger
}

// Doctor examines in the background when an operator asks, one examination at a time,
// and keeps the last one in this node's memory. It is safe for concurrent use.
type Doctor struct {
	DoctorOptions
	ask chan struct{}

	mu   sync.Mutex
	last Examined
}

// Examined is what a Doctor knows.
type Examined struct {
	Findings []directory.Finding
	At       time.Time // when those were found; zero: nothing was examined yet
	Running  bool      // a newer examination is on its way
	Since    time.Time // of that
	Failed   bool      // the newest came to nothing; Findings are then from before it
}

// NewDoctor checks that nothing is missing. Nothing is examined before Run.
func NewDoctor(o DoctorOptions) (*Doctor, error) {
	if o.Examine == nil || o.Roles == nil || o.Noter == nil || o.Safe == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("desk: a part of the doctor is missing")
	}
	return &Doctor{DoctorOptions: o, ask: make(chan struct{}, 1)}, nil
}

// Last returns the last examination without waiting for anything. It is for operators;
// to everybody else there is none: ErrUnknown.
func (d *Doctor) Last(w Who) (Examined, error) {
	if !d.operator(w) {
		return Examined{}, ErrUnknown
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last, nil
}

// Start asks for an examination and does not wait for it: ErrExamining while one runs,
// *limit.Exceeded shortly after one. What cannot be recorded is not begun.
func (d *Doctor) Start(ctx context.Context, w Who) error {
	if !d.operator(w) {
		return ErrUnknown
	}
	if err := d.claim(); err != nil {
		return err
	}
	p := w.Principal
	err := d.Noter.Record(ctx, audit.Event{At: d.Now(), Kind: audit.DoctorStarted, Actor: p.ID, ActorName: p.User.Login, Door: string(access.Desk), Address: w.Address, Outcome: audit.OK})
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.last.Running = false
		return unavailable(err)
	}
	d.ask <- struct{}{} // never waits: only who claimed puts something in
	return nil
}

// claim makes the next examination ours.
func (d *Doctor) claim() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Now()
	if d.last.Running {
		return ErrExamining
	}
	if rest := d.last.Since.Add(examineRest).Sub(now); !d.last.Since.IsZero() && rest > 0 {
		return &limit.Exceeded{Name: "doctor", Retry: max(rest.Round(time.Second), time.Second)}
	}
	d.last.Running, d.last.Since = true, now
	return nil
}

func (d *Doctor) operator(w Who) bool {
	return w.Principal.ID != "" && slices.Contains(d.Roles.Of(w.Principal.User), access.Operator)
}

// Run examines when asked to, until ctx ends.
func (d *Doctor) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.ask:
			d.examine(ctx)
		}
	}
}

func (d *Doctor) examine(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, examineMost)
	defer cancel()
	var found []directory.Finding
	whole := d.Safe("doctor", func() { found = d.Examine(within) })
	if !whole {
		d.Log.ErrorContext(ctx, "the examination was cut short")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last.Running, d.last.Failed = false, !whole
	if whole {
		d.last.Findings, d.last.At = found, d.Now()
	}
}
