package ship

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/portal/audit"
)

// book is a record in memory, with cursors as the store has them.
type book struct {
	mu     sync.Mutex
	events []audit.Filed
	signed string
	at     Cursor
	holder string
	until  time.Time
	broken error
}

func (b *book) add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		b.events = append(b.events, filed(int64(len(b.events))))
	}
	b.signed = "checkpoint of " + string(rune('0'+len(b.events)%10))
}

func filed(i int64) audit.Filed {
	return audit.Filed{Index: i, Hash: audit.LeafHash([]byte{byte(i)}), Event: audit.Event{ID: "id", Seq: i + 1, At: time.Date(2026, 3, 1, 12, 0, 0, int(i)*1000, time.UTC),
		Kind: "password.reset", Subject: "x:1", SubjectName: "alice", Actor: "x:1", Outcome: audit.OK}}
}

func (b *book) Cursor(context.Context, string) (Cursor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at, b.broken
}

func (b *book) Take(_ context.Context, _, node string, lease time.Duration) (Cursor, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holder != node && time.Now().Before(b.until) {
		return Cursor{}, false, nil
	}
	b.holder, b.until = node, time.Now().Add(lease)
	return b.at, true, b.broken
}

func (b *book) Move(_ context.Context, _, node string, to Cursor, lease time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.holder != node || to.Next < b.at.Next {
		return errors.New("another node took over")
	}
	b.at, b.until = to, time.Now().Add(lease)
	return nil
}

func (b *book) Filed(_ context.Context, from int64, n int, _ bool) ([]audit.Filed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[from:min(int(from)+n, len(b.events))], b.broken
}

func (b *book) Checkpoint(context.Context) (int64, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.events)), b.signed, b.broken
}

// shelf is a place that can be away.
type shelf struct {
	mu        sync.Mutex
	got       []int64
	witnessed []string
	away      error
	panics    bool
	slow      time.Duration
}

func (s *shelf) Ship(ctx context.Context, entries []audit.Filed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panics {
		panic("shelf")
	}
	wait(ctx, s.slow)
	for _, e := range entries {
		s.got = append(s.got, e.Index)
	}
	return errors.Join(s.away, ctx.Err()) // it may have arrived, and we are not told
}

func (s *shelf) Witness(_ context.Context, signed string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.witnessed = append(s.witnessed, signed)
	return s.away
}

func (b *book) cursor() Cursor {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// seen are what came until now.
func (s *shelf) seen() (got []int64, witnessed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got), len(s.witnessed)
}

func (s *shelf) set(change func(*shelf)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// inOrder says whether every entry came, none before the one before it.
func (s *shelf) inOrder(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := int64(0)
	for _, i := range s.got {
		if i > next {
			return false
		}
		next = max(next, i+1)
	}
	return next == n
}

func runner(b *book, s Place, t Target, alarms *int) *Runner {
	t.Name = "x"
	r := &Runner{node: "a", Options: Options{Config: DefaultConfig(), Record: b, Now: time.Now, Slog: slog.New(slog.DiscardHandler),
		Safe: func(_ string, fn func()) (ok bool) {
			defer func() { ok = recover() == nil }()
			fn()
			return true
		}, Alarm: func(string) { *alarms++ }}}
	r.places = []target{{t, s}}
	return r
}

func TestEverythingArrivesInOrderWhateverHappensToThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s, alarms := &book{}, &shelf{}, 0
		r := runner(b, s, Target{}, &alarms)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		b.add(450) // three batches
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !s.inOrder(450) {
			t.Fatal("not everything came")
		}
		for _, fault := range []func(*shelf){func(s *shelf) { s.away = errors.New("away") }, func(s *shelf) { s.panics = true }, func(s *shelf) { s.slow = time.Hour }} {
			s.set(fault)
			b.add(300)
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if b.cursor().Next == int64(len(b.events)) {
				t.Error("the cursor moved though nothing was taken")
			}
			s.set(func(s *shelf) { s.away, s.panics, s.slow = nil, false, 0 })
			time.Sleep(3 * time.Minute)
			synctest.Wait()
			if !s.inOrder(int64(len(b.events))) {
				t.Fatal("something is missing, or came too early")
			}
		}
		if alarms != 3 {
			t.Errorf("%d alarms for three faults", alarms)
		}
		b.mu.Lock()
		b.broken = errors.New("database")
		b.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		b.mu.Lock()
		b.broken = nil
		b.mu.Unlock()
		b.add(1)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !s.inOrder(int64(len(b.events))) {
			t.Error("after the database was away")
		}
		cancel()
		<-done
	})
}

// Of two nodes one sends; when it dies the other goes on where it was.
func TestAnotherNodeGoesOnWhereOneDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, first, second, alarms := &book{}, &shelf{}, &shelf{}, 0
		a, c := runner(b, first, Target{}, &alarms), runner(b, second, Target{}, &alarms)
		c.node = "b"
		ctx, kill := context.WithCancel(t.Context())
		all, cancel := context.WithCancel(t.Context())
		go a.Run(ctx)
		b.add(10)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		go c.Run(all)
		b.add(10)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		one, _ := first.seen()
		two, _ := second.seen()
		if len(one) != 20 || len(two) != 0 {
			t.Errorf("%d and %d", len(one), len(two))
		}
		kill()
		b.add(10)
		time.Sleep(time.Minute)
		synctest.Wait()
		if two, _ = second.seen(); len(two) != 10 || two[0] != 20 {
			t.Errorf("the second sent %v", two)
		}
		cancel()
		synctest.Wait()
	})
}

func TestWitnessesGetACheckpointOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, s, alarms := &book{}, &shelf{}, 0
		r := runner(b, s, Target{CheckpointsOnly: true}, &alarms)
		ctx, cancel := context.WithCancel(t.Context())
		go r.Run(ctx)
		time.Sleep(time.Hour)
		synctest.Wait()
		if _, n := s.seen(); n != 0 {
			t.Error("a checkpoint of nothing")
		}
		for range 60 {
			b.add(1)
			time.Sleep(time.Minute)
			synctest.Wait()
		}
		synctest.Wait()
		if _, n := s.seen(); n < 6 || n > 7 {
			t.Errorf("%d checkpoints in an hour", n)
		}
		time.Sleep(time.Hour) // nothing new
		synctest.Wait()
		if _, n := s.seen(); n > 8 {
			t.Errorf("%d though nothing is new", n)
		}
		if got, _ := s.seen(); len(got) != 0 || b.cursor().Next != int64(len(b.events)) {
			t.Error("it got events, or its cursor stays behind")
		}
		cancel()
		synctest.Wait()
	})
}
