package flow_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
	"postern/verify/handover"
)

const tech = directory.ID("test:tech")

type deskRig struct{ *vouchRig }

func newDeskRig(t testing.TB) *deskRig {
	v := newVouchRig(t, func(r *rig) {
		r.dir.Add(directory.User{ID: tech, Login: "tech", Name: "Theo Technician", Mail: []string{"tech@example.org"}, State: directory.State{PasswordSet: r.clock.Now().Add(-time.Hour)}}, oldPass)
	}, func(r *rig) {
		r.deskPlan = policy.Plan{Name: "desk", Match: true, Life: 15 * time.Minute, Tries: 5, Gates: 2, Anchor: []verify.Class{verify.Possession, verify.Saved, verify.Contact},
			Allowed: []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode, verify.Email, verify.Handover, verify.Approval}}
		r.more = append(r.more, handover.New(r.clock.Now, testRandom{}))
	})
	return &deskRig{v}
}

// testRandom gives numbers that are not all the same.
type testRandom struct{}

var drawn atomic.Int64

func (testRandom) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(drawn.Add(7))
	}
	return len(b), nil
}

func (d *deskRig) opens(p policy.Purpose, target directory.ID) (*flow.Case, string) {
	d.t.Helper()
	u, err := d.dir.Read(ctx, directory.User{ID: target})
	if err != nil {
		d.t.Fatal(err)
	}
	c, err := d.nodes[0].Assist(ctx, flow.AssistRequest{Purpose: p, By: d.signedIn(tech), Target: u, Cause: "lost the phone", Ticket: "INC-7", Address: "192.0.2.50",
		Tell: []string{"boss@example.org", "security@example.org"}})
	if err != nil {
		d.t.Fatalf("assist: %v", err)
	}
	return c, c.Code
}

// reads opens the number on the caller's screen.
func (d *deskRig) reads(c *flow.Case) string {
	d.t.Helper()
	c, err := d.nodes[1].Choose(ctx, c.ID, verify.Handover, "")
	if err != nil {
		d.t.Fatalf("handover: %v", err)
	}
	sheet, err := c.Sheet()
	if err != nil || len(sheet.Number) != 2 || !slices.Equal(sheet.Who, []string{"Theo Technician"}) {
		d.t.Fatalf("the caller's screen shows %+v, %v", sheet, err)
	}
	return sheet.Number
}

// One row, two screens: the technician begins, the caller opens it, proves who
// they are and reads the number; only the caller sets the password.
func TestAVerifiedCallerGetsTheirResetHandedOver(t *testing.T) {
	d := newDeskRig(t)
	c, code := d.opens(policy.Reset, alice)
	if _, err := d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), "10", ""); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("a number before there is one: %v", err)
	}
	c, err := d.nodes[1].Claim(ctx, code, "192.0.2.60", "de")
	if err != nil || c.Claimed.IsZero() {
		t.Fatal(err)
	}
	c = d.prove(c, verify.TOTP)
	if c.Next(d.clock.Now()) != flow.StepChoose {
		t.Fatalf("one proof was enough at the desk: %s", c.Next(d.clock.Now()))
	}
	number := d.reads(c)
	if c, err = d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), number, "192.0.2.50"); err != nil || c.Next(d.clock.Now()) != flow.StepNewPassword {
		t.Fatalf("at %s, %v", c.Next(d.clock.Now()), err)
	}
	if c, err = d.nodes[1].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice")); err != nil || c.Outcome.Status != flow.Applied {
		t.Fatal(err)
	}
	if d.dir.Password(alice) != newPass {
		t.Error("not set")
	}
	var told []string
	for _, m := range d.store.Messages {
		if m.Template == "desk_done" {
			told = m.To
			if m.Args["technician"] != "tech" || m.Args["ticket"] != "INC-7" {
				t.Errorf("told %v", m.Args)
			}
		}
	}
	if !slices.Equal(told, []string{"boss@example.org", "security@example.org"}) {
		t.Errorf("beside the person hears of it: %v", told)
	}
	for _, e := range d.store.Log() {
		want := alice
		if e.Kind == "case.started" || e.Kind == "number.matched" {
			want = tech
		}
		if e.Case == c.ID && e.Actor != want {
			t.Errorf("%s is told of %s, want %s", e.Kind, e.Actor, want)
		}
	}
}

