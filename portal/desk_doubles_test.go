package portal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	helpdesk "postern/portal/desk"
	"postern/portal/enrol"
	"postern/portal/kiosk"
	"postern/portal/policy"
	"postern/portal/web"
)

// desk is everything the desk asks. It notes what was asked and recorded, and
// fails when told to.
type desk struct {
	mu     sync.Mutex
	asked  []string
	events []audit.Event
	tally  enrol.Tally
	starts int
	fail   error // of the record
	help   helper
	level  access.Threat
	blind  error // of the level
	turns  []helpdesk.Turn
	board  board
	doctor doctor
	down   error // of whom is asked about people
}

func (d *desk) Explain(_ context.Context, login string, door access.Door, purpose policy.Purpose) (enrol.Explained, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, fmt.Sprint(login, " ", door, " ", purpose))
	if d.down != nil {
		return enrol.Explained{}, d.down
	}
	if login != "bob" {
		return enrol.Explained{}, directory.ErrNotFound
	}
	e := enrol.Explained{User: directory.User{ID: "ad:bob", Login: "bob", Name: `<img src=x onerror=alert(1)>`}, Means: policy.Means{Mail: true}}
	e.Verdict.Explanation = policy.Explain(plan(purpose), e.Means)
	return e, nil
}

func (d *desk) Threat(context.Context) (access.Threat, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.level, d.blind
}

func (d *desk) Turn(_ context.Context, w helpdesk.Who, t helpdesk.Turn) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turns = append(d.turns, t)
	return d.help.fail
}

func (d *desk) Chapters(_ access.Door, purpose policy.Purpose) []policy.Chapter {
	return []policy.Chapter{{Groups: []string{"Finance"}, Plan: plan(purpose)}}
}

func (d *desk) Last() enrol.Tally {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tally
}

func (d *desk) Start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.starts++
	if d.tally.Running {
		return enrol.ErrCounting
	}
	d.tally.Running = true
	return nil
}

func (d *desk) Record(_ context.Context, events ...audit.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	d.events = append(d.events, events...)
	return nil
}

// recorded is what the record has of the desk.
func (d *desk) recorded() []audit.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

var deskRoles = access.Roles{Technician: []string{"Help Desk"}, Senior: []string{"Leads"}, Auditor: []string{"Audit"}, Operator: []string{"CN=Ops,DC=x"}}

// withDesk opens a house with a desk, and a person in those groups signed in.
func withDesk(t testing.TB, groups []string, change ...func(*Options)) (*house, *tab) {
	t.Helper()
	d := &desk{}
	change = slices.Insert(change, 0, func(o *Options) {
		o.Web.Desk = &web.Desk{Roles: deskRoles, People: d, Policy: d, Census: d, Recorder: d, Help: &d.help, Level: d, Board: &d.board, Kiosks: noKiosks{}, Doctor: &d.doctor}
	})
	h := build(t, change...)
	h.desk = d
	h.own.groups = groups
	h.run()
	return h, h.tab()
}

var operators = []string{"cn=ops,dc=X", "Staff"}

// asOperator is signed in, by a password and an app.
func asOperator(t testing.TB) (*house, *tab) {
	t.Helper()
	h, _ := withDesk(t, operators)
	return h, h.signedIn()
}

// doctor has what it is given, and notes who asks for an examination.
type doctor struct {
	mu     sync.Mutex
	last   helpdesk.Examined
	starts []helpdesk.Who
	fail   error
}

func (d *doctor) Last(helpdesk.Who) (helpdesk.Examined, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last, nil
}

func (d *doctor) Start(_ context.Context, w helpdesk.Who) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.starts = append(d.starts, w)
	return d.fail
}

// noKiosks is a house without shared screens.
type noKiosks struct{}

func (noKiosks) List(context.Context, helpdesk.Who) ([]kiosk.Device, error) { return nil, nil }

func (noKiosks) Register(context.Context, helpdesk.Who, kiosk.Draft) (kiosk.Device, string, error) {
	return kiosk.Device{}, "", helpdesk.ErrUnknown
}

func (noKiosks) Reissue(context.Context, helpdesk.Who, string) (kiosk.Device, string, error) {
	return kiosk.Device{}, "", helpdesk.ErrUnknown
}
func (noKiosks) Rename(context.Context, helpdesk.Who, string, string, string) error {
	return helpdesk.ErrUnknown
}
func (noKiosks) Revoke(context.Context, helpdesk.Who, string) error { return helpdesk.ErrUnknown }
