package enrol_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/directory"
	"postern/portal/enrol"
)

// counter counts how often it was asked, and waits until it may answer.
type counter struct {
	may   chan struct{}
	asked int
	err   error
	panic bool
}

func (c *counter) count(ctx context.Context) (enrol.Coverage, error) {
	c.asked++
	if c.panic {
		panic("CANARY of a person")
	}
	select {
	case <-c.may:
	case <-ctx.Done():
		return enrol.Coverage{}, ctx.Err()
	}
	return enrol.Coverage{People: make([]enrol.Covered, c.asked)}, c.err
}

func newCensus(t *testing.T, c *counter) (*enrol.Census, *strings.Builder) {
	t.Helper()
	var log strings.Builder
	census, err := enrol.NewCensus(enrol.CensusOptions{Count: c.count, Every: 24 * time.Hour, Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Safe: func(_ string, fn func()) (whole bool) {
			defer func() { recover() }()
			fn()
			return true
		}})
	if err != nil {
		t.Fatal(err)
	}
	return census, &log
}

func TestCensusRunsOneCountAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{may: make(chan struct{})}
		census, _ := newCensus(t, c)
		ctx, stop := context.WithCancel(t.Context())
		go census.Run(ctx)
		synctest.Wait()
		if got := census.Last(); !got.At.IsZero() || got.Running || c.asked != 0 {
			t.Errorf("before anybody asked: %+v", got)
		}
		began := time.Now()
		if err := census.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for range 3 {
			if err := census.Start(); !errors.Is(err, enrol.ErrCounting) {
				t.Errorf("a second one: %v", err)
			}
		}
		if got := census.Last(); !got.Running || !got.Since.Equal(began) || !got.At.IsZero() || c.asked != 1 {
			t.Errorf("while counting: %+v", got)
		}
		c.may <- struct{}{}
		synctest.Wait()
		if got := census.Last(); got.Running || len(got.Coverage.People) != 1 || !got.At.Equal(time.Now()) || got.Failed != nil {
			t.Errorf("counted: %+v", got)
		}
		// The day's own.
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got := census.Last(); !got.Running || len(got.Coverage.People) != 1 || c.asked != 2 {
			t.Errorf("a day later: %+v", got)
		}
		stop()
		synctest.Wait()
	})
}

// A count that failed, or panicked, leaves the one before it, says so, and does
// not stand in the way of the next.
func TestAFailedCountLeavesTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{may: make(chan struct{}, 9)}
		for range 9 {
			c.may <- struct{}{}
		}
		census, log := newCensus(t, c)
		ctx, stop := context.WithCancel(t.Context())
		go census.Run(ctx)
		once := func() enrol.Tally {
			if err := census.Start(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return census.Last()
		}
		first := once()
		time.Sleep(time.Hour)
		c.err = directory.ErrUnavailable
		if got := once(); !errors.Is(got.Failed, directory.ErrUnavailable) || got.Running || !got.At.Equal(first.At) || len(got.Coverage.People) != 1 {
			t.Errorf("%+v", got)
		}
		c.panic = true
		if got := once(); got.Failed == nil || got.Running || !got.At.Equal(first.At) {
			t.Errorf("%+v", got)
		}
		c.err, c.panic = nil, false
		if got := once(); got.Failed != nil || len(got.Coverage.People) != 4 || got.At.Equal(first.At) {
			t.Errorf("%+v", got)
		}
		stop()
		synctest.Wait()
		if s := log.String(); strings.Count(s, "level=ERROR") != 2 || strings.Contains(s, "CANARY") {
			t.Errorf("logged %s", s)
		}
	})
}

func TestACensusNeedsAllItsParts(t *testing.T) {
	if _, err := enrol.NewCensus(enrol.CensusOptions{}); err == nil {
		t.Error("one of nothing")
	}
}
