package store_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/enrol"
	"postern/portal/store/storetest"
	"postern/verify"
)

func TestHoldingsCountEverybodysKindsWithoutASecret(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		if got, err := db.Holdings(t.Context()); err != nil || len(got) != 0 {
			t.Fatalf("an empty store: %v, %v", got, err)
		}
		at := func(n int64) time.Time { return time.Unix(1_700_000_000+n, 0).UTC() }
		add := func(owner directory.ID, kind verify.Kind, times ...int64) {
			c := enrol.Change{Owner: owner}
			for _, n := range times {
				id := fmt.Sprintf("%s-%s-%d", owner, kind, n)
				c.Add = append(c.Add, verify.Credential{ID: id, Owner: owner, Kind: kind, Handle: []byte(id), Secret: []byte("the seed itself"), Created: at(n)})
			}
			if err := db.Commit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		add(bob, verify.TOTP, 5)
		add(alice, verify.RecoveryCode, 9, 3, 7)
		add(alice, verify.Passkey, 1)
		got, err := db.Holdings(t.Context())
		want := []enrol.Holding{
			{Owner: alice, Kind: verify.Passkey, Count: 1, Oldest: at(1), Newest: at(1)},
			{Owner: alice, Kind: verify.RecoveryCode, Count: 3, Oldest: at(3), Newest: at(9)},
			{Owner: bob, Kind: verify.TOTP, Count: 1, Oldest: at(5), Newest: at(5)},
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
		if bytes.Contains(fmt.Appendf(nil, "%+v", got), []byte("seed")) {
			t.Error("a secret")
		}
	})
}
