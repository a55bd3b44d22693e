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

// called is a case that a technician begins for the screen that called them.
func (d *deskRig) called(at access.Screen, hold ...string) *flow.Case {
	d.t.Helper()
	u, err := d.dir.Read(ctx, directory.User{ID: alice})
	if err != nil {
		d.t.Fatal(err)
	}
	c, err := d.nodes[0].Assist(ctx, flow.AssistRequest{Purpose: policy.Reset, By: d.signedIn(tech), Target: u, Cause: "at the ward", Ticket: "INC-7", Address: "192.0.2.50", Send: true, At: at, Hold: hold})
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// Such a case opens at the screen that called, once, and by no code anywhere else.
func TestACalledCaseOpensAtItsScreenAlone(t *testing.T) {
	d := newDeskRig(t)
	c := d.called(ward)
	if c.Code != "" {
		t.Errorf("there is a code: %s", c.Code)
	}
	for _, m := range d.store.Messages {
		if m.Template == "desk_claim" {
			t.Error("a way in was mailed")
		}
	}
	for _, at := range []access.Screen{lobby, {}, {Name: ward.Name, Site: ward.Site}} {
		if _, err := d.nodes[0].ClaimAt(ctx, c.ID, at, "192.0.2.60", "en"); !errors.Is(err, flow.ErrNoRequest) {
			t.Errorf("at %+v: %v", at, err)
		}
	}
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := d.nodes[i%2].ClaimAt(ctx, c.ID, ward, "192.0.2.60", "de"); err == nil {
				won.Add(1)
			} else if !errors.Is(err, flow.ErrNoRequest) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	c, err := d.nodes[0].Load(ctx, c.ID)
	if err != nil || won.Load() != 1 || c.Lang != "de" || c.Address != "192.0.2.60" {
		t.Fatalf("opened %d times: %s %s, %v", won.Load(), c.Lang, c.Address, err)
	}
	for _, e := range d.store.Log() {
		if e.Case == c.ID && e.Detail["kiosk"] != "Ward 3, North" {
			t.Errorf("%s does not say where: %v", e.Kind, e.Detail)
		}
	}

	// Nothing else of it is easier: a proof is not enough, and the number neither.
	if c = d.prove(c, verify.TOTP); c.Next(d.clock.Now()) != flow.StepChoose {
		t.Errorf("a proof alone: %s", c.Next(d.clock.Now()))
	}
	if c, err = d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), d.reads(c), "192.0.2.50"); err != nil || c.Next(d.clock.Now()) != flow.StepNewPassword {
		t.Errorf("%v", err)
	}
}

// What others began is nobody's to open at a screen: neither a case of the telephone, nor
// one somebody began by themselves, at this screen or another.
func TestAScreenOpensNoOtherCase(t *testing.T) {
	d := newDeskRig(t)
	phoned, _ := d.opens(policy.Reset, alice)
	own, err := d.nodes[0].Start(ctx, flow.StartRequest{Purpose: policy.Reset, Door: access.Kiosk, At: ward, Login: "bob", Address: "192.0.2.1", Lang: "en", Hold: hold("bob")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*flow.Case{phoned, own, d.start(policy.Reset, "bob")} {
		if _, err := d.nodes[0].ClaimAt(ctx, c.ID, ward, "", "en"); !errors.Is(err, flow.ErrNoRequest) {
			t.Errorf("%s: %v", c.Door, err)
		}
	}
}

// It opens neither while a second technician is awaited, nor after its time, nor when
// whoever called has left or the technician has ended it.
func TestACalledCaseThatIsHeldOrOverStaysShut(t *testing.T) {
	for name, end := range map[string]func(*deskRig, *flow.Case) error{
		"its time": func(d *deskRig, c *flow.Case) error { d.clock.Advance(15 * time.Minute); return nil },
		"who left": func(d *deskRig, c *flow.Case) error { return d.nodes[1].Leave(ctx, c.ID, ward) },
		"its technician": func(d *deskRig, c *flow.Case) error {
			return d.nodes[1].Withdraw(ctx, c.ID, d.signedIn(tech), "192.0.2.50")
		},
	} {
		d := newDeskRig(t)
		c := d.called(ward)
		if err := end(d, c); err != nil {
			t.Fatal(err)
		}
		if _, err := d.nodes[0].ClaimAt(ctx, c.ID, ward, "", "en"); !errors.Is(err, flow.ErrNoRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}

	d := newDeskRig(t)
	d.dir.Add(directory.User{ID: second, Login: "second", Name: "Sami Second", State: directory.State{PasswordSet: d.clock.Now().Add(-time.Hour)}}, oldPass)
	c := d.called(ward, kept)
	d.clock.Advance(time.Minute)
	if _, err := d.nodes[0].ClaimAt(ctx, c.ID, ward, "", "en"); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("held: %v", err)
	}
	c, err := d.nodes[1].Release(ctx, c.ID, d.signedIn(second), "192.0.2.51")
	if err != nil || c.Code != "" {
		t.Fatalf("the second yes makes a code: %q, %v", c.Code, err)
	}
	if _, err := d.nodes[0].ClaimAt(ctx, c.ID, ward, "", "en"); err != nil {
		t.Errorf("released: %v", err)
	}
}

// A called case stays at its screen: no phone takes it along, and whoever leaves ends it.
func TestACalledCaseIsNotCarriedOff(t *testing.T) {
	d := newDeskRig(t)
	c := d.called(ward)
	c, err := d.nodes[0].ClaimAt(ctx, c.ID, ward, "", "en")
	if err != nil {
		t.Fatal(err)
	}
	if c.Portable(d.clock.Now()) {
		t.Error("it is offered to a phone")
	}
	if _, err := d.nodes[0].Carry(ctx, c.ID, ward, "", "en"); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("carried: %v", err)
	}
	if err := d.nodes[0].Leave(ctx, c.ID, lobby); err != nil {
		t.Fatal(err)
	}
	d.wantNext(c, flow.StepChoose)
	if err := d.nodes[0].Leave(ctx, c.ID, ward); err != nil {
		t.Fatal(err)
	}
	d.wantNext(c, flow.StepRefused)
}
