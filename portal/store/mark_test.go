package store_test

import (
	"errors"
	"testing"

	"postern/portal/store"
	"postern/portal/store/storetest"
)

// Security case 120: a database is known by its own key file alone, also after a
// rotation, and also by the doctor, who changes nothing.
func TestOtherKeysAreNoticed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		if err := db.CheckKeys(t.Context()); err != nil {
			t.Errorf("before it is anybody's: %v", err)
		}
		for range 2 {
			if err := db.MarkKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		other := p
		other.Keys = t.TempDir() + "/keys.json"
		if err := store.CreateKeys(other.Keys); err != nil {
			t.Fatal(err)
		}
		stranger := other.Open(t)
		for what, err := range map[string]error{"check": stranger.CheckKeys(t.Context()), "mark": stranger.MarkKeys(t.Context())} {
			if !errors.Is(err, store.ErrOtherKeys) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := store.RotateKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Open(t).Reseal(t.Context()); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if err := store.RetireKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		if err := p.Open(t).MarkKeys(t.Context()); err != nil {
			t.Errorf("after a rotation: %v", err)
		}
	})
}
