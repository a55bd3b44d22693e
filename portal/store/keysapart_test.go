package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"postern/portal/flow"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

// Two nodes, each with a key file of its own: rotated at once, what one seals is shut to
// the other; prepared first, everything is open to both at every moment.
func TestKeysRotateInFilesOfTheirOwn(t *testing.T) {
	p := storetest.Postgres(t)
	other := p
	other.Keys = filepath.Join(t.TempDir(), "keys.json")
	copied := func() {
		t.Helper()
		text, err := os.ReadFile(p.Keys)
		if err == nil {
			err = os.WriteFile(other.Keys, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copied()
	one, two := p.Open(t), other.Open(t)
	both := func(when string) {
		t.Helper()
		for _, way := range [][2]*store.DB{{one, two}, {two, one}} {
			c := create(t, way[0], newCase(alice), flow.Effects{})
			if _, err := way[1].Case(t.Context(), c.ID); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
	}
	does := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	both("at first")
	does(store.PrepareKeys(p.Keys))
	if err := store.PrepareKeys(p.Keys); !errors.Is(err, store.ErrPrepared) {
		t.Errorf("prepared twice: %v", err)
	}
	if err := store.RetireKeys(p.Keys); !errors.Is(err, store.ErrPrepared) {
		t.Errorf("retired before it was rotated: %v", err)
	}
	both("prepared at one")
	copied()
	both("prepared at both")
	does(store.RotateKeys(p.Keys))
	one = p.Open(t) // has taken the file up, and seals with the new key
	both("rotated at one")
	if _, err := one.Reseal(t.Context()); err != nil {
		t.Fatal(err)
	}
	both("sealed anew")
	copied()
	two = other.Open(t)
	both("rotated at both")
	if n, err := two.Reseal(t.Context()); err != nil {
		t.Errorf("%d, %v", n, err)
	}
	does(store.RetireKeys(p.Keys))
	copied()
	one, two = p.Open(t), other.Open(t)
	both("retired")

	does(store.RotateKeys(p.Keys))
	one = p.Open(t)
	c := create(t, one, newCase(alice), flow.Effects{})
	if _, err := two.Case(t.Context(), c.ID); err == nil {
		t.Error("rotated without being prepared, and the other can read it: then there is nothing to prepare")
	}
}
