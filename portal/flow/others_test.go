package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

const twin = directory.ID("cloud:alice") // alice's account in another directory

// twins gives alice one, with the same link.
func twins(change ...func(*directory.User)) func(*rig) {
	return func(r *rig) {
		r.dir.Edit(alice, func(u *directory.User) { u.Directory, u.Link = "test", "4711" })
		u := directory.User{ID: twin, Directory: "cloud", Login: "alice.a", Link: "4711", Mail: []string{"alice@cloud.example"},
			State: directory.State{PasswordSet: r.clock.Now().Add(-time.Hour)}}
		for _, c := range change {
			c(&u)
		}
		r.dir.Add(u, oldPass)
	}
}

func (r *rig) all(c *flow.Case, pw string) (*flow.Case, error) {
	return r.nodes[0].FinishAll(ctx, c.ID, directory.NewSecret(pw), nil)
}

// told is what became of the others, as the page has it.
func (r *rig) told(c *flow.Case) []flow.Other {
	r.t.Helper()
	c, err := r.nodes[1].Load(ctx, c.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	list, err := r.nodes[1].Others(ctx, c)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func (r *rig) wantOther(c *flow.Case, step flow.Step, waits bool) flow.Other {
	r.t.Helper()
	list := r.told(c)
	if len(list) != 1 || list[0].Step != step || list[0].Waits() != waits {
		r.t.Fatalf("others: %+v, want one at %q, waiting: %v", list, step, waits)
	}
	return list[0]
}

func (r *rig) kinds(id string) (list []string) {
	for _, e := range r.store.Log() {
		if e.Case == id {
			list = append(list, e.Kind)
		}
	}
	return list
}

func failsFor(id directory.ID, err error) func(string, directory.User) error {
	return func(_ string, u directory.User) error {
		if u.ID == id {
			return err
		}
		return nil
	}
}

func TestTwoAccountsOfOnePersonAreResetInOneCase(t *testing.T) {
	r := newRig(t, twins())
	c := r.proven("alice")
	list, err := r.nodes[0].Checklist(ctx, c)
	if err != nil || len(list.Also) != 1 || list.Also[0].Login != "alice.a" || list.Also[0].Directory != "cloud" {
		t.Fatalf("%+v, %v", list.Also, err)
	}
	if c, err = r.all(c, newPass); err != nil || c.Next(r.clock.Now()) != flow.StepDone {
		t.Fatalf("%v %+v", err, c)
	}
	if r.dir.Password(alice) != newPass || r.dir.Password(twin) != newPass {
		t.Error("not both were written")
	}
	o := r.wantOther(c, flow.StepDone, false)
	if got := r.kinds(o.Case); !slices.Equal(got, []string{"case.started", "password.intent", "password.reset"}) {
		t.Errorf("the record of the other account: %v", got)
	}
	for _, e := range r.store.Log() {
		if e.Case == o.Case && (e.Subject != twin || e.Detail["of"] != c.ID) {
			t.Errorf("%+v", e)
		}
	}
	var to []string
	for _, m := range r.store.Messages {
		if m.Template == "password_changed" {
			to = append(to, m.To...)
		}
	}
	if !slices.Contains(to, "alice@example.org") || !slices.Contains(to, "alice@cloud.example") {
		t.Errorf("notices went to %v", to)
	}
	if !slices.Contains(r.store.Ended, alice) || !slices.Contains(r.store.Ended, twin) {
		t.Errorf("sessions ended of %v", r.store.Ended)
	}
	if _, err := r.all(c, "yet another word 3"); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("a second time: %v", err)
	}
}

func TestWhoeverWantsOneAccountGetsOne(t *testing.T) {
	r := newRig(t, twins())
	c, err := r.nodes[0].Finish(ctx, r.proven("alice").ID, directory.NewSecret(newPass), nil)
	if err != nil || r.dir.Password(twin) != oldPass || len(r.told(c)) != 0 {
		t.Errorf("%v, %+v", err, c.Also)
	}
}

func TestAPartThatFailedIsToldAndTriedAgainAlone(t *testing.T) {
	down := fmt.Errorf("%w: gone", directory.ErrUnavailable)
	for name, broken := range map[string]struct {
		before error
		again  error
	}{
		"it cannot be reached":    {down, nil},
		"it refuses the password": {&directory.Refusal{Rule: directory.RuleHistory}, &directory.Refusal{Rule: directory.RuleHistory}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, twins())
			c := r.proven("alice")
			r.dir.Before = failsFor(twin, broken.before)
			c, err := r.all(c, newPass)
			if err != nil || c.Outcome.Status != flow.Applied || r.dir.Password(alice) != newPass {
				t.Fatalf("the first: %v %+v", err, c.Outcome)
			}
			r.wantOther(c, flow.StepNewPassword, true)
			if _, err := r.all(c, newPass); err == nil {
				t.Error("the same fault again is no error")
			}
			writes := r.dir.Written()
			r.dir.Before = nil
			if c, err = r.all(c, "another fine word 3"); err != nil {
				t.Fatal(err)
			}
			r.wantOther(c, flow.StepDone, false)
			if r.dir.Password(twin) != "another fine word 3" || r.dir.Password(alice) != newPass || r.dir.Written() != writes+1 {
				t.Errorf("%q %q %v", r.dir.Password(alice), r.dir.Password(twin), r.dir.Writes)
			}
		})
	}
}

