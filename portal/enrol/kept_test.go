package enrol_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/limit"
	"postern/verify"
)

// Whoever may do this may sign in elsewhere as that person: what stands against it is
// found before the directory is asked for anything.
func TestNothingIsDoneToKeptMethodsWhileSomethingStandsAgainstIt(t *testing.T) {
	up := func(err error) bool { return errors.As(err, new(*enrol.StepUp)) }
	is := func(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }
	for name, c := range map[string]struct {
		make func(*keptRig, *enrol.Who)
		want func(error) bool
	}{
		"a stale proof": {func(r *keptRig, w *enrol.Who) { w.Principal.Proven = r.now.Add(-11 * time.Minute) }, up},
		"no proof":      {func(_ *keptRig, w *enrol.Who) { w.Principal.Proven = time.Time{} }, up},
		"a mailed code": {func(_ *keptRig, w *enrol.Who) { w.Principal.By = []verify.Kind{verify.Password, verify.Email} }, up},
		"frozen": {func(r *keptRig, _ *enrol.Who) {
			r.known.Set(alice, func(s *access.Standing) { s.Frozen = r.now })
		}, is(enrol.ErrEnded)},
		"privileged": {func(r *keptRig, _ *enrol.Who) {
			r.dir.Edit(alice, func(u *directory.User) { u.Privileged = "a role" })
		}, is(enrol.ErrEnded)},
		"disabled": {func(r *keptRig, _ *enrol.Who) {
			r.dir.Edit(alice, func(u *directory.User) { u.State.Disabled = true })
		}, is(enrol.ErrEnded)},
		"another password": {func(r *keptRig, _ *enrol.Who) {
			r.dir.Edit(alice, func(u *directory.User) { u.State.PasswordSet = r.now })
		}, is(enrol.ErrEnded)},
		"threat":             {func(r *keptRig, _ *enrol.Who) { r.level.Raise() }, is(enrol.ErrThreat)},
		"threat unknown":     {func(r *keptRig, _ *enrol.Who) { r.level.Fail(errors.New("locked")) }, is(enrol.ErrUnavailable)},
		"a shared screen":    {func(_ *keptRig, w *enrol.Who) { w.Principal.Door = access.Kiosk }, is(directory.ErrUnsupported)},
		"the desk":           {func(_ *keptRig, w *enrol.Who) { w.Principal.Door = access.Desk }, is(directory.ErrUnsupported)},
		"the directory down": {func(r *keptRig, _ *enrol.Who) { r.dir.Down = directory.ErrUnavailable }, is(directory.ErrUnavailable)},
		"the record down":    {func(r *keptRig, _ *enrol.Who) { r.ledger.broken = 1 }, is(enrol.ErrUnavailable)},
		"addresses unknown":  {func(r *keptRig, _ *enrol.Who) { r.known.Fail = errors.New("locked") }, is(enrol.ErrUnavailable)},
		"the limiter down":   {func(r *keptRig, _ *enrol.Who) { r.meter.fail = errors.New("connection refused") }, is(enrol.ErrUnavailable)},
		"a limit": {func(r *keptRig, _ *enrol.Who) { r.meter.fail = &limit.Exceeded{Name: limit.Pass, Retry: time.Minute} },
			func(err error) bool { return errors.As(err, new(*limit.Exceeded)) }},
	} {
		r := newKeptRig(t)
		w := r.who(alice, "aa")
		c.make(r, &w)
		for what, act := range r.acts(w) {
			if err := act(); !c.want(err) {
				t.Errorf("%s: %s: %v", name, what, err)
			}
		}
		if len(r.tenant.did) > 0 || len(r.shelf.changes) > 0 {
			t.Errorf("%s: the directory did %q, %d changes", name, r.tenant.did, len(r.shelf.changes))
		}
	}
}

