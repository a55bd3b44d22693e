package password

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/verify"
)

const right = "correct horse battery"

// server is a directory of one person that counts and locks like a real one.
type server struct {
	mu        sync.Mutex
	clock     time.Time
	bad       int
	threshold int
	locked    bool
	gone      bool
	answer    error // what a right password gives
	fault     error // of everything
	readFault error

	binds, strangers, reads, asked, inFlight, most int
	hold, entered                                  chan struct{} // nil: answer at once
}

func (s *server) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(time.Microsecond)
	return s.clock
}

func (s *server) snapshot() directory.User {
	return directory.User{ID: "corp:a", DN: "cn=alice", ReadAt: s.clock, State: directory.State{BadPasswords: s.bad}}
}

// found is what the core's search gives: the account as it is now.
func (s *server) found() *directory.User {
	at := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.snapshot()
	u.ReadAt = at
	return &u
}

func (s *server) Authenticate(ctx context.Context, u directory.User, pw directory.Secret) error {
	s.mu.Lock()
	if u.DN != "cn=alice" {
		s.strangers++
		defer s.mu.Unlock()
		return errors.Join(s.fault, directory.ErrWrongPassword)
	}
	s.binds++
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		s.entered <- struct{}{}
		<-hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	switch {
	case s.fault != nil:
		return s.fault
	case s.locked:
		return &directory.BindDenied{Reason: "locked"}
	case pw.Reveal() == right:
		s.bad = 0
		return s.answer
	}
	s.bad++
	s.locked = s.threshold > 0 && s.bad >= s.threshold
	return directory.ErrWrongPassword
}

func (s *server) Rules(_ context.Context, u directory.User) (directory.Rules, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if u.DN != "cn=alice" {
		return directory.Rules{}, directory.ErrNotFound
	}
	return directory.Rules{LockoutThreshold: s.threshold}, s.fault
}

func (s *server) Read(_ context.Context, u directory.User) (directory.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	switch {
	case s.readFault != nil:
		return directory.User{}, s.readFault
	case s.gone || u.DN != "cn=alice":
		return directory.User{}, directory.ErrNotFound
	}
	return s.snapshot(), nil
}

func newServer(threshold int) (*server, *Factor) {
	s := &server{clock: time.Unix(1_800_000_000, 0), threshold: threshold}
	return s, New(s, func(id directory.ID) directory.User {
		return directory.User{ID: id, DN: "cn=nobody-" + string(id)}
	}, s.now)
}

func person(s *server) verify.Subject { return verify.Subject{ID: "corp:a", User: s.found()} }

func try(t testing.TB, f *Factor, s verify.Subject, answer string) error {
	t.Helper()
	c, err := f.Begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Check(t.Context(), s, c, []byte(answer))
	return err
}

