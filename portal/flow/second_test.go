package flow_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/policy"
	"postern/verify"
)

const (
	second = directory.ID("test:second")
	kept   = "velocity"
)

// held is a case that waits for a second technician, begun a minute ago.
func held(t testing.TB, p policy.Purpose) (*deskRig, *flow.Case) {
	d := newDeskRig(t)
	d.dir.Add(directory.User{ID: second, Login: "second", Name: "Sami Second", State: directory.State{PasswordSet: d.clock.Now().Add(-time.Hour)}}, oldPass)
	u, err := d.dir.Read(ctx, directory.User{ID: alice})
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.nodes[0].Assist(ctx, flow.AssistRequest{Purpose: p, By: d.signedIn(tech), Target: u, Cause: "lost the phone", Ticket: "INC-7", Send: true, Hold: []string{kept}})
	if err != nil {
		t.Fatal(err)
	}
	d.clock.Advance(time.Minute)
	return d, c
}

// Security case 105: what is held has no way in for anybody, not even a code to read
// out, until another technician, with a proof given for it, has said yes.
func TestAHeldCaseHasNoWayInUntilTheSecondYes(t *testing.T) {
	d, c := held(t, policy.Reset)
	if c.Code != "" || c.Proven() {
		t.Errorf("there is a code: %q", c.Code)
	}
	var alarm, mailed int
	for _, m := range d.store.Messages {
		switch m.Template {
		case "desk_alarm":
			alarm++
		case "desk_claim":
			mailed++
		}
	}
	if alarm != 1 || mailed != 0 {
		t.Errorf("%d alarms, %d ways in mailed", alarm, mailed)
	}
	for what, by := range map[string]directory.ID{"who began it": tech, "whom it is about": alice} {
		if _, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(by), ""); !errors.Is(err, flow.ErrNoRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	old := d.signedIn(second)
	old.Proven = c.Hold.Since
	if _, err := d.nodes[1].Release(ctx, c.ID, old, ""); !errors.Is(err, flow.ErrWeak) {
		t.Errorf("a proof given before it was asked: %v", err)
	}
	if _, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(second, verify.Password, verify.Email), ""); !errors.Is(err, flow.ErrWeak) {
		t.Errorf("by password and mail: %v", err)
	}
	c, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(second), "192.0.2.51")
	if err != nil || c.Code == "" || c.OnHold() || c.Hold.SecondName != "second" {
		t.Fatalf("%+v, %v", c.Hold, err)
	}
	if _, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(mary), ""); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("twice: %v", err)
	}
	if log := d.events("case.released"); len(log) != 1 || log[0].Actor != second || log[0].Address != "192.0.2.51" || log[0].Detail["technician"] != "tech" {
		t.Errorf("%+v", log)
	}
	if c, err = d.nodes[0].Claim(ctx, c.Code, "", "en"); err != nil {
		t.Fatal(err)
	}
	c = d.prove(c, verify.TOTP)
	if c, err = d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), d.reads(c), ""); err != nil || c.Next(d.clock.Now()) != flow.StepNewPassword {
		t.Errorf("%v", err)
	}
}

// Whoever helps a person cannot vouch for them in the same case, and the other way
// round (security case 103).
func TestWhoHelpsCannotVouch(t *testing.T) {
	d, c := held(t, policy.Reset)
	c, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(second), "")
	if err != nil {
		t.Fatal(err)
	}
	if c, err = d.nodes[0].Claim(ctx, c.Code, "", "en"); err != nil {
		t.Fatal(err)
	}
	if _, err = d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), d.reads(c), ""); err != nil {
		t.Fatal(err)
	}
	if _, err = d.nodes[1].Choose(ctx, c.ID, verify.Approval, ""); err != nil {
		t.Fatal(err)
	}
	if got := d.voucher.Subject.Helpers; !slices.Equal(got, []directory.ID{tech, second}) {
		t.Errorf("the factor is told that %v help", got)
	}
}

// A no ends what was not begun, and shuts what was done already.
func TestTheSecondNo(t *testing.T) {
	d, c := held(t, policy.Unlock)
	c, err := d.nodes[1].Refuse(ctx, c.ID, d.signedIn(second), "")
	if err != nil || c.Next(d.clock.Now()) != flow.StepRefused || c.Closed != flow.ReasonDeclined {
		t.Fatalf("%+v, %v", c.Closed, err)
	}
	if _, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(mary), ""); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("a yes after the no: %v", err)
	}
	_, late := held(t, policy.Unlock)
	d.clock.Advance(2 * time.Hour)
	if _, err := d.nodes[1].Release(ctx, late.ID, d.signedIn(second), ""); err == nil {
		t.Error("a yes after its time")
	}
}

// A yes holds for what was asked, and for nothing that comes to it.
func TestAYesIsForWhatWasAsked(t *testing.T) {
	d, c := held(t, policy.Assist)
	if err := d.nodes[0].Hold(ctx, c.ID, d.signedIn(second), []string{"hours"}); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("somebody else's case: %v", err)
	}
	if _, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(second), ""); err != nil {
		t.Fatal(err)
	}
	if err := d.nodes[0].Hold(ctx, c.ID, d.signedIn(tech), []string{kept}); err != nil {
		t.Fatal(err)
	}
	if c, _ = d.nodes[0].Load(ctx, c.ID); c.OnHold() {
		t.Error("asked again for the same")
	}
	if err := d.nodes[0].Hold(ctx, c.ID, d.signedIn(tech), []string{kept, "hours"}); err != nil {
		t.Fatal(err)
	}
	if c, _ = d.nodes[0].Load(ctx, c.ID); !c.OnHold() || !slices.Equal(c.Hold.Reasons, []string{kept, "hours"}) || c.Hold.Second != "" {
		t.Errorf("%+v", c.Hold)
	}
}

// Security cases 100 and 103: a second account of the technician who began it is no
// second technician.
func TestNobodyIsTheirOwnSecondTechnician(t *testing.T) {
	d, c := held(t, policy.Reset)
	d.dir.Edit(second, func(u *directory.User) { u.Name = "THEO  Technician" })
	if _, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(second), ""); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("a yes: %v", err)
	}
	if _, err := d.nodes[1].Refuse(ctx, c.ID, d.signedIn(second), ""); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("a no: %v", err)
	}
	if got, err := d.nodes[0].Load(ctx, c.ID); err != nil || !got.OnHold() || got.Code != "" {
		t.Errorf("%+v, %v", got.Hold, err)
	}
}

// What is held on the way, before a spoken code is taken, goes on after the yes; it
// gets no longer life by it.
func TestACaseHeldOnTheWayGoesOnAfterTheYes(t *testing.T) {
	d, _ := held(t, policy.Unlock)
	d.deskPlan.Spoken = []verify.Kind{verify.TOTP}
	c, _ := d.opens(policy.Unlock, bob)
	d.clock.Advance(5 * time.Minute)
	if err := d.nodes[0].Hold(ctx, c.ID, d.signedIn(tech), []string{"hours"}); err != nil {
		t.Fatal(err)
	}
	d.clock.Advance(5 * time.Minute)
	got, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(second), "")
	if err != nil || got.OnHold() || got.Code != c.Code || !got.Expires.Equal(c.Expires) {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err = d.nodes[0].Spoken(ctx, c.ID, d.signedIn(tech), verify.TOTP, []byte(flowtest.Right(verify.TOTP, c.ID, 1)), ""); err != nil || got.Outcome.Status != flow.Applied {
		t.Errorf("%+v, %v", got.Outcome, err)
	}
}