func TestAFirstThatFailsKeepsNoSecret(t *testing.T) {
	r := newRig(t, twins())
	c := r.proven("alice")
	r.dir.Before = failsFor(alice, directory.ErrDenied)
	c, err := r.all(c, newPass)
	if err != nil || c.Outcome.Status != flow.Declined {
		t.Fatalf("%v %+v", err, c.Outcome)
	}
	r.wantOther(c, flow.StepDone, false)
	if r.dir.Password(alice) != oldPass || r.dir.Password(twin) != newPass {
		t.Error("what came of one changed the other")
	}
}

func TestAWriteWithoutAnAnswerIsSettledByItself(t *testing.T) {
	r := newRig(t, twins())
	c := r.proven("alice")
	r.dir.AfterWrite = failsFor(twin, fmt.Errorf("%w: %w", directory.ErrUnavailable, directory.ErrUncertain))
	c, err := r.all(c, newPass)
	if err != nil {
		t.Fatal(err)
	}
	if o := r.wantOther(c, flow.StepDone, false); !o.Outcome.Unconfirmed {
		t.Errorf("%+v", o.Outcome)
	}
}

func TestADirectoryThatCouldNotBeAskedIsAskedAgain(t *testing.T) {
	r := newRig(t, twins())
	c := r.proven("alice")
	r.dir.Unreached = []string{"cloud"}
	c, err := r.all(c, newPass)
	if err != nil || r.dir.Password(alice) != newPass {
		t.Fatal(err)
	}
	r.wantOther(c, flow.StepChoose, true)
	if _, err := r.all(c, newPass); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("still not there: %v", err)
	}
	r.dir.Unreached = nil
	if c, err = r.all(c, newPass); err != nil {
		t.Fatal(err)
	}
	r.wantOther(c, flow.StepDone, false)
	if r.dir.Password(twin) != newPass {
		t.Error("not written")
	}
}

func TestADirectoryThatHasNobodyAfterAllIsToldNoMore(t *testing.T) {
	r := newRig(t, twins(func(u *directory.User) { u.Link = "4712" }))
	c := r.proven("alice")
	r.dir.Unreached = []string{"cloud"}
	c, _ = r.all(c, newPass)
	r.dir.Unreached = nil
	if _, err := r.all(c, newPass); !errors.Is(err, flow.ErrConflict) {
		t.Error(err)
	}
	if list := r.told(c); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

// What the portal must not help with is not reached through another door, nor named.
func TestAnAccountThatMustNotBeHelpedIsNotReachedByItsTwin(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"privileged": twins(func(u *directory.User) { u.Privileged = "Global Administrator" }),
		"disabled":   twins(func(u *directory.User) { u.State.Disabled = true }),
		"frozen": func(r *rig) {
			twins()(r)
			r.known.Set(twin, func(s *access.Standing) { s.Frozen = r.clock.Now() })
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, change)
			c := r.proven("alice")
			list, err := r.nodes[0].Checklist(ctx, c)
			if err != nil || len(list.Also) != 0 {
				t.Errorf("%v: named %+v", err, list.Also)
			}
			if c, err = r.all(c, newPass); err != nil || r.dir.Password(alice) != newPass || r.dir.Password(twin) != oldPass || len(r.told(c)) != 0 {
				t.Errorf("%v: %+v", err, c.Also)
			}
			if !strings.Contains(r.events(), "case.linked/refused/") {
				t.Errorf("the record says nothing: %s", r.events())
			}
		})
	}
}

func TestAnAccountThatAsksForMoreIsLeftOutAndNamed(t *testing.T) {
	strict := plan(policy.Reset)
	strict.Alone, strict.Allowed = nil, []verify.Kind{verify.Passkey}
	for name, change := range map[string]func(*rig){
		"by its own policy": func(r *rig) { r.plansOf = map[directory.ID]policy.Plan{twin: strict} },
		"by its cooling off": func(r *rig) {
			young := plan(policy.Reset)
			young.Gates, young.CoolingOff = 1, 24*time.Hour
			r.plansOf = map[directory.ID]policy.Plan{twin: young}
			r.wrap = func(f verify.Factor) verify.Factor { return fresh{f, r} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, twins(), change)
			c, err := r.all(r.proven("alice"), newPass)
			if err != nil || r.dir.Password(twin) != oldPass {
				t.Fatalf("%v, written", err)
			}
			if o := r.wantOther(c, "", false); o.Left != flow.ReasonProofs || o.Login != "alice.a" {
				t.Errorf("%+v", o)
			}
		})
	}
}

