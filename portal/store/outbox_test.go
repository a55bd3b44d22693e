package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

func post(t testing.TB, db *store.DB, messages ...notify.Message) {
	t.Helper()
	create(t, db, newCase(alice), flow.Effects{Messages: messages})
}

func testOutbox(t *testing.T, p storetest.Place) {
	one, two := p.Open(t), p.Open(t)
	var list []notify.Message
	for range 30 {
		list = append(list, notify.Message{Channel: notify.Mail, Template: "code", Args: map[string]string{"code": nasty}, Who: directory.User{ID: alice, Groups: []string{"many"}}})
	}
	post(t, one, list...)
	var got sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		db := []*store.DB{one, two}[i%2]
		wg.Go(func() {
			for {
				claimed, err := db.Claim(t.Context(), 3)
				if err != nil {
					t.Error(err)
				}
				if len(claimed) == 0 {
					return
				}
				for _, o := range claimed {
					if _, twice := got.LoadOrStore(o.ID, true); twice || o.Broken != nil || o.Args["code"] != nasty || o.Tries != 1 {
						t.Errorf("twice %v: %+v", twice, o)
					}
					if err := db.Finish(t.Context(), o, audit.Event{Kind: "message.sent", Outcome: audit.OK, Subject: alice}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	n := 0
	got.Range(func(any, any) bool { n++; return true })
	if recent, err := one.Recent(t.Context(), alice, 100); n != 30 || len(recent) != 30 || err != nil {
		t.Errorf("%d delivered, %d events, %v", n, len(recent), err)
	}
	// With a courier they come at once, after the commit and only then.
	var taken []store.Outgoing
	one.Courier(func(o store.Outgoing) { taken = append(taken, o) })
	c := create(t, one, newCase(alice), flow.Effects{Messages: list[:2]})
	if _, err := one.Update(t.Context(), c.ID, func(context.Context, *flow.Case) (flow.Effects, error) {
		return flow.Effects{Messages: list}, errors.New("no")
	}); err == nil {
		t.Error("no error")
	}
	if len(taken) != 2 || taken[0].ID == "" || taken[0].Tries != 1 {
		t.Fatalf("the courier has %d", len(taken))
	}
	if claimed, err := two.Claim(t.Context(), 10); err != nil || len(claimed) != 0 {
		t.Errorf("somebody else took %d that are held (%v)", len(claimed), err)
	}
	for _, o := range taken {
		if err := one.Finish(t.Context(), o); err != nil {
			t.Error(err)
		}
	}
}

func testLease(t *testing.T, p storetest.Place) {
	c := newClock()
	p.Config.Now = c.now
	db := p.Open(t)
	post(t, db, notify.Message{Channel: notify.Mail, To: []string{"a@example.org", "b@example.org"}})
	claim := func(want int) []store.Outgoing {
		t.Helper()
		got, err := db.Claim(t.Context(), 10)
		if err != nil || len(got) != want {
			t.Fatalf("claimed %d, want %d (%v)", len(got), want, err)
		}
		return got
	}
	first := claim(1)[0]
	claim(0)
	c.forward(store.Lease + time.Second)
	second := claim(1)[0]
	if second.Tries != 2 {
		t.Errorf("%d tries", second.Tries)
	}
	// Whoever was too slow has no say any more.
	if err := db.Finish(t.Context(), first, audit.Event{Kind: "x", Subject: alice}); err != nil {
		t.Fatal(err)
	}
	if err := db.Postpone(t.Context(), first, c.now()); err != nil {
		t.Fatal(err)
	}
	claim(0)
	if recent, err := db.Recent(t.Context(), alice, 1); err != nil || len(recent) != 0 {
		t.Errorf("it wrote an event: %v", err)
	}
	second.To = second.To[1:]
	if err := db.Postpone(t.Context(), second, c.now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	claim(0)
	c.forward(2 * time.Minute)
	third := claim(1)[0]
	if len(third.To) != 1 || third.To[0] != "b@example.org" {
		t.Errorf("to %v", third.To)
	}
	if err := db.Finish(t.Context(), third); err != nil {
		t.Fatal(err)
	}
	c.forward(time.Hour)
	claim(0)
}
