package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/notify"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

func setLevel(t *testing.T, db *store.DB, level access.Threat) {
	t.Helper()
	err := db.SetThreat(t.Context(), func(access.Threat) (access.Threat, []audit.Event, []notify.Message, error) {
		return level, []audit.Event{{At: time.Now(), Kind: audit.ThreatRaised, Outcome: audit.OK}}, nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The level is one for all nodes, read anew each time; of two who turn it at once
// the second sees what the first did, and what fails leaves nothing behind.
func TestTheLevelIsOneForAllNodes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		here, there := p.Open(t), p.Open(t)
		if level, err := here.Threat(t.Context()); err != nil || level != (access.Threat{}) {
			t.Fatalf("nobody raised it: %+v, %v", level, err)
		}
		now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
		up := access.Threat{Level: access.Raised, Since: now, By: "x:op", Login: "op", Reason: "calls", Until: now.Add(time.Hour)}
		setLevel(t, here, up)
		if level, err := there.Threat(t.Context()); err != nil || level != up {
			t.Errorf("%+v, %v", level, err)
		}
		no := errors.New("no")
		err := there.SetThreat(t.Context(), func(was access.Threat) (access.Threat, []audit.Event, []notify.Message, error) {
			return access.Threat{}, []audit.Event{{At: now, Kind: audit.ThreatLowered}}, nil, no
		})
		if level, rerr := here.Threat(t.Context()); !errors.Is(err, no) || rerr != nil || level != up {
			t.Errorf("%v: %+v, %v", err, level, rerr)
		}
		var all sync.WaitGroup
		for _, db := range []*store.DB{here, there} {
			for range 10 {
				all.Go(func() {
					err := db.SetThreat(t.Context(), func(was access.Threat) (access.Threat, []audit.Event, []notify.Message, error) {
						was.Reason += "x"
						return was, nil, nil, nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		if level, err := here.Threat(t.Context()); err != nil || level.Reason != "calls"+"xxxxxxxxxxxxxxxxxxxx" {
			t.Errorf("%+v, %v", level, err)
		}
		seen := 0
		if err := here.Export(t.Context(), audit.Query{}, func(e audit.Event) error { seen++; return nil }); err != nil || seen != 1 {
			t.Errorf("%d events, %v", seen, err)
		}
	})
}

// Security case 105: a change that needs a calm level does not happen when the level
// was raised before it, also a moment before.
func TestARaisedLevelStopsAChangeInItsOwnTransaction(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		c := newClock()
		p.Config.Now = c.now
		db := p.Open(t)
		phone := verify.Credential{ID: "phone", Owner: alice, Kind: verify.TOTP, Created: c.now()}
		if err := db.Commit(t.Context(), enrol.Change{Owner: alice, Add: []verify.Credential{phone}, Calm: true}); err != nil {
			t.Fatalf("nobody raised it: %v", err)
		}
		setLevel(t, db, access.Threat{Level: access.Raised, Until: c.now().Add(time.Hour)})
		remove := enrol.Change{Owner: alice, Remove: "phone", Calm: true, Events: []audit.Event{{At: c.now(), Kind: "factor.removed"}}}
		if err := db.Commit(t.Context(), remove); !errors.Is(err, enrol.ErrThreat) {
			t.Errorf("%v", err)
		}
		if left, err := db.Methods(t.Context(), directory.ID(alice)); err != nil || len(left) != 1 {
			t.Errorf("%d left, %v", len(left), err)
		}
		if err := db.Commit(t.Context(), enrol.Change{Owner: alice, Rename: "phone", Name: "mine"}); err != nil {
			t.Errorf("what needs no calm level: %v", err)
		}
		c.forward(time.Hour)
		if err := db.Commit(t.Context(), remove); err != nil {
			t.Errorf("ended by itself: %v", err)
		}
	})
}

// Security case 120: the level moves to the new keys with everything else.
func TestTheLevelIsSealedAnew(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		setLevel(t, p.Open(t), access.Threat{Level: access.Raised, Reason: "calls"})
		if err := store.RotateKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Open(t).Reseal(t.Context()); n < 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if err := store.RetireKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		if level, err := p.Open(t).Threat(t.Context()); err != nil || level.Reason != "calls" {
			t.Errorf("%+v, %v", level, err)
		}
	})
}
