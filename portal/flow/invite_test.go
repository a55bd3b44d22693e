package flow_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

// unenrolled is a rig in which nobody has anything.
func unenrolled(r *rig) { r.vault = map[verify.Kind][]verify.Credential{} }

func (r *rig) invitation(id directory.ID) string {
	return r.known.Put(notify.Message{Links: []notify.LinkTo{{Kind: notify.Invite, Account: id, Life: time.Hour}}})[0]
}

func byInvite(token, pw string) flow.StartRequest {
	return flow.StartRequest{Purpose: policy.SignIn, Door: access.Web, Current: directory.NewSecret(pw), Address: "192.0.2.1", Lang: "en", Hold: hold("x"), Invite: token}
}

func (r *rig) open(token string) bool {
	_, err := r.known.Link(ctx, notify.Invite, token)
	return err == nil
}

// An invitation with the right password is a sign-in, once.
func TestAnInvitationStandsForTheMailedCodeOnce(t *testing.T) {
	r := newRig(t, unenrolled)
	token := r.invitation(bob)
	c, err := r.nodes[0].Start(ctx, byInvite(token, oldPass))
	if err != nil || c.Outcome.Status != flow.Applied || c.Person.ID != bob || !slices.Equal(c.Kinds(), []verify.Kind{verify.Password, verify.Email}) {
		t.Fatalf("%+v, %v", c, err)
	}
	if r.open(token) {
		t.Error("the link still opens something")
	}
	last := r.store.Log()
	if e := last[len(last)-2]; e.Kind != "proof.ok" || e.Factor != "email" || e.Reason != "invitation" || e.Subject != bob {
		t.Errorf("the record has %+v", e)
	}
	if _, err := r.nodes[1].Start(ctx, byInvite(token, oldPass)); !errors.Is(err, flow.ErrNoInvite) {
		t.Errorf("replayed: %v", err)
	}
}

// A wrong password costs what it costs at any sign-in, and leaves the link.
func TestAnInvitationIsNoWayToGuess(t *testing.T) {
	r := newRig(t, unenrolled)
	token := r.invitation(bob)
	c, err := r.nodes[0].Start(ctx, byInvite(token, "wrong"))
	var wrong *flow.Wrong
	if !errors.As(err, &wrong) || wrong.Code != "wrong_password" || wrong.Left != 4 || !r.open(token) {
		t.Fatalf("%v, open %v", err, r.open(token))
	}
	for range 2 {
		if _, err := r.nodes[1].Prove(ctx, c.ID, []byte("wrong"), hold("x")); !errors.As(err, &wrong) {
			t.Fatal(err)
		}
	}
	// Two below the directory's lockout, by whatever way they came.
	var limited *flow.Limited
	for what, request := range map[string]flow.StartRequest{"by the link": byInvite(token, oldPass),
		"by name": {Purpose: policy.SignIn, Door: access.Web, Login: "bob", Current: directory.NewSecret(oldPass), Address: "192.0.2.9", Hold: hold("y")}} {
		if _, err := r.nodes[0].Start(ctx, request); !errors.As(err, &limited) {
			t.Errorf("a fourth guess %s: %v", what, err)
		}
	}
	r.clock.Advance(31 * time.Minute)
	if c, err := r.nodes[0].Start(ctx, byInvite(token, oldPass)); err != nil || c.Outcome.Status != flow.Applied {
		t.Errorf("later, with the right one: %v", err)
	}
}

// The second try may come from the page of the first.
func TestAnInvitationCountsAfterAWrongPassword(t *testing.T) {
	r := newRig(t, unenrolled)
	token := r.invitation(bob)
	c, err := r.nodes[0].Start(ctx, byInvite(token, "wrong"))
	if err == nil {
		t.Fatal("a wrong password was right")
	}
	if c, err = r.nodes[1].Prove(ctx, c.ID, []byte(oldPass), hold("x")); err != nil || c.Outcome.Status != flow.Applied || r.open(token) {
		t.Errorf("%+v, %v", c.Outcome, err)
	}
}

