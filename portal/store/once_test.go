package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/session"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

// Issue 4: a double click and a retry act once, over two nodes; what failed can be
// tried again.
func TestAFormOfTheDeskActsOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		nodes := []*store.DB{p.Open(t), p.Open(t)}
		if first, err := nodes[0].Once(t.Context(), "mark", func(ctx context.Context) error {
			if err := nodes[0].Note(ctx, []audit.Event{{At: time.Unix(1, 0), Kind: "sessions.ended", Subject: alice}}, nil); err != nil {
				return err
			}
			return errors.New("the act failed")
		}); first || err == nil {
			t.Errorf("%v %v", first, err)
		}
		if spent, err := nodes[1].Spent(t.Context(), "mark"); spent || err != nil {
			t.Errorf("a failed act spent its form: %v", err)
		}
		var acted atomic.Int32
		var all sync.WaitGroup
		for i := range 20 {
			db := nodes[i%2]
			all.Go(func() {
				first, err := db.Once(t.Context(), "mark", func(ctx context.Context) error {
					return db.Note(ctx, []audit.Event{{At: time.Unix(1, 0), Kind: "sessions.ended", Subject: alice}}, []notify.Message{})
				})
				if err != nil {
					t.Error(err)
				}
				if first {
					acted.Add(1)
				}
			})
		}
		all.Wait()
		events, err := nodes[0].Recent(t.Context(), alice, 50)
		if err != nil || len(events) != 1 || acted.Load() != 1 {
			t.Errorf("%d acted, %d events, %v", acted.Load(), len(events), err)
		}
		if first, err := nodes[1].Once(t.Context(), "mark", nil); first || err != nil {
			t.Errorf("%v %v", first, err)
		}
		if first, err := nodes[1].Once(t.Context(), "another", nil); !first || err != nil {
			t.Errorf("%v %v", first, err)
		}
		for _, odd := range []string{"", "a\x00b", "\xff"} {
			if first, err := nodes[0].Once(t.Context(), odd, nil); first || err == nil {
				t.Errorf("%q: %v", odd, err)
			}
		}
	})
}

// Two that begin a case of one id get one.
func TestACaseIsBegunOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		nodes := []*store.DB{p.Open(t), p.Open(t)}
		c := newCase(alice)
		var begun, before atomic.Int32
		var all sync.WaitGroup
		for i := range 10 {
			mine := *c
			all.Go(func() {
				switch err := nodes[i%2].Create(t.Context(), &mine, flow.Effects{Events: []audit.Event{{At: time.Unix(1, 0), Kind: "case.started", Subject: alice, Case: c.ID}}}); {
				case err == nil:
					begun.Add(1)
				case errors.Is(err, flow.ErrExists):
					before.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		events, err := nodes[0].Recent(t.Context(), alice, 50)
		if err != nil || begun.Load() != 1 || before.Load() != 9 || len(events) != 1 {
			t.Errorf("%d begun, %d refused, %d events, %v", begun.Load(), before.Load(), len(events), err)
		}
	})
}

// The use of the desk goes forward only, and brings no session back.
func TestAUseOfTheDeskIsKept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		now := time.Unix(1_900_000_000, 0).UTC()
		row := session.Row{Hash: []byte("hash"), Owner: alice, State: session.State{Principal: access.Principal{ID: alice}}, Created: now, Used: now, Expires: now.Add(time.Hour)}
		if err := db.ReplaceSession(t.Context(), nil, row); err != nil {
			t.Fatal(err)
		}
		for _, at := range []time.Time{now.Add(time.Minute), now} {
			if err := db.TouchDesk(t.Context(), row.Hash, at); err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.Session(t.Context(), row.Hash)
		if err != nil || !got.Desk.Equal(now.Add(time.Minute)) || !got.Used.Equal(now) {
			t.Errorf("%+v %v", got, err)
		}
		if err := db.ReplaceSession(t.Context(), row.Hash, session.Row{}); err != nil {
			t.Fatal(err)
		}
		if err := db.TouchDesk(t.Context(), row.Hash, now.Add(time.Hour)); err != nil {
			t.Error(err)
		}
		if _, err := db.Session(t.Context(), row.Hash); !errors.Is(err, session.ErrNone) {
			t.Errorf("it came back: %v", err)
		}
	})
}

// A mark is kept for longer than any form can be sent, and no longer.
func TestMarksOfFormsAreSwept(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		c := newClock()
		p.Config.Now = c.now
		db := p.Open(t)
		if first, err := db.Once(t.Context(), "mark", nil); !first || err != nil {
			t.Fatal(err)
		}
		for _, want := range []bool{true, false} {
			c.forward(25 * time.Hour)
			if _, err := db.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if spent, err := db.Spent(t.Context(), "mark"); err != nil || spent != want {
				t.Errorf("spent %v, want %v: %v", spent, want, err)
			}
		}
	})
}
