package enrol_test

import (
	"errors"
	"testing"

	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/verify"
)

// Security case 105: while the level is raised nothing that proves somebody goes, by
// whatever door, and a level that cannot be read is a no.
func TestNothingIsTakenAwayWhileTheLevelIsRaised(t *testing.T) {
	codes := verify.Credential{ID: "sheet", Owner: alice, Kind: verify.RecoveryCode}
	key := verify.Credential{ID: "key", Owner: alice, Kind: verify.Passkey}
	for what, act := range map[string]func(*rig, enrol.Who) error{
		"remove":      func(r *rig, w enrol.Who) error { return r.Remove(ctx, w, "phone") },
		"replace":     func(r *rig, w enrol.Who) error { _, err := r.Offer(ctx, w, verify.TOTP, "phone"); return err },
		"codes again": func(r *rig, w enrol.Who) error { _, err := r.Offer(ctx, w, verify.RecoveryCode, ""); return err },
	} {
		r := newRig(t)
		r.shelf.methods[alice] = append(r.shelf.methods[alice], codes, key)
		w := r.who(alice, "aa")
		r.level.Raise()
		if err := act(r, w); !errors.Is(err, enrol.ErrThreat) {
			t.Errorf("%s: %v", what, err)
		}
		r.level.Fail(errors.New("database is locked"))
		if err := act(r, w); !errors.Is(err, enrol.ErrUnavailable) {
			t.Errorf("%s, with a level nobody can read: %v", what, err)
		}
		if len(r.shelf.changes) != 0 {
			t.Errorf("%s: %+v", what, r.shelf.changes)
		}
		r.level.Lower()
		if err := act(r, w); err != nil {
			t.Errorf("%s, lowered: %v", what, err)
		}
	}
}

// What was begun before the level was raised is not finished after it.
func TestASetUpThatReplacesIsNotConfirmedWhileTheLevelIsRaised(t *testing.T) {
	r := newRig(t)
	w := r.who(alice, "aa")
	if _, err := r.Offer(ctx, w, verify.TOTP, "phone"); err != nil {
		t.Fatal(err)
	}
	r.level.Raise()
	if _, err := r.Enrol(ctx, w, verify.TOTP, []byte("right"), "new"); !errors.Is(err, enrol.ErrThreat) || len(r.shelf.changes) != 0 {
		t.Errorf("%v, %+v", err, r.shelf.changes)
	}
}

// Adding goes on for who has just proved something they hold. Saved codes, and a
// password with a mailed code, are what thieves have.
func TestAddingTakesSomethingHeldWhileTheLevelIsRaised(t *testing.T) {
	weak := []verify.Kind{verify.Password, verify.Email}
	for what, c := range map[string]struct {
		by   []verify.Kind
		who  string
		want error
		calm bool // the store looks at the level again
	}{
		"by an app":                   {[]verify.Kind{verify.Password, verify.TOTP}, "alice", nil, false},
		"by a saved code":             {[]verify.Kind{verify.RecoveryCode}, "alice", &enrol.StepUp{Strong: true}, true},
		"by a mailed code":            {weak, "alice", &enrol.StepUp{Strong: true}, true},
		"the first thing of all":      {weak, "bob", enrol.ErrThreat, true},
		"by codes, and nothing bound": {[]verify.Kind{verify.RecoveryCode}, "bob", enrol.ErrThreat, true},
	} {
		r := newRig(t)
		id := alice
		if c.who == "bob" {
			id = bob
		}
		w := r.who(id, "aa")
		w.Principal.By = c.by
		add := func() error {
			if _, err := r.Offer(ctx, w, verify.TOTP, ""); err != nil {
				return err
			}
			_, err := r.Enrol(ctx, w, verify.TOTP, []byte("right"), "")
			return err
		}
		r.level.Raise()
		err := add()
		var up *enrol.StepUp
		if errors.As(err, &up) != errors.As(c.want, new(*enrol.StepUp)) || up == nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
		if (err == nil) != (len(r.shelf.changes) == 1) {
			t.Errorf("%s: %+v", what, r.shelf.changes)
		}
		r.level.Lower()
		if err := add(); err == nil && r.shelf.changes[len(r.shelf.changes)-1].Calm != c.calm {
			t.Errorf("%s: the change does not say what it needs: %+v", what, r.shelf.changes)
		}
	}
}

// The store looks once more: every change that takes something away says so.
func TestEveryChangeThatTakesAwayAsksForACalmLevel(t *testing.T) {
	r := newRig(t)
	w := r.who(alice, "aa")
	r.shelf.methods[alice] = append(r.shelf.methods[alice], verify.Credential{ID: "old", Owner: alice, Kind: verify.TOTP})
	u, err := r.Still(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Remove(ctx, w, "old"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Offer(ctx, w, verify.TOTP, "phone"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Enrol(ctx, w, verify.TOTP, []byte("right"), ""); err != nil {
		t.Fatal(err)
	}
	if err := r.ClearFor(ctx, u, "phone", audit.Event{Actor: "test:tech", Detail: map[string]string{}}, nil); err != nil {
		t.Fatal(err)
	}
	if len(r.shelf.changes) != 3 {
		t.Fatalf("%d changes", len(r.shelf.changes))
	}
	for _, c := range r.shelf.changes {
		if (c.Remove != "" || c.ReplaceAll != "") && !c.Calm {
			t.Errorf("%+v", c)
		}
	}
}
