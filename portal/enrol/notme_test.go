package enrol_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/notify"
	"postern/verify"
)

// notice makes the link of a notice, as the store does.
func (r *rig) notice(t *testing.T, id directory.ID) string {
	t.Helper()
	return r.known.Put(notify.Message{Links: []notify.LinkTo{{Kind: notify.NotMe, Account: id, Case: "case-1", Life: time.Hour}}})[0]
}

// The button of a notice freezes the account, ends everything of it, and tells
// its owner and the operators; it needs neither a sign-in nor the directory.
func TestNotMeFreezes(t *testing.T) {
	for _, down := range []bool{false, true} {
		r := newRig(t)
		if down {
			r.dir.Down = directory.ErrUnavailable
		}
		token := r.notice(t, alice)
		got, err := r.Report(ctx, token)
		if err != nil || got.ID != alice || (got.Login == "alice") == down {
			t.Fatalf("down %v: %+v, %v", down, got, err)
		}
		if len(r.shelf.changes) > 0 {
			t.Fatal("looking changed something")
		}
		if err := r.NotMe(ctx, token, "192.0.2.1", "en"); err != nil {
			t.Fatal(err)
		}
		c := r.shelf.changes[0]
		if c.Owner != alice || !c.EndAll || c.Spend == nil || c.Spend.Token != token || c.Standing(access.Standing{}).Frozen.IsZero() {
			t.Errorf("down %v: %+v", down, c)
		}
		if e := c.Events[0]; e.Kind != "account.frozen" || e.Subject != alice || e.Case != "case-1" || e.Outcome != audit.OK {
			t.Errorf("down %v: the record has %+v", down, e)
		}
		told := map[string][]string{}
		for _, m := range c.Messages {
			told[m.Template] = m.To
		}
		if !slices.Equal(told["incident"], []string{"security@example.org"}) || !down && len(told["account_frozen"]) != 2 {
			t.Errorf("down %v: told %v", down, told)
		}
		first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if again := c.Standing(access.Standing{Frozen: first}); !again.Frozen.Equal(first) {
			t.Error("a second report moved the first one")
		} else if !again.NotMe.After(first) {
			t.Error("a second report is forgotten: what was proved between the two would stand")
		}
	}
	r := newRig(t)
	for _, bad := range []string{"", "token-7"} {
		if err := r.NotMe(ctx, bad, "", "en"); !errors.Is(err, enrol.ErrNoLink) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	r.known.Fail = errors.New("disk full")
	if err := r.NotMe(ctx, r.notice(t, alice), "", "en"); !errors.Is(err, enrol.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// Whoever is signed in to a frozen account is signed in no more, and what is
// remembered that cannot be read is a no.
func TestAFrozenAccountHasNoSession(t *testing.T) {
	r := newRig(t)
	if _, err := r.Still(ctx, r.who(alice, "aa")); err != nil {
		t.Fatal(err)
	}
	r.known.Set(alice, func(s *access.Standing) { s.Frozen = r.now })
	if _, err := r.Still(ctx, r.who(alice, "aa")); !errors.Is(err, enrol.ErrEnded) {
		t.Errorf("%v", err)
	}
	r.known.Fail = errors.New("disk full")
	if _, err := r.Still(ctx, r.who(bob, "aa")); !errors.Is(err, enrol.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// Only what is frozen can be opened again, by somebody with a name and a reason.
func TestUnfreezing(t *testing.T) {
	r := newRig(t)
	by := audit.Event{Actor: "operator", ActorName: "root", Door: "cli"}
	if err := r.Unfreeze(ctx, alice, by, "spoke to her"); !errors.Is(err, enrol.ErrNotFrozen) {
		t.Errorf("%v", err)
	}
	r.known.Set(alice, func(s *access.Standing) { s.Frozen = r.now })
	if err := r.Unfreeze(ctx, alice, by, "spoke to her"); err != nil {
		t.Fatal(err)
	}
	c := r.shelf.changes[0]
	if e := c.Events[0]; e.Kind != "account.unfrozen" || e.ActorName != "root" || e.Detail["why"] != "spoke to her" || !c.Standing(access.Standing{Frozen: r.now}).Frozen.IsZero() {
		t.Errorf("%+v", e)
	}
	if !c.EndAll {
		t.Error("what slipped in while it was frozen wakes up")
	}
	if m := c.Messages[0]; m.Template != "account_unfrozen" || len(m.To) != 2 || m.Links[0].Kind != notify.NotMe {
		t.Errorf("%+v", m)
	}
}

// Notices go to the address that was replaced lately, too, each with the button.
func TestNoticesGoToTheOldAddressToo(t *testing.T) {
	r := newRig(t)
	r.known.Set(alice, func(s *access.Standing) {
		s.Seen, s.Mail, s.Former = r.now, []string{"one@example.org", "two@example.org"}, []access.Former{{Address: "old@example.org", Until: r.now.Add(-time.Hour)}, {Address: "ancient@example.org", Until: r.now.Add(-99 * 24 * time.Hour)}}
	})
	if err := r.Remove(ctx, r.who(alice, "aa"), "phone"); err != nil {
		t.Fatal(err)
	}
	m := r.shelf.changes[0].Messages[0]
	if !slices.Equal(m.To, []string{"one@example.org", "two@example.org", "old@example.org"}) || len(m.Links) != 1 || m.Links[0].Account != alice {
		t.Errorf("%v, %+v", m.To, m.Links)
	}
}

// Security case 45: what is replaced works until its successor is confirmed, and
// not a moment longer.
func TestReplacingKeepsTheOldOneUntilTheNewOneWorks(t *testing.T) {
	r := newRig(t)
	w := r.who(alice, "aa")
	for _, bad := range []string{"nobody's", "codes"} {
		r.shelf.methods[alice] = []verify.Credential{{ID: "phone", Owner: alice, Kind: verify.TOTP, Name: "Old phone"}, {ID: "codes", Owner: alice, Kind: verify.RecoveryCode}}
		if _, err := r.Offer(ctx, w, verify.TOTP, bad); !errors.Is(err, enrol.ErrNoMethod) {
			t.Errorf("replacing %q: %v", bad, err)
		}
	}
	if _, err := r.Offer(ctx, w, verify.TOTP, "phone"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Enrol(ctx, w, verify.TOTP, []byte("wrong"), ""); !errors.Is(err, enrol.ErrBadReply) || len(r.shelf.changes) > 0 {
		t.Fatalf("%v, %v", err, r.shelf.changes)
	}
	if _, err := r.Enrol(ctx, w, verify.TOTP, []byte("right"), "New phone"); err != nil {
		t.Fatal(err)
	}
	c := r.shelf.changes[0]
	if c.Remove != "phone" || len(c.Add) != 1 || c.OnlySession != "aa" || len(c.Events) != 2 {
		t.Errorf("%+v", c)
	}
	// Its owner hears of both: a thief replaces what is theirs.
	if len(c.Messages) != 2 || c.Messages[0].Template != "factor_removed" || c.Messages[0].Args["name"] != "Old phone" || c.Messages[1].Template != "factor_added" {
		t.Errorf("told %+v", c.Messages)
	}
}

// Whatever a person does to their factors is done only while the portal serves them,
// which the store looks at last.
func TestEveryChangeOfFactorsAsksWhetherTheAccountIsServed(t *testing.T) {
	r := newRig(t)
	w := r.who(alice, "aa")
	if _, err := r.Offer(ctx, w, verify.TOTP, ""); err != nil {
		t.Fatal(err)
	}
	_, added := r.Enrol(ctx, w, verify.TOTP, []byte("right"), "")
	if err := errors.Join(added, r.Rename(ctx, w, "phone", "Old"), r.Remove(ctx, w, "phone")); err != nil || len(r.shelf.changes) != 3 {
		t.Fatalf("%v, %d changes", err, len(r.shelf.changes))
	}
	for _, c := range r.shelf.changes {
		if !c.Served {
			t.Errorf("%+v", c)
		}
	}
}
