package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
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
	"postern/portal/policy"
	"postern/portal/session"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

// What is remembered of an account comes back whole; of two who change it at
// once neither is lost.
func TestAccountsAreRemembered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		if s, err := db.Standing(t.Context(), alice); err != nil || !s.Seen.IsZero() || !s.Frozen.IsZero() {
			t.Fatalf("nobody: %+v, %v", s, err)
		}
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				err := db.Remember(t.Context(), alice, func(s access.Standing) (access.Standing, []audit.Event, []notify.Message) {
					s.Mail = append(s.Mail, strings.Repeat("x", n+1)+"@example.org")
					return s, nil, nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		s, err := db.Standing(t.Context(), alice)
		if err != nil || len(s.Mail) != 20 {
			t.Errorf("%d of 20 changes, %v", len(s.Mail), err)
		}
		for _, bad := range []directory.ID{"", "a\x00b", "\xff"} {
			if err := db.Remember(t.Context(), bad, func(s access.Standing) (access.Standing, []audit.Event, []notify.Message) { return s, nil, nil }); err == nil {
				t.Errorf("%q was remembered", bad)
			}
			if s, err := db.Standing(t.Context(), bad); err != nil || !s.Seen.IsZero() {
				t.Errorf("%q: %+v, %v", bad, s, err)
			}
		}
	})
}

// sent stores a message with a link and returns the link's token, as a mail would
// carry it.
func sent(t *testing.T, db *store.DB, l notify.LinkTo) string {
	t.Helper()
	if err := db.Commit(t.Context(), enrol.Change{Owner: l.Account, Messages: []notify.Message{{Channel: notify.Mail, To: []string{"a@example.org"},
		Template: "x", Args: map[string]string{"login": "alice"}, Links: []notify.LinkTo{l}}}}); err != nil {
		t.Fatal(err)
	}
	out, err := db.Claim(t.Context(), 10)
	if err != nil || len(out) != 1 {
		t.Fatalf("%d messages, %v", len(out), err)
	}
	path := out[0].Args[string(l.Kind)]
	if out[0].Args["login"] != "alice" || !strings.HasPrefix(path, l.Kind.Path()) || len(out[0].Links) > 0 {
		t.Fatalf("%+v", out[0].Message)
	}
	if err := db.Finish(t.Context(), out[0]); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(path, l.Kind.Path())
}

