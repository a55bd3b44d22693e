package flow_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

var (
	ward  = access.Screen{ID: "K1", Name: "Ward 3", Site: "North"}
	lobby = access.Screen{ID: "K2", Name: "Lobby", Site: "North"}
)

// beginsAt is a case that a technician began for who stands before a screen.
func (d *deskRig) beginsAt(at access.Screen, hold ...string) *flow.Case {
	d.t.Helper()
	u, err := d.dir.Read(ctx, directory.User{ID: alice})
	if err != nil {
		d.t.Fatal(err)
	}
	c, err := d.nodes[0].Assist(ctx, flow.AssistRequest{Purpose: policy.Reset, By: d.signedIn(tech), At: at, Target: u, Cause: "at the ward", Ticket: "INC-7", Address: "192.0.2.50", Send: true, Hold: hold})
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// A case for a screen opens there, once, and nowhere else: there is no code, and no mail.
func TestACaseForAScreenOpensThereAloneAndOnce(t *testing.T) {
	d := newDeskRig(t)
	c := d.beginsAt(ward)
	if c.Code != "" {
		t.Errorf("there is a code besides: %q", c.Code)
	}
	for _, m := range d.store.Messages {
		if m.Template == "desk_claim" {
			t.Error("the way in was mailed besides")
		}
	}
	for what, at := range map[string]access.Screen{"another screen": lobby, "no screen": {}, "its name alone": {Name: ward.Name, Site: ward.Site}} {
		if _, err := d.nodes[1].ClaimAt(ctx, c.ID, at, "192.0.2.60", "de"); !errors.Is(err, flow.ErrNoRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := d.nodes[1].Claim(ctx, "", "192.0.2.60", "de"); err == nil {
		t.Error("an empty code opens it")
	}
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			if _, err := d.nodes[i%2].ClaimAt(ctx, c.ID, ward, "192.0.2.60", "de"); err == nil {
				won.Add(1)
			} else if !errors.Is(err, flow.ErrNoRequest) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("opened %d times", won.Load())
	}
	claimed := false
	for _, e := range d.store.Log() {
		claimed = claimed || e.Kind == "case.claimed" && e.Detail["kiosk"] == ward.Label()
	}
	if !claimed {
		t.Error("the record does not name the screen")
	}
}

// What is proved at a screen is what is proved anywhere: one proof is not enough, and
// the number is the technician's to type.
func TestAScreenSavesNoProof(t *testing.T) {
	d := newDeskRig(t)
	c, err := d.nodes[1].ClaimAt(ctx, d.beginsAt(ward).ID, ward, "192.0.2.60", "de")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.nodes[1].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice")); err == nil {
		t.Fatal("a password with nothing proved")
	}
	c = d.prove(c, verify.TOTP)
	if next := c.Next(d.clock.Now()); next != flow.StepChoose {
		t.Fatalf("one proof was enough: %s", next)
	}
	number := d.reads(c)
	if c, err = d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), number, "192.0.2.50"); err != nil || c.Next(d.clock.Now()) != flow.StepNewPassword {
		t.Errorf("%v", err)
	}
}

// A second technician's yes is waited for at a screen too; and what was ended, left,
// over, or began by a code opens at none.
func TestWhatIsHeldOrOverOpensAtNoScreen(t *testing.T) {
	open := func(d *deskRig, c *flow.Case) error {
		_, err := d.nodes[1].ClaimAt(ctx, c.ID, ward, "192.0.2.60", "de")
		return err
	}
	d := newDeskRig(t)
	d.dir.Add(directory.User{ID: second, Login: "second", Name: "Sami Second", State: directory.State{PasswordSet: d.clock.Now().Add(-time.Hour)}}, oldPass)
	c := d.beginsAt(ward, kept)
	d.clock.Advance(time.Minute)
	if err := open(d, c); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("held: %v", err)
	}
	if _, err := d.nodes[0].Release(ctx, c.ID, d.signedIn(second), ""); err != nil {
		t.Fatal(err)
	}
	if c, err := d.nodes[0].Load(ctx, c.ID); err != nil || c.Code != "" {
		t.Errorf("a code after the second yes: %q, %v", c.Code, err)
	}
	if err := open(d, c); err != nil {
		t.Errorf("after the second yes: %v", err)
	}
	for what, end := range map[string]func(d *deskRig, c *flow.Case) error{
		"withdrawn": func(d *deskRig, c *flow.Case) error { return d.nodes[0].Withdraw(ctx, c.ID, d.signedIn(tech), "") },
		"left":      func(d *deskRig, c *flow.Case) error { return d.nodes[0].Leave(ctx, c.ID, ward) },
		"over":      func(d *deskRig, c *flow.Case) error { d.clock.Advance(c.Plan.Life); return nil },
	} {
		d := newDeskRig(t)
		c := d.beginsAt(ward)
		if err := end(d, c); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if err := open(d, c); !errors.Is(err, flow.ErrNoRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	d = newDeskRig(t)
	if c, _ := d.opens(policy.Reset, alice); !errors.Is(open(d, c), flow.ErrNoRequest) {
		t.Error("a case with a code to read out opens at a screen")
	}
}