// Security case 102: without the number, without a proof, or by another
// technician nothing opens. A mailed code and a number are not enough either.
func TestNothingOpensForACallerWhoIsNotVerified(t *testing.T) {
	d := newDeskRig(t)
	c, code := d.opens(policy.Assist, alice)
	if _, err := d.nodes[1].Claim(ctx, code, "", "en"); err != nil {
		t.Fatal(err)
	}
	number := d.reads(c)
	for what, by := range map[string]directory.ID{"somebody else": bob, "the caller": alice, "a manager": mary} {
		if _, err := d.nodes[0].Match(ctx, c.ID, d.signedIn(by), number, ""); !errors.Is(err, flow.ErrNoRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := d.nodes[0].Match(ctx, c.ID, d.signedIn(tech, verify.Password, verify.Email), number, ""); !errors.Is(err, flow.ErrWeak) {
		t.Errorf("a technician by password and mail: %v", err)
	}
	got, err := d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), number, "")
	if err != nil || got.Proven() {
		t.Fatalf("the number alone was enough: %v", err)
	}
	if _, err := d.nodes[1].Choose(ctx, c.ID, verify.Email, ""); !errors.Is(err, flow.ErrNotOffered) {
		t.Errorf("a mailed code as the last proof: %v", err)
	}
	if got = d.prove(got, verify.TOTP); got.Outcome.Status != flow.Applied || d.dir.Written() != 0 {
		t.Errorf("%+v, %d writes", got.Outcome, d.dir.Written())
	}
}

// Three wrong numbers end the case; a decoy number is never right.
func TestThreeWrongNumbersEndTheCall(t *testing.T) {
	d := newDeskRig(t)
	c, code := d.opens(policy.Unlock, alice)
	if _, err := d.nodes[1].Claim(ctx, code, "", "en"); err != nil {
		t.Fatal(err)
	}
	c = d.prove(c, verify.TOTP)
	number := d.reads(c)
	wrong := "10"
	if number == wrong {
		wrong = "11"
	}
	for range 3 {
		if _, err := d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), wrong, ""); !errors.As(err, new(*flow.Wrong)) {
			t.Fatalf("%v", err)
		}
	}
	if _, err := d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), number, ""); !errors.Is(err, flow.ErrConflict) || d.dir.Written() != 0 {
		t.Errorf("%v", err)
	}
	if c, err := d.nodes[0].Load(ctx, c.ID); err != nil || c.Closed != flow.ReasonTries {
		t.Errorf("%s, %v", c.Closed, err)
	}
}