// Security cases 19, 20, 22, 24: a link is for one kind of page, for its time,
// spent once, and not to be had from the database.
func TestALinkOpensItsOwnPageOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		c := newClock()
		p.Config.Now = c.now
		db := p.Open(t)
		want := notify.LinkTo{Kind: notify.NotMe, Account: alice, Case: "case-1", Life: time.Hour}
		token := sent(t, db, want)
		for range 3 { // looking changes nothing
			l, err := db.Link(t.Context(), notify.NotMe, token)
			if err != nil || l.Account != alice || l.Case != "case-1" || l.Expires.Sub(l.Created) != time.Hour {
				t.Fatalf("%+v, %v", l, err)
			}
		}
		for what, try := range map[string]struct {
			kind  notify.LinkKind
			token string
		}{"another kind": {notify.Approve, token}, "a kind of the same path": {notify.Invite, token}, "shorter": {notify.NotMe, token[1:]}, "nothing": {notify.NotMe, ""},
			"not a token": {notify.NotMe, "' OR 1=1 --"}, "padded": {notify.NotMe, token + "="}} {
			if _, err := db.Link(t.Context(), try.kind, try.token); !errors.Is(err, notify.ErrNoLink) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := db.SpendLink(t.Context(), try.kind, try.token); !errors.Is(err, notify.ErrNoLink) {
				t.Errorf("%s: spent, %v", what, err)
			}
		}
		raw := p.Raw(t)
		var hash []byte
		if err := raw.QueryRow(`SELECT hash FROM links`).Scan(&hash); err != nil || len(hash) != 32 || strings.Contains(string(hash), token) {
			t.Errorf("stored %x, %v", hash, err)
		}
		var won atomic.Int32
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				switch _, err := db.SpendLink(t.Context(), notify.NotMe, token); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, notify.ErrNoLink):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("spent %d times", won.Load())
		}
		if _, err := db.Link(t.Context(), notify.NotMe, token); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("a used one: %v", err)
		}
		late := sent(t, db, want)
		c.forward(time.Hour)
		if _, err := db.SpendLink(t.Context(), notify.NotMe, late); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("too late: %v", err)
		}
		c.forward(time.Second)
		if _, err := db.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := raw.QueryRow(`SELECT COUNT(*) FROM links`).Scan(&left); err != nil || left != 0 {
			t.Errorf("%d links left, %v", left, err)
		}
		path, err := db.AddLink(t.Context(), notify.LinkTo{Kind: notify.Invite, Account: bob, Life: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		if l, err := db.Link(t.Context(), notify.Invite, strings.TrimPrefix(path, "/link/")); err != nil || l.Account != bob {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

// "This wasn't me" stops everything of the account in one step, or nothing.
func TestAFreezeEndsCasesAndSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		c := newClock()
		p.Config.Now = c.now
		db := p.Open(t)
		token := sent(t, db, notify.LinkTo{Kind: notify.NotMe, Account: alice, Life: time.Hour})
		for i, owner := range []directory.ID{alice, alice, bob} {
			one := &flow.Case{ID: []string{"c1", "c2", "c3"}[i], Purpose: policy.Reset, Key: owner, Created: c.now(), Expires: c.now().Add(time.Hour)}
			if i == 1 {
				one.Proofs = []flow.Proof{{Kind: "totp", At: c.now()}}
			}
			if err := db.Create(t.Context(), one, flow.Effects{}); err != nil {
				t.Fatal(err)
			}
			s := session.Row{Hash: []byte{byte(i)}, Owner: owner, State: session.State{Principal: access.Principal{ID: owner}}, Created: c.now(), Used: c.now(), Expires: c.now().Add(time.Hour)}
			if err := db.ReplaceSession(t.Context(), nil, s); err != nil {
				t.Fatal(err)
			}
		}
		freeze := enrol.Change{Owner: alice, Spend: &enrol.Spend{Kind: notify.NotMe, Token: token}, EndAll: true,
			Standing: func(s access.Standing) access.Standing { s.Frozen = c.now(); return s },
			Events:   []audit.Event{{Kind: "account.frozen", Subject: alice, Outcome: audit.OK}}}
		bad := freeze
		bad.Spend = &enrol.Spend{Kind: notify.NotMe, Token: token[1:] + "A"}
		if err := db.Commit(t.Context(), bad); !errors.Is(err, notify.ErrNoLink) {
			t.Fatalf("without its link: %v", err)
		}
		if s, _ := db.Standing(t.Context(), alice); !s.Frozen.IsZero() {
			t.Fatal("frozen without its link")
		}
		if err := db.Commit(t.Context(), freeze); err != nil {
			t.Fatal(err)
		}
		if err := db.Commit(t.Context(), freeze); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("twice by one link: %v", err)
		}
		for id, want := range map[string]struct{ ghost, closed bool }{"c1": {true, true}, "c2": {false, true}, "c3": {false, false}} {
			one, err := db.Case(t.Context(), id)
			if err != nil || one.Ghost() != want.ghost || (one.Closed != "") != want.closed {
				t.Errorf("%s: closed %q, ghost %v, %v", id, one.Closed, one.Ghost(), err)
			}
		}
		for i, gone := range []bool{true, true, false} {
			if _, err := db.Session(t.Context(), []byte{byte(i)}); errors.Is(err, session.ErrNone) != gone {
				t.Errorf("session %d: %v", i, err)
			}
		}
		frozen, err := db.Frozen(t.Context())
		if err != nil || !slices.EqualFunc(frozen, []directory.ID{alice}, func(f enrol.Frozen, id directory.ID) bool { return f.ID == id && !f.Since.IsZero() }) {
			t.Errorf("frozen are %v, %v", frozen, err)
		}
	})
}