// An id is looked for among one's own, and decides nothing but which of them.
func TestNobodyTakesAwayAMethodOfSomebodyElse(t *testing.T) {
	r := newKeptRig(t)
	for _, id := range []string{"bobs", "", "pw", "TEL", "tel ", "../tel"} {
		if err := r.RemoveKept(ctx, r.who(alice, "aa"), id); !errors.Is(err, enrol.ErrNoMethod) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if len(r.tenant.did) > 0 {
		t.Errorf("%q", r.tenant.did)
	}
}

// A pass gets past everything, so somebody who has just got into an account and set up
// an app of their own must not turn it into one.
func TestAPassTakesAProofThatIsNotNew(t *testing.T) {
	r := newKeptRig(t)
	w := r.who(alice, "aa")
	r.shelf.methods[alice][0].Created = r.now.Add(-24*time.Hour + time.Second)
	_, err := r.Pass(ctx, w, form)
	var young *enrol.TooNew
	if !errors.As(err, &young) || !young.Until.Equal(r.now.Add(time.Second)) {
		t.Errorf("%v", err)
	}
	// What was proved with counts, not what lies beside it.
	r.shelf.methods[alice] = append(r.shelf.methods[alice], verify.Credential{ID: "old", Kind: verify.Passkey})
	if _, err := r.Pass(ctx, w, form); !errors.As(err, new(*enrol.TooNew)) {
		t.Errorf("an old passkey that was not used: %v", err)
	}
	// Whoever has nothing could be anybody with a password and a mailbox.
	w = r.who(bob, "bb")
	w.Principal.By = []verify.Kind{verify.Password, verify.Email}
	if _, err := r.Pass(ctx, w, form); !errors.As(err, &young) || !young.Until.IsZero() {
		t.Errorf("nothing enrolled: %v", err)
	}
	if len(r.tenant.did) > 0 || len(r.shelf.changes) > 0 {
		t.Errorf("%q", r.tenant.did)
	}
	r.now = r.now.Add(time.Second)
	if _, err := r.Pass(ctx, r.who(alice, "aa"), form); err != nil {
		t.Error(err)
	}
}

// What is kept of a pass says that there was one, until when, and who was told; its
// value is in the one answer.
func TestAPassIsNowhereButInItsAnswer(t *testing.T) {
	r := newKeptRig(t)
	r.known.Set(alice, func(s *access.Standing) { s.Mail = []string{"former@example.org"} })
	p, err := r.Pass(ctx, r.who(alice, "aa"), form)
	if err != nil || p.Value.Reveal() != canary+"1" || !p.Until.Equal(r.now.Add(time.Hour)) {
		t.Fatalf("%v %v", p, err)
	}
	if all := fmt.Sprintf("%+v %v %q %v", r.shelf.changes, r.marks.spent, r.meter.taken, p); strings.Contains(all, canary) {
		t.Errorf("it is kept: %s", all)
	}
	if len(r.shelf.changes) != 2 {
		t.Fatalf("%+v", r.shelf.changes)
	}
	before, after := r.shelf.changes[0], r.shelf.changes[1]
	if !before.Served || !before.Calm || before.Events[0].Kind != "pass.issued" || before.Events[0].Outcome != audit.Intent || len(before.Messages) > 0 {
		t.Errorf("before: %+v", before)
	}
	if e := after.Events[0]; e.Outcome != audit.OK || e.Subject != alice || e.Actor != alice || e.Detail["until"] != "2026-03-01T10:00:00Z" {
		t.Errorf("after: %+v", e)
	}
	m := after.Messages[0]
	if m.Template != "pass_issued" || !slices.Contains(m.To, "former@example.org") || !slices.Contains(m.To, "two@example.org") || len(m.Links) != 1 || m.Args["until"] == "" {
		t.Errorf("%+v", m)
	}
	// A reload sends the form again; another form is another pass.
	if _, err := r.Pass(ctx, r.who(alice, "aa"), form); !errors.Is(err, enrol.ErrSpent) || r.tenant.passes != 1 {
		t.Errorf("sent again: %v, %d passes", err, r.tenant.passes)
	}
	for _, bad := range []string{"", "short", form + "A", strings.Repeat("=", 22)} {
		if _, err := r.Pass(ctx, r.who(alice, "aa"), bad); !errors.Is(err, enrol.ErrSpent) || r.tenant.passes != 1 {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if p, err := r.Pass(ctx, r.who(alice, "aa"), strings.Repeat("B", 22)); err != nil || p.Value.Reveal() != canary+"2" {
		t.Errorf("%v", err)
	}
	r.marks.fail = errors.New("locked")
	if _, err := r.Pass(ctx, r.who(alice, "aa"), strings.Repeat("C", 22)); !errors.Is(err, enrol.ErrUnavailable) || r.tenant.passes != 2 {
		t.Errorf("a store that cannot say: %v", err)
	}
}

// What the directory did not say it did is not said to be done, and is in the record.
func TestTheDirectorysAnswerIsToldAsItIs(t *testing.T) {
	for _, c := range []struct {
		err     error
		code    string
		outcome audit.Outcome
		told    int
	}{
		{directory.ErrDenied, "denied", audit.Refused, 0},
		{directory.ErrUnsupported, "unsupported", audit.Refused, 0},
		{directory.ErrUnavailable, "unavailable", audit.Refused, 0},
		{directory.ErrNotFound, "gone", audit.Refused, 0},
		{errors.Join(directory.ErrUnavailable, directory.ErrUncertain), "uncertain", audit.Unknown, 1},
	} {
		for what := range (&keptRig{}).acts(enrol.Who{}) {
			r := newKeptRig(t)
			r.tenant.fail = c.err
			var no *enrol.Undone
			if err := r.acts(r.who(alice, "aa"))[what](); !errors.As(err, &no) || no.Code != c.code {
				t.Errorf("%s, %v: %v", what, c.err, err)
			}
			if len(r.shelf.changes) != 2 || r.shelf.changes[1].Events[0].Outcome != c.outcome || len(r.shelf.changes[1].Messages) != c.told {
				t.Errorf("%s, %v: %+v", what, c.err, r.shelf.changes)
			}
		}
	}
	r := newKeptRig(t)
	r.tenant.off = true
	if _, err := r.Pass(ctx, r.who(alice, "aa"), form); !errors.As(err, new(*enrol.Undone)) || len(r.shelf.changes) > 0 || len(r.tenant.did) > 0 {
		t.Errorf("none are given here: %v", err)
	}
}

// A pass that the record does not have, or whose owner froze the account meanwhile, is
// shown to nobody and taken away again.
func TestAPassNobodyMayHaveIsTakenAwayAgain(t *testing.T) {
	for name, c := range map[string]struct {
		make func(*keptRig)
		want func(error) bool
		ends bool // and the record says so
	}{
		"no record": {func(r *keptRig) { r.ledger.broken = 2 }, func(err error) bool { var no *enrol.Undone; return errors.As(err, &no) && no.Code == "uncertain" }, false},
		"frozen": {func(r *keptRig) {
			r.tenant.during = func() { r.known.Set(alice, func(s *access.Standing) { s.Frozen = r.now }) }
		}, func(err error) bool { return errors.Is(err, enrol.ErrEnded) }, true},
	} {
		r := newKeptRig(t)
		c.make(r)
		p, err := r.Pass(ctx, r.who(alice, "aa"), form)
		if !c.want(err) || !p.Value.Empty() {
			t.Errorf("%s: %v %v", name, p.Value.Empty(), err)
		}
		if want := []string{"pass test:alice", "remove test:alice tap1"}; !slices.Equal(r.tenant.did, want) {
			t.Errorf("%s: %q", name, r.tenant.did)
		}
		last := r.shelf.changes[len(r.shelf.changes)-1].Events[0]
		if got := last.Kind == "pass.ended" && last.Outcome == audit.OK; got != c.ends {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

// What is taken away may be on a lost phone, on which somebody may be signed in here.
func TestTakingAKeptMethodAwayIsRecordedAndTold(t *testing.T) {
	r := newKeptRig(t)
	if err := r.RemoveKept(ctx, r.who(alice, "aa"), "tel"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.tenant.did, []string{"remove test:alice tel"}) || !slices.Equal(r.meter.taken, []string{"method test:alice"}) {
		t.Errorf("%q %q", r.tenant.did, r.meter.taken)
	}
	after := r.shelf.changes[1]
	if e := after.Events[0]; e.Kind != "method.removed" || e.Outcome != audit.OK || e.Detail["method"] != "phone" || e.Detail["id"] != "tel" || after.OnlySession != "aa" {
		t.Errorf("%+v", after)
	}
	if m := after.Messages[0]; m.Template != "method_removed" || m.Args["method"] != "phone" || len(m.Links) != 1 {
		t.Errorf("%+v", m)
	}
	if all := fmt.Sprintf("%+v", r.shelf.changes); strings.Contains(all, "0190") {
		t.Errorf("the number is kept: %s", all)
	}
	if err := r.RemoveKept(ctx, r.who(alice, "aa"), "tel"); !errors.Is(err, enrol.ErrNoMethod) {
		t.Errorf("again: %v", err)
	}
}

// Where a directory keeps nothing there is nothing to see, and one that cannot be asked
// is told from it.
func TestKeptMethodsAreListedWhereThereAreSome(t *testing.T) {
	r := newKeptRig(t)
	k, err := r.Kept(ctx, r.who(alice, "aa"))
	if err != nil || len(k.Methods) != 2 || !k.Passes {
		t.Errorf("%+v %v", k, err)
	}
	w := r.who(alice, "aa")
	w.Principal.Door = access.Kiosk
	if _, err := r.Kept(ctx, w); !errors.Is(err, directory.ErrUnsupported) {
		t.Errorf("a shared screen: %v", err)
	}
	r.tenant.blind = directory.ErrUnavailable
	if _, err := r.Kept(ctx, r.who(alice, "aa")); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("down: %v", err)
	}
	if _, err := newRig(t).Kept(ctx, r.who(alice, "aa")); !errors.Is(err, directory.ErrUnsupported) {
		t.Errorf("a directory without: %v", err)
	}
}

// "This wasn't me" ends the pass that may have been made; nothing about it stops the rest.
func TestNotMeEndsAPass(t *testing.T) {
	for name, c := range map[string]struct {
		make func(*keptRig)
		ends []audit.Outcome
		left int
	}{
		"a pass":        {func(*keptRig) {}, []audit.Outcome{audit.OK}, 0},
		"none":          {func(r *keptRig) { r.tenant.methods[alice] = nil }, nil, 0},
		"no answer":     {func(r *keptRig) { r.tenant.blind = directory.ErrUnavailable }, []audit.Outcome{audit.Failed}, 1},
		"not allowed":   {func(r *keptRig) { r.tenant.fail = directory.ErrDenied }, []audit.Outcome{audit.Failed}, 1},
		"nobody knows":  {func(r *keptRig) { r.tenant.fail = directory.ErrUncertain }, []audit.Outcome{audit.Unknown}, 1},
		"a role":        {func(r *keptRig) { r.dir.Edit(alice, func(u *directory.User) { u.Privileged = "a role" }) }, nil, 1},
		"account gone?": {func(r *keptRig) { r.dir.Down = directory.ErrUnavailable }, nil, 1},
	} {
		r := newKeptRig(t)
		r.tenant.methods[alice] = append(r.tenant.methods[alice], directory.Method{ID: "tap1", Kind: "temporaryAccessPass", Removable: true})
		c.make(r)
		if err := r.NotMe(ctx, r.notice(t, alice), "192.0.2.1", "en"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !r.shelf.changes[0].EndAll {
			t.Errorf("%s: %+v", name, r.shelf.changes[0])
		}
		var ends []audit.Outcome
		for _, ch := range r.shelf.changes[1:] {
			if e := ch.Events[0]; e.Kind == "pass.ended" && e.Subject == alice && e.Reason == "not_me" {
				ends = append(ends, e.Outcome)
			}
		}
		left := 0
		for _, m := range r.tenant.methods[alice] {
			if m.Kind == "temporaryAccessPass" {
				left++
			}
		}
		if !slices.Equal(ends, c.ends) || left != c.left {
			t.Errorf("%s: recorded %v, %d left", name, ends, left)
		}
	}
}
