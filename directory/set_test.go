package directory

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// plain is a directory of fixed people with no optional ability.
type plain struct {
	name   string
	people map[string]string // login → id
	err    error
	set    []ID
}

func (p *plain) Find(_ context.Context, login string) (User, error) {
	if p.err != nil {
		return User{}, p.err
	}
	id, ok := p.people[login]
	if !ok {
		return User{}, ErrNotFound
	}
	return User{ID: ID(p.name + ":" + id), Directory: p.name, Login: login}, nil
}
func (p *plain) Read(_ context.Context, u User) (User, error) { return u, p.err }
func (p *plain) Rules(context.Context, User) (Rules, error)   { return Rules{Source: p.name}, p.err }
func (p *plain) SetPassword(_ context.Context, u User, _ Secret) error {
	p.set = append(p.set, u.ID)
	return p.err
}

// full has every ability.
type full struct {
	plain
	calls []string
}

func (f *full) ChangePassword(context.Context, User, Secret, Secret) error {
	f.calls = append(f.calls, "change")
	return nil
}
func (f *full) Unlock(context.Context, User) error { f.calls = append(f.calls, "unlock"); return nil }
func (f *full) Authenticate(context.Context, User, Secret) error {
	f.calls = append(f.calls, "authenticate")
	return nil
}
func (f *full) RevokeSessions(context.Context, User) error {
	f.calls = append(f.calls, "revoke")
	return nil
}
func (f *full) Resolve(_ context.Context, from User, ref string) (User, error) {
	f.calls = append(f.calls, "resolve")
	return User{ID: ID(f.name + ":" + ref), Directory: f.name}, f.err
}
func (f *full) People(_ context.Context, each func(ID) error) error {
	f.calls = append(f.calls, "people")
	for _, id := range []ID{"1", "2"} {
		if err := each(ID(f.name+":") + id); err != nil {
			return err
		}
	}
	return f.err
}
func (f *full) Watch(context.Context, User) ([]Sighting, error) {
	f.calls = append(f.calls, "watch")
	return nil, nil
}
func (f *full) RequireChange(context.Context, User) error {
	f.calls = append(f.calls, "require")
	return nil
}
func (f *full) Examine(context.Context) []Finding { return []Finding{{Check: "tls"}} }

type panicking struct{ plain }

func (*panicking) Find(context.Context, string) (User, error) { panic("boom") }

func TestSetFindsExactlyOnePersonOrNobody(t *testing.T) {
	a := &plain{name: "a", people: map[string]string{"alice": "1", "both": "2"}}
	b := &plain{name: "b", people: map[string]string{"bob": "3", "both": "4"}}
	down := &plain{name: "down", err: ErrUnavailable}
	odd := &plain{name: "odd", err: errors.New("something else")}
	for _, tt := range []struct {
		name    string
		members []Directory
		login   string
		id      ID
		err     error
	}{
		{"in the first", []Directory{a, b}, "alice", "a:1", nil},
		{"in the second", []Directory{a, b}, "bob", "b:3", nil},
		{"in none", []Directory{a, b}, "carol", "", ErrNotFound},
		{"in two is ambiguous", []Directory{a, b}, "both", "", ErrNotFound},
		{"one down, not in the other", []Directory{a, down}, "carol", "", ErrUnavailable},
		{"one down, found in the other: may be in both", []Directory{down, a}, "alice", "", ErrUnavailable},
		{"an unknown fault is no answer", []Directory{a, odd}, "alice", "", ErrUnavailable},
		{"a panic is no answer", []Directory{a, &panicking{}}, "alice", "", ErrUnavailable},
		{"alone", []Directory{a}, "alice", "a:1", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var named []Named
			for i, m := range tt.members {
				named = append(named, Named{Name: string(rune('a' + i)), Directory: m})
			}
			s, err := NewSet(named...)
			if err != nil {
				t.Fatal(err)
			}
			u, err := s.Find(t.Context(), tt.login)
			if !errors.Is(err, tt.err) || u.ID != tt.id {
				t.Errorf("got %q, %v; want %q, %v", u.ID, err, tt.id, tt.err)
			}
		})
	}
}

