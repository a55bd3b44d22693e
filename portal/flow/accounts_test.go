package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/limit"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

func (r *rig) freeze(id directory.ID) {
	r.known.Set(id, func(s *access.Standing) { s.Frozen = r.clock.Now() })
}

// cooling lets plans have a cooling-off, and factors be as old as said.
func cooling(age map[verify.Kind]time.Duration) func(*rig) {
	return func(r *rig) {
		p := plan(policy.Reset)
		p.CoolingOff = 24 * time.Hour
		r.plans = map[policy.Purpose]policy.Plan{policy.Reset: p}
		for k, d := range age {
			r.fac[k].Since = r.clock.Now().Add(-d)
			r.vault[k][0].Created = r.fac[k].Since
		}
	}
}

// What was added an hour ago is not enough alone, nor beside another of the
// kind; beside something older it is.
func TestSomethingNewCannotBeTheOnlyProof(t *testing.T) {
	fresh := time.Hour
	for _, c := range []struct {
		name  string
		age   map[verify.Kind]time.Duration
		prove []verify.Kind
		step  flow.Step
	}{
		{"an old passkey", nil, []verify.Kind{verify.Passkey}, flow.StepNewPassword},
		{"a new passkey", map[verify.Kind]time.Duration{verify.Passkey: fresh}, []verify.Kind{verify.Passkey}, flow.StepChoose},
		{"a new passkey and old codes", map[verify.Kind]time.Duration{verify.Passkey: fresh}, []verify.Kind{verify.Passkey, verify.RecoveryCode}, flow.StepNewPassword},
		{"a new app and new codes", map[verify.Kind]time.Duration{verify.TOTP: fresh, verify.RecoveryCode: fresh}, []verify.Kind{verify.TOTP, verify.RecoveryCode}, flow.StepChoose},
		{"a new app and an address that stayed", map[verify.Kind]time.Duration{verify.TOTP: fresh}, []verify.Kind{verify.TOTP, verify.Email}, flow.StepNewPassword},
		{"all of it a day old", map[verify.Kind]time.Duration{verify.TOTP: 25 * fresh, verify.RecoveryCode: 25 * fresh}, []verify.Kind{verify.TOTP, verify.RecoveryCode}, flow.StepNewPassword},
	} {
		r := newRig(t, cooling(c.age))
		one := r.start(policy.Reset, "alice")
		for _, k := range c.prove {
			one = r.prove(one, k)
		}
		if got := one.Next(r.clock.Now()); got != c.step {
			t.Errorf("%s: at %s, want %s", c.name, got, c.step)
		}
		if settles := one.Settles(); (c.step == flow.StepChoose) != settles.Equal(r.clock.Now().Add(23*time.Hour)) {
			t.Errorf("%s: settles %v", c.name, settles)
		}
		if _, err := r.nodes[0].Finish(ctx, one.ID, directory.NewSecret(newPass), hold("alice")); (err == nil) != (c.step == flow.StepNewPassword) {
			t.Errorf("%s: finish: %v", c.name, err)
		}
	}
}

// An address that was changed since it was last seen cools off, and both the old
// one and the new one hear of it.
func TestAChangedAddressIsToldAndCoolsOff(t *testing.T) {
	r := newRig(t, cooling(map[verify.Kind]time.Duration{verify.TOTP: time.Hour}))
	r.start(policy.Reset, "alice") // seen for the first time
	if n := len(r.store.Messages); n != 0 {
		t.Fatalf("the first sight told somebody: %d", n)
	}
	r.clock.Advance(time.Hour)
	r.dir.Edit(alice, func(u *directory.User) { u.Mail = []string{"evil@example.net"} })
	c := r.start(policy.Reset, "alice")
	m := r.store.Messages[len(r.store.Messages)-1]
	if m.Template != "contacts_changed" || !slices.Contains(m.To, "alice@example.org") || !slices.Contains(m.To, "evil@example.net") ||
		len(m.Links) != 1 || m.Links[0].Kind != notify.NotMe || m.Links[0].Account != alice {
		t.Errorf("told %+v", m)
	}
	c = r.prove(r.prove(c, verify.Email), verify.TOTP)
	if c.Next(r.clock.Now()) != flow.StepChoose || c.Settles().IsZero() {
		t.Errorf("a new address and a new app were enough: %s", c.Next(r.clock.Now()))
	}
	sent := len(r.store.Messages)
	r.start(policy.Reset, "alice")
	if len(r.store.Messages) != sent {
		t.Error("the same change was told twice")
	}
	r.clock.Advance(25 * time.Hour)
	c = r.prove(r.prove(r.start(policy.Reset, "alice"), verify.Email), verify.TOTP)
	done, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice"))
	if err != nil || done.Outcome.Status != flow.Applied {
		t.Fatalf("a day later: %v", err)
	}
	last := r.store.Messages[len(r.store.Messages)-1]
	if !slices.Contains(last.To, "alice@example.org") || !slices.Contains(last.To, "evil@example.net") {
		t.Errorf("the old address did not hear of the reset: %v", last.To)
	}
}

// A frozen account looks like one that does not exist, at every start; what was
// under way ends before it writes.
func TestNothingIsDoneForAFrozenAccount(t *testing.T) {
	r := newRig(t)
	c := r.proven("alice")
	r.freeze(alice)
	if done, err := r.nodes[1].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice")); r.dir.Written() != 0 || err == nil && done.Why() != flow.ReasonFrozen {
		t.Errorf("%v, %v: %d writes", done, err, r.dir.Written())
	}
	for _, p := range []policy.Purpose{policy.Reset, policy.Unlock, policy.SignIn} {
		if c := r.start(p, "alice"); c.Somebody() != nil || c.Barred != alice {
			t.Errorf("%s: a person", p)
		}
	}
	if _, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.StepUp, Door: access.Web, By: access.Principal{ID: alice, User: directory.User{ID: alice, State: directory.State{PasswordSet: r.clock.Now().Add(-24 * time.Hour)}}}}); !errors.Is(err, flow.ErrNotOffered) {
		t.Errorf("step-up: %v", err)
	}
}

