package enrol

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// CensusOptions are the parts of a Census; all are required.
type CensusOptions struct {
	// Count reads every account there is, so that no request may wait for it
	// (Survey.Coverage).
	Count func(ctx context.Context) (Coverage, error)
	// Every is how often it is counted without anybody asking.
	Every time.Duration
	// Safe runs fn and returns false when it panicked.
	Safe func(name string, fn func()) (whole bool)
	Now  func() time.Time
	Log  *slog.Logger
}

// Census counts in the background, one count at a time, and keeps the last result
// in memory. It is safe for concurrent use.
type Census struct {
	CensusOptions
	ask chan struct{}

	mu   sync.Mutex
	last Tally
}

// Tally is what a Census knows.
type Tally struct {
	Coverage Coverage
	At       time.Time // when that was counted; zero: it never was
	Running  bool      // a newer one is on its way
	Since    time.Time // of that
	// Failed is why the newest count came to nothing; Coverage is then from before it.
	Failed error
}

// ErrCounting: it is being counted already.
var ErrCounting = errors.New("enrol: it is being counted already")

// errCount is a count that panicked.
var errCount = errors.New("enrol: the count was cut short")

// NewCensus checks that nothing is missing. Nothing is counted before Run.
func NewCensus(o CensusOptions) (*Census, error) {
	if o.Count == nil || o.Every <= 0 || o.Safe == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("enrol: a part is missing")
	}
	return &Census{CensusOptions: o, ask: make(chan struct{}, 1)}, nil
}

// Last returns the last result without waiting for anything.
func (c *Census) Last() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Start asks for a count and does not wait for it; ErrCounting while one runs, so
// that pressing the button often does not read the directory often.
func (c *Census) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.Running {
		return ErrCounting
	}
	c.last.Running, c.last.Since = true, c.Now()
	c.ask <- struct{}{} // never waits: only Running says that something is in it
	return nil
}

// Run counts when asked to, and every Every, until ctx ends.
func (c *Census) Run(ctx context.Context) {
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = c.Start() // one that runs already is as good
		case <-c.ask:
			c.count(ctx)
		}
	}
}

func (c *Census) count(ctx context.Context) {
	var got Coverage
	err := errCount
	c.Safe("census", func() { got, err = c.Count(ctx) })
	if err != nil && ctx.Err() == nil {
		c.Log.ErrorContext(ctx, "who could recover was not counted", "cause", err.Error())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last.Running, c.last.Failed = false, err
	if err == nil {
		c.last.Coverage, c.last.At = got, c.Now()
	}
}
