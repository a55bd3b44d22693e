package flow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

func TestTwoProofsOfDifferentKindsSetANewPassword(t *testing.T) {
	r := newRig(t)
	c := r.proven("alice")
	r.wantNext(c, flow.StepNewPassword)
	c, err := r.nodes[1].Finish(ctx, c.ID, directory.NewSecret(newPass), nil)
	if err != nil || c.Next(r.clock.Now()) != flow.StepDone || r.dir.Password(alice) != newPass {
		t.Fatalf("finish: %v, %+v", err, c.Outcome)
	}
	if len(r.store.Ended) != 1 || r.store.Ended[0] != alice {
		t.Errorf("sessions ended: %v", r.store.Ended)
	}
	last := r.store.Messages[len(r.store.Messages)-1]
	if last.Template != "password_changed" || len(last.To) != 2 {
		t.Errorf("the notice goes to %v as %s, want both addresses", last.To, last.Template)
	}
	for _, e := range r.store.Log() {
		if strings.Contains(e.Reason+e.SubjectName, newPass) {
			t.Error("a password in the audit log")
		}
	}
}

func TestPasskeyAloneIsEnough(t *testing.T) {
	r := newRig(t)
	r.wantNext(r.prove(r.start(policy.Reset, "alice"), verify.Passkey), flow.StepNewPassword)
}

// security case 40: mail and SMS are one class; the same factor twice is one.
func TestOneClassOpensOneGate(t *testing.T) {
	r := newRig(t)
	c := r.prove(r.start(policy.Reset, "alice"), verify.Email)
	for _, k := range []verify.Kind{verify.Email, verify.SMS} {
		if _, err := r.nodes[0].Choose(ctx, c.ID, k, ""); !errors.Is(err, flow.ErrNotOffered) {
			t.Errorf("choose %s after e-mail: %v, want ErrNotOffered", k, err)
		}
	}
	r.wantNext(c, flow.StepChoose)
}

func TestUnlockNeverTouchesThePassword(t *testing.T) {
	r := newRig(t)
	r.dir.Edit(alice, func(u *directory.User) { u.State.Locked = true })
	c := r.prove(r.start(policy.Unlock, "alice"), verify.Passkey)
	r.wantNext(c, flow.StepDone)
	if got := strings.Join(r.dir.Writes, ","); got != "unlock test:alice" {
		t.Errorf("writes: %s", got)
	}
	if _, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("a password after an unlock: %v", err)
	}
}

func TestResetEndsTheLockAndSaysSo(t *testing.T) {
	r := newRig(t)
	r.dir.Edit(alice, func(u *directory.User) { u.State.Locked = true })
	c, err := r.nodes[0].Finish(ctx, r.proven("alice").ID, directory.NewSecret(newPass), nil)
	if err != nil || !c.Outcome.Unlocked || strings.Join(r.dir.Writes, ",") != "set test:alice,unlock test:alice" {
		t.Fatalf("%v %+v %v", err, c.Outcome, r.dir.Writes)
	}
}

func TestChangeNeedsThisBrowsersKey(t *testing.T) {
	r := newRig(t)
	start := flow.StartRequest{Purpose: policy.Change, Door: access.Web, Login: "alice", Current: directory.NewSecret(oldPass), Hold: hold("tab")}
	c, err := r.nodes[0].Start(ctx, start)
	if err != nil || c.Next(r.clock.Now()) != flow.StepNewPassword {
		t.Fatal(err, c)
	}
	if strings.Contains(string(c.Held), oldPass) {
		t.Fatal("the current password lies in the row")
	}
	stolen, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("other"))
	if err != nil || stolen.Next(r.clock.Now()) != flow.StepRefused || r.dir.Written() != 0 {
		t.Fatalf("with another browser's key: %v %+v", err, stolen.Outcome)
	}
	c, _ = r.nodes[0].Start(ctx, start)
	if c, err = r.nodes[1].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("tab")); err != nil || r.dir.Password(alice) != newPass || len(c.Held) != 0 {
		t.Fatalf("change: %v", err)
	}
}

