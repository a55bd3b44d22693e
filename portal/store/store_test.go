package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
	"postern/verify/verifytest"
)

const alice, bob directory.ID = "corp:00000000-0000-0000-0000-00000000000a", "corp:00000000-0000-0000-0000-00000000000b"

// nasty is text that must come back as it was: NUL, bidirectional marks, quotes, combining.
const nasty = "a\x00b\u202ec\"'\\;--\u0301é\U0001F511"

func newCase(key directory.ID) *flow.Case {
	now := time.Now()
	return &flow.Case{
		ID: rand.Text(), Purpose: policy.Reset, Key: key, Login: nasty, Lang: "de", Address: "192.0.2.7",
		Person: &directory.User{ID: key, Login: "alice", Name: nasty, Mail: []string{"a@example.org"}},
		Plan:   policy.Plan{Name: "default", Allowed: []verify.Kind{verify.TOTP, verify.RecoveryCode}, Gates: 2, Tries: 5, Life: 15 * time.Minute},
		Held:   []byte{0, 1, 255}, Created: now, Expires: now.Add(15 * time.Minute),
	}
}

func create(t testing.TB, db *store.DB, c *flow.Case, e flow.Effects) *flow.Case {
	t.Helper()
	if err := db.Create(t.Context(), c, e); err != nil {
		t.Fatal(err)
	}
	return c
}

func update(t testing.TB, db *store.DB, id string, change func(context.Context, *flow.Case) (flow.Effects, error)) *flow.Case {
	t.Helper()
	c, err := db.Update(t.Context(), id, change)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestStore is the conformance suite: everything the other rooms rely on, over
// both databases.
func TestStore(t *testing.T) {
	for name, test := range map[string]func(*testing.T, storetest.Place){
		"a case comes back as it was":                            testRoundTrip,
		"no case is ErrNoCase":                                   testNoCase,
		"a change commits with its effects or not at all":        testAtomic,
		"200 parallel updates lose none":                         testParallelUpdates,
		"two nodes on one database lose none":                    testTwoNodes,
		"what has ended stays ended (case 38)":                   testStaysEnded,
		"a slow writer cannot revive a closed case (case 38)":    testSlowWriter,
		"success ends the siblings, also when two succeed":       testEndCases,
		"a panic in a change leaves nothing and blocks nobody":   testPanic,
		"an ended context commits nothing":                       testEndedContext,
		"unsettled cases are listed":                             testUnsettled,
		"first strikes at once all count (case 9)":               testStrikes,
		"50 parallel spends in cases of their own give one":      testParallelSpend,
		"offers are counted, single and their owner's":           testOffers,
		"a change of factors is whole or not at all":             testCommit,
		"a session that was ended is not brought back (38)":      testSessions,
		"user handles are stable, random and found again":        testHandles,
		"messages leave once":                                    testOutbox,
		"a technician reads of one case and one account":         testDeskRecord,
		"a message that nobody finished is offered again":        testLease,
		"the record is in order, filtered and append-only (112)": testAudit,
		"what is over is swept, and nothing else":                testSweep,
	} {
		t.Run(name, func(t *testing.T) { storetest.Each(t, test) })
	}
}

func TestVaultConformance(t *testing.T) {
	run := func(t *testing.T, open func(testing.TB) storetest.Place) {
		verifytest.RunVault(t, func(t *testing.T) verifytest.Harness {
			db := open(t).Open(t)
			return verifytest.Harness{Vault: db,
				Put: func(ctx context.Context, c verify.Credential) error {
					return db.Commit(ctx, enrol.Change{Owner: c.Owner, Add: []verify.Credential{c}})
				},
				Remove: func(ctx context.Context, c verify.Credential) error {
					return db.Commit(ctx, enrol.Change{Owner: c.Owner, Remove: c.ID})
				}}
		})
	}
	t.Run("sqlite", func(t *testing.T) { run(t, storetest.SQLite) })
	t.Run("postgres", func(t *testing.T) { run(t, storetest.Postgres) })
}

func testRoundTrip(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	c := newCase(alice)
	c.Open = &verify.Challenge{Kind: verify.TOTP, State: []byte{0, 9}, Expires: c.Expires}
	create(t, db, c, flow.Effects{})
	got, err := db.Case(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Created.Equal(c.Created) || !got.Expires.Equal(c.Expires) || !got.Open.Expires.Equal(c.Open.Expires) {
		t.Error("times moved")
	}
	want := *c
	want.Created, want.Expires, want.Open = got.Created, got.Expires, got.Open
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("came back as\n%+v, want\n%+v", *got, want)
	}
	if got.Version != 1 {
		t.Errorf("version %d", got.Version)
	}
	got = update(t, db, c.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) { c.Misses++; return flow.Effects{}, nil })
	if got.Version != 2 || got.Misses != 1 {
		t.Errorf("version %d, misses %d", got.Version, got.Misses)
	}
	if err := db.Create(t.Context(), c, flow.Effects{}); err == nil {
		t.Error("the same id twice")
	}
}

