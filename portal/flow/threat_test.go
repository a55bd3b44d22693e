package flow_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/policy"
	"postern/verify"
)

// newThreatRig has mary, who is asked about everybody, and plans without approvals.
func newThreatRig(t testing.TB, change ...func(*rig)) *vouchRig {
	return newVouchRig(t, append([]func(*rig){func(r *rig) { r.plans = nil }}, change...)...)
}

func (v *vouchRig) finish(c *flow.Case) *flow.Case {
	v.t.Helper()
	c, err := v.nodes[1].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice"))
	if err != nil {
		v.t.Fatal(err)
	}
	return c
}

// While the level is raised no way that was enough is, and each is with an approval
// on top. Security case 105.
func TestEveryResetNeedsAnApprovalWhileTheLevelIsRaised(t *testing.T) {
	for _, kinds := range [][]verify.Kind{{verify.Passkey}, {verify.TOTP, verify.Email}, {verify.Email, verify.RecoveryCode}, {verify.TOTP, verify.Passkey}} {
		for _, purpose := range []policy.Purpose{policy.Reset, policy.Unlock} {
			v := newThreatRig(t)
			v.dir.Edit(alice, func(u *directory.User) { u.State.Locked = purpose == policy.Unlock })
			v.threat.Raise()
			c := v.start(purpose, "alice")
			if _, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, ""); !errors.Is(err, flow.ErrNotOffered) {
				t.Errorf("%s: asked for before anything was proved: %v", purpose, err)
			}
			for _, k := range kinds {
				c = v.prove(c, k)
			}
			v.wantNext(c, flow.StepChoose)
			if _, err := v.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice")); !errors.Is(err, flow.ErrConflict) || v.dir.Written() != 0 {
				t.Fatalf("%s by %v: %v, %d writes", purpose, kinds, err, v.dir.Written())
			}
			c, token := v.request(c)
			if _, err := v.yes(token, mary); err != nil {
				t.Fatal(err)
			}
			if purpose == policy.Reset {
				v.wantNext(c, flow.StepNewPassword)
				v.finish(c)
			}
			v.wantNext(c, flow.StepDone)
			if v.dir.Written() != 1 {
				t.Errorf("%s by %v: %d writes", purpose, kinds, v.dir.Written())
			}
		}
	}
}

// Of a case that was proven when the level went up nothing is written: it goes back
// and needs the approval, with the proofs it has.
func TestRaisingTheLevelReachesCasesUnderWay(t *testing.T) {
	t.Run("reset", func(t *testing.T) {
		v := newThreatRig(t)
		c := v.proven("alice")
		v.threat.Raise()
		c = v.finish(c)
		v.wantNext(c, flow.StepChoose)
		if v.dir.Written() != 0 || v.dir.Password(alice) != oldPass || len(c.Proofs) != 2 {
			t.Fatalf("%d writes, %d proofs", v.dir.Written(), len(c.Proofs))
		}
		if list := v.events("case.tightened"); len(list) != 1 || list[0].Reason != "threat" || list[0].Subject != alice {
			t.Errorf("%+v", list)
		}
		v.threat.Lower() // which is for cases to come
		v.wantNext(c, flow.StepChoose)
		c, token := v.request(c)
		if _, err := v.yes(token, mary); err != nil {
			t.Fatal(err)
		}
		v.finish(c)
		v.wantNext(c, flow.StepDone)
	})
	t.Run("unlock", func(t *testing.T) {
		v := newThreatRig(t)
		v.dir.Edit(alice, func(u *directory.User) { u.State.Locked = true })
		c := v.prove(v.start(policy.Unlock, "alice"), verify.TOTP)
		v.threat.Raise()
		c = v.prove(c, verify.RecoveryCode)
		v.wantNext(c, flow.StepChoose)
		if v.dir.Written() != 0 {
			t.Fatal("unlocked without an approval")
		}
		c, token := v.request(c)
		if _, err := v.yes(token, mary); err != nil {
			t.Fatal(err)
		}
		v.wantNext(c, flow.StepDone)
	})
	t.Run("one with an approval already", func(t *testing.T) {
		v := newVouchRig(t)
		c, token := v.ask(policy.Reset, "alice")
		if _, err := v.yes(token, mary); err != nil {
			t.Fatal(err)
		}
		v.threat.Raise()
		v.finish(c)
		v.wantNext(c, flow.StepDone)
	})
}