func TestSetForwardsToTheDirectoryThatHoldsTheAccount(t *testing.T) {
	p := &plain{name: "p"}
	f := &full{plain: plain{name: "f"}}
	s, err := NewSet(Named{Name: "p", Directory: p}, Named{Name: "f", Directory: f})
	if err != nil {
		t.Fatal(err)
	}
	ctx, pw := t.Context(), NewSecret("x")
	inP, inF, nowhere := User{ID: "p:1", Directory: "p"}, User{ID: "f:1", Directory: "f"}, User{ID: "q:1", Directory: "q"}

	if err := s.SetPassword(ctx, inF, pw); err != nil || len(f.set) != 1 || len(p.set) != 0 {
		t.Errorf("SetPassword went elsewhere: %v %v %v", err, p.set, f.set)
	}
	if r, err := s.Rules(ctx, inP); err != nil || r.Source != "p" {
		t.Errorf("Rules: %+v, %v", r, err)
	}
	calls := map[string]func(User) error{
		"change":       func(u User) error { return s.ChangePassword(ctx, u, pw, pw) },
		"unlock":       func(u User) error { return s.Unlock(ctx, u) },
		"watch":        func(u User) error { _, err := s.Watch(ctx, u); return err },
		"require":      func(u User) error { return s.RequireChange(ctx, u) },
		"authenticate": func(u User) error { return s.Authenticate(ctx, u, pw) },
		"revoke":       func(u User) error { return s.RevokeSessions(ctx, u) },
		"resolve": func(u User) error {
			m, err := s.Resolve(ctx, u, "7")
			if err == nil && m.ID != "f:7" {
				t.Errorf("resolved to %q", m.ID)
			}
			return err
		},
	}
	for name, call := range calls {
		f.calls = nil
		if err := call(inF); err != nil || len(f.calls) != 1 || f.calls[0] != name {
			t.Errorf("%s: %v, %v", name, err, f.calls)
		}
		if err := call(inP); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s on a directory without it: %v", name, err)
		}
		if err := call(nowhere); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s on an unknown directory: %v", name, err)
		}
	}
	if _, err := s.Read(ctx, nowhere); !errors.Is(err, ErrNotFound) {
		t.Errorf("Read in an unknown directory: %v", err)
	}
	if got := s.Examine(ctx); len(got) != 1 || got[0].Check != "f: tls" {
		t.Errorf("Examine: %+v", got)
	}
}

func TestSetListsEverybodyOrNobody(t *testing.T) {
	f, g := &full{plain: plain{name: "f"}}, &full{plain: plain{name: "g"}}
	p := &plain{name: "p"}
	down := &full{plain: plain{name: "down", err: ErrUnavailable}}
	enough := errors.New("enough")
	for _, tt := range []struct {
		name    string
		members []Named
		stop    int // each fails when called this often
		want    []ID
		err     error
	}{
		{"in order", []Named{{Name: "g", Directory: g}, {Name: "f", Directory: f}}, 0, []ID{"g:1", "g:2", "f:1", "f:2"}, nil},
		{"alone", []Named{{Name: "f", Directory: f}}, 0, []ID{"f:1", "f:2"}, nil},
		{"one cannot, and nobody is listed", []Named{{Name: "f", Directory: f}, {Name: "p", Directory: p}}, 0, nil, ErrUnsupported},
		{"one is down", []Named{{Name: "f", Directory: f}, {Name: "down", Directory: down}, {Name: "g", Directory: g}}, 0, []ID{"f:1", "f:2", "down:1", "down:2"}, ErrUnavailable},
		{"each has enough", []Named{{Name: "f", Directory: f}, {Name: "g", Directory: g}}, 3, []ID{"f:1", "f:2", "g:1"}, enough},
		{"each has enough in the first", []Named{{Name: "f", Directory: f}, {Name: "g", Directory: g}}, 1, []ID{"f:1"}, enough},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := NewSet(tt.members...)
			if err != nil {
				t.Fatal(err)
			}
			var got []ID
			err = s.People(t.Context(), func(id ID) error {
				if got = append(got, id); len(got) == tt.stop {
					return enough
				}
				return nil
			})
			if !errors.Is(err, tt.err) || !slices.Equal(got, tt.want) {
				t.Errorf("%v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestSetRefusesNamesThatCollide(t *testing.T) {
	p := &plain{}
	for _, members := range [][]Named{nil, {{Name: "", Directory: p}}, {{Name: "a", Directory: nil}}, {{Name: "a", Directory: p}, {Name: "a", Directory: p}}} {
		if _, err := NewSet(members...); err == nil {
			t.Errorf("%v was accepted", members)
		}
	}
}