func TestRefusedPasswordKeepsTheProofs(t *testing.T) {
	r := newRig(t)
	c, err := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.Change, Login: "alice", Current: directory.NewSecret(oldPass), Hold: hold("x")})
	if err != nil {
		t.Fatal(err)
	}
	r.dir.Edit(alice, func(u *directory.User) {})
	var no *directory.Refusal
	r.dir.Before = func(op string, _ directory.User) error {
		return &directory.Refusal{Rule: directory.RuleHistory, Limit: 5}
	}
	if _, err = r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("x")); !errors.As(err, &no) || no.Rule != directory.RuleHistory {
		t.Fatalf("refused: %v", err)
	}
	r.wantNext(c, flow.StepNewPassword)
	r.dir.Before = nil
	if _, err = r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("x")); err != nil {
		t.Fatal(err)
	}
}

// security case 18: wrong current passwords stop two below the directory's lockout.
func TestWrongCurrentPasswordsNeverReachTheLockout(t *testing.T) {
	r := newRig(t)
	for range 50 {
		c, _ := r.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.Change, Login: "alice", Current: directory.NewSecret("wrong"), Hold: hold("x")})
		_ = c
	}
	if r.dir.Binds > 3 {
		t.Fatalf("%d wrong binds reached a directory that locks at 5", r.dir.Binds)
	}
}

// security cases 1, 3, 5: unknown, privileged and disabled accounts walk the same way and never arrive.
func TestDecoysWalkAlikeAndOpenNothing(t *testing.T) {
	r := newRig(t)
	r.dir.Edit(bob, func(u *directory.User) { u.State.Disabled = true })
	var walks []string
	for _, login := range []string{"alice", "nobody", "admin", "bob"} {
		c := r.start(policy.Reset, login)
		walk := []string{string(c.Next(r.clock.Now()))}
		o, err := r.nodes[0].Options(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range o {
			walk = append(walk, string(x.Kind)+":"+x.Reason)
		}
		before := len(r.store.Messages)
		c, err = r.nodes[0].Choose(ctx, c.ID, verify.Email, "")
		if err != nil || len(r.store.Messages) != before+1 {
			t.Fatalf("%s: choosing e-mail: %v", login, err)
		}
		for range 5 {
			var w *flow.Wrong
			if c, err = r.nodes[0].Prove(ctx, c.ID, []byte("guess"), nil); !errors.As(err, &w) {
				t.Fatalf("%s: %v", login, err)
			}
			walk = append(walk, w.Code, string(c.Next(r.clock.Now())))
		}
		_, err = r.nodes[0].Prove(ctx, c.ID, []byte("guess"), nil)
		walk = append(walk, err.Error())
		walks = append(walks, strings.Join(walk, " "))
		if c.Person == nil && r.store.Messages[before].Who.ID != "" {
			t.Errorf("%s: a code is addressed to a real account", login)
		}
	}
	for _, w := range walks[1:] {
		if w != walks[0] {
			t.Errorf("walks differ:\n%s\n%s", walks[0], w)
		}
	}
	// Even the very answer the factor expects opens nothing for a decoy.
	c, err := r.nodes[0].Choose(ctx, r.start(policy.Reset, "nobody2").ID, verify.Passkey, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err = r.nodes[0].Prove(ctx, c.ID, c.Open.State, nil); err == nil {
		t.Fatal("a decoy opened a gate")
	}
}

// security case 9: of 200 answers at once no more are looked at than the limit.
func TestParallelAnswersAreBounded(t *testing.T) {
	r := newRig(t)
	c, err := r.nodes[0].Choose(ctx, r.start(policy.Reset, "alice").ID, verify.TOTP, "")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() { r.nodes[i%2].Prove(ctx, c.ID, []byte("guess"), nil) })
	}
	wg.Wait()
	if n := r.fac[verify.TOTP].Checked; n > 5 {
		t.Fatalf("%d answers were looked at, the limit is 5", n)
	}
}

