// Package job is the work that nobody waits for: delivering messages, settling
// cases whose outcome is not known, sealing the record, sweeping away what is over.
//
// Messages are rows in the store (written with what they tell of) and come here
// right after their commit, in memory; what a crash or a full queue left behind
// is picked up from the table. What must run once for the whole cluster runs on
// River in the same database. Nothing here decides anything about a case.
package job

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/notify"
	"postern/portal/store"
)

// Outbox is where messages lie until they are delivered (*store.DB).
type Outbox interface {
	Courier(take func(store.Outgoing))
	Claim(ctx context.Context, n int) ([]store.Outgoing, error)
	Finish(ctx context.Context, o store.Outgoing, events ...audit.Event) error
	Postpone(ctx context.Context, o store.Outgoing, until time.Time, events ...audit.Event) error
}

// Database is what is done with it once for the whole cluster (*store.DB).
type Database interface {
	River() riverdriver.Driver[*sql.Tx]
	Sweep(ctx context.Context) (int, error)
}

// People is the directory: addresses are read from it when a message is sent.
type People interface {
	Read(ctx context.Context, u directory.User) (directory.User, error)
}

// Renderer turns a message into text. It must also take one about nobody (a
// decoy's), whose text is thrown away.
type Renderer interface {
	Render(m notify.Message) (notify.Rendered, error)
}

// Config is what the work needs.
type Config struct {
	Outbox     Outbox
	Database   Database
	People     People
	Renderer   Renderer
	Transports map[notify.Channel]notify.Transport
	// Reconcile settles cases whose outcome is not known (flow.Service.Reconcile).
	// It runs at the start and every 10 s, on one node at a time or on several.
	Reconcile func(context.Context) error
	// Remind asks people to enrol something, once a day and on one node at a time; it
	// comes at the start too, and must not do twice what it did. nil: nobody is.
	Remind func(context.Context) error
	// Safe runs fn and returns false when it panicked, which it has told of then
	// (telemetry.Launcher.Safe). name is one of a few.
	Safe func(name string, fn func()) bool
	// Sealer keeps the log of the record; nil: nobody does. Alarm is told by name when it
	// cannot ("record", once) and when a message is overdue ("message"); may be nil.
	Sealer Sealer
	Alarm  func(name string)
	Log    *slog.Logger
	Now    func() time.Time
	// Deliveries is told of every attempt, for metrics; may be nil. It is called
	// from several goroutines.
	Deliveries func(Delivery)
}

// How often.
const (
	// reconcileEvery leaves room within the two minutes in which people hear how a write
	// ended: one that left no trace is given up after a minute, by the next look.
	reconcileEvery = 10 * time.Second
	sweepEvery     = 5 * time.Minute
	remindEvery    = 24 * time.Hour
	// remindMost is how long reading everybody may take, over a slow line.
	remindMost = time.Hour
	// drainEvery is how soon a message that somebody else left behind, or whose
	// time to try again has come, is seen. Looking costs one read.
	drainEvery = 2 * time.Second
	// River's jobs here are its own periodic ones, and it looks at once when it
	// has put one in; polling is for those another node has put in.
	riverPoll = 10 * time.Second
	grace     = 5 * time.Second // for what is on the wire when we stop
)

// Runner does the work.
type Runner struct {
	Config
	queue chan store.Outgoing
	once  sync.Mutex // one reconciliation at a time
	// reminding: one round of reminders at a time.
	reminding sync.Mutex
	unsealed  bool // the sealer's own: it has told of a fault
}

// New checks that nothing is missing.
func New(c Config) (*Runner, error) {
	for what, missing := range map[string]bool{"outbox": c.Outbox == nil, "database": c.Database == nil, "people": c.People == nil,
		"renderer": c.Renderer == nil, "reconcile": c.Reconcile == nil, "safe": c.Safe == nil, "log": c.Log == nil, "clock": c.Now == nil} {
		if missing {
			return nil, errors.New("job: no " + what)
		}
	}
	return &Runner{Config: c, queue: make(chan store.Outgoing, 1024)}, nil
}

// Run works until ctx ends, then lets go of everything: messages that were not
// sent are given back for whoever comes next.
func (r *Runner) Run(ctx context.Context) (err error) {
	ctx, stop := context.WithCancel(ctx)
	// What is on the wire when ctx ends may be finished.
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	var workers sync.WaitGroup
	defer func() {
		r.Outbox.Courier(nil)
		stop()
		defer time.AfterFunc(grace, cut).Stop()
		workers.Wait()
		err = errors.Join(err, r.giveBack(context.WithoutCancel(ctx)))
		cut()
	}()
	for range senders {
		workers.Go(func() { r.send(ctx, sending) })
	}
	r.Outbox.Courier(r.take)
	workers.Go(func() { r.drain(ctx) })
	workers.Go(func() { r.sealing(ctx) })
	// Once by ourselves: after a crash River waits for the dead leader's term.
	workers.Go(func() { r.reconcile(ctx) })

	client, err := r.river()
	if err != nil {
		return fmt.Errorf("job: %w", err)
	}
	if err := client.Start(sending); err != nil {
		return fmt.Errorf("job: %w", err)
	}
	<-ctx.Done()
	stopping, cancel := context.WithTimeout(sending, grace)
	defer cancel()
	switch err := client.StopAndCancel(stopping); {
	case errors.Is(err, context.DeadlineExceeded):
		// All its work was told to end. Stopped while it becomes the leader River
		// itself can wait for ever (0.31: its elector tells subscribers under the
		// lock they need to leave), and that must not fail an orderly end.
		r.Log.WarnContext(ctx, "background work did not end in time and was left behind", "seconds", grace.Seconds())
	case err != nil:
		return fmt.Errorf("job: stop: %w", err)
	}
	return nil
}