// A code opens one case in one browser, once, and no case can be begun round it.
func TestACodeIsClaimedOnce(t *testing.T) {
	d := newDeskRig(t)
	_, code := d.opens(policy.Reset, alice)
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if _, err := d.nodes[i%2].Claim(ctx, code, "", "en"); err == nil {
				won.Add(1)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("claimed %d times", won.Load())
	}
	late, code := d.opens(policy.Reset, bob)
	d.clock.Advance(15 * time.Minute)
	if _, err := d.nodes[0].Claim(ctx, code, "", "en"); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("after its time %s: %v", late.ID, err)
	}
	for _, r := range []flow.StartRequest{{Purpose: policy.Assist, Door: access.Web, Login: "alice"}, {Purpose: policy.Reset, Door: access.Desk, Login: "alice"}} {
		if _, err := d.nodes[0].Start(ctx, r); !errors.Is(err, flow.ErrNotOffered) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// Security case 100: not oneself, not whom the portal does not serve.
func TestWhomATechnicianCannotHelp(t *testing.T) {
	d := newDeskRig(t)
	try := func(by, target directory.ID, p policy.Purpose) error {
		u, _ := d.dir.Read(ctx, directory.User{ID: target})
		_, err := d.nodes[0].Assist(ctx, flow.AssistRequest{Purpose: p, By: d.signedIn(by), Target: u})
		return err
	}
	var not *flow.NotServed
	if err := try(tech, tech, policy.Reset); !errors.Is(err, flow.ErrNotOffered) {
		t.Errorf("oneself: %v", err)
	}
	if err := try(tech, admin, policy.Reset); !errors.As(err, &not) || not.Reason != "privileged" {
		t.Errorf("privileged: %v", err)
	}
	for _, p := range []policy.Purpose{policy.Change, policy.SignIn, policy.StepUp, "x"} {
		if err := try(tech, alice, p); !errors.Is(err, flow.ErrNotOffered) {
			t.Errorf("%s: %v", p, err)
		}
	}
	d.freeze(alice)
	if err := try(tech, alice, policy.Reset); !errors.As(err, &not) || not.Reason != "frozen" {
		t.Errorf("frozen: %v", err)
	}
	if err := try(tech, alice, policy.Assist); err != nil {
		t.Errorf("to be verified, so that it can be opened again: %v", err)
	}
}

// A number that was matched opens nothing about the person: what they have enrolled
// is for who has proved something.
func TestAMatchedNumberTellsNothingOfThePerson(t *testing.T) {
	d := newDeskRig(t)
	c, code := d.opens(policy.Reset, alice)
	if _, err := d.nodes[1].Claim(ctx, code, "", "en"); err != nil {
		t.Fatal(err)
	}
	c, err := d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), d.reads(c), "")
	if err != nil {
		t.Fatal(err)
	}
	options, err := d.nodes[1].Options(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options {
		if o.Reason == "not_enrolled" {
			t.Errorf("%s: %s", o.Kind, o.Reason)
		}
	}
}

// Somebody frozen is verified, so that a technician can open it again; nothing is
// written by it. A technician ends their own cases, and no others.
func TestAFrozenCallerIsVerifiedAndNothingElse(t *testing.T) {
	d := newDeskRig(t)
	d.freeze(alice)
	c, code := d.opens(policy.Assist, alice)
	if _, err := d.nodes[1].Claim(ctx, code, "", "en"); err != nil {
		t.Fatal(err)
	}
	c = d.prove(c, verify.TOTP)
	c, err := d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), d.reads(c), "")
	if err != nil || c.Outcome.Status != flow.Applied || d.dir.Written() != 0 {
		t.Errorf("%+v, %v", c.Outcome, err)
	}
	other, _ := d.opens(policy.Assist, bob)
	if err := d.nodes[0].Withdraw(ctx, other.ID, d.signedIn(mary), ""); !errors.Is(err, flow.ErrNoRequest) {
		t.Errorf("somebody else ends it: %v", err)
	}
	if err := d.nodes[0].Withdraw(ctx, other.ID, d.signedIn(tech), ""); err != nil {
		t.Error(err)
	}
	if err := d.nodes[0].Withdraw(ctx, other.ID, d.signedIn(tech), ""); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("twice: %v", err)
	}
}

// Security cases 87 and 106: that somebody was verified as them the person hears at
// once, at every address, with the button that ends it; also where nothing is done then.
func TestThePersonHearsThatACallerWasVerifiedAsThem(t *testing.T) {
	d := newDeskRig(t)
	c, code := d.opens(policy.Assist, alice)
	if _, err := d.nodes[1].Claim(ctx, code, "192.0.2.60", "en"); err != nil {
		t.Fatal(err)
	}
	c = d.prove(c, verify.RecoveryCode)
	c, err := d.nodes[0].Match(ctx, c.ID, d.signedIn(tech), d.reads(c), "")
	if err != nil || c.Outcome.Status != flow.Applied {
		t.Fatal(err)
	}
	told := 0
	for _, m := range d.store.Messages {
		if m.Template != "caller_verified" {
			continue
		}
		told++
		if !slices.Equal(m.To, []string{"alice@example.org", "alice@home.example"}) || len(m.Links) != 1 || m.Args["technician"] != "Theo Technician" || m.Args["proofs"] != "recovery_code,handover" {
			t.Errorf("%+v", m)
		}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}
