package flow_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

const mary = directory.ID("test:mary")

// vouchRig has mary, who is asked about everybody.
type vouchRig struct {
	*rig
	voucher *flowtest.Voucher
	told    int // messages whose links were made
	tokens  map[directory.ID]string
}

func newVouchRig(t testing.TB, change ...func(*rig)) *vouchRig {
	v := &vouchRig{voucher: &flowtest.Voucher{}, tokens: map[directory.ID]string{}}
	v.rig = newRig(t, append([]func(*rig){func(r *rig) {
		v.voucher.Now = r.clock.Now
		u := directory.User{ID: mary, Login: "mary", Name: "Mary Manager", Mail: []string{"mary@example.org"}, State: directory.State{PasswordSet: r.clock.Now().Add(-time.Hour)}}
		r.dir.Add(u, oldPass)
		v.voucher.Voters = []directory.User{u}
		p := plan(policy.Reset)
		p.Allowed = append(p.Allowed, verify.Approval)
		r.plans = map[policy.Purpose]policy.Plan{policy.Reset: p, policy.Unlock: p}
		r.more = []verify.Factor{v.voucher}
	}}, change...)...)
	return v
}

// ask proves a first factor of login and asks for an approval; the token is mary's.
func (v *vouchRig) ask(p policy.Purpose, login string) (*flow.Case, string) {
	v.t.Helper()
	c := v.prove(v.start(p, login), verify.RecoveryCode)
	return v.request(c)
}

func (v *vouchRig) request(c *flow.Case) (*flow.Case, string) {
	v.t.Helper()
	c, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, "")
	if err != nil {
		v.t.Fatalf("ask: %v", err)
	}
	return c, v.link()
}

// link is the token of the newest request.
func (v *vouchRig) link() (token string) {
	for ; v.told < len(v.store.Messages); v.told++ {
		m := v.store.Messages[v.told]
		for i, t := range v.known.Put(m) {
			if m.Links[i].Kind == notify.Approve {
				v.tokens[m.Links[i].Account], token = t, t
			}
		}
	}
	return token
}

func (v *vouchRig) signedIn(id directory.ID, by ...verify.Kind) access.Principal {
	u, err := v.dir.Read(ctx, directory.User{ID: id})
	if err != nil {
		v.t.Fatal(err)
	}
	if len(by) == 0 {
		by = []verify.Kind{verify.Passkey}
	}
	return access.Principal{ID: id, User: u, Door: access.Web, SignedIn: v.clock.Now(), Proven: v.clock.Now(), By: by}
}

func (v *vouchRig) yes(token string, by directory.ID) (flow.Request, error) {
	return v.nodes[1].Vouch(ctx, flow.Answer{Token: token, By: v.signedIn(by), Kind: verify.Passkey, Number: " 47 ", Proof: []byte("signed"), Address: "192.0.2.9"})
}

