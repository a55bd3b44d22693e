package desk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/limit"
	"postern/verify"
)

func (r *rig) find(w desk.Who, text string) desk.Found {
	r.t.Helper()
	found, err := r.Find(r.t.Context(), w, text)
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// names are the lines of the record about searches since from.
func (r *rig) searched(from int) (list []directory.ID) {
	for _, e := range r.event[from:] {
		if e.Kind == audit.DeskSearched {
			list = append(list, e.Subject)
		}
	}
	return list
}

// Whoever sits at the desk, or in front of a technician's open browser, must not learn
// from a list which accounts are worth attacking: of those who are privileged, denied
// or out of scope there is no trace, not by the whole login either. Colleagues are a
// name, and lead nowhere.
func TestAListNamesNoAdministrators(t *testing.T) {
	r := newRig(t)
	for i, u := range []directory.User{
		{Login: "mix-admin", Privileged: "member of Domain Admins"}, {Login: "mix-admin-off", Privileged: "adminCount is set", State: directory.State{Disabled: true}},
		{Login: "mix-far", DN: "CN=x,OU=Board,DC=x"}, {Login: "mix-far-off", DN: "CN=x,OU=Board,DC=x", State: directory.State{Disabled: true}},
		{Login: "mix-denied", Groups: []string{"CN=Denied,DC=x"}, State: directory.State{Disabled: true}},
		{Login: "mix-tech", Name: "Tess", Groups: techs, Mail: []string{"tess@example.org"}},
		{Login: "mix-ann", Name: "Ann"}, {Login: "mix-off", State: directory.State{Disabled: true}},
	} {
		u.ID, u.Directory = directory.ID(fmt.Sprint("x:mix", i)), "x"
		if u.DN == "" {
			u.DN = "CN=x,OU=Staff,DC=x"
		}
		r.users[u.ID] = u
	}
	me := r.users["x:tech"]
	me.Login = "mix-me"
	r.users["x:tech"] = me
	w := r.who("x:tech", 0)
	found := r.find(w, "mix")
	want := []desk.Person{{Name: "mix-me", Refused: "self"}, {Name: "Tess", Refused: "staff"}, {ID: "x:mix6", Directory: "x", Login: "mix-ann", Name: "Ann"},
		{ID: "x:mix7", Directory: "x", Login: "mix-off"}}
	slices.SortFunc(found.People, func(a, b desk.Person) int { return slices.Index(want, a) - slices.Index(want, b) })
	if !slices.Equal(found.People, want) || found.More {
		t.Errorf("%+v", found)
	}
	for _, whole := range []string{"mix-admin", "mix-admin-off", "mix-far", "mix-far-off", "mix-denied", "nobody at all"} {
		if found := r.find(w, whole); len(found.People) != 0 || found.More {
			t.Errorf("%s: %+v", whole, found)
		}
	}
	for _, e := range r.event {
		if e.Kind == audit.DeskSearched && slices.Contains([]directory.ID{"x:mix0", "x:mix1", "x:mix2", "x:mix3", "x:mix4"}, e.Subject) {
			t.Errorf("%s is told that they were shown", e.Subject)
		}
	}
}

// A list that follows each letter writes one line for whom it shows, again after five
// minutes, and never shows anybody before there is one.
func TestTypingDoesNotFloodTheRecord(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	r.mute = errors.New("database is locked")
	if found, err := r.Find(t.Context(), w, "b"); !errors.Is(err, flow.ErrUnavailable) || len(found.People) != 0 && err == nil {
		t.Errorf("shown without a record: %+v %v", found, err)
	}
	r.mute = nil
	for range 3 {
		r.find(w, "be")
	}
	if got := r.searched(0); !slices.Equal(got, []directory.ID{"x:bea"}) {
		t.Errorf("%q", got)
	}
	r.find(w, "b") // somebody more
	if got := r.searched(0); !slices.Equal(got, []directory.ID{"x:bea", "x:boss"}) {
		t.Errorf("%q", got)
	}
	from := len(r.event)
	r.find(r.who("x:two", 0), "be")
	if got := r.searched(from); !slices.Equal(got, []directory.ID{"x:bea"}) {
		t.Errorf("another technician: %q", got)
	}
	from = len(r.event)
	r.now = r.now.Add(5*time.Minute - time.Second)
	r.find(r.who("x:tech", 0), "be")
	if got := r.searched(from); len(got) != 0 {
		t.Errorf("%q", got)
	}
	r.now = r.now.Add(time.Second)
	r.find(r.who("x:tech", 0), "be")
	if got := r.searched(from); !slices.Equal(got, []directory.ID{"x:bea"}) {
		t.Errorf("five minutes later: %q", got)
	}
	// Nobody found is one line, too.
	from = len(r.event)
	r.find(r.who("x:tech", 0), "zz")
	r.find(r.who("x:tech", 0), "zzz")
	if got := r.searched(from); !slices.Equal(got, []directory.ID{""}) {
		t.Errorf("%q", got)
	}
}

// Searches are limited for each technician; a limiter that cannot count is a no.
func TestSearchesAreLimited(t *testing.T) {
	r := newRig(t)
	w := r.who("x:tech", 0)
	r.full = &limit.Exceeded{Name: limit.DeskSearch, Retry: time.Minute}
	var over *limit.Exceeded
	if _, err := r.Find(t.Context(), w, "be"); !errors.As(err, &over) || len(r.event) != 0 || r.reads != 0 {
		t.Errorf("%v, %d lines, %d reads", err, len(r.event), r.reads)
	}
	r.full = errors.New("redis: connection refused")
	if _, err := r.Find(t.Context(), w, "be"); !errors.Is(err, flow.ErrUnavailable) || r.reads != 0 {
		t.Errorf("%v", err)
	}
	r.full = nil
	r.find(w, "be")
	if _, err := r.Find(t.Context(), r.who("x:ann", 0), "be"); err != desk.ErrUnknown || r.taken != 3 {
		t.Errorf("%v, counted %d", err, r.taken)
	}
}

// meets is a Known that answers when the directory has been asked for the manager, and
// a directory that answers for the manager when the store has been asked.
type meets struct {
	known
	manager, methods chan struct{}
}

func (m meets) Methods(ctx context.Context, id directory.ID) ([]verify.Credential, error) {
	close(m.methods)
	select {
	case <-m.manager:
		return m.known.Methods(ctx, id)
	case <-time.After(10 * time.Second):
		return nil, errors.New("one after the other")
	}
}

func (m meets) Find(ctx context.Context, login string) (directory.User, error) {
	return people{m.rig}.Find(ctx, login)
}

func (m meets) Search(ctx context.Context, q directory.Query) (directory.Found, error) {
	return people{m.rig}.Search(ctx, q)
}

func (m meets) Read(ctx context.Context, u directory.User) (directory.User, error) {
	return people{m.rig}.Read(ctx, u)
}

func (m meets) Resolve(ctx context.Context, from directory.User, ref string) (directory.User, error) {
	close(m.manager)
	select {
	case <-m.methods:
		return people{m.rig}.Resolve(ctx, from, ref)
	case <-time.After(10 * time.Second):
		return directory.User{}, errors.New("one after the other")
	}
}

// Issue 4: what the page of an account is made of is asked for side by side.
func TestTheAccountPageAsksSideBySide(t *testing.T) {
	r := newRig(t)
	m := meets{known{r}, make(chan struct{}), make(chan struct{})}
	o := r.Options
	o.People, o.Known = m, m
	s, err := desk.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := s.See(t.Context(), r.who("x:tech", 0), "x:ann"); err != nil || a.Manager != "Bo" || r.reads != 2 {
		t.Errorf("%+v %v, %d calls", a, err, r.reads)
	}
}
