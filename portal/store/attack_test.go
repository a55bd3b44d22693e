package store_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/session"
	"postern/portal/store/storetest"
	"postern/verify"
)

// Whoever has the phone that is taken away, and signed in with it, is out at
// once; the owner's own session, other people's, and strangers' go on.
func TestTakingAFactorAwayEndsTheOtherSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		now := time.Now()
		rows := map[string]session.Row{}
		for name, owner := range map[string]struct{ who, state string }{
			"own": {string(alice), ""}, "thief": {string(alice), ""}, "bob": {string(bob), ""}, "stranger": {"", "x"}} {
			h := sha256.Sum256([]byte(name))
			r := session.Row{Hash: h[:], Created: now, Used: now, Expires: now.Add(time.Hour), State: session.State{Case: owner.state}}
			if owner.who != "" {
				r.Owner = alice
				if owner.who == string(bob) {
					r.Owner = bob
				}
				r.State.Principal = access.Principal{ID: r.Owner}
			}
			rows[name] = r
			if err := db.ReplaceSession(t.Context(), nil, r); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Commit(t.Context(), enrol.Change{Owner: alice, OnlySession: "no hash"}); err == nil {
			t.Error("a session nobody can name was taken for one")
		}
		if err := db.Commit(t.Context(), enrol.Change{Owner: alice, OnlySession: hex.EncodeToString(rows["own"].Hash)}); err != nil {
			t.Fatal(err)
		}
		for name, r := range rows {
			_, err := db.Session(t.Context(), r.Hash)
			if ended := errors.Is(err, session.ErrNone); ended != (name == "thief") || !ended && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// security case 8 and NIST SP 800-63B-4 section 3.2.2: after a hundred wrong
// answers a factor is over until it is bound anew, and not for ever.
func TestBindingAnewEndsTheBlock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		block := func(flow.Strikes) flow.Strikes { return flow.Strikes{Consecutive: 100} }
		for _, k := range []verify.Kind{verify.TOTP, verify.RecoveryCode} {
			if err := db.Strike(t.Context(), alice, k, block); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Strike(t.Context(), bob, verify.TOTP, block); err != nil {
			t.Fatal(err)
		}
		add := enrol.Change{Owner: alice, Add: []verify.Credential{{ID: "new", Owner: alice, Kind: verify.TOTP, Secret: []byte("x"), Created: time.Now()}}}
		if err := db.Commit(t.Context(), add); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name string
			got  func(context.Context) (flow.Strikes, error)
			want int
		}{
			{"bound anew", func(ctx context.Context) (flow.Strikes, error) { return db.Strikes(ctx, alice, verify.TOTP) }, 0},
			{"another kind", func(ctx context.Context) (flow.Strikes, error) { return db.Strikes(ctx, alice, verify.RecoveryCode) }, 100},
			{"another person", func(ctx context.Context) (flow.Strikes, error) { return db.Strikes(ctx, bob, verify.TOTP) }, 100},
		} {
			if s, err := c.got(t.Context()); err != nil || s.Consecutive != c.want {
				t.Errorf("%s: %+v, %v", c.name, s, err)
			}
		}
	})
}