func (v *vouchRig) events(kind string) (list []audit.Event) {
	for _, e := range v.store.Log() {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// An approval and one proof of one's own open the door; the record keeps the
// signed statement whole, and says who gave it.
func TestAnApprovalIsOneOfTwoGates(t *testing.T) {
	v := newVouchRig(t)
	c := v.start(policy.Reset, "alice")
	if _, err := v.nodes[0].Choose(ctx, c.ID, verify.Approval, ""); !errors.Is(err, flow.ErrNotOffered) {
		t.Fatalf("asked for before anything was proved: %v", err)
	}
	c, token := v.request(v.prove(c, verify.RecoveryCode))
	if c.Next(v.clock.Now()) != flow.StepWait {
		t.Fatalf("at %s", c.Next(v.clock.Now()))
	}
	if _, err := v.nodes[0].Prove(ctx, c.ID, []byte("47"), hold("alice")); !errors.Is(err, flow.ErrConflict) {
		t.Errorf("the requester answered for themselves: %v", err)
	}
	if _, err := v.yes(token, mary); err != nil {
		t.Fatal(err)
	}
	c, err := v.nodes[0].Load(ctx, c.ID)
	if err != nil || c.Next(v.clock.Now()) != flow.StepNewPassword {
		t.Fatalf("at %s, %v", c.Next(v.clock.Now()), err)
	}
	given := v.events("approval.given")
	if len(given) != 1 || given[0].Actor != mary || given[0].Subject != alice || string(given[0].Proof) != `{"statement":"e30="}` || given[0].Address != "192.0.2.9" {
		t.Errorf("the record has %+v", given)
	}
	if c, err = v.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice")); err != nil || c.Outcome.Status != flow.Applied {
		t.Errorf("%v, %v", c.Outcome, err)
	}
}

// An unlock is settled by the approval itself, without the requester.
func TestAnApprovalUnlocks(t *testing.T) {
	v := newVouchRig(t)
	v.dir.Edit(alice, func(u *directory.User) { u.State.Locked = true })
	c, token := v.ask(policy.Unlock, "alice")
	if _, err := v.yes(token, mary); err != nil {
		t.Fatal(err)
	}
	if c, err := v.nodes[0].Load(ctx, c.ID); err != nil || c.Outcome.Status != flow.Applied || v.dir.Written() != 1 {
		t.Errorf("%+v, %v, %d writes", c.Outcome, err, v.dir.Written())
	}
}

// Security case 94: the link is worth nothing without being the one it is for.
func TestNobodyButTheOneAskedSeesARequest(t *testing.T) {
	for what, try := range map[string]func(*vouchRig) access.Principal{
		"a stranger":  func(*vouchRig) access.Principal { return access.Principal{} },
		"a colleague": func(v *vouchRig) access.Principal { return v.signedIn(bob) },
		"the requester": func(v *vouchRig) access.Principal {
			return v.signedIn(alice)
		},
		"disabled since": func(v *vouchRig) access.Principal {
			p := v.signedIn(mary)
			v.dir.Edit(mary, func(u *directory.User) { u.State.Disabled = true })
			return p
		},
		"another password since": func(v *vouchRig) access.Principal {
			p := v.signedIn(mary)
			v.dir.Edit(mary, func(u *directory.User) { u.State.PasswordSet = v.clock.Now() })
			return p
		},
		"frozen": func(v *vouchRig) access.Principal {
			p := v.signedIn(mary)
			v.freeze(mary)
			return p
		},
	} {
		v := newVouchRig(t)
		c, token := v.ask(policy.Reset, "alice")
		p := try(v)
		_, see := v.nodes[0].Request(ctx, token, p)
		_, yes := v.nodes[0].Vouch(ctx, flow.Answer{Token: token, By: p, Kind: verify.Passkey, Number: "47", Proof: []byte("signed")})
		_, no := v.nodes[0].Decline(ctx, flow.Answer{Token: token, By: p})
		for act, err := range map[string]error{"see": see, "yes": yes, "no": no} {
			if !errors.Is(err, flow.ErrNoRequest) {
				t.Errorf("%s: %s: %v", what, act, err)
			}
		}
		if now, err := v.nodes[0].Load(ctx, c.ID); err != nil || now.Next(v.clock.Now()) != flow.StepWait || v.voucher.Voted > 0 {
			t.Errorf("%s: at %s", what, now.Next(v.clock.Now()))
		}
	}
	v := newVouchRig(t)
	_, token := v.ask(policy.Reset, "alice")
	if _, err := v.nodes[0].Request(ctx, token, v.signedIn(mary, verify.Password, verify.Email)); !errors.Is(err, flow.ErrWeak) {
		t.Errorf("signed in by password and mail: %v", err)
	}
	for _, bad := range []string{"", "token-99", token + "x"} {
		if _, err := v.nodes[0].Request(ctx, bad, v.signedIn(mary)); !errors.Is(err, flow.ErrNoRequest) {
			t.Errorf("token %q: %v", bad, err)
		}
	}
}

// Security case 98: whoever says yes without asking guesses the number, three times.
func TestThreeWrongNumbersEndTheRequest(t *testing.T) {
	v := newVouchRig(t)
	c, token := v.ask(policy.Reset, "alice")
	for n := range 3 {
		var wrong *flow.Wrong
		_, err := v.nodes[n%2].Vouch(ctx, flow.Answer{Token: token, By: v.signedIn(mary), Kind: verify.Passkey, Number: "11", Proof: []byte("signed")})
		if !errors.As(err, &wrong) || wrong.Code != "wrong_number" || wrong.Left != 2-n {
			t.Fatalf("%d: %v %+v", n, err, wrong)
		}
	}
	if _, err := v.yes(token, mary); err == nil {
		t.Error("a fourth was taken")
	}
	if c, err := v.nodes[0].Load(ctx, c.ID); err != nil || c.Closed != flow.ReasonTries || v.voucher.Voted != 3 {
		t.Errorf("%s, %v, %d looked at", c.Closed, err, v.voucher.Voted)
	}
}

// A no ends it, also after somebody else's yes, until something is written.
func TestANoWinsOverAYes(t *testing.T) {
	v := newVouchRig(t)
	v.dir.Add(directory.User{ID: "test:max", Login: "max", Mail: []string{"max@example.org"}}, oldPass)
	u, _ := v.dir.Read(ctx, directory.User{ID: "test:max"})
	v.voucher.Voters = append(v.voucher.Voters, u)
	c, _ := v.ask(policy.Reset, "alice")
	if _, err := v.yes(v.tokens[mary], mary); err != nil {
		t.Fatal(err)
	}
	if _, err := v.nodes[1].Decline(ctx, flow.Answer{Token: v.tokens["test:max"], By: v.signedIn("test:max"), Note: "not she", Alarm: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice")); !errors.Is(err, flow.ErrConflict) || v.dir.Written() != 0 {
		t.Errorf("written after a no: %v", err)
	}
	now, err := v.nodes[0].Load(ctx, c.ID)
	if err != nil || now.Why() != flow.ReasonDeclined || now.Note != "not she" || now.Next(v.clock.Now()) != flow.StepRefused {
		t.Errorf("%+v, %v", now, err)
	}
	var person, operators bool
	for _, m := range v.store.Messages {
		person = person || m.Template == "approval_denied" && m.Who.ID == alice && m.Args["note"] == "not she"
		operators = operators || m.Template == "approval_alarm" && slices.Equal(m.To, []string{"security@example.org"})
	}
	if !person || !operators {
		t.Errorf("told: person %v, operators %v", person, operators)
	}
	for _, bad := range []string{"a\nb", "\x1b[31m", string(make([]rune, 201))} {
		c, token := v.ask(policy.Reset, "bob")
		if _, err := v.nodes[0].Decline(ctx, flow.Answer{Token: token, By: v.signedIn("test:max"), Note: bad}); err == nil {
			t.Errorf("the note %q was taken for %s", bad, c.ID)
		}
	}
}

// A yes and a no at once: never a write after a no, whichever came first.
func TestANoAtTheSameTimeIsNeverLost(t *testing.T) {
	for range 20 {
		v := newVouchRig(t)
		v.dir.Edit(alice, func(u *directory.User) { u.State.Locked = true })
		_, token := v.ask(policy.Unlock, "alice")
		var all sync.WaitGroup
		var declined error
		p := v.signedIn(mary)
		all.Go(func() { _, _ = v.yes(token, mary) })
		all.Go(func() { _, declined = v.nodes[0].Decline(ctx, flow.Answer{Token: token, By: p}) })
		all.Wait()
		if declined == nil && v.dir.Written() > 0 {
			t.Fatal("written, and declined as well")
		}
	}
}

// Security case 93: A for B, then B for A, within a day, also at the same moment.
func TestTwoPeopleCannotVouchForEachOther(t *testing.T) {
	v := newVouchRig(t)
	a, _ := v.dir.Read(ctx, directory.User{ID: alice})
	v.voucher.Voters = append(v.voucher.Voters, a)
	_, _ = v.ask(policy.Reset, "alice")
	if _, err := v.yes(v.tokens[mary], mary); err != nil {
		t.Fatal(err)
	}
	_, _ = v.ask(policy.Reset, "mary")
	var unfit *flow.Unfit
	if _, err := v.yes(v.tokens[alice], alice); !errors.As(err, &unfit) || unfit.Reason != "mutual" {
		t.Errorf("mutual: %v", err)
	}
	if _, err := v.nodes[0].Request(ctx, v.tokens[alice], v.signedIn(alice)); !errors.As(err, &unfit) {
		t.Errorf("shown all the same: %v", err)
	}
	v.clock.Advance(25 * time.Hour)
	_, _ = v.ask(policy.Reset, "mary")
	if _, err := v.yes(v.tokens[alice], alice); err != nil {
		t.Errorf("a day later: %v", err)
	}

	both := newVouchRig(t)
	a, _ = both.dir.Read(ctx, directory.User{ID: alice})
	both.voucher.Voters = append(both.voucher.Voters, a)
	_, _ = both.ask(policy.Reset, "alice")
	forAlice := both.tokens[mary]
	_, _ = both.ask(policy.Reset, "mary")
	forMary := both.tokens[alice]
	var all sync.WaitGroup
	var one, other error
	all.Go(func() { _, one = both.yes(forAlice, mary) })
	all.Go(func() { _, other = both.yes(forMary, alice) })
	all.Wait()
	if one == nil && other == nil {
		t.Error("both were taken")
	}
}

// Security cases 96, 97, 26: what an approval rested on must still stand when it
// is given, and when it is used.
func TestAnApprovalStandsOnWhatItWasGivenFor(t *testing.T) {
	change := map[string]func(*vouchRig){
		"another manager": func(v *vouchRig) { v.dir.Edit(alice, func(u *directory.User) { u.Manager = "CN=Mallory" }) },
		"another address": func(v *vouchRig) {
			v.dir.Edit(alice, func(u *directory.User) { u.Mail = []string{"evil@example.net"} })
		},
		"the account is frozen":  func(v *vouchRig) { v.freeze(alice) },
		"the approver is unfit":  func(v *vouchRig) { v.voucher.Unfit = &verify.Unfit{Reason: "not_eligible"} },
		"the account is blocked": func(v *vouchRig) { v.dir.Edit(alice, func(u *directory.User) { u.State.Disabled = true }) },
	}
	for what, happen := range change {
		before := newVouchRig(t)
		c, token := before.ask(policy.Reset, "alice")
		happen(before)
		_, err := before.yes(token, mary)
		if now, lerr := before.nodes[0].Load(ctx, c.ID); lerr != nil || now.Proven() || len(now.Proofs) != 1 {
			t.Errorf("%s before the yes: %d proofs, %v, %v", what, len(now.Proofs), err, lerr)
		}
		after := newVouchRig(t)
		c, token = after.ask(policy.Reset, "alice")
		if _, err := after.yes(token, mary); err != nil {
			t.Fatal(err)
		}
		happen(after)
		if c, err := after.nodes[0].Finish(ctx, c.ID, directory.NewSecret(newPass), hold("alice")); after.dir.Written() != 0 || err == nil && c.Outcome.Status == flow.Applied {
			t.Errorf("%s after the yes: written", what)
		}
	}
}
