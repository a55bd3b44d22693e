package policy

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"postern/verify"
)

// A number that two people read says nothing of how long the caller has had what they
// proved with: a thief who set up an app in somebody's account a minute ago, and then
// calls, has a new proof and nothing else (security case 105).
func TestAMatchedNumberMakesNoNewFactorOld(t *testing.T) {
	p := defaults(t).defaults[Assist]
	for name, tt := range map[string]struct {
		given  []Given
		enough bool
	}{
		"an app and the number":         {[]Given{{Kind: verify.TOTP}, {Kind: verify.Handover}}, true},
		"a new app and the number":      {[]Given{{Kind: verify.TOTP, Cooling: true}, {Kind: verify.Handover}}, false},
		"the number and new codes":      {[]Given{{Kind: verify.Handover}, {Kind: verify.RecoveryCode, Cooling: true}}, false},
		"a new app, old codes, number":  {[]Given{{Kind: verify.TOTP, Cooling: true}, {Kind: verify.RecoveryCode}, {Kind: verify.Handover}}, true},
		"everything new and the number": {[]Given{{Kind: verify.TOTP, Cooling: true}, {Kind: verify.RecoveryCode, Cooling: true}, {Kind: verify.Handover}}, false},
	} {
		if got := p.Satisfied(tt.given); got != tt.enough {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What a technician typed is not the first proof either, where a plan has one.
func TestASpokenCodeIsNotTheFirstProof(t *testing.T) {
	p := defaults(t).defaults[Assist]
	p.Allowed, p.Anchor, p.First = append(p.Allowed, verify.Email), nil, verify.TOTP
	if p.Satisfied([]Given{{Kind: verify.TOTP, Spoken: true}, {Kind: verify.Email}, {Kind: verify.Handover}}) {
		t.Error("a spoken code, a mailed one and the number are enough")
	}
}

// Whatever a file says of the desk, at the top or in a rule, and Validate lets pass:
// nothing is enough there without the number, without a proof of the caller's own that
// is no mailed code, that is not new and that no technician typed; and, where the
// level is raised, without an approval (security cases 102, 105).
func TestNoFileMakesTheDeskEasierThanItsFloor(t *testing.T) {
	kinds := append(every(), verify.Handover)
	classes := []verify.Class{verify.Possession, verify.Issued, verify.Saved, verify.Contact, verify.Knowledge}
	accepted, satisfied := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		// Most drawn lists have what a valid one must have.
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 1, 6, rapid.ID[verify.Kind]).Draw(t, "allowed")
		if !slices.Contains(some, verify.Handover) && rapid.IntRange(0, 9).Draw(t, "with number") > 0 {
			some = append(some, verify.Handover)
		}
		some = slices.DeleteFunc(some, func(k verify.Kind) bool { return k == verify.Password })
		c := PlanConfig{Allowed: some, Gates: rapid.IntRange(1, 3).Draw(t, "gates"),
			Alone:  rapid.SliceOfNDistinct(rapid.SampledFrom(kinds), 0, 2, rapid.ID[verify.Kind]).Draw(t, "alone"),
			Anchor: rapid.SliceOfNDistinct(rapid.SampledFrom(classes), 0, 3, rapid.ID[verify.Class]).Draw(t, "anchor")}
		c.Alone = slices.DeleteFunc(c.Alone, func(k verify.Kind) bool { return !slices.Contains(some, k) })
		if len(some) > 0 && rapid.Bool().Draw(t, "ordered") {
			c.First = ptr(rapid.SampledFrom(some).Draw(t, "first"))
		}
		cfg := DefaultConfig()
		rule := Rule{}
		if rapid.Bool().Draw(t, "in a rule") {
			rule = Rule{Name: "drawn", Purposes: []Purpose{Assist}, Groups: []string{"x"}, Plan: RulePlan{PlanConfig: c, Spoken: []verify.Kind{verify.TOTP}}}
			cfg.Rules = []Rule{rule}
		} else {
			c.Life, c.Tries = cfg.Plans.Assist.Life, 5
			cfg.Plans.Assist, cfg.Spoken = c, []verify.Kind{verify.TOTP, verify.YubiKey}
		}
		if len(cfg.Validate()) > 0 {
			return
		}
		accepted++
		plan := cfg.plan(Assist, rule)
		if rapid.Bool().Draw(t, "raised") {
			plan = plan.Vouch()
		}
		each(kinds, 3, func(given []Given) {
			has := func(want func(Given) bool) bool { return slices.ContainsFunc(given, want) }
			if plan.Heard(given) && !has(func(g Given) bool {
				return g.Spoken && !g.Cooling && (g.Kind == verify.TOTP || g.Kind == verify.YubiKey)
			}) {
				t.Fatalf("%+v: %+v was heard", plan, given)
			}
			if !plan.Satisfied(given) {
				return
			}
			satisfied++
			switch {
			case !has(func(g Given) bool { return g.Kind == verify.Handover && !g.Spoken }):
				t.Fatalf("%+v: %+v without a number", plan, given)
			case !has(func(g Given) bool {
				own := g.Kind.Class() != verify.Match && g.Kind.Class() != verify.Issued
				return own && !g.Spoken && slices.Contains(plan.Allowed, g.Kind)
			}):
				t.Fatalf("%+v: %+v with nothing of the caller's own", plan, given)
			case !has(func(g Given) bool { return g.Kind.Class() != verify.Match && !g.Spoken && !g.Cooling }):
				t.Fatalf("%+v: %+v all new", plan, given)
			case plan.Vouched && !has(func(g Given) bool { return g.Kind == verify.Approval }):
				t.Fatalf("%+v: %+v without an approval", plan, given)
			}
		})
	})
	if (accepted == 0 || satisfied == 0) && !testing.Short() {
		t.Errorf("%d plans were valid, %d ways led in: nothing was tried", accepted, satisfied)
	}
}

// each calls do with every row of at most n proofs.
func each(kinds []verify.Kind, n int, do func([]Given)) {
	var all []Given
	for _, k := range kinds {
		all = append(all, Given{Kind: k}, Given{Kind: k, Cooling: true}, Given{Kind: k, Spoken: true})
	}
	var walk func(given []Given)
	walk = func(given []Given) {
		do(given)
		if len(given) == n {
			return
		}
		for _, g := range all {
			walk(append(slices.Clip(given), g))
		}
	}
	walk(nil)
}
