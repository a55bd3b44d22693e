package directorytest

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/directory"
)

func testResolve(t *testing.T, s *suite) {
	r := s.resolver(t)
	resolve := func(from directory.User, ref string, login string) directory.User {
		t.Helper()
		before := time.Now()
		u, err := r.Resolve(t.Context(), from, ref)
		if err != nil {
			t.Errorf("%q of %s: %v", ref, from.Login, err)
			return u
		}
		if u.ReadAt.Before(before) {
			t.Errorf("%q was read at %v", ref, u.ReadAt)
		}
		want := s.read(t, s.find(t, login))
		want.ReadAt, u.ReadAt = time.Time{}, time.Time{}
		if u.ID == "" || !reflect.DeepEqual(u, want) {
			t.Errorf("%q of %s is\n%+v\nwant\n%+v", ref, from.Login, u, want)
		}
		return u
	}
	managed := s.find(t, s.Managed)
	manager := resolve(managed, managed.Manager, s.Manager)
	director := resolve(manager, manager.Manager, s.Director)
	if director.Manager != "" {
		t.Errorf("%s has a manager: %s", director.Login, director.Manager)
	}
	// A name is read and not compared: spaces, case and escapes are nothing.
	dn := managed.Manager
	for _, same := range []string{strings.ToUpper(dn), strings.ToLower(dn), strings.ReplaceAll(dn, ",", " , "), strings.ReplaceAll(dn, "=", " = "),
		strings.Replace(dn, "anager", `\61nager`, 1)} {
		resolve(managed, same, s.Manager)
	}
	// It may name anybody, in whatever state, and from itself: the core judges.
	resolve(managed, s.reference(managed), managed.Login)
	for _, login := range append(append([]string{}, s.Privileged...), s.Odd...) {
		u := resolve(managed, s.reference(s.find(t, login)), login)
		if strings.Contains(strings.Join(s.Privileged, " "), login) && u.Privileged == "" {
			t.Errorf("%s is not seen to be privileged", login)
		}
	}
	if s.Disable != nil {
		p, u := s.personAndUser(t)
		if err := s.Disable(p); err != nil {
			t.Fatal(err)
		}
		if u := resolve(managed, s.reference(u), p.Login); !u.State.Disabled {
			t.Errorf("%+v", u.State)
		}
	}
}

// A reference is data that somebody may write: whatever is in it, it leads to no
// account that could not be found by name.
func testResolveNowhere(t *testing.T, s *suite) {
	r := s.resolver(t)
	p, from := s.personAndUser(t)
	there := s.reference(s.find(t, s.Manager))
	rdn, branch, _ := strings.Cut(there, ",")
	attribute, value, _ := strings.Cut(rdn, "=")
	left, known := s.personAndUser(t)
	gone := s.reference(known)
	if _, err := r.Resolve(t.Context(), from, gone); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(left); err != nil {
		t.Fatal(err)
	}
	_, guid, _ := strings.Cut(string(s.find(t, s.Manager).ID), ":")
	never := append([]string{
		gone, "", " ", "\x00", ",", "=", "*", p.Login, s.Manager, string(from.ID), "no DN at all", branch, "dc=", rdn + "," + rdn,
		attribute + "=*," + branch, attribute + "=," + branch, attribute + "=" + value + "*," + branch,
		attribute + "=" + value + ")(objectClass=*)," + branch, attribute + "=*)(|(objectClass=*)," + branch, `cn=\2a,` + branch,
		attribute + "=" + value + `\00,` + branch, attribute + "=" + value + "\x00," + branch, attribute + "=\xff\xfe," + branch,
		attribute + "=" + value + `\2c` + branch, "no-such-attribute=" + value + "," + branch, there + ",dc=example,dc=net", there + ",",
		"<GUID=" + guid + ">", "<GUID=" + guid + ">," + branch, "<SID=S-1-5-32-544>", "ldap://localhost/" + there, "ldap:///" + there + "??sub",
		"dn:" + there, `"` + there + `"`, "(" + there + ")", attribute + "=" + strings.Repeat("a", 10_000) + "," + branch,
		attribute + "=" + strings.Repeat("é", 1000) + "," + branch,
	}, s.Nowhere...)
	if !s.ById {
		never = append(never, guid, rdn)
	}
	for _, ref := range never {
		if u, err := r.Resolve(t.Context(), from, ref); !errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrUnavailable) || u.ID != "" {
			t.Errorf("%.80q leads to %q, %v", ref, u.DN, err)
		}
	}
	// Nobody's reference, and one of another directory's people.
	elsewhere := from
	elsewhere.Directory, elsewhere.ID = "elsewhere", "elsewhere:"+directory.ID(guid)
	for _, from := range []directory.User{{}, elsewhere} {
		if u, err := r.Resolve(t.Context(), from, there); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("from %q: %q, %v", from.ID, u.DN, err)
		}
	}
	if _, err := r.Resolve(cancelled(), from, there); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrNotFound) {
		t.Errorf("after the end of its time: %v", err)
	}
}

