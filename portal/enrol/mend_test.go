package enrol_test

import (
	"slices"
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

func (r *rig) mender(plan policy.Plan) enrol.Mender {
	return enrol.Mender{Service: r.Service, Rules: door{plan: plan}, Life: 72 * time.Hour}
}

var (
	// open lets in by a password and whatever else there is, guarded by nothing else
	// than what somebody holds.
	openPlan    = policy.Plan{Allowed: []verify.Kind{verify.Password, verify.Email, verify.TOTP, verify.RecoveryCode}, First: verify.Password, Gates: 2, CoolingOff: 24 * time.Hour}
	guardedPlan = policy.Plan{Allowed: []verify.Kind{verify.Password, verify.TOTP}, First: verify.Password, Gates: 2, CoolingOff: 24 * time.Hour}
	theApp      = verify.Credential{ID: "app", Kind: verify.TOTP}
	key         = verify.Credential{ID: "key", Kind: verify.Passkey}
	sheet       = []verify.Credential{{ID: "c1", Kind: verify.RecoveryCode}, {ID: "c2", Kind: verify.RecoveryCode}}
	byTech      = audit.Event{Actor: "test:tech", ActorName: "tech", Case: "case-1", Door: "desk"}
)

func deed() audit.Event {
	by := byTech
	by.Detail = map[string]string{"cause": "lost", "ticket": "INC-7", "receipt": "P-1"}
	return by
}

var (
	ann  = directory.User{ID: alice, Login: "alice", Mail: []string{"alice@example.org", "second@example.org"}, Groups: []string{"x"}}
	told = []string{"boss@example.org", "security@example.org"}
)

// Whoever lost the one thing they had is let in by their password and a link to the
// address on file; whoever has something left is let in by that, and by no link.
func TestAClearedFactorLeavesAWayToTheNextOne(t *testing.T) {
	for name, c := range map[string]struct {
		have   []verify.Credential
		plan   policy.Plan
		extra  string // the message beside the notices
		link   bool
		events []string
	}{
		"nothing left":   {[]verify.Credential{theApp}, openPlan, "invitation", true, []string{"factor.removed", "invitation.sent"}},
		"a sheet left":   {append(slices.Clone(sheet), theApp), openPlan, "factor_replace", false, []string{"factor.removed"}},
		"an app is left": {[]verify.Credential{theApp, {ID: "app2", Kind: verify.TOTP}}, guardedPlan, "factor_replace", false, []string{"factor.removed"}},
	} {
		r := newRig(t)
		r.shelf.methods[alice] = c.have
		why, err := r.mender(c.plan).ReplaceFor(ctx, ann, "app", deed(), told)
		if why != "" || err != nil || len(r.shelf.changes) != 1 {
			t.Fatalf("%s: %q, %v, %d changes", name, why, err, len(r.shelf.changes))
		}
		change := r.shelf.changes[0]
		var kinds, templates []string
		for _, e := range change.Events {
			kinds = append(kinds, e.Kind)
			if e.Subject != alice || e.Actor != "test:tech" || e.Case != "case-1" || e.Detail["ticket"] != "INC-7" || e.Outcome != audit.OK {
				t.Errorf("%s: %+v", name, e)
			}
		}
		for _, m := range change.Messages {
			templates = append(templates, m.Template)
			invites := slices.ContainsFunc(m.Links, func(l notify.LinkTo) bool { return l.Kind == notify.Invite })
			if invites != (m.Template == "invitation" && c.link) {
				t.Errorf("%s: %s has the links %+v", name, m.Template, m.Links)
			}
			if slices.Contains(m.To, "boss@example.org") && m.Template != "desk_done" {
				t.Errorf("%s: %s goes to others", name, m.Template)
			}
		}
		if change.Remove != "app" || strings.Trim(change.OnlySession, "0") != "" || !slices.Equal(kinds, c.events) || !slices.Equal(templates, []string{c.extra, "factor_removed", "desk_done"}) {
			t.Errorf("%s: %+v: %q %q", name, change, kinds, templates)
		}
	}
}

// What would leave somebody outside, or send their way in to whoever has just put an
// address in place of theirs, is not begun.
func TestNobodyIsSentAWayThatIsClosedOrAnothers(t *testing.T) {
	fresh := func(s *access.Standing, now time.Time) { s.MailAt = now.Add(-24*time.Hour + time.Second) }
	for name, c := range map[string]struct {
		have []verify.Credential
		plan policy.Plan
		set  func(*access.Standing, time.Time)
		mail []string
		why  string
	}{
		"nothing is left, and no code by mail is taken": {have: []verify.Credential{theApp}, plan: guardedPlan, mail: ann.Mail, why: "invite_weak"},
		"what is left does not sign in":                 {have: []verify.Credential{theApp, key}, plan: guardedPlan, mail: ann.Mail, why: "invite_weak"},
		"no address":                                    {have: []verify.Credential{theApp}, plan: openPlan, why: "invite_no_mail"},
		"an address since an hour":                      {have: []verify.Credential{theApp}, plan: openPlan, mail: ann.Mail, set: fresh, why: "invite_new_mail"},
		"an address since an hour, something left":      {have: append(slices.Clone(sheet), theApp), plan: openPlan, mail: ann.Mail, set: fresh, why: "invite_new_mail"},
		"frozen": {have: []verify.Credential{theApp}, plan: openPlan, mail: ann.Mail, set: func(s *access.Standing, now time.Time) { s.Frozen = now }, why: "frozen"},
	} {
		r := newRig(t)
		r.shelf.methods[alice] = c.have
		if c.set != nil {
			r.known.Set(alice, func(s *access.Standing) { c.set(s, r.now) })
		}
		u := ann
		u.Mail = c.mail
		if why, err := r.mender(c.plan).ReplaceFor(ctx, u, "app", deed(), told); why != c.why || err != nil {
			t.Errorf("%s: %q %v", name, why, err)
		}
		if len(c.have) == 1 {
			r.shelf.methods[alice] = nil
			if why, err := r.mender(c.plan).InviteFor(ctx, u, deed(), told); why != c.why || err != nil {
				t.Errorf("%s, invited: %q %v", name, why, err)
			}
		}
		if len(r.shelf.changes) != 0 {
			t.Errorf("%s: %+v", name, r.shelf.changes)
		}
	}
	r := newRig(t)
	r.shelf.methods[alice] = sheet
	if why, err := r.mender(openPlan).InviteFor(ctx, ann, deed(), told); why != "invite_enrolled" || err != nil || len(r.shelf.changes) != 0 {
		t.Errorf("a way round what they have: %q %v", why, err)
	}
	if _, err := r.mender(openPlan).ReplaceFor(ctx, ann, "somebody's", deed(), told); err != enrol.ErrNoMethod {
		t.Errorf("%v", err)
	}
}

// An invitation is one mail to its owner with the link, and a notice to everybody else
// without it.
func TestAnInvitationFromTheDeskIsToldToAll(t *testing.T) {
	r := newRig(t)
	r.shelf.methods[alice] = nil
	if why, err := r.mender(openPlan).InviteFor(ctx, ann, deed(), told); why != "" || err != nil || len(r.shelf.changes) != 1 {
		t.Fatalf("%q %v", why, err)
	}
	change := r.shelf.changes[0]
	if len(change.Events) != 1 || change.Events[0].Kind != "invitation.sent" || change.Events[0].Detail["ticket"] != "INC-7" || change.Events[0].Detail["by"] != "mail" {
		t.Errorf("%+v", change.Events)
	}
	for i, template := range []string{"invitation", "invitation_sent", "desk_done"} {
		if m := change.Messages[i]; m.Template != template || slices.ContainsFunc(m.Links, func(l notify.LinkTo) bool { return l.Kind == notify.Invite }) != (i == 0) {
			t.Errorf("%+v", m)
		}
	}
}

// A lost sheet goes whole.
func TestALostSheetGoesWhole(t *testing.T) {
	r := newRig(t)
	r.shelf.methods[alice] = []verify.Credential{theApp}
	if err := r.mender(openPlan).ClearCodesFor(ctx, ann, deed(), told); err != enrol.ErrNoMethod {
		t.Errorf("%v", err)
	}
	r.shelf.methods[alice] = append(slices.Clone(sheet), theApp)
	if err := r.mender(openPlan).ClearCodesFor(ctx, ann, deed(), told); err != nil || len(r.shelf.changes) != 1 {
		t.Fatal(err)
	}
	change := r.shelf.changes[0]
	if change.ReplaceAll != verify.RecoveryCode || change.Remove != "" || len(change.Add) != 0 || len(change.OnlySession) != 64 || change.Events[0].Factor != "recovery_code" ||
		change.Events[0].Kind != "factor.removed" || len(change.Messages) != 2 || change.Messages[0].Template != "factor_removed" || change.Messages[1].Template != "desk_done" {
		t.Errorf("%+v", change)
	}
}