func TestTheDirectoryDecides(t *testing.T) {
	for name, test := range map[string]struct {
		password string
		answer   error
		want     error
	}{
		"right":                 {right, nil, nil},
		"right and expired":     {right, directory.ErrPasswordExpired, nil},
		"right and must change": {right, fmt.Errorf("ad: %w", directory.ErrMustChange), nil},
		"wrong":                 {"wrong", nil, verify.ErrWrong},
		"wrong and expired":     {"wrong", directory.ErrPasswordExpired, verify.ErrWrong},
		"disabled":              {right, &directory.BindDenied{Reason: "disabled", PasswordRight: true}, verify.ErrWrong},
	} {
		s, f := newServer(0)
		s.answer = test.answer
		err := try(t, f, person(s), test.password)
		if test.want == nil && err != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if test.want != nil && !errors.Is(err, directory.ErrWrongPassword) {
			t.Errorf("%s: the audit log would not learn the reason: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), test.password) && err != nil && test.password == right {
			t.Errorf("%s: the error quotes the password", name)
		}
	}
	s, f := newServer(0)
	s.answer = &directory.BindDenied{Reason: "disabled"}
	var denied *directory.BindDenied
	if err := try(t, f, person(s), right); !errors.As(err, &denied) || denied.Reason != "disabled" {
		t.Errorf("got %v", err)
	}
}

// A change of a known password costs the directory the search that found the
// account and one bind, no more.
func TestAFreshSnapshotIsNotReadAgain(t *testing.T) {
	s, f := newServer(5)
	if err := try(t, f, person(s), right); err != nil {
		t.Fatal(err)
	}
	if s.binds != 1 || s.reads != 0 || s.strangers != 0 {
		t.Errorf("%d binds, %d reads, %d other binds", s.binds, s.reads, s.strangers)
	}
}

func TestAStaleSnapshotIsReadAgain(t *testing.T) {
	for name, age := range map[string]func(*directory.User){
		"no time":       func(u *directory.User) { u.ReadAt = time.Time{} },
		"too old":       func(u *directory.User) { u.ReadAt = u.ReadAt.Add(-3 * time.Second) },
		"of the future": func(u *directory.User) { u.ReadAt = u.ReadAt.Add(time.Hour) },
	} {
		s, f := newServer(5)
		who := person(s)
		age(who.User)
		s.bad = 3 // since then somebody tried elsewhere
		if err := try(t, f, who, right); !errors.Is(err, ErrNearLockout) {
			t.Errorf("%s: got %v, want ErrNearLockout", name, err)
		}
		if s.reads != 1 || s.binds != 0 {
			t.Errorf("%s: %d reads, %d binds", name, s.reads, s.binds)
		}
	}
}

// security case 18
func TestFiftyWrongPasswordsNeverComeNearTheLockout(t *testing.T) {
	for threshold, allowed := range map[int]int{1: 0, 2: 0, 3: 1, 5: 3, 10: 8} {
		s, f := newServer(threshold)
		near := 0
		for range 50 {
			err := try(t, f, person(s), "wrong")
			if !errors.Is(err, verify.ErrWrong) {
				t.Fatalf("threshold %d: %v", threshold, err)
			}
			if errors.Is(err, ErrNearLockout) {
				near++
			}
		}
		if s.bad != allowed || s.binds != allowed || near != 50-allowed || s.locked {
			t.Errorf("threshold %d: %d wrong passwords counted, want %d; %d refused", threshold, s.bad, allowed, near)
		}
		if err := try(t, f, person(s), right); !errors.Is(err, ErrNearLockout) {
			t.Errorf("threshold %d: the right one afterwards: %v", threshold, err)
		}
	}
}

// security case 18: all fifty hold the same snapshot, which is fresh and says 0.
func TestFiftyWrongPasswordsAtOnceNeverComeNearTheLockout(t *testing.T) {
	s, f := newServer(10)
	who := person(s)
	var all sync.WaitGroup
	begin := make(chan struct{})
	for range 50 {
		all.Go(func() {
			<-begin
			if err := try(t, f, who, "wrong"); !errors.Is(err, verify.ErrWrong) {
				t.Errorf("got %v", err)
			}
		})
	}
	close(begin)
	all.Wait()
	if s.bad != 8 || s.locked || s.most != 1 {
		t.Errorf("%d wrong passwords counted, locked %v, %d at once", s.bad, s.locked, s.most)
	}
}

func TestAccountsDoNotWaitForEachOther(t *testing.T) {
	s, f := newServer(0)
	s.hold, s.entered = make(chan struct{}), make(chan struct{})
	who := person(s)
	var all sync.WaitGroup
	all.Go(func() { _ = try(t, f, who, "wrong") })
	<-s.entered
	if err := try(t, f, verify.Subject{ID: "decoy:x"}, "wrong"); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("another account: %v", err)
	}
	// Whoever waits for the same account waits no longer than the request lasts.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, _ := f.Begin(t.Context(), who)
	if _, err := f.Check(ctx, who, c, []byte(right)); !errors.Is(err, context.Canceled) || errors.Is(err, verify.ErrWrong) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	close(s.hold)
	all.Wait()
	if s.binds != 1 {
		t.Errorf("%d binds", s.binds)
	}
}

// security cases 2, 5: a decoy, somebody who is gone, and somebody near the
// lockout cost the directory one bind each, like everybody else.
func TestEveryAnswerCostsOneBind(t *testing.T) {
	s, f := newServer(5)
	if err := try(t, f, verify.Subject{ID: "decoy:x"}, right); !errors.Is(err, verify.ErrWrong) {
		t.Errorf("decoy: %v", err)
	}
	if s.strangers != 1 || s.reads != 0 || s.binds != 0 {
		t.Errorf("decoy: %d strangers, %d reads, %d binds", s.strangers, s.reads, s.binds)
	}
	// The second time both are read again.
	_ = try(t, f, verify.Subject{ID: "decoy:x"}, right)
	if s.strangers != 2 || s.reads != 0 {
		t.Errorf("decoy, new question: %d strangers, %d reads", s.strangers, s.reads)
	}
	c, _ := f.Begin(t.Context(), verify.Subject{ID: "decoy:x"})
	for range 2 {
		_, _ = f.Check(t.Context(), verify.Subject{ID: "decoy:x"}, c, []byte("wrong"))
	}
	if s.strangers != 4 || s.reads != 1 {
		t.Errorf("decoy, same question twice: %d strangers, %d reads", s.strangers, s.reads)
	}

	s, f = newServer(5)
	s.bad = 3
	if err := try(t, f, person(s), right); !errors.Is(err, ErrNearLockout) || s.strangers != 1 || s.binds != 0 {
		t.Errorf("near the lockout: %v, %d strangers, %d binds", err, s.strangers, s.binds)
	}
	s, f = newServer(5)
	s.gone = true
	who := person(s)
	who.User.ReadAt = time.Time{}
	if err := try(t, f, who, right); !errors.Is(err, verify.ErrWrong) || s.strangers != 1 || s.binds != 0 {
		t.Errorf("gone: %v, %d strangers, %d binds", err, s.strangers, s.binds)
	}
}

