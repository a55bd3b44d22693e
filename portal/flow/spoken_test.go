package flow_test

import (
	"errors"
	"testing"

	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/policy"
	"postern/verify"
)

func spokenRig(t testing.TB) *deskRig {
	d := newDeskRig(t)
	d.deskPlan.Spoken = []verify.Kind{verify.TOTP}
	return d
}

// right is what the second challenge of the factor wants, for there is a wrong
// answer to the first.
func right(c *flow.Case) []byte { return []byte(flowtest.Right(verify.TOTP, c.ID, 2)) }

// A code that is read to the technician unlocks, where the policy allows it; it
// gives no way to a password.
func TestASpokenCodeUnlocksAndNothingMore(t *testing.T) {
	d := spokenRig(t)
	c, _ := d.opens(policy.Reset, alice)
	if _, err := d.nodes[0].Spoken(ctx, c.ID, d.signedIn(tech), verify.TOTP, right(c), ""); !errors.Is(err, flow.ErrNotOffered) {
		t.Errorf("for a reset: %v", err)
	}
	c, code := d.opens(policy.Unlock, bob)
	for what, try := range map[string]struct {
		k    verify.Kind
		who  *deskRig
		want error
	}{"another kind": {verify.RecoveryCode, d, flow.ErrNotOffered}, "a passkey": {verify.Passkey, d, flow.ErrNotOffered}} {
		if _, err := d.nodes[0].Spoken(ctx, c.ID, d.signedIn(tech), try.k, right(c), ""); !errors.Is(err, try.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := d.nodes[0].Spoken(ctx, c.ID, d.signedIn(mary), verify.TOTP, right(c), ""); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("somebody else: %v", err)
	}
	var wrong *flow.Wrong
	if _, err := d.nodes[0].Spoken(ctx, c.ID, d.signedIn(tech), verify.TOTP, []byte("wrong"), ""); !errors.As(err, &wrong) || wrong.Left != 4 {
		t.Errorf("a wrong one: %v", err)
	}
	c, err := d.nodes[0].Spoken(ctx, c.ID, d.signedIn(tech), verify.TOTP, right(c), "192.0.2.50")
	if err != nil || c.Outcome.Status != flow.Applied || !c.Proofs[0].Spoken {
		t.Fatalf("%+v, %v", c.Outcome, err)
	}
	for _, kind := range []string{"proof.ok", "proof.failed"} {
		if log := d.events(kind); len(log) != 1 || log[0].Actor != tech || log[0].Detail["spoken"] != "yes" {
			t.Errorf("%s: %+v", kind, log)
		}
	}
	if _, err := d.nodes[1].Claim(ctx, code, "", "en"); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("claimed after that: %v", err)
	}
}

// Whoever has the case in a browser of their own types their code there: nobody
// types into it from elsewhere.
func TestNobodyTypesForWhoHasTheCase(t *testing.T) {
	d := spokenRig(t)
	c, code := d.opens(policy.Unlock, alice)
	if _, err := d.nodes[1].Claim(ctx, code, "", "en"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.nodes[0].Spoken(ctx, c.ID, d.signedIn(tech), verify.TOTP, right(c), ""); !errors.Is(err, flow.ErrNotOffered) {
		t.Errorf("%v", err)
	}
	d.deskPlan.Spoken = nil
	c, _ = d.opens(policy.Unlock, bob)
	if _, err := d.nodes[0].Spoken(ctx, c.ID, d.signedIn(tech), verify.TOTP, right(c), ""); !errors.Is(err, flow.ErrNotOffered) {
		t.Errorf("where the policy says no: %v", err)
	}
}