// The freeze that comes between the last look and the intent is seen under the
// same transaction.
func TestFrozenBetweenTheLookAndTheIntent(t *testing.T) {
	r := newRig(t)
	c := r.proven("alice")
	r.known.Late = func(calls int) {
		if calls == 2 { // again looked; the intent is next
			r.freeze(alice)
		}
	}
	if done, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice")); err != nil || done.Why() != flow.ReasonFrozen || r.dir.Written() != 0 {
		t.Errorf("%+v, %v, %d writes", done, err, r.dir.Written())
	}
}

// What is remembered of accounts cannot be asked: nothing is granted.
func TestWithoutMemoryNothingIsGranted(t *testing.T) {
	r := newRig(t)
	c := r.proven("alice")
	r.known.Fail = errors.New("disk full")
	if _, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice")); !errors.Is(err, flow.ErrUnavailable) || r.dir.Written() != 0 {
		t.Errorf("finish: %v", err)
	}
	if _, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.Reset, Door: access.Web, Login: "alice"}); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("start: %v", err)
	}
}

// Whose account somebody guesses at hears of it, once a day and not a hundred
// times; a name that is nobody's costs a message to nobody.
func TestALimitIsToldOnceADay(t *testing.T) {
	r := newRig(t)
	told := func() (n int) {
		for _, m := range r.store.Messages {
			if m.Template == "limit_reached" && m.Who.ID == alice {
				n++
			}
		}
		return n
	}
	fail := func(login string) {
		c := r.start(policy.Reset, login)
		if _, err := r.nodes[0].Choose(ctx, c.ID, verify.TOTP, ""); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			_, _ = r.nodes[0].Prove(ctx, c.ID, []byte("wrong"), hold(login))
		}
		r.clock.Advance(time.Hour)
	}
	fail("alice")
	fail("alice")
	if told() != 1 {
		t.Errorf("told %d times in a day", told())
	}
	r.clock.Advance(24 * time.Hour)
	fail("alice")
	if told() != 2 {
		t.Errorf("told %d times in two days", told())
	}
	before := len(r.store.Messages)
	fail("nobody")
	if m := r.store.Messages[before:]; len(m) != 1 || m[0].Who.ID != "" || len(m[0].To) != 0 {
		t.Errorf("for nobody: %+v", m)
	}
}

// A thief who has put another address into the directory must not be able to have
// the portal notice that in a start that comes to nothing, and tell nobody.
func TestAChangedAddressIsToldWhateverBecomesOfTheStart(t *testing.T) {
	counted := &countingLimits{most: map[limit.Name]int{limit.StartAccount: 2}, seen: map[string]int{}}
	r := newRig(t, func(r *rig) { r.limits = counted })
	r.start(policy.Reset, "alice")
	r.start(policy.Reset, "alice")
	r.dir.Edit(alice, func(u *directory.User) { u.Mail = []string{"evil@example.net"} })
	if _, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.Reset, Door: access.Web, Login: "alice", Address: "192.0.2.1"}); !errors.As(err, new(*flow.Limited)) {
		t.Fatalf("%v", err)
	}
	counted.most = nil
	r.start(policy.Reset, "alice")
	told := 0
	for _, m := range r.store.Messages {
		if m.Template == "contacts_changed" && slices.Contains(m.To, "alice@example.org") && slices.Contains(m.To, "evil@example.net") {
			told++
		}
	}
	if told != 1 {
		t.Errorf("the old address was told %d times", told)
	}
}

// Security case 3: freezing must not show. What a stranger who asks again is offered,
// how long, with how many tries, and how many messages a code costs, stay as they
// were; and so does the case that stood open meanwhile.
func TestAStrangerCannotTellThatAnAccountIsFrozen(t *testing.T) {
	r := newRig(t)
	p := plan(policy.Reset)
	p.Allowed, p.Life, p.Tries = []verify.Kind{verify.Email, verify.TOTP}, 7*time.Minute, 3
	r.plans = map[policy.Purpose]policy.Plan{policy.Reset: p}
	look := func(c *flow.Case) string {
		t.Helper()
		before := len(r.store.Messages)
		options, err := r.nodes[0].Options(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		chosen, err := r.nodes[0].Choose(ctx, c.ID, verify.Email, "")
		if err != nil {
			t.Fatal(err)
		}
		var wrong *flow.Wrong
		if _, err := r.nodes[1].Prove(ctx, c.ID, []byte("000000"), nil); !errors.As(err, &wrong) {
			t.Fatal(err)
		}
		return fmt.Sprint(options, c.Expires.Sub(c.Created), len(r.store.Messages)-before, chosen.Next(r.clock.Now()), wrong.Code, wrong.Left)
	}
	served, open := look(r.start(policy.Reset, "alice")), r.start(policy.Reset, "alice")
	r.freeze(alice)
	if frozen := look(r.start(policy.Reset, "alice")); frozen != served {
		t.Errorf("served: %s\nfrozen: %s", served, frozen)
	}
	if _, err := r.store.Update(ctx, open.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) {
		c.Closed = flow.ReasonFrozen
		return flow.Effects{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if ghost := look(open); ghost != served {
		t.Errorf("served: %s\nghost:  %s", served, ghost)
	}
}
