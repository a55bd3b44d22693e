package directorytest

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"postern/directory"
)

func (s *suite) watcher(t *testing.T, d directory.Directory) directory.Watcher {
	t.Helper()
	w, ok := d.(directory.Watcher)
	if !ok {
		t.Skip("this back end does not watch")
	}
	return w
}

// sees is what the one server has.
func (s *suite) sees(t *testing.T, u directory.User) directory.Sighting {
	t.Helper()
	all, err := s.watcher(t, s.Directory).Watch(t.Context(), u)
	if err != nil || len(all) != 1 || all[0].Err != nil || all[0].Server != u.Server {
		t.Fatalf("Watch: %+v, %v", all, err)
	}
	return all[0]
}

// What is done to an account, and who tries a wrong password, shows.
func testWatch(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	first := s.sees(t, u)
	if first.Locked || first.MustChange || first.BadPasswords != 0 || !first.LockedAt.IsZero() || !first.PasswordSet.Equal(u.State.PasswordSet) {
		t.Errorf("of somebody new: %+v, with the password of %v", first, u.State.PasswordSet)
	}
	if err := s.set(t, u, nextPassword); err != nil {
		t.Fatal(err)
	}
	after := s.sees(t, u)
	if after.PasswordSet.Before(first.PasswordSet) || !after.PasswordSet.Equal(s.read(t, u).State.PasswordSet) {
		t.Errorf("the reset does not show: %+v", after)
	}
	if err := s.Bind(p, "not-the-password-1"); err == nil {
		t.Fatal("a wrong password is taken")
	}
	tried := s.sees(t, u)
	// Some write whole seconds.
	if tried.BadPasswords != 1 || tried.LastBad.Before(after.PasswordSet.Truncate(time.Second)) || !tried.LastBad.After(after.LastBad) {
		t.Errorf("the wrong password does not show: %+v", tried)
	}
	if err := s.Lock(p); err != nil {
		t.Fatal(err)
	}
	locked := s.sees(t, u)
	if !locked.Locked || locked.LockedAt.Before(tried.LastBad.Truncate(time.Second)) || !locked.LockedUntil.Equal(s.read(t, u).State.LockedUntil) {
		t.Errorf("the lock does not show: %+v", locked)
	}
	if err := s.unlock(t, u); err != nil {
		t.Fatal(err)
	}
	if open := s.sees(t, u); open.Locked || !open.LockedAt.IsZero() || !open.LockedUntil.IsZero() {
		t.Errorf("its end does not show: %+v", open)
	}
	if err := s.requireChange(t, u); err != nil {
		t.Fatal(err)
	}
	if must := s.sees(t, u); !must.MustChange {
		t.Errorf("that a change is required does not show: %+v", must)
	}
}

// One that is down, and one that hangs, say so and neither hide the others nor keep
// anybody waiting.
func testWatchAsksEveryServer(t *testing.T, s *suite) {
	_, u := s.personAndUser(t)
	s.watcher(t, s.Directory)
	good, err := newRelay(func() (net.Conn, error) { return net.Dial("tcp", u.Server) })
	if err != nil {
		t.Fatal(err)
	}
	defer good.close()
	hangs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hangs.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	addrs := []string{hangs.Addr().String(), good.addr(), gone.Addr().String()}
	d, err := s.Through(addrs...)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	all, err := s.watcher(t, d).Watch(t.Context(), u)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if err != nil || len(all) != len(addrs) {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, one := range all {
		if one.Server != addrs[i] || (i == 1) != (one.Err == nil) || one.Err != nil && !errors.Is(one.Err, directory.ErrUnavailable) {
			t.Errorf("%d: %+v", i, one)
		}
	}
	if !all[1].PasswordSet.Equal(u.State.PasswordSet) {
		t.Errorf("%+v", all[1])
	}
	good.close()
	if all, err = s.watcher(t, d).Watch(t.Context(), u); !errors.Is(err, directory.ErrUnavailable) || len(all) != len(addrs) {
		t.Errorf("when none answers: %+v, %v", all, err)
	}
}

func testWatchOfNobody(t *testing.T, s *suite) {
	w := s.watcher(t, s.Directory)
	_, u := s.personAndUser(t)
	nobody := u
	for _, id := range []directory.ID{directory.ID(u.Directory + ":00000000-0000-4000-8000-000000000000"), directory.ID(u.Directory + ":*"), "",
		"elsewhere:" + directory.ID(strings.TrimPrefix(string(u.ID), u.Directory+":"))} {
		nobody.ID = id
		if all, err := w.Watch(t.Context(), nobody); !errors.Is(err, directory.ErrNotFound) || len(all) != 0 {
			t.Errorf("of %q: %+v, %v", id, all, err)
		}
	}
	if _, err := w.Watch(cancelled(), u); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("after the end of its time: %v", err)
	}
}