func testNoCase(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	for _, id := range []string{"", "nobody", "a\x00b", "\xff", "' OR 1=1 --"} {
		if _, err := db.Case(t.Context(), id); !errors.Is(err, flow.ErrNoCase) {
			t.Errorf("%q: %v", id, err)
		}
		_, err := db.Update(t.Context(), id, func(context.Context, *flow.Case) (flow.Effects, error) {
			t.Error("called")
			return flow.Effects{}, nil
		})
		if !errors.Is(err, flow.ErrNoCase) {
			t.Errorf("update %q: %v", id, err)
		}
	}
}

func event(kind string, of *flow.Case) audit.Event {
	return audit.Event{Kind: kind, Case: of.ID, Subject: of.Key, Outcome: audit.OK, SubjectName: nasty}
}

func testAtomic(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	c := create(t, db, newCase(alice), flow.Effects{Events: []audit.Event{event("case.started", &flow.Case{})}})
	put(t, db, verify.Credential{ID: "t", Owner: alice, Kind: verify.TOTP, Secret: []byte("s")})
	boom := errors.New("boom")
	work := func(fail error) func(context.Context, *flow.Case) (flow.Effects, error) {
		return func(ctx context.Context, c *flow.Case) (flow.Effects, error) {
			if err := db.Strike(ctx, alice, verify.TOTP, func(s flow.Strikes) flow.Strikes { s.Consecutive++; return s }); err != nil {
				return flow.Effects{}, err
			}
			// What was done is seen within.
			if s, err := db.Strikes(ctx, alice, verify.TOTP); err != nil || s.Consecutive != 1 {
				t.Errorf("within: %+v %v", s, err)
			}
			if err := db.Spend(ctx, verify.Credential{ID: "t", Owner: alice, Kind: verify.TOTP}, 5); err != nil {
				return flow.Effects{}, err
			}
			c.Misses++
			return flow.Effects{Events: []audit.Event{event("proof.ok", c)}, Messages: []notify.Message{{Channel: notify.Mail, Template: "x"}}}, fail
		}
	}
	state := func() string {
		t.Helper()
		c, err := db.Case(t.Context(), c.ID)
		if err != nil {
			t.Fatal(err)
		}
		s, err := db.Strikes(t.Context(), alice, verify.TOTP)
		if err != nil {
			t.Fatal(err)
		}
		cred, err := db.Credentials(t.Context(), alice, verify.TOTP)
		if err != nil {
			t.Fatal(err)
		}
		recent, err := db.Recent(t.Context(), alice, 10)
		if err != nil {
			t.Fatal(err)
		}
		out, err := db.Claim(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("v%d misses%d strikes%d counter%d events%d messages%d", c.Version, c.Misses, s.Consecutive, cred[0].Counter, len(recent), len(out))
	}
	if _, err := db.Update(t.Context(), c.ID, work(boom)); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	if got, want := state(), "v1 misses0 strikes0 counter0 events0 messages0"; got != want {
		t.Errorf("after a failure %s, want %s", got, want)
	}
	update(t, db, c.ID, work(nil))
	if got, want := state(), "v2 misses1 strikes1 counter5 events1 messages1"; got != want {
		t.Errorf("after a success %s, want %s", got, want)
	}
}

func testParallelUpdates(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	c := create(t, db, newCase(alice), flow.Effects{})
	bump(t, c.ID, 200, db)
	if got, err := db.Case(t.Context(), c.ID); err != nil || got.Misses != 200 || got.Version != 201 {
		t.Errorf("%d misses, version %d, %v", got.Misses, got.Version, err)
	}
}

func testTwoNodes(t *testing.T, p storetest.Place) {
	one, two := p.Open(t), p.Open(t)
	c := create(t, one, newCase(alice), flow.Effects{})
	bump(t, c.ID, 100, one, two)
	if got, err := two.Case(t.Context(), c.ID); err != nil || got.Misses != 100 {
		t.Errorf("%d misses, %v", got.Misses, err)
	}
}

// bump raises Misses n times at once, over the nodes in turn, with a strike and an event each.
func bump(t *testing.T, id string, n int, nodes ...*store.DB) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		db := nodes[i%len(nodes)]
		wg.Go(func() {
			_, err := db.Update(t.Context(), id, func(ctx context.Context, c *flow.Case) (flow.Effects, error) {
				c.Misses++
				err := db.Strike(ctx, c.Key, verify.TOTP, func(s flow.Strikes) flow.Strikes { s.Consecutive++; return s })
				return flow.Effects{Events: []audit.Event{event("proof.failed", c)}}, err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s, err := nodes[0].Strikes(t.Context(), alice, verify.TOTP)
	if err != nil || s.Consecutive != n {
		t.Errorf("%d strikes, %v", s.Consecutive, err)
	}
}

func testStaysEnded(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	for name, test := range map[string]struct{ end, revive func(*flow.Case) }{
		"closed":   {func(c *flow.Case) { c.Closed = flow.ReasonTries }, func(c *flow.Case) { c.Closed = "" }},
		"done":     {func(c *flow.Case) { c.Outcome.Status = flow.Applied }, func(c *flow.Case) { c.Outcome = flow.Outcome{} }},
		"unknown":  {func(c *flow.Case) { c.Outcome.Status = flow.Lost }, func(c *flow.Case) { c.Outcome.Status = flow.InFlight }},
		"its time": {func(*flow.Case) {}, func(c *flow.Case) { c.Expires = c.Expires.Add(time.Second) }},
	} {
		c := create(t, db, newCase(alice), flow.Effects{})
		set := func(f func(*flow.Case)) error {
			_, err := db.Update(t.Context(), c.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) { f(c); return flow.Effects{}, nil })
			return err
		}
		if err := set(test.end); err != nil {
			t.Fatal(err)
		}
		if err := set(test.revive); !errors.Is(err, flow.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", name, err)
		}
		if err := set(func(*flow.Case) {}); err != nil {
			t.Errorf("%s: an ended case can still be noted on: %v", name, err)
		}
	}
}

// One case is being worked on while another of the same account succeeds.
func testSlowWriter(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	slow, fast := create(t, db, newCase(alice), flow.Effects{}), create(t, db, newCase(alice), flow.Effects{})
	inside, done := make(chan struct{}), make(chan error, 2)
	var once sync.Once
	go func() {
		_, err := db.Update(t.Context(), slow.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) {
			once.Do(func() { close(inside) })
			c.Proofs = append(c.Proofs, flow.Proof{Kind: verify.TOTP})
			return flow.Effects{}, nil
		})
		done <- err
	}()
	<-inside
	go func() {
		_, err := db.Update(t.Context(), fast.ID, func(context.Context, *flow.Case) (flow.Effects, error) {
			return flow.Effects{EndCases: alice}, nil
		})
		done <- err
	}()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	got, err := db.Case(t.Context(), slow.ID)
	if err != nil || got.Closed != flow.ReasonSuperseded || got.Live(time.Now()) {
		t.Errorf("closed %q, %v", got.Closed, err)
	}
}

func testPanic(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	c := create(t, db, newCase(alice), flow.Effects{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = db.Update(t.Context(), c.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) { panic("boom") })
	}()
	bump(t, c.ID, 3, db)
}

func testEndedContext(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	c := create(t, db, newCase(alice), flow.Effects{})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := db.Update(ctx, c.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) {
		c.Misses++
		cancel()
		return flow.Effects{}, nil
	})
	if err == nil {
		t.Error("no error")
	}
	if got, err := db.Case(t.Context(), c.ID); err != nil || got.Misses != 0 {
		t.Errorf("%d misses, %v", got.Misses, err)
	}
	if _, err := db.Case(ctx, c.ID); err == nil {
		t.Error("read under an ended context")
	}
}

func testUnsettled(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	intent := time.Now()
	c := create(t, db, newCase(alice), flow.Effects{})
	create(t, db, newCase(bob), flow.Effects{})
	update(t, db, c.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) {
		c.Outcome = flow.Outcome{Status: flow.InFlight, Intent: intent}
		return flow.Effects{}, nil
	})
	for before, want := range map[time.Time]int{intent: 0, intent.Add(time.Second): 1} {
		if ids, err := db.Unsettled(t.Context(), before); err != nil || len(ids) != want || want == 1 && ids[0] != c.ID {
			t.Errorf("before %v: %v %v", before, ids, err)
		}
	}
	update(t, db, c.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) {
		c.Outcome.Status = flow.Applied
		return flow.Effects{}, nil
	})
	if ids, err := db.Unsettled(t.Context(), intent.Add(time.Hour)); err != nil || len(ids) != 0 {
		t.Errorf("settled: %v %v", ids, err)
	}
}