// fresh is a factor whose credential was enrolled just now.
type fresh struct {
	verify.Factor
	r *rig
}

func (f fresh) Check(ctx context.Context, s verify.Subject, c verify.Challenge, a []byte) (verify.Evidence, error) {
	ev, err := f.Factor.Check(ctx, s, c, a)
	ev.Since = f.r.clock.Now()
	return ev, err
}

// Between the first write and the next try somebody may have taken the account back.
func TestAnotherTryStopsWhereItsProofsNoLongerStand(t *testing.T) {
	for name, attack := range map[string]func(*rig){
		"the owner said it was not them": func(r *rig) {
			r.known.Set(alice, func(s *access.Standing) { s.Frozen = r.clock.Now() })
		},
		"the owner has recovered the first account in another case": func(r *rig) {
			if _, err := r.nodes[1].Finish(ctx, r.proven("alice").ID, directory.NewSecret("mine again now 9"), nil); err != nil {
				r.t.Fatal(err)
			}
		},
		"the other account is another than it was": func(r *rig) {
			r.dir.Edit(twin, func(u *directory.User) { u.State.PasswordSet = r.clock.Now() })
		},
		"the other account got a role": func(r *rig) { r.dir.Edit(twin, func(u *directory.User) { u.Privileged = "x" }) },
		"a factor is gone":             func(r *rig) { r.vault[verify.TOTP] = nil },
		"the time is up":               func(r *rig) { r.clock.Advance(time.Hour) },
		"the level was raised":         func(r *rig) { r.threat.Raise() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, twins())
			c := r.proven("alice")
			r.dir.Before = failsFor(twin, fmt.Errorf("%w: gone", directory.ErrUnavailable))
			if _, err := r.all(c, newPass); err != nil {
				t.Fatal(err)
			}
			r.dir.Before = nil
			r.clock.Advance(time.Second)
			attack(r)
			r.all(c, newPass)
			if r.dir.Password(twin) != oldPass {
				t.Error("written all the same")
			}
			if o := r.told(c); len(o) != 1 || o[0].Step == flow.StepDone {
				t.Errorf("%+v", o)
			}
		})
	}
	t.Run("nobody was met yet, and the owner has recovered the first account", func(t *testing.T) {
		r := newRig(t, twins())
		c := r.proven("alice")
		r.dir.Unreached = []string{"cloud"}
		r.all(c, newPass)
		r.dir.Unreached = nil
		r.clock.Advance(time.Second)
		if _, err := r.nodes[1].Finish(ctx, r.proven("alice").ID, directory.NewSecret("mine again now 9"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := r.all(c, newPass); !errors.Is(err, flow.ErrConflict) || r.dir.Password(twin) != oldPass {
			t.Errorf("%v", err)
		}
	})
}

func TestWhoWasVouchedForOrHelpedRecoversOneAccount(t *testing.T) {
	r := newRig(t, twins(), func(r *rig) {
		p := plan(policy.Reset)
		p.Allowed, p.Alone = append(p.Allowed, verify.Approval), append(p.Alone, verify.Approval)
		r.plans = map[policy.Purpose]policy.Plan{policy.Reset: p}
	})
	c := r.proven("alice")
	// As after an approver's yes; how one is given is tested elsewhere.
	c, err := r.store.Update(ctx, c.ID, func(_ context.Context, c *flow.Case) (flow.Effects, error) {
		c.Proofs = append(c.Proofs, flow.Proof{Kind: verify.Approval, At: r.clock.Now()})
		return flow.Effects{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.nodes[0].Checklist(ctx, c)
	if err != nil || len(list.Also) != 0 {
		t.Errorf("%v %+v", err, list.Also)
	}
}

func TestAStoreThatFailsWritesNothingAnywhere(t *testing.T) {
	r := newRig(t, twins())
	c := r.proven("alice")
	r.fail = func(p string) {
		if p == "after-intent" {
			t.Error("written after all")
		}
	}
	r.known.Set(twin, func(*access.Standing) {})
	broken := errors.New("the disk is full")
	r.store.FailCreate = broken
	if _, err := r.all(c, newPass); !errors.Is(err, flow.ErrUnavailable) {
		t.Error(err)
	}
	if r.dir.Written() != 0 {
		t.Error("written")
	}
	r.store.FailCreate, r.fail = nil, nil
	if _, err := r.all(c, newPass); err != nil {
		t.Error(err)
	}
}
