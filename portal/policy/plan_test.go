package policy

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"postern/verify"
)

func every() []verify.Kind {
	return []verify.Kind{verify.Passkey, verify.TOTP, verify.YubiKey, verify.Email, verify.SMS, verify.RecoveryCode, verify.Approval, verify.Password}
}

func defaults(t *testing.T) *Policy {
	t.Helper()
	p, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// security case 40
func TestOneSortOfProofIsNotTwo(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Plans.Reset.Allowed = slices.DeleteFunc(every(), func(k verify.Kind) bool { return k == verify.Password })
	cfg.Plans.Unlock.Allowed = cfg.Plans.Reset.Allowed
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		proofs []verify.Kind
		enough bool
	}{
		{"nothing", nil, false},
		{"mail and SMS", []verify.Kind{verify.Email, verify.SMS}, false},
		{"mail, SMS, mail, SMS", []verify.Kind{verify.Email, verify.SMS, verify.Email, verify.SMS}, false},
		{"TOTP twice", []verify.Kind{verify.TOTP, verify.TOTP}, false},
		{"TOTP and YubiKey", []verify.Kind{verify.TOTP, verify.YubiKey}, false},
		{"two recovery codes", []verify.Kind{verify.RecoveryCode, verify.RecoveryCode}, false},
		{"an approval", []verify.Kind{verify.Approval}, false},
		{"two approvals", []verify.Kind{verify.Approval, verify.Approval}, false},
		{"mail and approval, nothing bound or saved", []verify.Kind{verify.Email, verify.Approval}, false},
		{"a kind nobody knows", []verify.Kind{"", "magic", verify.TOTP}, false},
		{"password, which the plan does not allow", []verify.Kind{verify.Password, verify.TOTP}, false},
		{"passkey", []verify.Kind{verify.Passkey}, true},
		{"passkey after mail", []verify.Kind{verify.Email, verify.Passkey}, true},
		{"TOTP and mail", []verify.Kind{verify.TOTP, verify.Email}, true},
		{"mail and recovery code", []verify.Kind{verify.Email, verify.RecoveryCode}, true},
		{"approval and TOTP", []verify.Kind{verify.TOTP, verify.Approval}, true},
	}
	for _, purpose := range []Purpose{Reset, Unlock} {
		for _, tt := range tests {
			if got := p.defaults[purpose].Enough(tt.proofs); got != tt.enough {
				t.Errorf("%s: %s: enough = %v", purpose, tt.name, got)
			}
		}
	}
}

func TestAnApprovalIsNeverAloneWhateverThePlanSays(t *testing.T) {
	p := Plan{Allowed: every(), Alone: []verify.Kind{verify.Approval}, Gates: 1}
	if p.Enough([]verify.Kind{verify.Approval}) || p.Offer(verify.Approval, nil) == "" {
		t.Error("an approval alone was enough")
	}
}

func TestTheFirstProofMustComeFirst(t *testing.T) {
	p := defaults(t).defaults[SignIn]
	for _, tt := range []struct {
		proofs []verify.Kind
		enough bool
	}{
		{[]verify.Kind{verify.Password}, false},
		{[]verify.Kind{verify.Password, verify.TOTP}, true},
		{[]verify.Kind{verify.Password, verify.Email}, true},
		{[]verify.Kind{verify.TOTP, verify.Password}, false},
		{[]verify.Kind{verify.TOTP, verify.RecoveryCode}, false},
		{[]verify.Kind{verify.Passkey}, true},
	} {
		if got := p.Enough(tt.proofs); got != tt.enough {
			t.Errorf("%v: enough = %v", tt.proofs, got)
		}
	}
}

func TestOffer(t *testing.T) {
	all := defaults(t)
	reset := all.defaults[Reset]
	reset.Allowed = append(reset.Allowed, verify.SMS, verify.Approval)
	tests := []struct {
		name   string
		plan   Plan
		kind   verify.Kind
		proofs []verify.Kind
		reason string
	}{
		{"not in the plan", reset, verify.YubiKey, nil, "not_allowed"},
		{"no such kind", reset, "magic", nil, "not_allowed"},
		{"anything first", reset, verify.Email, nil, ""},
		{"an approval never first", reset, verify.Approval, nil, "needs_other_first"},
		{"SMS after mail", reset, verify.SMS, []verify.Kind{verify.Email}, "same_class"},
		{"the same again", reset, verify.TOTP, []verify.Kind{verify.TOTP}, "same_class"},
		{"a passkey after TOTP ends it", reset, verify.Passkey, []verify.Kind{verify.TOTP}, ""},
		{"approval after mail leaves nothing bound", reset, verify.Approval, []verify.Kind{verify.Email}, "needs_stronger"},
		{"approval after TOTP", reset, verify.Approval, []verify.Kind{verify.TOTP}, ""},
		{"TOTP after mail", reset, verify.TOTP, []verify.Kind{verify.Email}, ""},
		{"TOTP before the password", all.defaults[SignIn], verify.TOTP, nil, "needs_other_first"},
		{"passkey instead of the password", all.defaults[SignIn], verify.Passkey, nil, ""},
		{"TOTP after the password", all.defaults[SignIn], verify.TOTP, []verify.Kind{verify.Password}, ""},
	}
	for _, tt := range tests {
		if got := tt.plan.Offer(tt.kind, tt.proofs); got != tt.reason {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.reason)
		}
	}
}

