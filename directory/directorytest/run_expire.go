package directorytest

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"postern/directory"
)

func (s *suite) requireChange(t *testing.T, u directory.User) error {
	t.Helper()
	e, ok := s.Directory.(directory.Expirer)
	if !ok {
		t.Skip("this back end cannot require a change")
	}
	return e.RequireChange(t.Context(), u)
}

// otherFacts are those that requiring a change must leave alone.
func (s *suite) otherFacts(t *testing.T, p Person) map[string]string {
	t.Helper()
	f := s.facts(t, p)
	delete(f, "pwdLastSet")
	delete(f, "pwdReset")
	return f
}

func testRequireChange(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	before := s.otherFacts(t, p)
	for range 2 { // who must already still must
		if err := s.requireChange(t, u); err != nil {
			t.Fatal(err)
		}
	}
	if after := s.otherFacts(t, p); !maps.Equal(before, after) {
		t.Errorf("it changed %v to %v", before, after)
	}
	if st := s.read(t, u).State; !st.MustChange || st.Disabled || st.Locked {
		t.Errorf("afterwards: %+v", st)
	}
	if err := s.authenticate(t, u, "not-the-password-1"); !errors.Is(err, directory.ErrWrongPassword) {
		t.Errorf("a wrong password: %v", err)
	}
	if err := s.authenticate(t, u, firstPassword); !errors.Is(err, directory.ErrMustChange) {
		t.Errorf("the password in force: %v", err)
	}
	if err := s.change(t, s.read(t, u), firstPassword, nextPassword); err != nil {
		t.Fatal(err)
	}
	if s.read(t, u).State.MustChange {
		t.Error("after the change there is another to come")
	}
	if err := s.authenticate(t, u, nextPassword); err != nil {
		t.Error(err)
	}
}

// Security case 68: what else is wrong with an account stays wrong.
func testRequireChangeLeavesStates(t *testing.T, s *suite) {
	able[directory.Expirer](t, s)
	for _, c := range []struct {
		name  string
		bring func(Person) error
		holds func(directory.State) bool
	}{
		{"locked", s.Lock, func(st directory.State) bool { return st.Locked }},
		{"disabled", s.Disable, func(st directory.State) bool { return st.Disabled }},
		{"expired", s.Expire, func(st directory.State) bool { return true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, u := s.personAndUser(t)
			if err := c.bring(p); err != nil {
				t.Fatal(err)
			}
			before := s.otherFacts(t, p)
			if err := s.requireChange(t, s.read(t, u)); err != nil {
				t.Fatal(err)
			}
			if after := s.otherFacts(t, p); !maps.Equal(before, after) {
				t.Errorf("it changed %v to %v", before, after)
			}
			if st := s.read(t, u).State; !st.MustChange || !c.holds(st) {
				t.Errorf("afterwards: %+v", st)
			}
		})
	}
}

// A mark nobody looks at, or that nobody could obey, is not set.
func testRequireChangeWhereItMeansNothing(t *testing.T, s *suite) {
	for name, bring := range map[string]func(Person) error{"never expires": s.NeverExpires, "cannot change": s.CannotChange} {
		t.Run(name, func(t *testing.T) {
			if bring == nil {
				t.Skip("this directory has no such state")
			}
			p, u := s.personAndUser(t)
			if err := bring(p); err != nil {
				t.Fatal(err)
			}
			before := s.facts(t, p)
			// Told by an old snapshot, from before it was so.
			for _, as := range []directory.User{u, s.read(t, u)} {
				if err := s.requireChange(t, as); !errors.Is(err, directory.ErrUnsupported) || errors.Is(err, directory.ErrUnavailable) {
					t.Errorf("got %v", err)
				}
			}
			if after := s.facts(t, p); !maps.Equal(before, after) {
				t.Errorf("it changed %v to %v", before, after)
			}
			s.proves(t, p, firstPassword)
		})
	}
}

func testRequireChangeOfNobody(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	nobody := u
	for _, id := range []directory.ID{directory.ID(u.Directory + ":00000000-0000-4000-8000-000000000000"), directory.ID(u.Directory + ":*"), "",
		"elsewhere:" + directory.ID(strings.TrimPrefix(string(u.ID), u.Directory+":"))} {
		nobody.ID = id
		if err := s.requireChange(t, nobody); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("of %q: %v", id, err)
		}
	}
	e, ok := s.Directory.(directory.Expirer)
	if !ok {
		t.Skip("this back end cannot require a change")
	}
	if err := e.RequireChange(cancelled(), u); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) {
		t.Errorf("after the end of its time: %v", err)
	}
	s.proves(t, p, firstPassword)
	if s.read(t, u).State.MustChange {
		t.Error("the person must change")
	}
}
