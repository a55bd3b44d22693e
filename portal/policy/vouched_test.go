package policy

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"postern/portal/access"
	"postern/verify"
)

// drawPlan is some plan, whether Validate would take it or not.
func drawPlan(t *rapid.T) Plan {
	kinds := rapid.SliceOfDistinct(rapid.SampledFrom(every()), rapid.ID[verify.Kind])
	p := Plan{Allowed: kinds.Draw(t, "allowed"), Alone: kinds.Draw(t, "alone"), Gates: rapid.IntRange(0, 4).Draw(t, "gates"),
		Anchor: rapid.SliceOfDistinct(rapid.SampledFrom([]verify.Class{verify.Possession, verify.Issued, verify.Saved, verify.Contact}), rapid.ID[verify.Class]).Draw(t, "anchor")}
	if len(p.Allowed) > 0 && rapid.Bool().Draw(t, "has first") {
		p.First = rapid.SampledFrom(p.Allowed).Draw(t, "first")
	}
	return p
}

// Raising the level takes a way away or makes it longer, for every plan there could
// be, and opens none. Security case 105.
func TestARaisedLevelIsNeverTheEasierOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t)
		raised := plan.Vouch()
		given := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Given {
			return Given{Kind: rapid.SampledFrom(every()).Draw(t, "kind"), Cooling: rapid.Bool().Draw(t, "cooling")}
		}), 0, 6).Draw(t, "given")
		approved := slices.ContainsFunc(given, func(g Given) bool { return g.Kind == verify.Approval })
		if got, want := raised.Satisfied(given), approved && plan.Satisfied(given); got != want {
			t.Fatalf("%+v by %+v: %v, want %v", plan, given, got, want)
		}
		if raised.OnlyApproval(given) != (!approved && plan.Satisfied(given)) {
			t.Fatalf("%+v by %+v: what is missing is told wrongly", plan, given)
		}
		if plan.Vouched || raised.unvouched().Vouched {
			t.Fatal("a plan was changed through another one")
		}
	})
}

// Whoever could get in and has somebody to ask still can, taking only what is
// offered; nobody is asked before something of the person's own stands.
func TestWhoHasSomebodyToAskIsNotStrandedByTheLevel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t)
		raised := plan.Vouch()
		have := rapid.SliceOfDistinct(rapid.SampledFrom(every()), rapid.ID[verify.Kind]).Draw(t, "have")
		own := slices.DeleteFunc(slices.Clone(have), func(k verify.Kind) bool { return k == verify.Approval })
		asked := append(slices.Clone(own), verify.Approval)
		want := plan.Reachable(own) && len(own) > 0 || slices.Contains(plan.Allowed, verify.Approval) && plan.Reachable(asked)
		if got := raised.Reachable(asked); got != want {
			t.Fatalf("%+v with %v: reachable is %v", plan, asked, got)
		}
		if raised.Reachable(own) {
			t.Fatalf("%+v with %v: reached without an approval", plan, own)
		}
		if raised.Offer(verify.Approval, nil) == "" {
			t.Fatalf("%+v: an approval is offered to anybody", plan)
		}
		for _, k := range every() {
			if why := raised.Offer(k, nil); why == "" && plan.Offer(k, nil) != "" {
				t.Fatalf("%+v: %s can be chosen because the level is raised", plan, k)
			}
		}
	})
}

func TestAPasskeyAloneIsNotEnoughWhileTheLevelIsRaised(t *testing.T) {
	p := defaults(t).For(access.Web, Reset, someone()).Vouch()
	for _, tt := range []struct {
		proofs []verify.Kind
		enough bool
		asks   string // why an approval is not offered now
	}{
		{nil, false, "needs_other_first"},
		{[]verify.Kind{verify.Email}, false, "needs_other_first"},
		{[]verify.Kind{verify.Passkey}, false, ""},
		{[]verify.Kind{verify.TOTP, verify.Email}, false, ""},
		{[]verify.Kind{verify.TOTP, verify.Approval}, false, "same_class"}, // the plan has no approval among its two
		{[]verify.Kind{verify.Approval}, false, "same_class"},
		{[]verify.Kind{verify.Passkey, verify.Approval}, true, "same_class"},
		{[]verify.Kind{verify.TOTP, verify.Email, verify.Approval}, true, "same_class"},
	} {
		if got := p.Enough(tt.proofs); got != tt.enough {
			t.Errorf("%v: enough = %v", tt.proofs, got)
		}
		if got := p.Offer(verify.Approval, tt.proofs); got != tt.asks {
			t.Errorf("%v: an approval is %q, want %q", tt.proofs, got, tt.asks)
		}
	}
	if p.Offer(verify.TOTP, []verify.Kind{verify.Email}) != "" || p.Offer(verify.SMS, nil) != "not_allowed" {
		t.Error("what the plan offers of its own is another now")
	}
	if got := p.Kinds(); !slices.Equal(got, []verify.Kind{verify.Passkey, verify.TOTP, verify.Email, verify.RecoveryCode, verify.Approval}) || len(p.Allowed) != 4 {
		t.Errorf("%v, %v", got, p.Allowed)
	}
}

func TestTheSimulatorSaysWhatARaisedLevelMeans(t *testing.T) {
	p := defaults(t)
	app := Means{Enrolled: []verify.Kind{verify.TOTP}, Mail: true}
	for _, tt := range []struct {
		purpose Purpose
		m       Means
		raised  bool
		open    bool
	}{
		{Reset, app, false, true}, {Reset, app, true, false}, {Unlock, app, true, false}, {StepUp, app, true, true}, {SignIn, app, true, true}, {Change, app, true, true},
		{Reset, Means{Enrolled: app.Enrolled, Mail: true, Manager: true}, true, true},
		// The approval is on top: it does not make two new ones old.
		{Reset, Means{Enrolled: app.Enrolled, Mail: true, Manager: true, Cooling: []verify.Kind{verify.TOTP, verify.Email}}, true, false},
	} {
		s, err := p.Simulator(access.Web, tt.purpose)
		if err != nil {
			t.Fatal(err)
		}
		s.Raised = tt.raised
		if v := s.Explain(someone(), tt.m); v.Open != tt.open {
			t.Errorf("%s, raised %v, %+v: %s", tt.purpose, tt.raised, tt.m, told(v.Explanation))
		}
	}
}