// giveBack returns what was taken and not sent.
func (r *Runner) giveBack(ctx context.Context) error {
	var errs []error
	for {
		select {
		case o := <-r.queue:
			errs = append(errs, r.Outbox.Postpone(ctx, o, r.Now()))
		default:
			return errors.Join(errs...)
		}
	}
}

// reconcile runs unless it runs already.
func (r *Runner) reconcile(ctx context.Context) {
	if !r.once.TryLock() {
		return
	}
	defer r.once.Unlock()
	var err error
	r.Safe("reconcile", func() { err = r.Reconcile(ctx) })
	if err != nil && ctx.Err() == nil {
		r.Log.ErrorContext(ctx, "cases without a known outcome could not be settled", "error", err)
	}
}

func (r *Runner) river() (*river.Client[*sql.Tx], error) {
	workers := river.NewWorkers()
	if err := errors.Join(
		river.AddWorkerSafely(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[reconcileArgs]) error {
			r.reconcile(ctx)
			return nil
		})),
		river.AddWorkerSafely(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[sweepArgs]) error {
			var n int
			var err error
			r.Safe("sweep", func() { n, err = r.Database.Sweep(ctx) })
			if err != nil && ctx.Err() == nil {
				r.Log.ErrorContext(ctx, "sweeping failed", "error", err)
			}
			r.Log.DebugContext(ctx, "swept", "rows", n)
			return err
		})),
		river.AddWorkerSafely(workers, reminding{r: r}),
	); err != nil {
		return nil, err
	}
	// Late is worse than never: the next one comes anyway.
	once := &river.InsertOpts{MaxAttempts: 1}
	periodic := []*river.PeriodicJob{
		river.NewPeriodicJob(river.PeriodicInterval(reconcileEvery), func() (river.JobArgs, *river.InsertOpts) { return reconcileArgs{}, once }, nil),
		river.NewPeriodicJob(river.PeriodicInterval(sweepEvery), func() (river.JobArgs, *river.InsertOpts) { return sweepArgs{}, once },
			&river.PeriodicJobOpts{RunOnStart: true}),
	}
	if r.Remind != nil {
		periodic = append(periodic, river.NewPeriodicJob(river.PeriodicInterval(remindEvery), func() (river.JobArgs, *river.InsertOpts) { return remindArgs{}, once },
			&river.PeriodicJobOpts{RunOnStart: true})) // or a portal that is restarted daily would remind nobody
	}
	return river.NewClient(r.Database.River(), &river.Config{
		Workers:                     workers,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 3}},
		PeriodicJobs:                periodic,
		FetchPollInterval:           riverPoll,
		CompletedJobRetentionPeriod: time.Hour,
		CancelledJobRetentionPeriod: time.Hour,
		DiscardedJobRetentionPeriod: 24 * time.Hour,
		Logger:                      slog.New(warnings{r.Log.Handler()}),
	})
}

type reconcileArgs struct{}

func (reconcileArgs) Kind() string { return "reconcile" }

type sweepArgs struct{}

func (sweepArgs) Kind() string { return "sweep" }

type remindArgs struct{}

func (remindArgs) Kind() string { return "remind" }

// reminding is the work of reminding, which takes longer than River's minute.
type reminding struct {
	river.WorkerDefaults[remindArgs]
	r *Runner
}

func (reminding) Timeout(*river.Job[remindArgs]) time.Duration { return remindMost }

func (w reminding) Work(ctx context.Context, _ *river.Job[remindArgs]) error {
	w.r.remind(ctx)
	return nil // the next one comes anyway
}

// remind runs unless it runs already. A directory that does not answer reminds
// nobody.
func (r *Runner) remind(ctx context.Context) {
	if r.Remind == nil || !r.reminding.TryLock() {
		return // put in by a node that is set up to
	}
	defer r.reminding.Unlock()
	var err error
	r.Safe("remind", func() { err = r.Remind(ctx) })
	if err != nil && ctx.Err() == nil {
		r.Log.ErrorContext(ctx, "people could not be reminded", "error", err)
	}
}

// warnings lets through what an operator wants to know of River: not that it
// was interrupted by being told to stop.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && ctx.Err() == nil && w.Handler.Enabled(ctx, l)
}
func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }
func (w warnings) WithGroup(name string) slog.Handler   { return warnings{w.Handler.WithGroup(name)} }