// What an invitation must never do.
func TestAnInvitationGetsRoundNothing(t *testing.T) {
	const hers = "what carol knows 3"
	for name, c := range map[string]struct {
		request func(r *rig, token string) flow.StartRequest
		set     func(r *rig)
		err     error // nil: a case, that is no sign-in
		spent   bool
	}{
		"the password of somebody else": {request: func(_ *rig, token string) flow.StartRequest { return byInvite(token, hers) }, err: &flow.Wrong{}},
		"somebody who is frozen":        {set: func(r *rig) { r.freeze(bob) }, err: &flow.Wrong{}},
		"somebody who is disabled": {set: func(r *rig) { r.dir.Edit(bob, func(u *directory.User) { u.State.Disabled = true }) },
			err: &flow.Wrong{}},
		"somebody who became privileged": {set: func(r *rig) { r.dir.Edit(bob, func(u *directory.User) { u.Privileged = "Domain Admins" }) },
			err: &flow.Wrong{}},
		"somebody who enrolled something meanwhile": {set: func(r *rig) { r.vault[verify.TOTP] = []verify.Credential{{ID: "app"}} }, spent: true},
		"something of a kind that is not set up":    {set: func(r *rig) { r.vault[verify.YubiKey] = []verify.Credential{{ID: "key"}} }, spent: true},
		"a plan that takes no mailed code": {set: func(r *rig) {
			p := plan(policy.SignIn)
			p.Allowed = []verify.Kind{verify.Password, verify.TOTP}
			r.plans = map[policy.Purpose]policy.Plan{policy.SignIn: p}
		}},
		"a link of another kind": {request: func(r *rig, _ string) flow.StartRequest {
			return byInvite(r.known.Put(notify.Message{Links: []notify.LinkTo{{Kind: notify.Snooze, Account: bob}}})[0], oldPass)
		}, err: flow.ErrNoInvite},
		"a link of nobody": {request: func(*rig, string) flow.StartRequest { return byInvite("token-77", oldPass) }, err: flow.ErrNoInvite},
		"an account that is gone": {request: func(r *rig, _ string) flow.StartRequest { return byInvite(r.invitation("test:gone"), oldPass) },
			err: flow.ErrNoInvite},
		"a reset": {request: func(_ *rig, token string) flow.StartRequest {
			r := byInvite(token, oldPass)
			r.Purpose = policy.Reset
			return r
		}, err: flow.ErrNotOffered},
		"a name of one's own": {request: func(_ *rig, token string) flow.StartRequest {
			r := byInvite(token, hers)
			r.Login = "carol"
			return r
		}, err: flow.ErrNotOffered},
		"no password":                      {request: func(_ *rig, token string) flow.StartRequest { return byInvite(token, "") }, err: &flow.Invalid{}},
		"a directory that does not answer": {set: func(r *rig) { r.dir.Down = directory.ErrUnavailable }, err: directory.ErrUnavailable},
		"a store that does not answer":     {set: func(r *rig) { r.known.Fail = errors.New("disk full") }, err: flow.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, unenrolled)
			r.dir.Add(directory.User{ID: "test:carol", Login: "carol", Mail: []string{"carol@example.org"}}, hers)
			token := r.invitation(bob)
			if c.set != nil {
				c.set(r)
			}
			request := byInvite(token, oldPass)
			if c.request != nil {
				request = c.request(r, token)
			}
			got, err := r.nodes[0].Start(ctx, request)
			switch {
			case c.err == nil && err != nil, c.err != nil && err == nil, !errors.Is(err, c.err) && !sameKind(err, c.err):
				t.Errorf("%v, want %v", err, c.err)
			}
			if got != nil && (got.Outcome.Status != flow.Pending || slices.Contains(got.Kinds(), verify.Email)) {
				t.Errorf("it counted: %v, %+v", got.Kinds(), got.Outcome)
			}
			if r.known.Fail = nil; r.open(token) == c.spent {
				t.Errorf("the link opens: %v", r.open(token))
			}
		})
	}
}

// sameKind compares errors that carry something by their type.
func sameKind(got, want error) bool {
	var wrong *flow.Wrong
	var invalid *flow.Invalid
	return errors.As(want, &wrong) && errors.As(got, &wrong) || errors.As(want, &invalid) && errors.As(got, &invalid)
}
