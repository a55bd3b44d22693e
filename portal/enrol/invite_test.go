package enrol_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

// door has one plan for everybody.
type door struct {
	scope
	plan policy.Plan
}

func (d door) For(access.Door, policy.Purpose, directory.User) policy.Plan { return d.plan }

func (r *rig) inviter() enrol.Inviter {
	return enrol.Inviter{Directory: r.dir, Rules: door{plan: policy.Plan{Allowed: []verify.Kind{verify.Password, verify.Email}, First: verify.Password, Gates: 2}},
		Store: r.shelf, Accounts: r.known, Life: 72 * time.Hour, Now: func() time.Time { return r.now }}
}

var operator = audit.Event{Actor: "operator", ActorName: "root", Door: "cli"}

// Only who has nothing is invited; anybody else has something an invitation would
// get round.
func TestWhoIsNotInvited(t *testing.T) {
	for name, c := range map[string]struct {
		login string
		set   func(*rig, *enrol.Inviter)
		hand  bool
		why   string
	}{
		"who has nothing":                {login: "bob"},
		"who has an app":                 {login: "alice", why: "totp"},
		"nobody":                         {login: "eve", why: "nobody"},
		"somebody disabled":              {login: "bob", set: func(r *rig, _ *enrol.Inviter) { r.dir.Edit(bob, func(u *directory.User) { u.State.Disabled = true }) }, why: "(disabled)"},
		"somebody frozen":                {login: "bob", set: func(r *rig, _ *enrol.Inviter) { r.known.Set(bob, func(s *access.Standing) { s.Frozen = r.now }) }, why: "frozen"},
		"somebody without mail":          {login: "bob", set: func(r *rig, _ *enrol.Inviter) { r.dir.Edit(bob, func(u *directory.User) { u.Mail = nil }) }, why: "no mail address"},
		"somebody without mail, by hand": {login: "bob", set: func(r *rig, _ *enrol.Inviter) { r.dir.Edit(bob, func(u *directory.User) { u.Mail = nil }) }, hand: true},
		"whose sign-in takes no code": {login: "bob", set: func(_ *rig, i *enrol.Inviter) {
			i.Rules = door{plan: policy.Plan{Allowed: []verify.Kind{verify.Password, verify.TOTP}, First: verify.Password, Gates: 2}}
		}, why: "not enough for them to sign in"},
	} {
		r := newRig(t)
		i := r.inviter()
		if c.set != nil {
			c.set(r, &i)
		}
		u, why, err := i.Invitee(ctx, c.login, c.hand)
		if err != nil || (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s: %q, %v", name, why, err)
		}
		if c.login != "bob" {
			continue
		}
		// Asked again at the act, whatever was answered before.
		path, again, err := i.Invite(ctx, u, c.hand, operator)
		if err != nil || again != why || (len(r.shelf.changes) > 0) != (why == "") || (path != "") != (c.hand && why == "") {
			t.Errorf("%s: invited to %q, %q, %v, %d changes", name, path, again, err, len(r.shelf.changes))
		}
	}
	r := newRig(t)
	r.dir.Down = directory.ErrUnavailable
	if _, _, err := r.inviter().Invitee(ctx, "bob", false); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	r = newRig(t)
	r.known.Fail = errors.New("disk full")
	if _, _, err := r.inviter().Invitee(ctx, "bob", false); !errors.Is(err, enrol.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// A mailed link is nowhere but in the mail, whose address is read when it is sent.
func TestAnInvitationIsMailedOrHandedOver(t *testing.T) {
	r := newRig(t)
	i := r.inviter()
	u, _, err := i.Invitee(ctx, "bob", false)
	if err != nil {
		t.Fatal(err)
	}
	if path, why, err := i.Invite(ctx, u, false, operator); path != "" || why != "" || err != nil {
		t.Fatalf("%q, %q, %v", path, why, err)
	}
	c := r.shelf.changes[0]
	if m := c.Messages[0]; m.Template != "invitation" || len(m.To) != 0 || m.Who.ID != bob || !m.NotAfter.Equal(r.now.Add(72*time.Hour)) || len(m.Links) != 1 ||
		m.Links[0] != (notify.LinkTo{Kind: notify.Invite, Account: bob, Life: 72 * time.Hour}) {
		t.Errorf("%+v", m)
	}
	if e := c.Events[0]; e.Kind != "invitation.sent" || e.Subject != bob || e.ActorName != "root" || e.Detail["by"] != "mail" {
		t.Errorf("%+v", e)
	}
	path, _, err := i.Invite(ctx, u, true, operator)
	if c := r.shelf.changes[1]; err != nil || !strings.HasPrefix(path, "/link/") || len(c.Messages) != 0 || c.Events[0].Detail["by"] != "hand" {
		t.Errorf("%q, %v, %+v", path, err, c)
	}
}

// A link says no more than a first name, changes nothing by being opened, and can
// put a reminder off once, until the deadline.
func TestWhatALinkOpens(t *testing.T) {
	r := newRig(t)
	r.Campaign = enrol.Campaign{Snooze: 14 * 24 * time.Hour, Deadline: r.now.Add(10 * 24 * time.Hour)}
	r.dir.Edit(bob, func(u *directory.User) { u.GivenName, u.Name = "Bob", "Bob Secretive" })
	link := func(k notify.LinkKind) string {
		return r.known.Put(notify.Message{Links: []notify.LinkTo{{Kind: k, Account: bob, Life: time.Hour}}})[0]
	}
	invite, snooze := link(notify.Invite), link(notify.Snooze)
	if o, err := r.Open(ctx, invite); err != nil || o != (enrol.Opened{Invited: true, Given: "Bob"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := r.Open(ctx, snooze); err != nil || o != (enrol.Opened{Until: r.Campaign.Deadline}) {
		t.Errorf("%+v, %v", o, err)
	}
	for what, token := range map[string]string{"nothing": "", "another kind": link(notify.NotMe)} {
		_, open := r.Open(ctx, token)
		_, act := r.Snooze(ctx, token, "192.0.2.1")
		if !errors.Is(open, enrol.ErrNoLink) || !errors.Is(act, enrol.ErrNoLink) {
			t.Errorf("%s: %v, %v", what, open, act)
		}
	}
	if _, err := r.Snooze(ctx, invite, ""); !errors.Is(err, enrol.ErrNoLink) || len(r.shelf.changes) > 0 {
		t.Errorf("snoozed by an invitation: %v", err)
	}
	until, err := r.Snooze(ctx, snooze, "192.0.2.1")
	if err != nil || !until.Equal(r.Campaign.Deadline) {
		t.Fatalf("%v, %v", until, err)
	}
	c := r.shelf.changes[0]
	if c.Owner != bob || c.Spend == nil || c.Spend.Kind != notify.Snooze || !c.Standing(access.Standing{}).Snoozed.Equal(until) || c.Events[0].Kind != "reminder.snoozed" || c.EndAll {
		t.Errorf("%+v", c)
	}
	r.dir.Edit(bob, func(u *directory.User) { u.State.Disabled = true })
	if o, err := r.Open(ctx, invite); err != nil || o.Given != "" {
		t.Errorf("a name of an account that is not served: %+v, %v", o, err)
	}
	r.now = r.Campaign.Deadline
	if _, err := r.Open(ctx, snooze); !errors.Is(err, enrol.ErrNoLink) {
		t.Errorf("after the deadline: %v", err)
	}
	if _, err := r.Snooze(ctx, snooze, ""); !errors.Is(err, enrol.ErrNoLink) {
		t.Errorf("after the deadline: %v", err)
	}
	r.known.Fail = errors.New("disk full")
	if _, err := r.Open(ctx, invite); !errors.Is(err, enrol.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}
