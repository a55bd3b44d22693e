package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/limit"
	"postern/portal/notify"
	"postern/portal/password"
	"postern/portal/policy"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

// frontDoor is the core on a real store, for signing in by an invitation.
type frontDoor struct {
	*flow.Service
	db    *store.DB
	clock *clock
}

type noLimits struct{}

func (noLimits) Take(context.Context, limit.Name, string) error            { return nil }
func (noLimits) Failed(context.Context, string, string) error              { return nil }
func (noLimits) Checklist(directory.Rules, directory.User) []password.Item { return nil }
func (noLimits) Judge(directory.Secret, directory.Rules, directory.User) []password.Problem {
	return nil
}

func newFrontDoor(t *testing.T, p storetest.Place) frontDoor {
	t.Helper()
	c := newClock()
	p.Config.Now = c.now
	d := frontDoor{db: p.Open(t), clock: c}
	people := &flowtest.Directory{Now: c.now}
	people.Add(directory.User{ID: alice, Login: "alice", DN: "CN=alice,DC=example,DC=org", Mail: []string{"a@example.org"}}, "right")
	rules, err := policy.New(policy.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	d.Service, err = flow.New(flow.Options{Threats: d.db, Directory: people, Policy: rules, Factors: []verify.Factor{flowtest.Password{D: people, Now: c.now}},
		Vault: d.db, Store: d.db, Accounts: d.db, Counters: d.db, Limits: noLimits{}, Judge: noLimits{}, DecoyKey: make([]byte, 32), ContactKey: make([]byte, 32),
		Strikes: flow.DefaultStrikeRule, Now: c.now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d frontDoor) invite(t *testing.T) string {
	t.Helper()
	path, err := d.db.AddLink(t.Context(), notify.LinkTo{Kind: notify.Invite, Account: alice, Life: 72 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(path, "/link/")
}

func (d frontDoor) enter(t *testing.T, token, pw string) (signedIn bool, err error) {
	c, err := d.Start(t.Context(), flow.StartRequest{Purpose: policy.SignIn, Door: access.Web, Invite: token, Current: directory.NewSecret(pw), Hold: make([]byte, 32)})
	return err == nil && c.Outcome.Status == flow.Applied, err
}

// Security case 19: of any number at once one is signed in by the link; the others
// have proved a password and nothing else.
func TestAnInvitationSignsInOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		d := newFrontDoor(t, p)
		token := d.invite(t)
		var in atomic.Int32
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				switch ok, err := d.enter(t, token, "right"); {
				case ok:
					in.Add(1)
				case err != nil && !errors.Is(err, flow.ErrNoInvite) && !errors.As(err, new(*flow.Limited)):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 {
			t.Errorf("%d were signed in", in.Load())
		}
		if _, err := d.enter(t, token, "right"); !errors.Is(err, flow.ErrNoInvite) {
			t.Errorf("replayed: %v", err)
		}
	})
}

// An invitation ends with its time, with the next one, and with the first thing
// enrolled; a wrong password leaves it, and what fails leaves it too.
func TestAnInvitationEnds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		d := newFrontDoor(t, p)
		first := d.invite(t)
		if _, err := d.enter(t, first, "wrong"); !errors.As(err, new(*flow.Wrong)) {
			t.Fatal(err)
		}
		second := d.invite(t)
		if _, err := d.enter(t, first, "right"); !errors.Is(err, flow.ErrNoInvite) {
			t.Errorf("the older one: %v", err)
		}
		if err := d.db.Commit(t.Context(), enrol.Change{Owner: alice, Add: []verify.Credential{{ID: "app", Owner: alice, Kind: verify.TOTP, Secret: []byte("x"), Created: d.clock.now()}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.enter(t, second, "right"); !errors.Is(err, flow.ErrNoInvite) {
			t.Errorf("after something was enrolled: %v", err)
		}
		// Made in spite of it, by whoever did not look: it counts for nothing.
		third := d.invite(t)
		if ok, err := d.enter(t, third, "right"); ok || err != nil {
			t.Errorf("with something enrolled: signed in %v, %v", ok, err)
		}
		if err := d.db.Commit(t.Context(), enrol.Change{Owner: alice, Remove: "app"}); err != nil {
			t.Fatal(err)
		}
		fourth := d.invite(t)
		d.clock.forward(72 * time.Hour)
		if _, err := d.enter(t, fourth, "right"); !errors.Is(err, flow.ErrNoInvite) {
			t.Errorf("too late: %v", err)
		}
		fifth := d.invite(t)
		if ok, err := d.enter(t, fifth, "right"); !ok || err != nil {
			t.Errorf("the last one: %v, %v", ok, err)
		}
	})
}

// Of two invitations at once one is left.
func TestOfTwoInvitationsAtOnceOneIsLeft(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		d := newFrontDoor(t, p)
		tokens := make([]string, 8)
		var all sync.WaitGroup
		for i := range tokens {
			all.Go(func() { tokens[i] = d.invite(t) })
		}
		all.Wait()
		open := 0
		for _, token := range tokens {
			if _, err := d.db.Link(t.Context(), notify.Invite, token); err == nil {
				open++
			}
		}
		if open != 1 {
			t.Errorf("%d are open", open)
		}
	})
}
