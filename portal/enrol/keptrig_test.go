package enrol_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/flow/flowtest"
	"postern/portal/limit"
	"postern/portal/policy"
)

// tenant keeps methods of people, and gives passes.
type tenant struct {
	*flowtest.Directory
	methods map[directory.ID][]directory.Method
	passes  int
	did     []string
	fail    error  // of every act
	blind   error  // of every look
	during  func() // what happens while an act is carried out
	off     bool   // no passes here
}

func (d *tenant) Methods(_ context.Context, u directory.User) ([]directory.Method, error) {
	return slices.Clone(d.methods[u.ID]), d.blind
}

func (d *tenant) act(what string) error {
	d.did = append(d.did, what)
	if d.during != nil {
		d.during()
	}
	return d.fail
}

func (d *tenant) RemoveMethod(_ context.Context, u directory.User, m directory.Method) error {
	if err := d.act("remove " + string(u.ID) + " " + m.ID); err != nil {
		return err
	}
	d.methods[u.ID] = slices.DeleteFunc(d.methods[u.ID], func(o directory.Method) bool { return o.ID == m.ID })
	return nil
}

func (d *tenant) IssuePass(_ context.Context, u directory.User) (directory.Pass, error) {
	if err := d.act("pass " + string(u.ID)); err != nil {
		return directory.Pass{}, err
	}
	d.passes++
	d.methods[u.ID] = append(d.methods[u.ID], directory.Method{ID: fmt.Sprint("tap", d.passes), Kind: "temporaryAccessPass", Removable: true})
	return directory.Pass{Value: directory.NewSecret(fmt.Sprint(canary, d.passes)), Until: d.Now().Add(time.Hour)}, nil
}

func (d *tenant) Registered(context.Context, func(directory.Registration) error) error {
	return directory.ErrUnsupported
}

func (d *tenant) GivesPasses(directory.User) bool { return !d.off }

// canary begins every pass: nothing that is kept may have it.
const canary = "CANARY-tap-"

// meter is a limiter that says no when it is told to.
type meter struct {
	taken []string
	fail  error
}

func (m *meter) Take(_ context.Context, name limit.Name, key string) error {
	m.taken = append(m.taken, string(name)+" "+key)
	return m.fail
}

// marks are the forms that were acted on.
type marks struct {
	spent map[string]bool
	fail  error
}

func (m *marks) Spent(_ context.Context, mark string) (bool, error) { return m.spent[mark], m.fail }

func (m *marks) Once(ctx context.Context, mark string, work func(context.Context) error) (bool, error) {
	if m.fail != nil || m.spent[mark] {
		return false, m.fail
	}
	if err := work(ctx); err != nil {
		return false, err
	}
	m.spent[mark] = true
	return true, nil
}

// cool is the policy of a day's cooling off.
type cool struct{ scope }

func (cool) For(access.Door, policy.Purpose, directory.User) policy.Plan {
	return policy.Plan{CoolingOff: 24 * time.Hour}
}

// ledger is a shelf that heeds what a change asks for, and fails from a commit on.
type ledger struct {
	*shelf
	r      *rig
	broken int // the commit that fails, and all after it; 0: none
	tried  int
}

func (l *ledger) Commit(ctx context.Context, c enrol.Change) error {
	l.tried++
	if known, _ := l.r.known.Standing(ctx, c.Owner); c.Served && !known.Frozen.IsZero() {
		return enrol.ErrEnded
	}
	if l.broken > 0 && l.tried >= l.broken {
		return errors.New("disk full")
	}
	return l.shelf.Commit(ctx, c)
}

type keptRig struct {
	*rig
	tenant *tenant
	meter  *meter
	marks  *marks
	ledger *ledger
}

func newKeptRig(t *testing.T) *keptRig {
	t.Helper()
	r := newRig(t)
	k := &keptRig{rig: r, meter: &meter{}, marks: &marks{spent: map[string]bool{}}, ledger: &ledger{shelf: r.shelf, r: r}}
	k.tenant = &tenant{Directory: r.dir, methods: map[directory.ID][]directory.Method{
		alice: {{ID: "pw", Kind: "password"}, {ID: "tel", Kind: "phone", Name: "+49 555 0190", Removable: true}},
		bob:   {{ID: "bobs", Kind: "fido2", Name: "Key", Removable: true}}}}
	r.shelf.methods[alice][0].Created = r.now.Add(-48 * time.Hour)
	o := r.Options
	o.Directory, o.Store = k.tenant, k.ledger
	o.Keeping = enrol.Keeping{Limits: k.meter, Spent: k.marks, Rules: cool{}}
	var err error
	if k.Service, err = enrol.New(o); err != nil {
		t.Fatal(err)
	}
	return k
}

var form = strings.Repeat("A", 22)

// acts are both, for what holds for both.
func (k *keptRig) acts(w enrol.Who) map[string]func() error {
	return map[string]func() error{"remove": func() error { return k.RemoveKept(ctx, w, "tel") },
		"pass": func() error { _, err := k.Pass(ctx, w, form); return err }}
}
