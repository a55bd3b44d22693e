package desk_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/flow/flowtest"
	"postern/portal/limit"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

// rig is a desk over doubles, with a clock.
type rig struct {
	phone phone // calls of shared screens
	*desk.Service
	t     testing.TB
	mu    sync.Mutex
	now   time.Time
	users map[directory.ID]directory.User
	reads int
	cases map[string]*flow.Case
	began []flow.AssistRequest
	did   []string
	event []audit.Event
	mail  []notify.Message
	count map[string]flow.Strikes
	have  []verify.Credential
	down  error // of the directory
	mute  error // of the record

	scope  access.Config
	eyes   access.Part
	closed bool // the desk, at this hour
	level  flowtest.Threats
	care
	frozen time.Time
	notMe  time.Time
	spent  map[string]bool
	taken  int   // searches that were counted
	full   error // of the limiter
	unfit  string
	forms  int
}

func (r *rig) Take(_ context.Context, name limit.Name, key string) error {
	r.taken++
	if name != limit.DeskSearch || key == "" {
		return errors.New("another limit")
	}
	return r.full
}

func (r *rig) Spent(_ context.Context, mark string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spent[mark], r.mute
}

func (r *rig) Once(ctx context.Context, mark string, work func(context.Context) error) (bool, error) {
	if was, err := (*rig).Spent(r, ctx, mark); was || err != nil {
		return false, err
	}
	if work != nil {
		if err := work(ctx); err != nil {
			return false, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spent[mark] = true
	return true, nil
}

func (r *rig) ClearCodesFor(_ context.Context, u directory.User, by audit.Event, tell []string) error {
	return r.hand("codes", u, by, tell)
}

func (r *rig) ReplaceFor(_ context.Context, u directory.User, credential string, by audit.Event, tell []string) (string, error) {
	if r.unfit != "" {
		return r.unfit, nil
	}
	return "", r.hand("replace "+credential, u, by, tell)
}

func (r *rig) InviteFor(_ context.Context, u directory.User, by audit.Event, tell []string) (string, error) {
	if r.unfit != "" {
		return r.unfit, nil
	}
	return "", r.hand("invite", u, by, tell)
}

func (a areas) Of(roles []access.Role, u directory.User) bool { return a.scope.Scope.Of(roles, u) }

func (a areas) Crosses(roles []access.Role, u directory.User) bool { return a.scope.Crosses(roles, u) }

func (a areas) Holds(u directory.User) bool { return a.eyes.Holds(u) }

func (r people) Find(_ context.Context, login string) (directory.User, error) {
	for _, u := range r.users {
		if u.Login == login {
			return u, r.down
		}
	}
	return directory.User{}, errors.Join(directory.ErrNotFound, r.down)
}

// Search knows the beginning of a login.
func (r people) Search(_ context.Context, q directory.Query) (found directory.Found, err error) {
	if r.down != nil {
		return found, r.down
	}
	for _, u := range r.users {
		if strings.HasPrefix(u.Login, q.Text) {
			found.Hits = append(found.Hits, directory.Hit{ID: u.ID, Directory: u.Directory})
		}
	}
	found.Hits = append(found.Hits, directory.Hit{ID: "x:gone"})
	return q.Gather(found.Hits, false), nil
}

func (r people) Read(_ context.Context, u directory.User) (directory.User, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	got, ok := r.users[u.ID]
	if !ok {
		return got, directory.ErrNotFound
	}
	return got, nil
}

func (r people) Resolve(_ context.Context, _ directory.User, ref string) (directory.User, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	if r.down != nil {
		return directory.User{}, r.down
	}
	u, ok := r.users[directory.ID(ref)]
	if !ok {
		return u, directory.ErrNotFound
	}
	return u, nil
}

func (r *rig) Eligible(u directory.User) string {
	switch {
	case u.Privileged != "":
		return "privileged"
	case u.State.Disabled:
		return "disabled"
	case directory.MemberOf(u, "Denied"):
		return "denied"
	}
	return ""
}

func (r *rig) Assist(_ context.Context, a flow.AssistRequest) (*flow.Case, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cases[a.ID] != nil {
		return nil, flow.ErrExists
	}
	r.began = append(r.began, a)
	c := &flow.Case{ID: a.ID, Key: a.Target.ID, Door: access.Desk, By: a.By, Purpose: a.Purpose, Cause: a.Cause, Ticket: a.Ticket, Send: a.Send, Tell: a.Tell, Person: &directory.User{ID: a.Target.ID}, Expires: r.now.Add(time.Hour), Plan: policy.Plan{Gates: 2}}
	if len(a.Hold) > 0 {
		c.Hold = &flow.Hold{Reasons: a.Hold, Since: r.now}
	}
	r.cases[c.ID] = c
	return c, nil
}

func (r *rig) Load(_ context.Context, id string) (*flow.Case, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.cases[id]; c != nil {
		return c, nil
	}
	return nil, flow.ErrNoCase
}

type (
	cases  struct{ *rig }
	people struct{ *rig }
	holds  struct{ *rig }
	known  struct{ *rig }
	areas  struct{ *rig }
)

func (c cases) Match(_ context.Context, id string, by access.Principal, number, _ string) (*flow.Case, error) {
	c.did = append(c.did, "match "+number+" "+string(by.Door))
	return c.cases[id], nil
}

func (c cases) Withdraw(_ context.Context, id string, _ access.Principal, _ string) error {
	c.did = append(c.did, "withdraw "+id)
	return nil
}

func (c cases) Spoken(_ context.Context, id string, _ access.Principal, k verify.Kind, code []byte, _ string) (*flow.Case, error) {
	c.did = append(c.did, "spoken "+string(k)+" "+string(code))
	return c.cases[id], nil
}

func (h holds) Hold(_ context.Context, id string, _ access.Principal, reasons []string) error {
	h.cases[id].Hold = &flow.Hold{Reasons: reasons, Since: h.now}
	return nil
}

func (h holds) Release(_ context.Context, id string, by access.Principal, _ string) (*flow.Case, error) {
	one := h.cases[id].Hold
	one.Let, one.Second = h.now, by.ID
	return h.cases[id], nil
}

func (h holds) Refuse(_ context.Context, id string, by access.Principal, _ string) (*flow.Case, error) {
	one := h.cases[id].Hold
	one.Refused, one.Second = true, by.ID
	return h.cases[id], nil
}

func (k known) Held(context.Context, time.Time) (ids []string, err error) {
	for id, c := range k.cases {
		if c.OnHold() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (r known) Standing(context.Context, directory.ID) (access.Standing, error) {
	return access.Standing{Frozen: r.frozen, NotMe: r.notMe}, nil
}

func (r known) Methods(context.Context, directory.ID) ([]verify.Credential, error) {
	return r.have, nil
}

func (r known) Running(_ context.Context, who directory.ID) (ids []string, err error) {
	for id, c := range r.cases {
		if c.Key == who {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (r *rig) Recent(context.Context, directory.ID, int) ([]audit.Event, error) { return nil, nil }

func (r *rig) Note(_ context.Context, e []audit.Event, m []notify.Message) error {
	if r.mute != nil {
		return r.mute
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.event, r.mail = append(r.event, e...), append(r.mail, m...)
	return nil
}

func (r *rig) Strike(_ context.Context, key directory.ID, kind verify.Kind, change func(flow.Strikes) flow.Strikes) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := string(key) + " " + string(kind)
	r.count[k] = change(r.count[k])
	return nil
}

func (r *rig) hand(what string, u directory.User, by audit.Event, tell []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did = append(r.did, strings.Join(append([]string{what, string(u.ID), string(by.Actor), by.Case}, tell...), " "))
	return nil
}

func (r *rig) FreezeFor(_ context.Context, u directory.User, by audit.Event, tell []string) error {
	return r.hand("freeze", u, by, tell)
}

func (r *rig) UnfreezeFor(_ context.Context, u directory.User, by audit.Event, tell []string) error {
	return r.hand("unfreeze", u, by, tell)
}

func (r *rig) ClearFor(_ context.Context, u directory.User, credential string, by audit.Event, tell []string) error {
	return r.hand("clear "+credential, u, by, tell)
}

func (r *rig) EndSessionsFor(_ context.Context, u directory.User, by audit.Event, tell []string) error {
	return r.hand("sessions", u, by, tell)
}

func (r *rig) UnlockFor(_ context.Context, u directory.User, by audit.Event, tell []string) error {
	return r.hand("unlock", u, by, tell)
}

func (r *rig) RequireChangeFor(_ context.Context, u directory.User, by audit.Event, tell []string) error {
	if r.down != nil {
		return r.down
	}
	return r.hand("renew", u, by, tell)
}

var (
	techs   = []string{"CN=Desk,DC=x"}
	seniors = []string{"CN=Leads,DC=x"}
)

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC), users: map[directory.ID]directory.User{}, cases: map[string]*flow.Case{}, count: map[string]flow.Strikes{}, spent: map[string]bool{}}
	for _, u := range []directory.User{
		{ID: "x:ann", Login: "ann", Name: "Ann", Manager: "x:boss", DN: "CN=ann,OU=Staff,DC=x", Mail: []string{"ann@example.org"}},
		{ID: "x:bea", Login: "bea", DN: "CN=bea,OU=Staff,DC=x"},
		{ID: "x:boss", Login: "boss", Name: "Bo", DN: "CN=boss,OU=Staff,DC=x", Mail: []string{"boss@example.org"}},
		{ID: "x:far", Login: "far", DN: "CN=far,OU=Board,DC=x"},
		{ID: "x:tech", Login: "tech", DN: "CN=tech,OU=Staff,DC=x", Groups: techs},
		{ID: "x:two", Login: "two", DN: "CN=two,OU=Staff,DC=x", Groups: techs},
		{ID: "x:lead", Login: "lead", DN: "CN=lead,OU=Staff,DC=x", Groups: seniors},
		{ID: "x:aud", Login: "aud", DN: "CN=aud,OU=Staff,DC=x", Groups: []string{"CN=Audit,DC=x"}},
		{ID: "x:root", Login: "root", DN: "CN=root,OU=Staff,DC=x", Privileged: "group"},
		{ID: "x:off", Login: "off", DN: "CN=off,OU=Staff,DC=x", State: directory.State{Disabled: true}},
	} {
		u.Directory = "x"
		r.users[u.ID] = u
	}
	roles := access.Roles{Technician: []string{"Desk"}, Senior: []string{"Leads"}, Auditor: []string{"Audit"}, Operator: []string{"Ops"}}
	r.scope = access.Config{Scope: access.Scope{Technician: access.Reach{OUs: []string{"OU=Staff,DC=x"}}}}
	var err error
	r.Service, err = desk.New(desk.Options{People: people{r}, Roles: roles, Scope: areas{r}, Policy: r, Cases: cases{r}, Holds: holds{r}, Known: known{r},
		Hours: func(time.Time) bool { return !r.closed }, FourEyes: areas{r}, Cooling: 24 * time.Hour, Record: r, History: r, Sightings: r, Counters: r, Hands: r, Writes: r, Phone: &r.phone, Threats: &r.level,
		Limits: r, Mends: r, Spent: r, Tickets: regexp.MustCompile(`^INC-[0-9]+$`), Alerts: []string{"security@example.org"}, Now: func() time.Time { return r.now }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// who is somebody at the desk, by these proofs, given ago.
func (r *rig) who(id directory.ID, ago time.Duration, by ...verify.Kind) desk.Who {
	if by == nil {
		by = []verify.Kind{verify.Password, verify.Passkey}
	}
	return desk.Who{Principal: access.Principal{ID: id, User: r.users[id], By: by, Proven: r.now.Add(-ago)}, Address: "192.0.2.9", Lang: "en"}
}

var order = desk.Order{Purpose: policy.Reset, Cause: "lost the phone", Ticket: "INC-7"}

func (r *rig) open(w desk.Who, id directory.ID, p policy.Purpose) error {
	o := order
	o.Purpose, o.Once = p, r.once()
	_, err := r.Open(r.t.Context(), w, id, o)
	return err
}

// once is what a new form carries.
func (r *rig) once() string {
	r.forms++
	return fmt.Sprintf("%022d", r.forms)
}

// act does something by a new form.
func (r *rig) act(w desk.Who, id string, act desk.Act, which string) error {
	return r.Do(r.t.Context(), w, id, act, which, r.once())
}

// of is the id of the newest case of somebody.
func (r *rig) of(id directory.ID) (newest string) {
	for _, a := range r.began {
		if a.Target.ID == id {
			newest = a.ID
		}
	}
	return newest
}

// last is the newest case.
func (r *rig) last() *flow.Case { return r.cases[r.began[len(r.began)-1].ID] }
