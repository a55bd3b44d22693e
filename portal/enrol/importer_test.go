package enrol_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow/flowtest"
	"postern/verify"
)

// cabinet is a store and a vault that keeps what is committed.
type cabinet struct {
	enrol.Store
	verify.Vault
	mu      sync.Mutex
	creds   []verify.Credential
	changes []enrol.Change
	err     error
	// after is how many commits go well before err.
	after int
}

func (c *cabinet) Credentials(_ context.Context, owner directory.ID, kind verify.Kind) (list []verify.Credential, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.creds {
		if one.Owner == owner && one.Kind == kind {
			list = append(list, one)
		}
	}
	return list, nil
}

func (c *cabinet) ByHandle(_ context.Context, kind verify.Kind, handle []byte) (verify.Credential, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.creds {
		if one.Kind == kind && bytes.Equal(one.Handle, handle) {
			return one, nil
		}
	}
	return verify.Credential{}, verify.ErrNoCredential
}

func (c *cabinet) Commit(_ context.Context, change enrol.Change) error {
	if c.err != nil && len(c.changes) == c.after {
		return c.err
	}
	c.changes = append(c.changes, change)
	c.creds = append(c.creds, change.Add...)
	return nil
}

func newImporter(store *cabinet) (enrol.Importer, *flowtest.Directory) {
	now := func() time.Time { return time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC) }
	dir := &flowtest.Directory{Now: now}
	for _, login := range []string{"alice", "bob", "off", "chief", "mailless"} {
		u := directory.User{ID: directory.ID("test:" + login), Login: login, Mail: []string{login + "@example.org", "two@example.org"}, Language: "de"}
		switch login {
		case "off":
			u.State.Disabled = true
		case "chief":
			u.Privileged = "Domain Admins"
		case "mailless":
			u.Mail = nil
		}
		dir.Add(u, "x")
	}
	var n atomic.Int64
	return enrol.Importer{Sort: enrol.Apps(), Directory: dir, Policy: scope{}, Store: store, Vault: store, Max: 2, Now: now, Readers: 3,
		Handle: func(s []byte) []byte { return append([]byte("marked "), s...) },
		Bind: func(_ context.Context, s []byte, _ time.Time) (verify.Credential, error) {
			if len(s) < 20 {
				return verify.Credential{}, errors.New("the secret is too short")
			}

			return verify.Credential{ID: fmt.Sprint(n.Add(1)), Secret: s, Counter: 7}, nil
		}}, dir
}