// Whatever a file says and Validate lets pass, nobody gets in on one class, and
// taking only what is offered always leads somewhere. Security case 40.
func TestWhateverValidateAcceptsHoldsTheFloor(t *testing.T) {
	classes := []verify.Class{verify.Possession, verify.Issued, verify.Saved, verify.Contact, verify.Knowledge}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		cfg := DefaultConfig()
		c := PlanConfig{
			Allowed: rapid.SliceOfNDistinct(rapid.SampledFrom(every()), 2, 8, rapid.ID[verify.Kind]).Draw(t, "allowed"),
			Gates:   rapid.SampledFrom([]int{2, 2, 2, 1, 3, 0, 4}).Draw(t, "gates"), // most of them valid
			Anchor:  rapid.SliceOfNDistinct(rapid.SampledFrom(classes), 0, 3, rapid.ID[verify.Class]).Draw(t, "anchor"),
			Life:    DefaultConfig().Plans.Reset.Life, Tries: 5,
		}
		if len(c.Allowed) > 0 {
			c.Alone = rapid.SliceOfNDistinct(rapid.SampledFrom(c.Allowed), 0, 2, rapid.ID[verify.Kind]).Draw(t, "alone")
			if rapid.Bool().Draw(t, "ordered") {
				c.First = ptr(rapid.SampledFrom(c.Allowed).Draw(t, "first"))
			}
		}
		purpose := rapid.SampledFrom([]Purpose{Reset, Unlock, SignIn, StepUp}).Draw(t, "purpose")
		switch purpose {
		case Reset:
			cfg.Plans.Reset = c
		case Unlock:
			cfg.Plans.Unlock = c
		case SignIn:
			cfg.Plans.SignIn = c
		case StepUp:
			cfg.Plans.StepUp = c
		}
		if len(cfg.Validate()) > 0 {
			return
		}
		accepted++
		plan := c.plan("drawn")
		proofs := rapid.SliceOfN(rapid.SampledFrom(every()), 0, 6).Draw(t, "proofs")
		if !plan.Enough(proofs) {
			return
		}
		got := map[verify.Class]bool{}
		for _, k := range proofs {
			if k.PhishingResistant() || purpose == StepUp && (k.Class() == verify.Possession || k.Class() == verify.Saved) {
				return
			}
			got[k.Class()] = true
		}
		if len(got) < 2 {
			t.Fatalf("%s: %v is enough for %+v", purpose, proofs, plan)
		}
	})
	if accepted == 0 && !testing.Short() { // which draws only twenty
		t.Error("no plan drawn was ever valid: nothing was tried")
	}
}

// Enough and Offer agree: every walk along what is offered ends at Enough or
// with nothing left to offer, and never needs a kind that was refused.
func TestWalksAlongOffersEndWell(t *testing.T) {
	p := defaults(t)
	for purpose, plan := range p.defaults {
		var walk func(proofs []verify.Kind)
		walk = func(proofs []verify.Kind) {
			if plan.Enough(proofs) {
				return
			}
			if len(proofs) > len(plan.Allowed) {
				t.Fatalf("%s: endless: %v", purpose, proofs)
			}
			left := false
			for _, k := range plan.Allowed {
				if plan.Offer(k, proofs) == "" {
					left = true
					walk(append(slices.Clone(proofs), k))
				}
			}
			if !left {
				t.Errorf("%s: after %v nothing is offered and it is not enough", purpose, proofs)
			}
		}
		walk(nil)
	}
}

func TestReachable(t *testing.T) {
	p := defaults(t).defaults[Reset]
	for _, tt := range []struct {
		have []verify.Kind
		want bool
	}{
		{nil, false},
		{[]verify.Kind{verify.Email}, false},
		{[]verify.Kind{verify.Email, verify.TOTP}, true},
		{[]verify.Kind{verify.Passkey}, true},
	} {
		if got := p.Reachable(tt.have); got != tt.want {
			t.Errorf("%v: reachable = %v", tt.have, got)
		}
	}
}
