package desk_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/limit"
	"postern/portal/telemetry"
)

// practice is a doctor, and what it was asked and has written.
type practice struct {
	*desk.Doctor
	mu     sync.Mutex
	events []audit.Event
	fail   error
	look   func(context.Context) []directory.Finding
}

func (w *practice) Record(_ context.Context, events ...audit.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail == nil {
		w.events = append(w.events, events...)
	}
	return w.fail
}

func newPractice(t *testing.T) *practice {
	t.Helper()
	w := &practice{look: func(context.Context) []directory.Finding { return []directory.Finding{{Check: "clock"}} }}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	w.Doctor, err = desk.NewDoctor(desk.DoctorOptions{Examine: func(ctx context.Context) []directory.Finding { return w.look(ctx) }, Noter: w, Now: time.Now, Log: quiet,
		Roles: access.Roles{Operator: []string{"Ops"}, Senior: []string{"Leads"}, Auditor: []string{"Audit"}}, Safe: telemetry.NewLauncher(quiet, telemetry.NewMetrics("test")).Safe})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// running runs it until the test of the bubble ends.
func (w *practice) running(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { w.Run(ctx); close(ended) }()
	t.Cleanup(func() { stop(); <-ended })
}

// pass lets the bubble's clock go on, and waits until everybody has noticed.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func as(u directory.User) desk.Who {
	return desk.Who{Principal: access.Principal{ID: u.ID, User: u}, Address: "192.0.2.9"}
}

func TestOnlyOperatorsHaveADoctor(t *testing.T) {
	w := newPractice(t)
	for name, u := range map[string]directory.User{"a senior": {ID: "x:s", Groups: []string{"CN=Leads,DC=x"}}, "an auditor": {ID: "x:a", Groups: []string{"CN=Audit,DC=x"}},
		"nobody, with the groups": {Groups: ops.Groups}, "anybody": {ID: "x:b"}} {
		if err := w.Start(t.Context(), as(u)); !errors.Is(err, desk.ErrUnknown) {
			t.Errorf("%s starts one: %v", name, err)
		}
		if _, err := w.Last(as(u)); !errors.Is(err, desk.ErrUnknown) {
			t.Errorf("%s reads it: %v", name, err)
		}
	}
	if len(w.events) > 0 {
		t.Errorf("%+v", w.events)
	}
}

// One at a time, in the background and with a rest; each is in the record before it begins.
func TestTheDoctorExaminesOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPractice(t)
		looked := 0
		w.look = func(context.Context) []directory.Finding {
			looked++
			time.Sleep(5 * time.Second) // of the bubble's clock
			return []directory.Finding{{Check: "clock"}}
		}
		w.running(t)
		from := time.Now()
		if err := w.Start(t.Context(), as(ops)); err != nil || time.Since(from) > 0 {
			t.Fatalf("%v after %s", err, time.Since(from))
		}
		if err := w.Start(t.Context(), as(ops)); !errors.Is(err, desk.ErrExamining) {
			t.Errorf("a second press: %v", err)
		}
		synctest.Wait()
		if got, err := w.Last(as(ops)); err != nil || !got.Running || !got.Since.Equal(from) || !got.At.IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
		pass(6 * time.Second)
		if got, _ := w.Last(as(ops)); got.Running || got.Failed || len(got.Findings) != 1 || !got.At.Equal(from.Add(5*time.Second)) {
			t.Errorf("%+v", got)
		}
		var over *limit.Exceeded
		if err := w.Start(t.Context(), as(ops)); !errors.As(err, &over) || over.Retry != 24*time.Second {
			t.Errorf("at once again: %v", err)
		}
		pass(24 * time.Second)
		if err := w.Start(t.Context(), as(ops)); err != nil {
			t.Error(err)
		}
		pass(6 * time.Second)
		if looked != 2 || len(w.events) != 2 {
			t.Errorf("looked %d times, %+v", looked, w.events)
		}
		if e := w.events[0]; e.Kind != audit.DoctorStarted || e.Actor != ops.ID || e.ActorName != ops.Login || e.Door != "desk" || e.Address != "192.0.2.9" || e.Outcome != audit.OK || !e.At.Equal(from) {
			t.Errorf("%+v", e)
		}
	})
}

// What cannot be recorded is not begun; what panics or takes too long does not stay.
func TestAnExaminationThatFailsLeavesTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newPractice(t)
		w.running(t)
		w.fail = errors.New("database is locked")
		if err := w.Start(t.Context(), as(ops)); !errors.Is(err, flow.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if got, _ := w.Last(as(ops)); got.Running {
			t.Errorf("%+v", got)
		}
		w.fail = nil
		again := func() desk.Examined {
			pass(time.Minute)
			if err := w.Start(t.Context(), as(ops)); err != nil {
				t.Fatal(err)
			}
			pass(3 * time.Minute)
			got, _ := w.Last(as(ops))
			return got
		}
		first := again()
		if len(first.Findings) != 1 || first.Failed {
			t.Fatalf("%+v", first)
		}
		w.look = func(context.Context) []directory.Finding { panic("no") }
		if got := again(); !got.Failed || got.Running || len(got.Findings) != 1 || !got.At.Equal(first.At) {
			t.Errorf("after a panic: %+v", got)
		}
		from := time.Now()
		var took time.Duration
		w.look = func(ctx context.Context) []directory.Finding {
			<-ctx.Done()
			took = time.Since(from) - time.Minute
			return nil
		}
		if got := again(); got.Running || took != 2*time.Minute {
			t.Errorf("%+v after %s", got, took)
		}
	})
}