func read(t *testing.T, lines ...string) []enrol.Line {
	t.Helper()
	seeds, err := enrol.Apps().Read([]byte(head + strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return seeds
}

func line(login string, i int, name string) string { return login + "," + text(seed(i)) + "," + name }

func TestAnImportIsOneChangeForEachPersonAndCanBeRepeated(t *testing.T) {
	store := &cabinet{}
	m, _ := newImporter(store)
	seeds := read(t, line("alice", 1, "phone"), line("mailless", 2, ""), line("alice", 3, "tablet"))
	plan, err := m.Plan(ctx, seeds)
	if err != nil {
		t.Fatal(err)
	}
	if len(store.changes) != 0 {
		t.Fatal("the check changed something")
	}
	if shown := fmt.Sprintf("%v %+v %#v", plan, plan, plan); strings.Contains(shown, string(seed(1))) || strings.Contains(shown, text(seed(1))) {
		t.Error("a plan prints its secret")
	}
	var told []string
	tell := func(u directory.User, n int) { told = append(told, fmt.Sprintf("%s %d", u.Login, n)) }
	if err := m.Import(ctx, plan, tell); err != nil || !slices.Equal(told, []string{"alice 2", "mailless 1"}) {
		t.Fatal(told, err)
	}
	a := store.changes[0]
	if len(store.changes) != 2 || a.Owner != alice || len(a.Add) != 2 || len(a.Events) != 2 || len(a.Messages) != 2 {
		t.Fatalf("%+v", a)
	}
	if got := a.Add[1]; got.Name != "tablet" || got.Kind != verify.TOTP || got.Owner != alice || !bytes.Equal(got.Secret, seed(3)) || got.Counter != 7 || got.Created != m.Now() {
		t.Errorf("%+v", got)
	}
	if e := a.Events[0]; e.Kind != "factor.added" || e.Door != "cli" || e.Actor != "operator" || e.Subject != alice || e.Outcome != audit.OK || e.Reason != "imported" {
		t.Errorf("%+v", e)
	}
	if msg := a.Messages[0]; msg.Template != "factor_added" || len(msg.To) != 2 || msg.Lang != "de" || msg.Args["name"] != "phone" {
		t.Errorf("%+v", msg)
	}
	if shown := fmt.Sprintf("%+v %+v", a.Events, a.Messages); strings.Contains(shown, string(seed(1))) || strings.Contains(shown, text(seed(1))) {
		t.Error("a secret is in the record or the mail")
	}
	if b := store.changes[1]; len(b.Events) != 1 || len(b.Messages) != 0 {
		t.Errorf("nobody to tell: %+v", b)
	}
	// The old plan, and one made anew: neither adds anything.
	again, err := m.Plan(ctx, seeds)
	if err != nil || slices.ContainsFunc(again, func(p enrol.Planned) bool { return !p.Already }) {
		t.Errorf("%+v %v", again, err)
	}
	for _, p := range [][]enrol.Planned{plan, again} {
		if err := m.Import(ctx, p, func(u directory.User, n int) {
			if n != 0 {
				t.Errorf("%s got %d again", u.Login, n)
			}
		}); err != nil || len(store.changes) != 2 {
			t.Errorf("%d changes, %v", len(store.changes), err)
		}
	}
}

func TestAnyWrongLineStopsTheWholeImport(t *testing.T) {
	short := "bob," + text([]byte("0123456789abcdef")) + ","
	for name, c := range map[string]struct {
		lines []string
		wrong []int
	}{
		"nobody":                       {[]string{line("alice", 1, ""), line("nobody", 2, "")}, []int{3}},
		"disabled":                     {[]string{line("off", 1, ""), line("alice", 2, "")}, []int{2}},
		"privileged":                   {[]string{line("alice", 1, ""), line("chief", 2, ""), line("off", 3, "")}, []int{3, 4}},
		"too short for the factor":     {[]string{line("alice", 1, ""), short}, []int{3}},
		"more than one may have":       {[]string{line("alice", 1, ""), line("alice", 2, ""), line("alice", 3, "")}, []int{4}},
		"more with what is there":      {[]string{line("bob", 1, ""), line("bob", 2, "")}, []int{3}},
		"somebody else has it already": {[]string{line("alice", 99, "")}, []int{2}},
	} {
		store := &cabinet{creds: []verify.Credential{{ID: "b", Owner: bob, Kind: verify.TOTP, Secret: seed(99), Handle: append([]byte("marked "), seed(99)...)}}}
		m, _ := newImporter(store)
		plan, err := m.Plan(ctx, read(t, c.lines...))
		var faults enrol.LineFaults
		var got []int
		if errors.As(err, &faults) {
			for _, f := range faults {
				got = append(got, f.Line)
			}
		}
		if plan != nil || !slices.Equal(got, c.wrong) || len(store.changes) != 0 {
			t.Errorf("%s: lines %v, %v", name, got, err)
		}
	}
}

func TestAnImportThatIsCutShortGoesOnLater(t *testing.T) {
	store := &cabinet{err: errors.New("disk full"), after: 1}
	m, dir := newImporter(store)
	seeds := read(t, line("alice", 1, ""), line("bob", 2, ""))
	plan, err := m.Plan(ctx, seeds)
	if err != nil {
		t.Fatal(err)
	}
	none := func(directory.User, int) {}
	if err := m.Import(ctx, plan, none); !errors.Is(err, enrol.ErrUnavailable) || !strings.Contains(err.Error(), "line 3") || len(store.changes) != 1 {
		t.Fatalf("%v, %d changes", err, len(store.changes))
	}
	store.err = nil
	// Whoever may not use the portal any more between the check and the import gets nothing.
	dir.Edit(bob, func(u *directory.User) { u.State.Disabled = true })
	if err := m.Import(ctx, plan, none); err == nil || len(store.changes) != 1 {
		t.Errorf("%v, %d changes", err, len(store.changes))
	}
	dir.Edit(bob, func(u *directory.User) { u.State.Disabled = false })
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := m.Import(ended, plan, none); !errors.Is(err, context.Canceled) || len(store.changes) != 1 {
		t.Errorf("%v, %d changes", err, len(store.changes))
	}
	if err := m.Import(ctx, plan, none); err != nil || len(store.changes) != 2 || len(store.creds) != 2 {
		t.Errorf("%v, %d changes", err, len(store.changes))
	}
}

// down is a directory that cannot be asked.
type down struct{ directory.Directory }

func (down) Find(context.Context, string) (directory.User, error) {
	return directory.User{}, directory.ErrUnavailable
}

func (down) Read(context.Context, directory.User) (directory.User, error) {
	return directory.User{}, directory.ErrUnavailable
}

func TestADirectoryThatIsDownIsNoFaultOfALine(t *testing.T) {
	m, _ := newImporter(&cabinet{})
	m.Directory = down{}
	_, err := m.Plan(ctx, read(t, line("alice", 1, "")))
	var faults enrol.LineFaults
	if !errors.Is(err, directory.ErrUnavailable) || errors.As(err, &faults) {
		t.Error(err)
	}
}