// security case 59
func TestAPasswordThatCouldPassForNoneIsNotSent(t *testing.T) {
	for _, answer := range []string{"", " ", "   ", "\t\n", "\u00a0", "\x00", "\x00" + right, right + "\x00", "\xff\xfe", strings.Repeat("x", 1025)} {
		s, f := newServer(5)
		for _, who := range []verify.Subject{person(s), {ID: "decoy:x"}} {
			if err := try(t, f, who, answer); !errors.Is(err, verify.ErrWrong) {
				t.Errorf("%q: got %v, want ErrWrong", answer, err)
			}
		}
		if s.binds+s.strangers+s.reads != 0 {
			t.Errorf("%.20q reached the wire", answer)
		}
	}
	for _, answer := range []string{" leading", "trailing ", `"quoted\"`, "пароль 🔑", strings.Repeat("🔑", 256)} {
		var got string
		_, f := newServer(5)
		f.directory = recorder{f.directory, &got}
		_ = try(t, f, verify.Subject{ID: "decoy:x"}, answer)
		if got != answer {
			t.Errorf("%q arrived as %q", answer, got)
		}
	}
}

type recorder struct {
	Directory
	got *string
}

func (r recorder) Authenticate(ctx context.Context, u directory.User, pw directory.Secret) error {
	*r.got = pw.Reveal()
	return r.Directory.Authenticate(ctx, u, pw)
}

// security case 7
func TestADirectoryThatFailsMeansNo(t *testing.T) {
	for name, spoil := range map[string]func(*server){
		"all":                             func(s *server) { s.fault = directory.ErrUnavailable },
		"bind refused for lack of rights": func(s *server) { s.answer = directory.ErrDenied },
	} {
		s, f := newServer(5)
		spoil(s)
		if err := try(t, f, person(s), right); err == nil || errors.Is(err, verify.ErrWrong) {
			t.Errorf("%s: got %v, want a fault", name, err)
		}
	}
	s, f := newServer(5)
	s.readFault = directory.ErrUnavailable
	who := person(s)
	who.User.ReadAt = time.Time{}
	if err := try(t, f, who, right); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, verify.ErrWrong) || s.binds != 0 {
		t.Errorf("read: got %v, %d binds", err, s.binds)
	}
	// A try whose answer never came may have counted: the next one reads again.
	s, f = newServer(5)
	who = person(s)
	s.fault = directory.ErrUnavailable
	_ = try(t, f, who, right)
	s.fault = nil
	if err := try(t, f, who, right); err != nil || s.reads != 1 {
		t.Errorf("after a fault: %v, %d reads", err, s.reads)
	}
}

func TestTooLateIsTooLate(t *testing.T) {
	s, f := newServer(5)
	who := person(s)
	c, _ := f.Begin(t.Context(), who)
	s.clock = c.Expires
	if _, err := f.Check(t.Context(), who, c, []byte(right)); !errors.Is(err, verify.ErrExpired) || s.binds != 0 {
		t.Errorf("got %v", err)
	}
	c, _ = f.Begin(t.Context(), who)
	c.State = []byte("x")
	if _, err := f.Check(t.Context(), who, c, []byte(right)); err == nil || errors.Is(err, verify.ErrWrong) {
		t.Errorf("unreadable challenge: %v", err)
	}
}

func TestNothingIsRememberedForLong(t *testing.T) {
	s, f := newServer(0)
	for i := range 100 {
		_ = try(t, f, verify.Subject{ID: directory.ID(fmt.Sprint("decoy:", i))}, "wrong")
	}
	if n := len(f.accounts.of); n != 100 {
		t.Fatalf("%d accounts in memory", n)
	}
	s.clock = s.clock.Add(time.Minute)
	if err := try(t, f, person(s), right); err != nil {
		t.Fatal(err)
	}
	if len(f.accounts.of) != 0 || len(f.accounts.past) != 0 {
		t.Errorf("%d accounts and %d failures in memory", len(f.accounts.of), len(f.accounts.past))
	}
}

// tenant lets nobody check the password of its own people.
type tenant struct {
	*server
	own directory.ID
}

func (d tenant) Authenticate(ctx context.Context, u directory.User, pw directory.Secret) error {
	if u.ID == d.own || d.own == "" {
		return fmt.Errorf("%w: a tenant", directory.ErrUnsupported)
	}
	return d.server.Authenticate(ctx, u, pw)
}

// What cannot be checked is wrong, at the price of a wrong one: a stranger is asked
// about in its place.
func TestWhatNoDirectoryChecksIsWrong(t *testing.T) {
	s, _ := newServer(5)
	who := person(s)
	f := New(tenant{s, who.User.ID}, func(id directory.ID) directory.User { return directory.User{ID: "nobody:" + id} }, s.now)
	err := try(t, f, who, right)
	if !errors.Is(err, ErrNotChecked) || !errors.Is(err, verify.ErrWrong) || s.strangers != 1 {
		t.Errorf("%v, with %d strangers", err, s.strangers)
	}
	f = New(tenant{s, ""}, func(id directory.ID) directory.User { return directory.User{ID: "nobody:" + id} }, s.now)
	if err := try(t, f, who, right); err == nil || errors.Is(err, verify.ErrWrong) {
		t.Errorf("where nobody at all can be checked: %v", err)
	}
}
