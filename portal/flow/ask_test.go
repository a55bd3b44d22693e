package flow_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/limit"
	"postern/portal/policy"
	"postern/verify"
)

// Security case 98: how often somebody may ask, and be asked.
func TestAskingIsLimited(t *testing.T) {
	counted := &countingLimits{most: map[limit.Name]int{limit.Ask: 2, limit.Asked: 3}, seen: map[string]int{}}
	v := newVouchRig(t, func(r *rig) { r.limits = counted })
	for n := range 3 {
		c := v.prove(v.start(policy.Reset, "alice"), verify.RecoveryCode)
		_, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, "")
		if limited := errors.As(err, new(*flow.Limited)); limited != (n == 2) {
			t.Errorf("request %d of one person: %v", n, err)
		}
	}
	c := v.prove(v.start(policy.Reset, "bob"), verify.RecoveryCode)
	if _, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, ""); err != nil {
		t.Errorf("the third of one approver: %v", err)
	}
	if _, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, ""); !errors.As(err, new(*flow.Limited)) {
		t.Errorf("the fourth of one approver: %v", err)
	}
}

// Whom nobody can vouch for is told so, and can use something else.
func TestNobodyToAskIsSaid(t *testing.T) {
	v := newVouchRig(t)
	v.voucher.Voters = nil
	c := v.prove(v.start(policy.Reset, "alice"), verify.RecoveryCode)
	var invalid *flow.Invalid
	if _, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, ""); !errors.As(err, &invalid) || invalid.Code != "no_approver" {
		t.Errorf("%v", err)
	}
	if got := v.prove(c, verify.TOTP); got.Next(v.clock.Now()) != flow.StepNewPassword {
		t.Errorf("at %s", got.Next(v.clock.Now()))
	}
}

type countingLimits struct {
	most map[limit.Name]int
	seen map[string]int
}

func (c *countingLimits) Failed(context.Context, string, string) error { return nil }

func (c *countingLimits) Take(_ context.Context, name limit.Name, key string) error {
	c.seen[string(name)+key]++
	if most, limited := c.most[name]; limited && c.seen[string(name)+key] > most {
		return &limit.Exceeded{Name: name, Retry: time.Minute}
	}
	return nil
}

// Security case 98: another request of the same case gives a new number, and no more
// tries; the limit on asking is in memory, and a restart forgets it.
func TestAskingAgainGivesNoMoreTries(t *testing.T) {
	v := newVouchRig(t)
	c, _ := v.ask(policy.Reset, "alice")
	tries := 0
	for range 5 {
		again, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, "")
		if err != nil {
			break
		}
		c = again
		token := v.link()
		for range 2 {
			if _, err := v.nodes[1].Vouch(ctx, flow.Answer{Token: token, By: v.signedIn(mary), Kind: verify.Passkey, Number: "11", Proof: []byte("signed")}); errors.As(err, new(*flow.Wrong)) {
				tries++
			}
		}
	}
	if tries != 3 {
		t.Errorf("%d numbers tried in one case", tries)
	}
}

// Of several whom the policy names, one who is asked too much already keeps nobody
// from the others; and where it is everybody, no quota is spent on a request that
// is not made.
func TestOneWhoIsAskedTooMuchDoesNotSilenceTheOthers(t *testing.T) {
	counted := &countingLimits{most: map[limit.Name]int{limit.Asked: 2}, seen: map[string]int{}}
	v := newVouchRig(t, func(r *rig) { r.limits = counted })
	v.dir.Add(directory.User{ID: "test:max", Login: "max", Mail: []string{"max@example.org"}}, oldPass)
	u, _ := v.dir.Read(ctx, directory.User{ID: "test:max"})
	for range 2 { // mary is asked about others
		_, _ = v.ask(policy.Reset, "bob")
	}
	v.voucher.Voters = append(v.voucher.Voters, u)
	before := len(v.store.Messages)
	c, _ := v.ask(policy.Reset, "alice")
	for _, m := range v.store.Messages[before:] {
		if m.Who.ID == mary {
			t.Error("mary is written to over her limit")
		}
	}
	if slices.Contains(c.Asked, mary) || !slices.Contains(c.Asked, "test:max") {
		t.Errorf("asked were %v", c.Asked)
	}
	if sheet, err := c.Sheet(); err != nil || slices.Contains(sheet.Who, "Mary Manager") {
		t.Errorf("the page says %v, %v", sheet.Who, err)
	}
	if _, err := v.yes(v.tokens["test:max"], "test:max"); err != nil {
		t.Fatal(err)
	}
	v.wantNext(c, flow.StepNewPassword)
}

// Case 118 of work before the count: whoever may not ask any more makes nobody look
// up managers.
func TestWhoMayNotAskCausesNoWork(t *testing.T) {
	counted := &countingLimits{most: map[limit.Name]int{limit.Ask: 1}, seen: map[string]int{}}
	v := newVouchRig(t, func(r *rig) { r.limits = counted })
	c, _ := v.ask(policy.Reset, "alice")
	begun := v.voucher.Begun
	for range 5 {
		if _, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, ""); !errors.As(err, new(*flow.Limited)) {
			t.Errorf("%v", err)
		}
	}
	if v.voucher.Begun != begun {
		t.Errorf("looked up %d times", v.voucher.Begun-begun)
	}
}

// Refusals by a limit are told to the account's owner: three wrong numbers, and one
// success too many in a day.
func TestRefusalsByALimitAreTold(t *testing.T) {
	told := func(v *rig, template string) (n int) {
		for _, m := range v.store.Messages {
			if m.Template == template && m.Who.ID == alice && len(m.Links) == 1 {
				n++
			}
		}
		return n
	}
	v := newVouchRig(t)
	_, token := v.ask(policy.Reset, "alice")
	for range 3 {
		_, _ = v.nodes[0].Vouch(ctx, flow.Answer{Token: token, By: v.signedIn(mary), Kind: verify.Passkey, Number: "11", Proof: []byte("signed")})
	}
	if told(v.rig, "limit_reached") != 1 {
		t.Errorf("three wrong numbers: told %d times", told(v.rig, "limit_reached"))
	}
	r := newRig(t, func(r *rig) { r.perDay = 1 })
	for n := range 3 {
		c := r.proven("alice")
		_, _ = r.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass+string(rune('a'+n))), hold("alice"))
	}
	if told(r, "too_often") != 1 {
		t.Errorf("too often in a day: told %d times", told(r, "too_often"))
	}
}
