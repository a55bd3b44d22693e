package store_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

func testStrikes(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if err := db.Strike(t.Context(), bob, verify.Email, func(s flow.Strikes) flow.Strikes { s.Consecutive++; return s }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s, err := db.Strikes(t.Context(), bob, verify.Email)
	if err != nil || s.Consecutive != 40 {
		t.Errorf("%+v %v", s, err)
	}
	at := time.Unix(1700000000, 123456000).UTC()
	want := flow.Strikes{Consecutive: 3, Window: 2, Since: at, Last: at.Add(time.Second)}
	if err := db.Strike(t.Context(), bob, verify.TOTP, func(flow.Strikes) flow.Strikes { return want }); err != nil {
		t.Fatal(err)
	}
	if s, err := db.Strikes(t.Context(), bob, verify.TOTP); err != nil || s != want {
		t.Errorf("%+v %v", s, err)
	}
	if s, err := db.Strikes(t.Context(), alice, verify.TOTP); err != nil || s != (flow.Strikes{}) {
		t.Errorf("nobody's: %+v %v", s, err)
	}
}

// 50 cases of one person try the same code at once, over two nodes (case 19).
func testParallelSpend(t *testing.T, p storetest.Place) {
	nodes := []*store.DB{p.Open(t), p.Open(t)}
	put(t, nodes[0], verify.Credential{ID: "totp", Owner: alice, Kind: verify.TOTP, Secret: []byte("seed")},
		verify.Credential{ID: "code", Owner: alice, Kind: verify.RecoveryCode, Handle: []byte("h")})
	var spent, burnt atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		db := nodes[i%2]
		c := create(t, db, newCase(alice), flow.Effects{})
		wg.Go(func() {
			_, err := db.Update(t.Context(), c.ID, func(ctx context.Context, c *flow.Case) (flow.Effects, error) {
				return flow.Effects{}, db.Spend(ctx, verify.Credential{ID: "totp", Owner: alice, Kind: verify.TOTP}, 77)
			})
			if err == nil {
				spent.Add(1)
			} else if !errors.Is(err, verify.ErrReplayed) {
				t.Error(err)
			}
			_, err = db.Update(t.Context(), c.ID, func(ctx context.Context, c *flow.Case) (flow.Effects, error) {
				_, err := db.Burn(ctx, alice, verify.RecoveryCode, []byte("h"))
				return flow.Effects{}, err
			})
			if err == nil {
				burnt.Add(1)
			} else if !errors.Is(err, verify.ErrWrong) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if spent.Load() != 1 || burnt.Load() != 1 {
		t.Errorf("%d spent, %d burnt", spent.Load(), burnt.Load())
	}
}

func put(t testing.TB, db *store.DB, list ...verify.Credential) {
	t.Helper()
	for _, c := range list {
		if c.Created.IsZero() {
			c.Created = time.Now()
		}
		if err := db.Commit(t.Context(), enrol.Change{Owner: c.Owner, Add: []verify.Credential{c}}); err != nil {
			t.Fatal(err)
		}
	}
}

func testEndCases(t *testing.T, p storetest.Place) {
	one, two := p.Open(t), p.Open(t)
	var own []*flow.Case
	for range 8 {
		c := newCase(alice)
		c.Proofs = []flow.Proof{{Kind: verify.TOTP, At: c.Created}} // without one it would go on as a decoy
		own = append(own, create(t, one, c, flow.Effects{}))
	}
	// Each has a case of another account that rests on its proofs: that of the one that
	// succeeds goes on, and those of the others end with them.
	var resting []*flow.Case
	for _, c := range own {
		r := newCase("house:cloud")
		r.ID, r.Of, r.Owner, r.Proofs = c.ID+"-1", c.ID, alice, c.Proofs
		resting = append(resting, create(t, one, r, flow.Effects{}))
	}
	other := create(t, one, newCase(bob), flow.Effects{})
	var won atomic.Int32
	var wg sync.WaitGroup
	for i, c := range own {
		db := []*store.DB{one, two}[i%2]
		wg.Go(func() {
			_, err := db.Update(t.Context(), c.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) {
				if !c.Live(time.Now()) {
					return flow.Effects{}, flow.ErrConflict
				}
				c.Outcome.Status = flow.Applied
				return flow.Effects{EndCases: alice}, nil
			})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, flow.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of the siblings succeeded", won.Load())
	}
	for _, c := range own {
		got, err := two.Case(t.Context(), c.ID)
		if err != nil || got.Live(time.Now()) || (got.Closed == flow.ReasonSuperseded) == (got.Outcome.Status == flow.Applied) {
			t.Errorf("status %q, closed %q, %v", got.Outcome.Status, got.Closed, err)
		}
	}
	for i, r := range resting {
		parent, err := two.Case(t.Context(), own[i].ID)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := two.Case(t.Context(), r.ID); err != nil || (got.Closed == "") != (parent.Outcome.Status == flow.Applied) {
			t.Errorf("rests on one with status %q: closed %q, %v", parent.Outcome.Status, got.Closed, err)
		}
	}
	if got, err := one.Case(t.Context(), other.ID); err != nil || !got.Live(time.Now()) {
		t.Errorf("another person's case was closed: %v", err)
	}
}
