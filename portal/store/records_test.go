package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/session"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

// clock is a time that tests move.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixMicro())
	return c
}
func (c *clock) now() time.Time           { return time.UnixMicro(c.at.Load()) }
func (c *clock) forward(by time.Duration) { c.at.Add(by.Microseconds()) }

func testOffers(t *testing.T, p storetest.Place) {
	c := newClock()
	p.Config.Now = c.now
	db := p.Open(t)
	offer := enrol.Offer{Owner: alice, Kind: verify.TOTP, Session: "s1", Expires: c.now().Add(time.Minute),
		Challenge: verify.Challenge{Kind: verify.TOTP, State: []byte("seed"), Public: []byte("otpauth://")}}
	if _, err := db.TryOffer(t.Context(), alice, verify.TOTP); !errors.Is(err, enrol.ErrNoOffer) {
		t.Errorf("none: %v", err)
	}
	for _, session := range []string{"s0", "s1"} { // a later one takes the place of an earlier
		offer.Session = session
		if err := db.HoldOffer(t.Context(), offer); err != nil {
			t.Fatal(err)
		}
	}
	for want := 1; want <= 3; want++ {
		got, err := db.TryOffer(t.Context(), alice, verify.TOTP)
		if err != nil || got.Tries != want || got.Session != "s1" || string(got.Challenge.State) != "seed" || !got.Expires.Equal(offer.Expires.Truncate(time.Microsecond)) {
			t.Errorf("try %d: %+v %v", want, got, err)
		}
	}
	for owner, kind := range map[directory.ID]verify.Kind{alice: verify.Passkey, bob: verify.TOTP} {
		if _, err := db.TryOffer(t.Context(), owner, kind); !errors.Is(err, enrol.ErrNoOffer) {
			t.Errorf("%s %s: %v", owner, kind, err)
		}
	}
	c.forward(2 * time.Minute)
	if _, err := db.TryOffer(t.Context(), alice, verify.TOTP); !errors.Is(err, enrol.ErrNoOffer) {
		t.Errorf("expired: %v", err)
	}
}

