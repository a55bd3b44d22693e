package flow_test

import (
	"errors"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// byCode is an answer with a code of mary's app.
func (v *vouchRig) byCode(token, number string) (flow.Request, error) {
	return v.nodes[0].Vouch(ctx, flow.Answer{Token: token, By: v.signedIn(mary), Kind: verify.TOTP, Number: number, Proof: []byte("000000")})
}

// Security cases 8 and 15: whoever has an approver's session, and an accomplice to ask
// again and again, guesses at the approver's app; it is the same durable counter
// as at every other door.
func TestCodesOfAnApproverAreCounted(t *testing.T) {
	v := newVouchRig(t)
	var limited int
	for n := range 6 {
		_, token := v.ask(policy.Reset, []string{"alice", "bob"}[n%2])
		for range 2 {
			_, err := v.byCode(token, "47")
			if errors.As(err, new(*flow.Limited)) {
				limited++
			}
		}
	}
	if v.voucher.Voted != v.strike.PerWindow || limited != 12-v.strike.PerWindow {
		t.Errorf("%d codes were looked at, %d refused", v.voucher.Voted, limited)
	}
	if st, err := v.store.Strikes(ctx, mary, verify.TOTP); err != nil || st.Consecutive != v.strike.PerWindow {
		t.Errorf("%+v, %v", st, err)
	}
	// The passkey still works (security case 14), and a right code forgives.
	_, token := v.ask(policy.Reset, "alice")
	if _, err := v.yes(token, mary); err != nil {
		t.Errorf("the passkey: %v", err)
	}
	v.clock.Advance(time.Hour)
	_, token = v.ask(policy.Reset, "bob")
	if _, err := v.nodes[0].Vouch(ctx, flow.Answer{Token: token, By: v.signedIn(mary), Kind: verify.TOTP, Number: "47", Proof: []byte("signed")}); err != nil {
		t.Fatal(err)
	}
	if st, _ := v.store.Strikes(ctx, mary, verify.TOTP); st.Consecutive != 0 {
		t.Errorf("%+v", st)
	}
}

// What goes wrong on our side, or is not theirs to answer, costs no try: else a
// request could not be answered any more, and would not say so.
func TestAFaultIsNotAWrongNumber(t *testing.T) {
	v := newVouchRig(t)
	c, token := v.ask(policy.Reset, "alice")
	for _, cause := range []error{errors.New("vault down"), &verify.Unfit{Reason: "no_credential"}, errors.New("vault down"), errors.New("vault down")} {
		v.voucher.Unfit = cause
		if _, err := v.yes(token, mary); err == nil || errors.As(err, new(*flow.Wrong)) {
			t.Fatalf("%v", err)
		}
	}
	v.voucher.Unfit = nil
	if _, err := v.yes(token, mary); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	v.wantNext(c, flow.StepNewPassword)
}

// A store that goes away while the account is unlocked after a yes must not take the
// request down with it.
func TestAYesSurvivesTheLossOfTheStore(t *testing.T) {
	v := newVouchRig(t)
	v.dir.Edit(alice, func(u *directory.User) { u.State.Locked = true })
	_, token := v.ask(policy.Unlock, "alice")
	v.dir.AfterWrite = func(string, directory.User) error {
		v.store.Fail = errors.New("gone")
		return directory.ErrUncertain
	}
	if _, err := v.yes(token, mary); err != nil {
		t.Errorf("%v", err)
	}
}
