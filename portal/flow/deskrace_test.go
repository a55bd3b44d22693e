package flow_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/policy"
	"postern/verify"
)

// atOnce runs all side by side and says how many went well.
func atOnce(all ...func() error) int {
	var well atomic.Int32
	var wait sync.WaitGroup
	for _, do := range all {
		wait.Go(func() {
			if do() == nil {
				well.Add(1)
			}
		})
	}
	wait.Wait()
	return int(well.Load())
}

func times(n int, do func(i int) error) (all []func() error) {
	for i := range n {
		all = append(all, func() error { return do(i) })
	}
	return all
}

// Of a yes and a no, and of several of them, one holds; its word is in the record once.
func TestASecondTechnicianAnswersOnce(t *testing.T) {
	for range 20 {
		d, c := held(t, policy.Reset)
		answers := append(times(4, func(i int) error { _, err := d.nodes[i%2].Release(ctx, c.ID, d.signedIn(second), ""); return err }),
			times(4, func(i int) error { _, err := d.nodes[i%2].Refuse(ctx, c.ID, d.signedIn(second), ""); return err })...)
		if n := atOnce(answers...); n != 1 {
			t.Fatalf("%d answers were taken", n)
		}
		got, err := d.nodes[0].Load(ctx, c.ID)
		if err != nil || len(d.events("case.released"))+len(d.events("case.not_released")) != 1 || got.Hold.Refused != (got.Code == "") || got.Hold.Refused == got.Live(d.clock.Now()) {
			t.Fatalf("%+v, %+v, %v", got, got.Hold, err)
		}
	}
}

// Ninety numbers tried at once are three tries, and the last ends the case.
func TestNumbersTriedAtOnceAreThreeTries(t *testing.T) {
	d := newDeskRig(t)
	c, code := d.opens(policy.Assist, alice)
	if _, err := d.nodes[1].Claim(ctx, code, "", "en"); err != nil {
		t.Fatal(err)
	}
	number := d.reads(d.prove(c, verify.TOTP))
	by := d.signedIn(tech)
	atOnce(times(90, func(i int) error {
		guess := []byte{byte('1' + i/10), byte('0' + i%10)}
		if string(guess) == number {
			return nil
		}
		_, err := d.nodes[i%2].Match(ctx, c.ID, by, string(guess), "")
		return err
	})...)
	if n := len(d.events("number.failed")); n > 3 {
		t.Errorf("%d were looked at", n)
	}
	if _, err := d.nodes[0].Match(ctx, c.ID, by, number, ""); err == nil {
		t.Error("the right one after that")
	}
}

// The right number sent twice is one match: two technicians' clicks, one event.
func TestANumberMatchesOnce(t *testing.T) {
	d := newDeskRig(t)
	c, code := d.opens(policy.Assist, alice)
	if _, err := d.nodes[1].Claim(ctx, code, "", "en"); err != nil {
		t.Fatal(err)
	}
	number, by := d.reads(d.prove(c, verify.TOTP)), d.signedIn(tech)
	atOnce(times(6, func(i int) error { _, err := d.nodes[i%2].Match(ctx, c.ID, by, number, ""); return err })...)
	got, err := d.nodes[0].Load(ctx, c.ID)
	if err != nil || got.Outcome.Status != flow.Applied || len(got.Proofs) != 2 || len(d.events("caller.verified")) != 1 {
		t.Errorf("%+v, %d events, %v", got.Proofs, len(d.events("caller.verified")), err)
	}
}

// A code that is read out while the caller opens the case counts at one place only:
// whoever has the case in a browser is never spoken for.
func TestACodeReadOutAndACaseOpenedAtOnce(t *testing.T) {
	for range 30 {
		d := spokenRig(t)
		c, code := d.opens(policy.Unlock, alice)
		by := d.signedIn(tech)
		atOnce(func() error { _, err := d.nodes[0].Claim(ctx, code, "", "en"); return err },
			func() error {
				_, err := d.nodes[1].Spoken(ctx, c.ID, by, verify.TOTP, []byte(flowtest.Right(verify.TOTP, c.ID, 1)), "")
				return err
			})
		got, err := d.nodes[0].Load(ctx, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		said := len(got.Proofs) == 1 && got.Proofs[0].Spoken
		if said && !got.Claimed.IsZero() || said != (got.Outcome.Status == flow.Applied) || len(got.Proofs) > 0 && !said {
			t.Fatalf("claimed %s, %+v, %+v", got.Claimed, got.Proofs, got.Outcome)
		}
	}
}

// Somebody who is frozen, disabled, made privileged, moved, renamed in the directory or
// given another manager, mail, telephone or password between the proof and the act gets
// nothing handed over, whatever was proved and matched before (security cases 26, 99).
func TestWhoChangedDuringTheCallGetsNothing(t *testing.T) {
	edit := func(change func(*directory.User)) func(*deskRig) {
		return func(d *deskRig) { d.dir.Edit(alice, change) }
	}
	for what, happens := range map[string]func(*deskRig){
		"disabled":   edit(func(u *directory.User) { u.State.Disabled = true }),
		"privileged": edit(func(u *directory.User) { u.Privileged = "Domain Admins" }),
		"moved":      edit(func(u *directory.User) { u.DN = "CN=alice,OU=Board,DC=x" }),
		"manager":    edit(func(u *directory.User) { u.Manager = "CN=thief" }),
		"mail":       edit(func(u *directory.User) { u.Mail = []string{"thief@example.net"} }),
		"telephone":  edit(func(u *directory.User) { u.Phone = []string{"+1 555"} }),
		"password":   edit(func(u *directory.User) { u.State.PasswordSet = u.State.PasswordSet.Add(time.Minute) }),
		"frozen":     func(d *deskRig) { d.freeze(alice) },
	} {
		for _, p := range []policy.Purpose{policy.Reset, policy.Unlock, policy.Assist} {
			d := newDeskRig(t)
			c, code := d.opens(p, alice)
			if _, err := d.nodes[1].Claim(ctx, code, "", "en"); err != nil {
				t.Fatal(err)
			}
			number := d.reads(d.prove(c, verify.TOTP))
			matches := func() { _, _ = d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), number, "") }
			if p == policy.Reset { // it waits for the password: let it be matched first
				matches()
				happens(d)
				_, _ = d.nodes[1].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice"))
			} else {
				happens(d)
				matches()
			}
			got, err := d.nodes[0].Load(ctx, c.ID)
			frozenAssist := what == "frozen" && p == policy.Assist // that is how it ends
			if err != nil || d.dir.Written() != 0 || (got.Outcome.Status == flow.Applied) != frozenAssist {
				t.Errorf("%s, %s: %+v, closed %q, %d writes, %v", what, p, got.Outcome, got.Closed, d.dir.Written(), err)
			}
		}
	}
}