func testPeople(t *testing.T, s *suite) {
	l := s.lister(t)
	times := map[directory.ID]int{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := l.People(ctx, func(id directory.ID) error { times[id]++; return nil }); err != nil {
		t.Fatal(err)
	}
	logins, err := s.Everybody()
	if err != nil {
		t.Fatal(err)
	}
	if len(logins) <= 2*s.PageSize {
		t.Fatalf("%d people are not more than two pages of %d", len(logins), s.PageSize)
	}
	for _, login := range logins {
		u := s.find(t, login)
		if times[u.ID] != 1 {
			t.Errorf("%s (%s) was given %d times", login, u.ID, times[u.ID])
		}
		delete(times, u.ID)
	}
	for id := range times {
		u, err := s.Directory.Read(t.Context(), directory.User{ID: id})
		t.Errorf("%s was given and is nobody an administrator sees: %+v, %v", id, u, err)
	}
}

func testPeopleEndsEarly(t *testing.T, s *suite) {
	l := s.lister(t)
	enough := errors.New("enough")
	for _, after := range []int{1, s.PageSize, s.PageSize + 1} {
		n := 0
		err := l.People(t.Context(), func(directory.ID) error {
			if n++; n == after {
				return enough
			}
			return nil
		})
		if err != enough || n != after {
			t.Errorf("told to end after %d: %v after %d", after, err, n)
		}
	}
	if err := l.People(cancelled(), func(id directory.ID) error { t.Errorf("%s after the end of its time", id); return nil }); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("after the end of its time: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	if err := l.People(ctx, func(directory.ID) error { n++; cancel(); return nil }); !errors.Is(err, directory.ErrUnavailable) || n != 1 {
		t.Errorf("cancelled at the first: %v after %d", err, n)
	}
	// Whoever counts also reads.
	n = 0
	if err := l.People(t.Context(), func(id directory.ID) error {
		if n++; n > s.PageSize+1 {
			return enough
		}
		_, err := s.Directory.Read(t.Context(), directory.User{ID: id})
		return err
	}); err != enough {
		t.Errorf("reading meanwhile: %v after %d", err, n)
	}
}

// A server that goes away between two pages leaves no short list that looks whole.
func testPeopleBreaksOff(t *testing.T, s *suite) {
	s.lister(t)
	server := s.find(t, s.Managed).Server
	r, err := newRelay(func() (net.Conn, error) { return net.Dial("tcp", server) })
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	d, err := s.Through(r.addr())
	if err != nil {
		t.Fatal(err)
	}
	l, ok := d.(directory.Lister)
	if !ok {
		t.Fatal("the ability is gone")
	}
	n := 0
	if err := l.People(t.Context(), func(directory.ID) error { n++; r.close(); return nil }); !errors.Is(err, directory.ErrUnavailable) || n != s.PageSize {
		t.Errorf("after %d people: %v", n, err)
	}
	if err := l.People(t.Context(), func(directory.ID) error { n++; return nil }); !errors.Is(err, directory.ErrUnavailable) || n != s.PageSize {
		t.Errorf("of a server that is gone, after %d people: %v", n, err)
	}
}