// security case 8: fresh cases do not give fresh tries.
func TestStrikesOutliveCases(t *testing.T) {
	r := newRig(t)
	for range 4 {
		c, err := r.nodes[0].Choose(ctx, r.start(policy.Reset, "alice").ID, verify.TOTP, "")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.nodes[1].Prove(ctx, c.ID, []byte("guess"), nil)
		}
	}
	if n := r.fac[verify.TOTP].Checked; n != 5 {
		t.Fatalf("%d answers were looked at over four cases, the limit is 5", n)
	}
	// security case 14: the owner's passkey still works meanwhile.
	r.wantNext(r.prove(r.start(policy.Reset, "alice"), verify.Passkey), flow.StepNewPassword)
}

// security case 37: two tabs, two passwords, one write.
func TestTwoTabsWriteOnce(t *testing.T) {
	r := newRig(t)
	c := r.proven("alice")
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = r.nodes[i%2].Finish(ctx, c.ID, directory.NewSecret(newPass+string(rune('a'+i))), nil)
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, flow.ErrConflict) {
			t.Error(err)
		}
	}
	if won != 1 || r.dir.Written() != 1 {
		t.Fatalf("%d tabs won, %d writes", won, r.dir.Written())
	}
}

// security cases 26, 46, 65: the account must still be what the proofs were about.
func TestChangedAccountEndsTheCase(t *testing.T) {
	for name, edit := range map[string]func(*directory.User){
		"mail":       func(u *directory.User) { u.Mail = []string{"eve@example.org"} },
		"phone":      func(u *directory.User) { u.Phone = []string{"+15550199"} },
		"manager":    func(u *directory.User) { u.Manager = "CN=Eve" },
		"moved":      func(u *directory.User) { u.DN = "CN=alice,OU=Other" },
		"disabled":   func(u *directory.User) { u.State.Disabled = true },
		"privileged": func(u *directory.User) { u.Privileged = "Domain Admins" },
		"password":   func(u *directory.User) { u.State.PasswordSet = u.State.PasswordSet.Add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.proven("alice")
			r.dir.Edit(alice, edit)
			if _, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil); err != nil {
				t.Fatal(err)
			}
			r.wantNext(c, flow.StepRefused)
			if r.dir.Written() != 0 {
				t.Fatal("written all the same")
			}
		})
	}
}

func TestSuccessEndsAllOtherCasesOfTheAccount(t *testing.T) {
	r := newRig(t)
	sibling, stranger := r.proven("alice"), r.proven("bob")
	if _, err := r.nodes[0].Finish(ctx, r.proven("alice").ID, directory.NewSecret(newPass), nil); err != nil {
		t.Fatal(err)
	}
	r.wantNext(sibling, flow.StepRefused)
	r.wantNext(stranger, flow.StepNewPassword)
}

func TestAnswerOfAnEarlierTurnOpensNothing(t *testing.T) {
	r := newRig(t)
	c, err := r.nodes[0].Choose(ctx, r.start(policy.Reset, "alice").ID, verify.TOTP, "")
	if err != nil {
		t.Fatal(err)
	}
	right := c.Open.State
	if _, err = r.nodes[0].Choose(ctx, c.ID, verify.Email, ""); err != nil { // "try another way"
		t.Fatal(err)
	}
	var w *flow.Wrong
	if _, err = r.nodes[0].Prove(ctx, c.ID, right, nil); !errors.As(err, &w) {
		t.Fatalf("the answer to an abandoned challenge: %v", err)
	}
}

// security case 20: the server's clock alone.
func TestCaseEndsOnTime(t *testing.T) {
	r := newRig(t)
	c := r.proven("alice")
	r.clock.Advance(15*time.Minute - time.Second)
	r.wantNext(c, flow.StepNewPassword)
	r.clock.Advance(time.Second)
	r.wantNext(c, flow.StepExpired)
	if _, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil); !errors.Is(err, flow.ErrConflict) {
		t.Fatal(err)
	}
}