// What was written down as about to happen is on its way: a level raised after that
// must not leave it without an outcome.
func TestALevelRaisedAfterTheIntentTearsNothing(t *testing.T) {
	v := newThreatRig(t)
	c := v.proven("alice")
	v.fail = func(point string) {
		if point == "after-intent" {
			v.threat.Raise()
		}
	}
	v.finish(c)
	v.wantNext(c, flow.StepDone)
}

func TestLoweringTheLevelRestoresWhatWasEnough(t *testing.T) {
	v := newThreatRig(t)
	v.threat.Raise()
	v.start(policy.Reset, "alice")
	v.threat.Lower()
	c := v.prove(v.start(policy.Reset, "alice"), verify.Passkey)
	v.finish(c)
	v.wantNext(c, flow.StepDone)
}

// A level that ends by itself is over then, for new cases.
func TestARaisedLevelEndsWhenItWasSaidTo(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	up := access.Threat{Level: access.Raised, Since: now, Until: now.Add(time.Hour)}
	for at, want := range map[time.Duration]bool{0: true, time.Hour - 1: true, time.Hour: false, 2 * time.Hour: false} {
		if up.Raised(now.Add(at)) != want {
			t.Errorf("after %s: %v", at, !want)
		}
	}
	if (access.Threat{}).Raised(now) || (access.Threat{Level: access.Normal}).Raised(now) || !(access.Threat{Level: access.Raised}).Raised(now) {
		t.Error("the level is not what it says")
	}
}

// Security cases 1 to 3: what a raised level adds to the first page is the same for
// people, for people nobody may help, and for names that nobody has.
func TestStrangerCannotTellWhoExistsByTheLevel(t *testing.T) {
	for _, purpose := range []policy.Purpose{policy.Reset, policy.Unlock} {
		v := newThreatRig(t)
		v.known.Set(bob, func(s *access.Standing) { s.Frozen = v.clock.Now() })
		v.threat.Raise()
		var first string
		for _, login := range []string{"alice", "nobody at all", "admin", "bob"} {
			c := v.start(purpose, login)
			options, err := v.nodes[0].Options(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(options, c.Plan.Vouched, c.Next(v.clock.Now()))
			if first == "" {
				first = got
			}
			if got != first {
				t.Errorf("%s: %s\nalice: %s", login, got, first)
			}
			if i := slices.IndexFunc(options, func(o flow.Option) bool { return o.Kind == verify.Approval }); i < 0 || options[i].Reason != "needs_other_first" {
				t.Errorf("%s: %+v", login, options)
			}
			if slices.ContainsFunc(options, func(o flow.Option) bool { return o.Alone }) {
				t.Errorf("%s: something is said to be enough alone: %+v", login, options)
			}
		}
		// A level that cannot be read is a no for all of them.
		v.threat.Fail(errors.New("database is locked"))
		for _, login := range []string{"alice", "nobody at all", "admin"} {
			if _, err := v.nodes[0].Start(ctx, flow.StartRequest{Purpose: purpose, Door: access.Web, Login: login, Address: "192.0.2.1"}); !errors.Is(err, flow.ErrUnavailable) {
				t.Errorf("%s: %v", login, err)
			}
		}
	}
}

func TestALevelThatCannotBeReadWritesNothing(t *testing.T) {
	v := newThreatRig(t)
	v.dir.Edit(alice, func(u *directory.User) { u.State.Locked = true })
	reset, unlock := v.proven("alice"), v.prove(v.start(policy.Unlock, "alice"), verify.TOTP)
	v.threat.Fail(errors.New("database is locked"))
	if _, err := v.nodes[0].Finish(ctx, reset.ID, directory.NewSecret(newPass), hold("alice")); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("reset: %v", err)
	}
	unlock, err := v.nodes[0].Choose(ctx, unlock.ID, verify.RecoveryCode, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.nodes[0].Prove(ctx, unlock.ID, unlock.Open.State, nil); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("unlock: %v", err)
	}
	if v.dir.Written() != 0 {
		t.Errorf("%d writes", v.dir.Written())
	}
	v.threat.Lower()
	v.finish(reset)
	v.wantNext(reset, flow.StepDone)
}

