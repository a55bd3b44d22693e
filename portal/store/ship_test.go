package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

func ships(t *testing.T, db *store.DB, places map[string]int) {
	t.Helper()
	if err := db.Ships(t.Context(), places); err != nil {
		t.Fatal(err)
	}
}

// One node sends at a time; whoever lost its turn moves nothing; nothing goes backwards.
func TestOnePlaceIsSentToByOneNodeAtATime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db, other := p.Open(t), p.Open(t)
		s, _ := signer(t)
		record(t, db, "before")
		sealAll(t, db, s)
		ships(t, db, map[string]int{"siem": 1000})
		ships(t, other, map[string]int{"siem": 2000}) // a node more
		at, ours, err := db.TakeShipment(t.Context(), "siem", "a", time.Minute)
		if err != nil || !ours || at.Next != 1 {
			t.Fatalf("%+v %v %v", at, ours, err)
		}
		if _, ours, err := other.TakeShipment(t.Context(), "siem", "b", time.Minute); err != nil || ours {
			t.Errorf("two at once: %v %v", ours, err)
		}
		at.Next = 5
		if err := db.Shipped(t.Context(), "a", at, -time.Minute); err != nil { // and its turn is over
			t.Fatal(err)
		}
		taken, ours, err := other.TakeShipment(t.Context(), "siem", "b", time.Minute)
		if err != nil || !ours || taken.Next != 5 {
			t.Fatalf("%+v %v %v", taken, ours, err)
		}
		at.Next = 9
		if err := db.Shipped(t.Context(), "a", at, time.Minute); err == nil {
			t.Error("moved by a node whose turn was over")
		}
		taken.Next = 4
		if err := other.Shipped(t.Context(), "b", taken, time.Minute); err == nil {
			t.Error("moved backwards")
		}
		list, err := db.Shipments(t.Context())
		if err != nil || len(list) != 1 || list[0].Next != 5 || list[0].Hold != 2000 || list[0].Size != 1 {
			t.Errorf("%+v %v", list, err)
		}
		ships(t, db, nil)
		if _, ours, err := other.TakeShipment(t.Context(), "siem", "b", time.Minute); err != nil || ours {
			t.Errorf("no longer set up: %v %v", ours, err)
		}
		if _, err := other.Shipment(t.Context(), "siem"); !errors.Is(err, store.ErrNoCursor) {
			t.Error(err)
		}
	})
}

// Security.md section 4: what waits for a place is kept, and at the mark nothing is
// changed in a directory any more, while everything else goes on; sealed or not.
func TestNothingIsChangedWhileTooMuchWaits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		s, _ := signer(t)
		ships(t, db, map[string]int{"siem": 10, "optional": 0})
		act := func() error {
			return db.Record(t.Context(), audit.Event{Kind: "password.intent", Outcome: audit.Intent}, audit.Event{Kind: "x", Outcome: audit.OK})
		}
		for i := range 10 {
			if err := act(); (err != nil) != (i >= 5) {
				t.Fatalf("with %d waiting: %v", 2*i, err)
			} else if err != nil && !errors.Is(err, store.ErrHeld) {
				t.Fatal(err)
			}
			if i%2 == 0 {
				sealAll(t, db, s)
			}
		}
		record(t, db, "case.started") // others are recorded all the same
		sealAll(t, db, s)
		at, _, err := db.TakeShipment(t.Context(), "siem", "a", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		at.Next = 11
		if err := db.Shipped(t.Context(), "a", at, time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := act(); err != nil {
			t.Errorf("everything was sent: %v", err)
		}
		if len(everything(t, db)) != 13 {
			t.Errorf("%d events", len(everything(t, db)))
		}
	})
}

// What is sent is what was sealed, in its order, with names or without.
func TestFiledEventsAreThoseOfTheLog(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		s, _ := signer(t)
		for i := range 7 {
			e := about(alice, bob)
			e.Kind = fmt.Sprint(i)
			recordAll(t, db, e)
		}
		sealAll(t, db, s)
		var log []audit.Entry
		if err := db.Entries(t.Context(), 0, 7, func(e audit.Entry) error { log = append(log, e); return nil }); err != nil {
			t.Fatal(err)
		}
		for _, personal := range []bool{true, false} {
			list, err := db.Filed(t.Context(), 2, 4, personal)
			if err != nil || len(list) != 4 {
				t.Fatal(len(list), err)
			}
			for i, f := range list {
				if f.Index != int64(i+2) || f.Hash != log[i+2].Hash || f.Event.Kind != fmt.Sprint(i+2) || (f.Event.ActorName == "") == personal {
					t.Errorf("%+v", f)
				}
			}
		}
		if list, err := db.Filed(t.Context(), 7, 4, true); err != nil || len(list) != 0 {
			t.Error(list, err)
		}
	})
}
