package job

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeLog is a Sealer that says when it was asked.
type fakeLog struct {
	mu    sync.Mutex
	wake  func()
	left  int
	err   error
	calls []time.Time
}

func (l *fakeLog) Recorded(wake func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake = wake
}

func (l *fakeLog) Seal(context.Context) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, time.Now())
	n := l.left
	l.left = 0
	return n, l.err
}

func (l *fakeLog) commit(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left += n
	if l.wake != nil {
		l.wake()
	}
}

func (l *fakeLog) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.left
}

func (l *fakeLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func sealingRunner(t *testing.T, l *fakeLog) (*strings.Builder, *[]string, func()) {
	t.Helper()
	text, alarms := &strings.Builder{}, &[]string{}
	r := &Runner{Config: Config{Sealer: l, Safe: func(_ string, fn func()) bool { fn(); return true }, Log: slog.New(slog.NewTextHandler(&locked{w: text}, nil)), Alarm: func(name string) { *alarms = append(*alarms, name) }}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.sealing(ctx) }()
	return text, alarms, func() { cancel(); <-done }
}

// What is committed is sealed within a second, by the wake of its commit or without
// one; under load the rounds stay apart; what was written until the end is sealed too.
func TestEventsAreSealedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLog{left: 1}
		_, _, stop := sealingRunner(t, l)
		synctest.Wait()
		if l.waiting() != 0 {
			t.Error("what was left behind waits at the start")
		}
		for range 50 {
			l.commit(1)
			time.Sleep(sealPause + time.Millisecond)
			synctest.Wait()
			if l.waiting() != 0 {
				t.Error("an event waits longer than a pause")
			}
		}
		if n := len(l.calls); n > 2*60 {
			t.Errorf("%d rounds for 50 commits", n)
		}
		// By another node that died before it sealed: nobody wakes us.
		l.mu.Lock()
		l.left = 3
		l.mu.Unlock()
		time.Sleep(sealEvery + time.Millisecond)
		synctest.Wait()
		if l.waiting() != 0 {
			t.Error("what nobody woke us for waits")
		}
		l.mu.Lock()
		l.left = 2
		l.mu.Unlock()
		stop()
		if l.waiting() != 0 || l.wake != nil {
			t.Error("the end left something behind")
		}
	})
}

// A log that cannot be sealed is told of once, with an alarm, and so is its mending.
func TestAnUnsealedRecordIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLog{err: errors.New("the record was changed")}
		text, alarms, stop := sealingRunner(t, l)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		l.fail(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		stop()
		if n := strings.Count(text.String(), "cannot be sealed"); n != 1 || strings.Count(text.String(), "sealed again") != 1 || len(*alarms) != 1 || (*alarms)[0] != "record" {
			t.Errorf("%q, %v", text, *alarms)
		}
	})
}
