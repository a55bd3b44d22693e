package flow_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/limit"
	"postern/portal/policy"
	"postern/verify"
)

// realLimits are the portal's own, in memory.
func realLimits(r *rig) {
	l, err := limit.New(limit.Options{Config: limit.DefaultConfig(), Key: []byte(strings.Repeat("k", 32)), Store: limit.NewMemory(1000), Now: time.Now})
	if err != nil {
		r.t.Fatal(err)
	}
	r.limits = l
}

// security cases 5 and 10: that two names belong to one account must not show
// by the second one being limited at once.
func TestStartsOfOneNameDoNotLimitAnother(t *testing.T) {
	for _, login := range []string{"alice", "nobody"} {
		r := newRig(t, realLimits)
		begin := func(name string) error {
			_, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.Reset, Login: name, Address: "192.0.2.1"})
			return err
		}
		var limited *flow.Limited
		for range 10 {
			if err := begin(login); err != nil {
				t.Fatal(err)
			}
		}
		if err := begin(" " + strings.ToUpper(login)); !errors.As(err, &limited) {
			t.Errorf("%s, spelt in another way: %v", login, err)
		}
		if err := begin(login + "@example.org"); err != nil {
			t.Errorf("%s by its second name: %v", login, err)
		}
	}
}

// security cases 5 and 18: an account with a lockout of its own is stopped by
// it, and looks to a stranger like nobody.
func TestAnOwnLockoutHoldsAndDoesNotShow(t *testing.T) {
	seen := map[string]string{}
	for _, login := range []string{"alice", "bob", "nobody"} {
		r := newRig(t)
		r.dir.Own = map[directory.ID]directory.Rules{alice: {MinLength: 10, LockoutThreshold: 3, LockoutWindow: 2 * time.Hour}}
		try := func(pw string) (*flow.Case, error) {
			return r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.Change, Login: login, Current: directory.NewSecret(pw), Hold: hold("x")})
		}
		looks := func(err error) string {
			var wrong *flow.Wrong
			var limited *flow.Limited
			switch {
			case errors.As(err, &wrong):
				return wrong.Code
			case errors.As(err, &limited):
				return limited.Retry.String()
			}
			return "?"
		}
		for range 6 {
			_, err := try("not the password")
			seen[login] += looks(err) + " "
		}
		if login != "alice" {
			continue
		}
		if n := strings.Count(r.events(), "proof.failed/failed/wrong "); n != 1 {
			t.Errorf("%d wrong passwords reached the directory, want 1 of a lockout at 3", n)
		}
		r.clock.Advance(time.Hour) // the domain's window is over, the account's is not
		if _, err := try(oldPass); looks(err) != "wrong_password" {
			t.Errorf("the right one, while nothing may be tried: %v", err)
		}
		r.clock.Advance(2 * time.Hour)
		for range 3 { // right answers do not use it up
			if c, err := try(oldPass); err != nil || c.Next(r.clock.Now()) != flow.StepNewPassword {
				t.Errorf("the right one, later: %v", err)
			}
		}
	}
	if seen["alice"] != seen["nobody"] || seen["bob"] != seen["nobody"] {
		t.Errorf("they can be told apart: %q", seen)
	}
}

// security cases 5, 8 and 10: over all names of an account no more answers are
// looked at than for one, and no name shows that it belongs to another's account.
func TestNamesOfOneAccountShareACounterThatDoesNotShow(t *testing.T) {
	seen := map[string]string{}
	for _, login := range []string{"alice", "nobody", "admin"} {
		r := newRig(t)
		answer := func(name string, right bool) {
			c := r.start(policy.Reset, name)
			c, err := r.nodes[0].Choose(ctx, c.ID, verify.TOTP, "")
			if err != nil {
				t.Fatal(err)
			}
			given := []byte("000000")
			if right {
				given = c.Open.State
			}
			_, err = r.nodes[1].Prove(ctx, c.ID, given, nil)
			var wrong *flow.Wrong
			var limited *flow.Limited
			switch {
			case errors.As(err, &wrong):
				seen[login] += wrong.Code + " "
			case errors.As(err, &limited):
				seen[login] += limited.Retry.String() + " "
			default:
				seen[login] += "right "
			}
		}
		second := map[string]string{"alice": "alice@example.org", "nobody": "nobody@example.org", "admin": "root@example.org"}[login]
		for range 3 {
			answer(login, false)
		}
		for range 2 {
			answer(second, false)
		}
		for range 3 {
			answer(second, true) // not looked at any more
		}
		answer(second, true)
		answer(login, true)
		if login == "alice" {
			if n := strings.Count(r.events(), "proof.failed/failed/wrong "); n != 5 {
				t.Errorf("%d answers were looked at, want 5", n)
			}
			if n := strings.Count(r.events(), "proof.failed/failed/limited "); n != 4 {
				t.Errorf("%d answers are in the record as not looked at, want 4", n)
			}
			r.clock.Advance(15 * time.Minute)
			r.prove(r.start(policy.Reset, "alice"), verify.TOTP)
			continue
		}
	}
	if seen["alice"] != seen["nobody"] || seen["admin"] != seen["nobody"] {
		t.Errorf("they can be told apart: %q", seen)
	}
}

// security case 16: the same for codes that are sent. One too many goes nowhere.
func TestNamesOfOneAccountShareALimitOfSentCodesThatDoesNotShow(t *testing.T) {
	seen := map[string]string{}
	for _, login := range []string{"alice", "nobody"} {
		r := newRig(t, realLimits)
		sent := 0
		for _, name := range []string{login, login, login, login, login + "@example.org", login + "@example.org"} {
			c := r.start(policy.Reset, name)
			_, err := r.nodes[0].Choose(ctx, c.ID, verify.Email, "")
			seen[login] += map[bool]string{true: "sent ", false: "limited "}[err == nil]
			if m := r.store.Messages; err == nil && m[len(m)-1].Who.ID != "" {
				sent++
			}
		}
		if want := map[string]int{"alice": 3, "nobody": 0}[login]; sent != want {
			t.Errorf("%s: %d codes were addressed, want %d", login, sent, want)
		}
	}
	if seen["alice"] != seen["nobody"] || !strings.HasSuffix(seen["alice"], "limited sent sent ") {
		t.Errorf("they can be told apart: %q", seen)
	}
}

// Somebody signed in has nothing to be hidden from them: their account's own
// counter shows.
func TestAFreshProofIsLimitedByTheAccount(t *testing.T) {
	r := newRig(t)
	wrong := func(c *flow.Case) error {
		c, err := r.nodes[0].Choose(ctx, c.ID, verify.TOTP, "")
		if err == nil {
			_, err = r.nodes[0].Prove(ctx, c.ID, []byte("000000"), nil)
		}
		return err
	}
	for range 5 {
		if err := wrong(r.start(policy.Reset, "alice@example.org")); !errors.As(err, new(*flow.Wrong)) {
			t.Fatal(err)
		}
	}
	u, err := r.dir.Find(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.StepUp, By: access.Principal{ID: alice, User: u}})
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong(c); !errors.As(err, new(*flow.Limited)) {
		t.Errorf("the sixth: %v", err)
	}
	// And a session from before the password changed gets no fresh proof.
	r.dir.Edit(alice, func(u *directory.User) { u.State.PasswordSet = r.clock.Now() })
	if _, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.StepUp, By: access.Principal{ID: alice, User: u}}); !errors.Is(err, flow.ErrNotOffered) {
		t.Errorf("a fresh proof for a session that is over: %v", err)
	}
}