func testCommit(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	cred := func(id string, kind verify.Kind) verify.Credential {
		return verify.Credential{ID: id, Owner: alice, Kind: kind, Name: nasty, Handle: []byte(id), Secret: []byte("s"), Created: time.Now()}
	}
	commit := func(c enrol.Change) error {
		c.Owner = alice
		c.Events = []audit.Event{{Kind: "factor.changed", Subject: alice, Outcome: audit.OK}}
		return db.Commit(t.Context(), c)
	}
	check := func(what string, events int, want ...string) {
		t.Helper()
		list, err := db.Methods(t.Context(), alice)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range list {
			ids = append(ids, c.ID)
			if c.Secret != nil {
				t.Errorf("%s: Methods gave a secret away", what)
			}
		}
		slices.Sort(ids)
		if !slices.Equal(ids, want) {
			t.Errorf("%s: have %v, want %v", what, ids, want)
		}
		if recent, err := db.Recent(t.Context(), alice, 100); err != nil || len(recent) != events {
			t.Errorf("%s: %d events, want %d (%v)", what, len(recent), events, err)
		}
	}
	hold := func() {
		t.Helper()
		if err := db.HoldOffer(t.Context(), enrol.Offer{Owner: alice, Kind: verify.TOTP, Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := commit(enrol.Change{Add: []verify.Credential{cred("a", verify.TOTP)}, DropOffer: verify.TOTP}); !errors.Is(err, enrol.ErrNoOffer) {
		t.Errorf("no offer: %v", err)
	}
	check("no offer", 0)
	hold()
	if err := commit(enrol.Change{Add: []verify.Credential{cred("a", verify.TOTP), cred("a2", verify.TOTP)}, DropOffer: verify.TOTP}); err != nil {
		t.Fatal(err)
	}
	check("added", 1, "a", "a2")
	// A duplicate anywhere leaves everything as it was, the offer too.
	hold()
	twin := cred("b", verify.TOTP)
	twin.Handle = []byte("a")
	if err := commit(enrol.Change{ReplaceAll: verify.TOTP, Add: []verify.Credential{cred("c", verify.TOTP), cred("c", verify.TOTP)}, DropOffer: verify.TOTP}); !errors.Is(err, verify.ErrDuplicate) {
		t.Errorf("duplicate id: %v", err)
	}
	if err := commit(enrol.Change{Add: []verify.Credential{twin}, DropOffer: verify.TOTP}); !errors.Is(err, verify.ErrDuplicate) {
		t.Errorf("duplicate handle: %v", err)
	}
	check("duplicate", 1, "a", "a2")
	if err := commit(enrol.Change{ReplaceAll: verify.TOTP, Add: []verify.Credential{twin}, DropOffer: verify.TOTP}); err != nil {
		t.Errorf("replace: %v", err)
	}
	check("replaced", 2, "b")
	if err := commit(enrol.Change{Rename: "b", Name: "new " + nasty}); err != nil {
		t.Error(err)
	}
	if list, err := db.Credentials(t.Context(), alice, verify.TOTP); err != nil || list[0].Name != "new "+nasty || string(list[0].Secret) != "s" {
		t.Errorf("renamed: %+v %v", list, err)
	}
	for _, c := range []enrol.Change{{Rename: "a", Name: "x"}, {Remove: "a"}, {Remove: "a\x00"}, {Rename: "\xff"}} {
		if err := commit(c); !errors.Is(err, enrol.ErrNoMethod) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := db.Commit(t.Context(), enrol.Change{Owner: bob, Remove: "b"}); !errors.Is(err, enrol.ErrNoMethod) {
		t.Errorf("another person's: %v", err)
	}
	if err := db.Commit(t.Context(), enrol.Change{Owner: bob, Add: []verify.Credential{cred("z", verify.TOTP)}}); err == nil {
		t.Error("a credential added to somebody else")
	}
	if err := commit(enrol.Change{Remove: "b"}); err != nil {
		t.Error(err)
	}
	check("removed", 4)

	// Two tabs confirm the same set-up.
	hold()
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			err := commit(enrol.Change{Add: []verify.Credential{cred(string(rune('k'+i)), verify.TOTP)}, DropOffer: verify.TOTP})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, enrol.ErrNoOffer) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d tabs confirmed", won.Load())
	}
}

func testSessions(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	at := time.Now().Truncate(time.Microsecond)
	row := func(name string, owner directory.ID) session.Row {
		return session.Row{Hash: []byte(name), Owner: owner, Created: at, Used: at, Expires: at.Add(time.Hour),
			State: session.State{Case: nasty, Principal: access.Principal{ID: owner, SignedIn: at.UTC()}}}
	}
	replace := func(old string, next session.Row, want error) {
		t.Helper()
		if err := db.ReplaceSession(t.Context(), []byte(old), next); !errors.Is(err, want) {
			t.Errorf("replace %q: %v, want %v", old, err, want)
		}
	}
	have := func(name string, want error) session.Row {
		t.Helper()
		r, err := db.Session(t.Context(), []byte(name))
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		return r
	}
	replace("", row("s", ""), nil)
	replace("s", row("a1", alice), nil)
	have("s", session.ErrNone)
	if r, want := have("a1", nil), row("a1", alice); r.State.Case != want.State.Case || r.Owner != alice || !r.Expires.Equal(want.Expires) || !r.Used.Equal(at) ||
		!r.State.Principal.SignedIn.Equal(at) {
		t.Errorf("came back as %+v", r)
	}
	for _, step := range []time.Duration{time.Minute, -time.Minute} { // only forward
		if err := db.TouchSession(t.Context(), []byte("a1"), at.Add(step)); err != nil {
			t.Fatal(err)
		}
	}
	if r := have("a1", nil); !r.Used.Equal(at.Add(time.Minute)) {
		t.Errorf("used %v", r.Used)
	}
	replace("", row("a2", alice), nil)
	replace("", row("b", bob), nil)
	c := create(t, db, newCase(alice), flow.Effects{})
	update(t, db, c.ID, func(context.Context, *flow.Case) (flow.Effects, error) { return flow.Effects{EndSessions: alice}, nil })
	have("a1", session.ErrNone)
	have("a2", session.ErrNone)
	have("b", nil)
	if err := db.TouchSession(t.Context(), []byte("a1"), at.Add(time.Hour)); err != nil {
		t.Error(err)
	}
	have("a1", session.ErrNone)
	replace("a1", row("a3", alice), session.ErrNone)
	have("a3", session.ErrNone)
	replace("forgotten", row("s2", ""), nil) // a stale cookie of a stranger
	replace("s2", session.Row{}, nil)
	have("s2", session.ErrNone)
}

func testHandles(t *testing.T, p storetest.Place) {
	nodes := []*store.DB{p.Open(t), p.Open(t)}
	handles := make([]string, 20)
	var wg sync.WaitGroup
	for i := range handles {
		wg.Go(func() {
			h, err := nodes[i%2].Handle(t.Context(), alice)
			if err != nil {
				t.Error(err)
			}
			handles[i] = string(h)
		})
	}
	wg.Wait()
	if len(slices.Compact(handles)) != 1 || len(handles[0]) != 64 {
		t.Errorf("not one handle of 64 bytes")
	}
	if owner, err := nodes[1].Owner(t.Context(), []byte(handles[0])); err != nil || owner != alice {
		t.Errorf("%q %v", owner, err)
	}
	other, err := nodes[0].Handle(t.Context(), bob)
	if err != nil || string(other) == handles[0] {
		t.Errorf("two people, one handle: %v", err)
	}
	for _, h := range [][]byte{nil, {}, []byte("x")} {
		if _, err := nodes[0].Owner(t.Context(), h); !errors.Is(err, verify.ErrNoCredential) {
			t.Errorf("%q: %v", h, err)
		}
	}
}

func testAudit(t *testing.T, p storetest.Place) {
	db := p.Open(t)
	start := time.Now()
	for i := range 1200 {
		e := audit.Event{Kind: "k", Subject: []directory.ID{alice, bob}[i%2], At: start.Add(time.Duration(i) * time.Second), Outcome: audit.OK,
			SubjectName: nasty, Detail: map[string]string{"a": nasty}}
		if i%3 == 0 {
			e.Case = "c\x00" // a key PostgreSQL would refuse
		}
		if err := db.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	export := func(q audit.Query) (list []audit.Event) {
		t.Helper()
		if err := db.Export(t.Context(), q, func(e audit.Event) error { list = append(list, e); return nil }); err != nil {
			t.Fatal(err)
		}
		return list
	}
	all := export(audit.Query{})
	if len(all) != 1200 || all[0].SubjectName != nasty || all[0].Detail["a"] != nasty || all[0].ID == "" {
		t.Fatalf("%d events, the first %+v", len(all), all[0])
	}
	if !slices.IsSortedFunc(all, func(a, b audit.Event) int { return int(a.Seq - b.Seq) }) {
		t.Error("out of order")
	}
	for what, q := range map[string]struct {
		audit.Query
		want int
	}{
		"after":   {audit.Query{After: all[999].Seq}, 200},
		"time":    {audit.Query{From: start.Add(100 * time.Second), Until: start.Add(200 * time.Second)}, 100},
		"subject": {audit.Query{Subject: bob}, 600},
		"case":    {audit.Query{Case: "c\x00"}, 400},
	} {
		if got := export(q.Query); len(got) != q.want {
			t.Errorf("%s: %d, want %d", what, len(got), q.want)
		}
	}
	recent, err := db.Recent(t.Context(), alice, 3)
	if err != nil || len(recent) != 3 || recent[0].Seq != all[1198].Seq {
		t.Errorf("recent: %v %v", recent, err)
	}
	stop := errors.New("stop")
	if err := db.Export(t.Context(), audit.Query{}, func(audit.Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	raw := p.Raw(t)
	for _, statement := range []string{"UPDATE audit_events SET event = '{}'", "DELETE FROM audit_events WHERE seq = 1"} {
		if _, err := raw.Exec(statement); err == nil {
			t.Errorf("%s went through", statement)
		}
	}
}

func testSweep(t *testing.T, p storetest.Place) {
	c := newClock()
	p.Config.Now = c.now
	db := p.Open(t)
	over := newCase(alice)
	flying := newCase(alice)
	flying.Outcome.Status = flow.InFlight
	create(t, db, over, flow.Effects{Messages: []notify.Message{{Template: "x"}}})
	create(t, db, flying, flow.Effects{})
	for _, key := range []directory.ID{alice, bob, "decoy:1"} {
		if err := db.Strike(t.Context(), key, verify.TOTP, func(flow.Strikes) flow.Strikes {
			return flow.Strikes{Consecutive: map[directory.ID]int{alice: 9, "decoy:1": 9}[key], Last: c.now(), Since: c.now()}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.HoldOffer(t.Context(), enrol.Offer{Owner: alice, Kind: verify.TOTP, Expires: c.now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	sweep := func(want int) {
		t.Helper()
		if n, err := db.Sweep(t.Context()); err != nil || n != want {
			t.Errorf("swept %d, want %d (%v)", n, want, err)
		}
	}
	sweep(0)
	c.forward(time.Hour)
	sweep(1) // the offer
	c.forward(25 * time.Hour)
	sweep(2) // the case, and the counter that was clean
	if _, err := db.Case(t.Context(), over.ID); !errors.Is(err, flow.ErrNoCase) {
		t.Errorf("the case is still there: %v", err)
	}
	if _, err := db.Case(t.Context(), flying.ID); err != nil {
		t.Errorf("an unsettled case was swept: %v", err)
	}
	c.forward(31 * 24 * time.Hour)
	newest := newCase(alice)
	newest.Created, newest.Expires = c.now(), c.now().Add(time.Minute)
	create(t, db, newest, flow.Effects{})
	sweep(2) // the message, the decoy's counter
	if s, err := db.Strikes(t.Context(), alice, verify.TOTP); err != nil || s.Consecutive != 9 {
		t.Errorf("failures of a person were forgotten: %+v %v", s, err)
	}
	if _, err := db.Case(t.Context(), newest.ID); err != nil {
		t.Error(err)
	}
}