func TestStoreAndLimitErrorsMeanNo(t *testing.T) {
	r := newRig(t)
	c := r.proven("alice")
	r.store.Fail = errors.New("disk full")
	if _, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil); !errors.Is(err, flow.ErrUnavailable) || r.dir.Written() != 0 {
		t.Fatal("written without a record", err)
	}
	r.store.Fail = nil
	r.dir.Down = directory.ErrUnavailable
	if _, err := r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), nil); !errors.Is(err, directory.ErrUnavailable) {
		t.Fatal(err)
	}
	r.dir.Down = nil
	r.wantNext(c, flow.StepNewPassword)
}

// security case 69: a bounded number of successes a day, whatever the door's limits.
func TestSuccessesADayAreBounded(t *testing.T) {
	r := newRig(t)
	r.perDay = 2
	for i := range 3 {
		c := r.prove(r.start(policy.Unlock, "alice"), verify.Passkey)
		want := flow.StepDone
		if i == 2 {
			want = flow.StepRefused
		}
		r.wantNext(c, want)
	}
	if n := r.dir.Written(); n != 2 {
		t.Errorf("%d unlocks reached the directory", n)
	}
	r.clock.Advance(24 * time.Hour)
	r.wantNext(r.prove(r.start(policy.Unlock, "alice"), verify.Passkey), flow.StepDone)
}

// security case 1: somebody who typed the owner's name and waits must not see
// when the owner gets back in.
func TestStrangerDoesNotSeeTheOwnersSuccess(t *testing.T) {
	r := newRig(t)
	stranger, decoy := r.start(policy.Reset, "alice"), r.start(policy.Reset, "nobody")
	sent := len(r.store.Messages)
	if _, err := r.nodes[0].Finish(ctx, r.proven("alice").ID, directory.NewSecret(newPass), nil); err != nil {
		t.Fatal(err)
	}
	walk := func(c *flow.Case) (steps []string) {
		note := func(c *flow.Case, err error) {
			steps = append(steps, string(c.Next(r.clock.Now())), fmt.Sprint(err))
		}
		c, err := r.nodes[0].Load(ctx, c.ID)
		note(c, err)
		c, err = r.nodes[0].Choose(ctx, c.ID, verify.Email, "")
		note(c, err)
		for range 6 {
			after, err := r.nodes[1].Prove(ctx, c.ID, c.Open.State, nil) // even with the very code
			note(after, err)
		}
		return steps
	}
	if a, b := walk(stranger), walk(decoy); !slices.Equal(a, b) {
		t.Errorf("the stranger saw\n%s\na decoy shows\n%s", a, b)
	}
	for _, m := range r.store.Messages[sent:] {
		if m.Template == "code" && m.Who.ID != "" {
			t.Error("a code was sent for a case that is over")
		}
	}
	if c, _ := r.nodes[0].Load(ctx, stranger.ID); c.Proven() || len(c.Proofs) > 0 {
		t.Error("the case of before still opens gates")
	}
}

// security case 113: a password typed into the field for the login is nobody's
// name, and must not stand in the record; a barred account must.
func TestRecordNamesAccountsAndNoTypos(t *testing.T) {
	r := newRig(t)
	const typo = "Tr0ub4dor&3-horse"
	r.start(policy.Reset, typo)
	r.start(policy.Reset, "root@example.org")
	log := fmt.Sprintf("%+v", r.store.Log())
	if strings.Contains(log, typo) || strings.Contains(log, "b4dor") {
		t.Errorf("what was typed stands in the record: %s", log)
	}
	if !strings.Contains(log, "account:test:admin") || !strings.Contains(log, "SubjectName:admin") {
		t.Errorf("the record does not say which account was tried: %s", log)
	}
}