// A changed address is told once, however many looked at the same time; and when
// telling fails it is not remembered, so that the next look tells it.
func TestAChangeOfContactsIsToldExactlyOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		c := newClock()
		p.Config.Now = c.now
		db := p.Open(t)
		w := flow.Watch{Memory: db, Key: []byte(strings.Repeat("k", 32)), Now: c.now}
		u := directory.User{ID: alice, Login: "alice", Mail: []string{"old@example.org"}}
		look := func() {
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					if _, err := w.Observe(t.Context(), u); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		told := func() (to []string) {
			out, err := db.Claim(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out {
				to = append(to, o.Template+" "+strings.Join(o.To, " "))
			}
			return to
		}
		if look(); len(told()) != 0 {
			t.Error("the first sight told somebody")
		}
		c.forward(time.Hour)
		u.Mail = []string{"new@example.org"}
		failing := flow.Watch{Memory: unwritten{db}, Key: w.Key, Now: w.Now}
		if _, err := failing.Observe(t.Context(), u); err == nil || len(told()) != 0 {
			t.Errorf("a change that cannot be told: %v", err)
		}
		look()
		if got := told(); !slices.Equal(got, []string{"contacts_changed new@example.org old@example.org"}) {
			t.Errorf("told %q", got)
		}
		events, err := db.Recent(t.Context(), alice, 10)
		if err != nil || len(events) != 1 || events[0].Kind != "contacts.changed" || events[0].Detail["mail"] != "yes" {
			t.Errorf("the record has %+v, %v", events, err)
		}
	})
}

// unwritten is a store whose messages cannot be kept.
type unwritten struct{ *store.DB }

func (u unwritten) Remember(ctx context.Context, id directory.ID, change flow.Change) error {
	return u.DB.Remember(ctx, id, func(s access.Standing) (access.Standing, []audit.Event, []notify.Message) {
		next, told, messages := change(s)
		messages[0].Links = []notify.LinkTo{{Kind: notify.NotMe, Account: id}} // which has no life
		return next, told, messages
	})
}

// "This wasn't me" comes before what is being set up or after it: a thief's factor
// that was looked at just before must not be stored just after.
func TestNothingIsBoundToAFrozenAccount(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		c := newClock()
		p.Config.Now = c.now
		db := p.Open(t)
		add := func(id string) enrol.Change {
			return enrol.Change{Owner: alice, Served: true, Add: []verify.Credential{{ID: id, Owner: alice, Kind: verify.TOTP, Created: c.now()}}}
		}
		if err := db.Commit(t.Context(), add("first")); err != nil { // of an account that was never looked at
			t.Fatal(err)
		}
		freeze := enrol.Change{Owner: alice, EndAll: true, Standing: func(s access.Standing) access.Standing { s.Frozen = c.now(); return s }}
		var all sync.WaitGroup
		var frozen atomic.Bool
		for n := range 20 {
			all.Go(func() {
				if n == 10 {
					if err := db.Commit(t.Context(), freeze); err != nil {
						t.Error(err)
					}
					frozen.Store(true)
					return
				}
				late := frozen.Load()
				if err := db.Commit(t.Context(), add(strings.Repeat("x", n+1))); err == nil && late || err != nil && !errors.Is(err, enrol.ErrEnded) {
					t.Errorf("late %v: %v", late, err)
				}
			})
		}
		all.Wait()
		if err := db.Commit(t.Context(), add("last")); !errors.Is(err, enrol.ErrEnded) {
			t.Errorf("bound after the freeze: %v", err)
		}
		if err := db.Commit(t.Context(), enrol.Change{Owner: alice, Served: true, Remove: "first"}); !errors.Is(err, enrol.ErrEnded) {
			t.Errorf("removed after the freeze: %v", err)
		}
		if have, err := db.Methods(t.Context(), alice); err != nil || !slices.ContainsFunc(have, func(c verify.Credential) bool { return c.ID == "first" }) {
			t.Errorf("%v, %v", have, err)
		}
	})
}
