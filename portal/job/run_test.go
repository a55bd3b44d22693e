package job

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/notify"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

// The whole thing: a message committed here is on the wire at once, what was
// left behind is found, reconciliation runs at the start, and nothing is lost
// at the end.
func TestRun(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		r := newRig(t, p)
		left := notify.Message{Channel: notify.Mail, Template: "left", Who: directory.User{ID: alice}}
		r.post(t, left) // nobody is at work yet
		reconciled := make(chan struct{}, 10)
		r.Reconcile = func(context.Context) error { reconciled <- struct{}{}; return errors.New("not now") }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		if d := <-r.told; d.Template != "left" || d.Outcome != Sent {
			t.Errorf("%+v", d)
		}
		<-reconciled
		for range 20 {
			r.post(t, notify.Message{Channel: notify.Mail, Template: "code", Who: directory.User{ID: alice}})
			if d := <-r.told; d.Template != "code" || d.Outcome != Sent || d.Tries != 1 {
				t.Errorf("%+v", d)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		// Afterwards messages are kept for whoever comes next, at once.
		r.post(t, left)
		if got := r.pass(t); !slices.Equal(got, []Outcome{Sent}) {
			t.Errorf("after the end: %v", got)
		}
	})
}

// Told to stop at any moment, also while River still starts, nothing is amiss:
// an operator who restarts the portal reads of no error.
func TestCleanStopLogsNoError(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		r := newRig(t, p)
		for after := range 8 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(after)*8*time.Millisecond)
			if err := r.Run(ctx); err != nil {
				t.Errorf("stopped after %d ms: %v", 8*after, err)
			}
			cancel()
		}
		if strings.Contains(r.log.String(), "level=ERROR") {
			t.Error(r.log)
		}
	})
}

// What was taken and not begun goes back when the program ends.
func TestStopGivesBack(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.Outbox.Courier(r.take)
	r.post(t, notify.Message{Channel: notify.Mail, Template: "a"}, notify.Message{Channel: notify.Mail, Template: "b"})
	if got := r.pass(t); len(got) != 0 {
		t.Errorf("claimed what is held: %v", got)
	}
	if err := r.giveBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.pass(t); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// Nobody sends what somebody else may be sending already.
func TestOldLeaseIsLeftAlone(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	r.post(t, notify.Message{Channel: notify.Mail, Template: "a", Who: directory.User{ID: alice}})
	claimed, err := r.db.Claim(t.Context(), 1)
	if err != nil || len(claimed) != 1 {
		t.Fatal(claimed, err)
	}
	r.forward(store.Lease - messageTimeout + time.Second)
	r.deliver(t.Context(), claimed[0])
	if len(r.mail.sent) != 0 {
		t.Error("sent")
	}
}

func TestFullQueueDoesNotBlock(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	for range cap(r.queue) + 5 {
		r.take(store.Outgoing{})
	}
	if len(r.queue) != cap(r.queue) {
		t.Errorf("%d in the queue", len(r.queue))
	}
}

func TestNothingMayBeMissing(t *testing.T) {
	r := newRig(t, storetest.SQLite(t))
	for name, drop := range map[string]func(*Config){
		"outbox": func(c *Config) { c.Outbox = nil }, "database": func(c *Config) { c.Database = nil }, "people": func(c *Config) { c.People = nil },
		"renderer": func(c *Config) { c.Renderer = nil }, "reconcile": func(c *Config) { c.Reconcile = nil },
		"log": func(c *Config) { c.Log = nil }, "clock": func(c *Config) { c.Now = nil },
	} {
		c := r.Config
		drop(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// BenchmarkDelivery is from before the transaction to after the transport was called.
func BenchmarkDelivery(b *testing.B) {
	r := newRig(b, storetest.SQLite(b))
	r.Now = time.Now
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	m := notify.Message{Channel: notify.Mail, Template: "code", Who: directory.User{ID: alice}}
	r.post(b, m)
	<-r.told
	var waited time.Duration
	for b.Loop() {
		r.at.Store(time.Now().UnixMicro())
		r.post(b, m)
		waited += (<-r.told).Waited
	}
	b.ReportMetric(float64(waited.Microseconds())/float64(b.N), "µs-to-sender/op")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// Reminding is done at the start, on one node at a time, and what goes wrong is in
// the log and stops nothing.
func TestReminding(t *testing.T) {
	t.Parallel() // River takes up to ten seconds to look
	r := newRig(t, storetest.SQLite(t))
	reminded := make(chan time.Duration, 10)
	r.Remind = func(ctx context.Context) error {
		ends, _ := ctx.Deadline()
		reminded <- time.Until(ends)
		return errors.New("the directory is away")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	if left := <-reminded; left < 50*time.Minute {
		t.Errorf("%v for everybody", left)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.remind(t.Context())
	if <-reminded; !strings.Contains(r.log.String(), "people could not be reminded") {
		t.Error(r.log)
	}
	// A second round while one runs is none.
	r.reminding.Lock()
	r.remind(t.Context())
	r.reminding.Unlock()
	r.Remind = nil
	r.remind(t.Context())
	if len(reminded) != 0 {
		t.Error("two rounds at once")
	}
}
