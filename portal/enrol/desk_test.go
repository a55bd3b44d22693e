package enrol_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/notify"
	"postern/verify"
)

// Security case 106: each act of a technician is one change with its event, and is
// told to the person and to those beside them; the technician leaves nobody out.
func TestActsForSomebodyAreToldToAll(t *testing.T) {
	tell := []string{"boss@example.org", "security@example.org"}
	for what, c := range map[string]struct {
		do    func(*rig, directory.User, audit.Event) error
		check func(enrol.Change) bool
		told  string
	}{
		"account.frozen": {func(r *rig, u directory.User, by audit.Event) error { return r.FreezeFor(ctx, u, by, tell) },
			func(c enrol.Change) bool { return c.EndAll && !c.Standing(access.Standing{}).Frozen.IsZero() }, "desk_frozen"},
		"account.unfrozen": {func(r *rig, u directory.User, by audit.Event) error {
			if err := r.UnfreezeFor(ctx, u, by, tell); err != enrol.ErrNotFrozen {
				t.Errorf("not frozen: %v", err)
			}
			if err := r.known.Remember(ctx, u.ID, func(s access.Standing) (access.Standing, []audit.Event, []notify.Message) {
				s.Frozen = time.Unix(1, 0)
				return s, nil, nil
			}); err != nil {
				t.Fatal(err)
			}
			return r.UnfreezeFor(ctx, u, by, tell)
		}, func(c enrol.Change) bool {
			return c.EndAll && c.Standing(access.Standing{Frozen: time.Unix(1, 0)}).Frozen.IsZero()
		}, "account_unfrozen"},
		"factor.removed": {func(r *rig, u directory.User, by audit.Event) error {
			r.shelf.methods[alice] = []verify.Credential{{ID: "lost", Kind: verify.Passkey}}
			if err := r.ClearFor(ctx, u, "another", by, tell); !errors.Is(err, enrol.ErrNoMethod) {
				t.Errorf("somebody else's: %v", err)
			}
			return r.ClearFor(ctx, u, "lost", by, tell)
		}, func(c enrol.Change) bool {
			return c.Remove == "lost" && strings.Trim(c.OnlySession, "0") == "" && len(c.OnlySession) == 64
		}, "factor_removed"},
		"sessions.ended": {func(r *rig, u directory.User, by audit.Event) error { return r.EndSessionsFor(ctx, u, by, tell) },
			func(c enrol.Change) bool { return len(c.OnlySession) == 64 && !c.EndAll }, "sessions_ended"},
	} {
		r := newRig(t)
		u := directory.User{ID: alice, Login: "alice", Mail: []string{"alice@example.org"}, Groups: []string{"x"}}
		by := audit.Event{Actor: "test:tech", ActorName: "tech", Case: "case-1", Door: "desk", Detail: map[string]string{"cause": "lost", "ticket": "INC-7"}}
		if err := c.do(r, u, by); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if len(r.shelf.changes) != 1 || !c.check(r.shelf.changes[0]) {
			t.Fatalf("%s: %+v", what, r.shelf.changes)
		}
		change := r.shelf.changes[0]
		e := change.Events[0]
		if len(change.Events) != 1 || e.Kind != what || e.Subject != alice || e.Actor != "test:tech" || e.Case != "case-1" || e.Detail["ticket"] != "INC-7" {
			t.Errorf("%s: the record has %+v", what, change.Events)
		}
		if len(change.Messages) != 2 || change.Messages[0].Template != c.told || !slices.Contains(change.Messages[0].To, "alice@example.org") || len(change.Messages[0].Links) != 1 ||
			change.Messages[1].Template != "desk_done" || !slices.Equal(change.Messages[1].To, tell) || change.Messages[1].Args["what"] != what || change.Messages[1].Args["technician"] != "tech" {
			t.Errorf("%s: told %+v", what, change.Messages)
		}
		by.Actor = alice
		if err := r.EndSessionsFor(ctx, u, by, tell); err == nil {
			t.Errorf("%s: somebody acts for themselves", what)
		}
	}
}

// obeys is a directory that can require a change, or fails to.
type obeys struct {
	directory.Directory
	err   error
	asked int
}

func (o *obeys) RequireChange(context.Context, directory.User) error {
	o.asked++
	return o.err
}

// A write to the directory stands in the record before it is tried, and again with
// what came of it.
func TestARequiredChangeIsWrittenDownBeforeAndAfter(t *testing.T) {
	u := directory.User{ID: alice, Login: "alice", Mail: []string{"alice@example.org"}}
	by := audit.Event{Actor: "test:tech", ActorName: "tech", Case: "case-1", Door: "desk", Detail: map[string]string{}}
	for outcome, fault := range map[audit.Outcome]error{audit.OK: nil, audit.Refused: directory.ErrDenied, audit.Unknown: errors.Join(directory.ErrUnavailable, directory.ErrUncertain)} {
		r := newRig(t)
		if err := r.RequireChangeFor(ctx, u, by, nil); err != directory.ErrUnsupported || len(r.shelf.changes) != 0 {
			t.Errorf("a directory that cannot: %v", err)
		}
		d := &obeys{Directory: r.Directory, err: fault}
		r.Directory = d
		if err := r.RequireChangeFor(ctx, u, by, []string{"boss@example.org"}); !errors.Is(err, fault) {
			t.Errorf("%s: %v", outcome, err)
		}
		if d.asked != 1 || len(r.shelf.changes) != 2 {
			t.Fatalf("%s: asked %d times, %d changes", outcome, d.asked, len(r.shelf.changes))
		}
		before, after := r.shelf.changes[0], r.shelf.changes[1]
		if before.Events[0].Outcome != audit.Intent || len(before.Messages) != 0 || after.Events[0].Outcome != outcome || after.Events[0].Kind != "change.required" {
			t.Errorf("%s: %+v %+v", outcome, before.Events, after.Events)
		}
		if told := len(after.Messages) == 2 && after.OnlySession != ""; told != (outcome != audit.Refused) {
			t.Errorf("%s: told %+v", outcome, after.Messages)
		}
	}
}