// Once the rest stands the page asks for the approval and nothing else; who has
// nobody to ask is told to call.
func TestOnlyTheApprovalIsLeft(t *testing.T) {
	v := newThreatRig(t)
	v.threat.Raise()
	c := v.prove(v.start(policy.Reset, "alice"), verify.Passkey)
	options, err := v.nodes[0].Options(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options {
		if (o.Reason == "") != (o.Kind == verify.Approval) {
			t.Errorf("%+v", o)
		}
	}
	v.voucher.Voters = nil
	var no *flow.Invalid
	if _, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, ""); !errors.As(err, &no) || no.Code != "no_approver_now" {
		t.Errorf("%v", err)
	}
	v.wantNext(c, flow.StepChoose)
}

// Signing in goes on, or nobody could lower the level; so does changing a password
// that is known.
func TestSigningInAndChangingGoOnWhileTheLevelIsRaised(t *testing.T) {
	v := newThreatRig(t)
	v.threat.Raise()
	for _, purpose := range []policy.Purpose{policy.SignIn, policy.Change} {
		c, err := v.nodes[0].Start(ctx, flow.StartRequest{Purpose: purpose, Door: access.Web, Login: "alice", Current: directory.NewSecret(oldPass), Address: "192.0.2.1", Hold: hold("alice")})
		if err != nil || c.Plan.Vouched {
			t.Fatalf("%s: %v", purpose, err)
		}
		if purpose == policy.SignIn {
			c = v.prove(c, verify.TOTP)
		} else {
			c = v.finish(c)
		}
		v.wantNext(c, flow.StepDone)
	}
}

// At the desk it is no different, and where nobody can be asked no case begins. A
// case that only says who is calling needs none: what may be done in it is
// portal/desk's.
func TestATechniciansCaseNeedsTheApprovalToo(t *testing.T) {
	v := newThreatRig(t, func(r *rig) { r.deskPlan = plan(policy.Reset) })
	v.threat.Raise()
	begin := func(p policy.Purpose) (*flow.Case, error) {
		u, err := v.dir.Read(ctx, directory.User{ID: alice})
		if err != nil {
			t.Fatal(err)
		}
		c, err := v.nodes[0].Assist(ctx, flow.AssistRequest{Purpose: p, By: v.signedIn(bob), Target: u, Cause: "x", Ticket: "1", Lang: "en"})
		return c, err
	}
	for p, want := range map[policy.Purpose]bool{policy.Reset: true, policy.Unlock: true, policy.Assist: false} {
		if c, err := begin(p); err != nil || c.Plan.Vouched != want {
			t.Errorf("%s: %v", p, err)
		}
	}
	if slices.Contains(v.templates(), "approval_request") {
		t.Error("somebody was asked by beginning")
	}
	v.voucher.Voters = nil
	for p, want := range map[policy.Purpose]string{policy.Reset: "no_approver", policy.Unlock: "no_approver", policy.Assist: ""} {
		_, err := begin(p)
		var no *flow.NotServed
		if errors.As(err, &no); (no == nil) != (want == "") || no != nil && no.Reason != want {
			t.Errorf("%s: %v", p, err)
		}
	}
	v.threat.Fail(errors.New("down"))
	if _, err := begin(policy.Reset); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// templates are the templates of all messages so far.
func (v *vouchRig) templates() (list []string) {
	for _, m := range v.store.Messages {
		list = append(list, m.Template)
	}
	return list
}

var _ access.Threats = (*flowtest.Threats)(nil)
