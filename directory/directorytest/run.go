package directorytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"postern/directory"
)

// Fixture is one back end, plugged into Run.
type Fixture struct {
	// Directory is the code under test, connected to the server that the
	// functions below act on from outside.
	Directory directory.Directory
	// Policy is what holds for an ordinary person.
	Policy Policy
	// Add makes an ordinary person and returns it with its DN.
	Add func(Person) (Person, error)
	// Bind proves a password on a connection of its own; nil: it was taken.
	Bind func(p Person, password string) error
	// Lock, Disable, Expire and MustChange bring a person into a state; nil where the
	// directory has no such state, or does not tell of it.
	Lock, Disable, Expire, MustChange func(Person) error
	// Facts reads, as an administrator, what nothing but the operation under
	// test may change: account control, expiry, when the password was set.
	Facts func(Person) (map[string]string, error)
	// NeverExpires and CannotChange bring a person into a state in which requiring a
	// change would mean nothing; nil where there is none.
	NeverExpires, CannotChange func(Person) error
	// Young makes a person inside a minimum age whose password was set just
	// now, possibly in another directory of the same kind.
	Young func() (directory.Directory, Person, error)
	// Binds counts the binds the server has seen, where it can tell; nil otherwise.
	Binds func() (int64, error)

	// ChecksNames: complexity includes that the password holds no part of the
	// person's names. Windows does that; Samba 4.17 looks at the classes alone.
	ChecksNames bool

	// Aliases are other ways of typing a person's login that the directory takes.
	Aliases func(Person) []string
	// Ambiguous are typed names that fit more than one account.
	Ambiguous []string
	// Privileged are logins that must be marked so.
	Privileged []string
	// Strong is a person under a policy of its own with minimum length
	// StrongLength; empty where the directory has one policy for all.
	Strong string
	// Managed is the login of somebody managed by Manager, who is managed by Director.
	Managed, Manager, Director string
	// Reference is what an account is referred to by; nil: its DN. It is an id where ById.
	Reference func(directory.User) string
	ById      bool
	// Odd are logins of people whose DNs need care; references to them are followed too.
	Odd []string
	// Delete deletes a person.
	Delete func(Person) error
	// Nowhere are DNs that no reference may lead to: of groups, computers, branches,
	// accounts outside of where people are looked for.
	Nowhere []string
	// Everybody is the logins that a listing must give, as an administrator sees them.
	Everybody func() ([]string, error)
	// WholeNumbers: telephone numbers are found as they are written, and not otherwise.
	WholeNumbers bool
	// PageSize is how many people Directory asks for at once. It must be less than
	// there are.
	PageSize int
	// Through makes the same directory again, its servers reached at loopback
	// addresses, host:port.
	Through func(addrs ...string) (directory.Directory, error)
}

// Run is the conformance suite of directory.Directory and its optional
// abilities. A back end that lacks an ability skips its part.
func Run(t *testing.T, f Fixture) {
	s := &suite{Fixture: f}
	for _, part := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"Find", testFind}, {"AliasesAreOneAccount", testAliases}, {"AmbiguousIsNotFound", testAmbiguous},
		{"OddNames", testOddNames}, {"ReadById", testRead}, {"Deadline", testDeadline}, {"States", testStates}, {"StatesAndLists", testLists},
		{"Privileged", testPrivileged}, {"Rules", testRules}, {"Authenticate", testAuthenticate},
		{"EmptyPassword", testEmptyPassword}, {"ResetToNothing", testResetToNothing}, {"Reset", testReset}, {"ResetRefusals", testResetRefusals},
		{"ResetLeavesTheRestAlone", testResetLeavesStates}, {"ExactBytes", testExactBytes}, {"Change", testChange},
		{"ChangeRefusals", testChangeRefusals}, {"ChangeWhenItMust", testChangeWhenItMust}, {"TooYoung", testTooYoung},
		{"Unlock", testUnlock}, {"UnlockOnlyUnlocks", testUnlockOnlyUnlocks},
		{"RequireChange", testRequireChange}, {"RequireChangeLeavesTheRestAlone", testRequireChangeLeavesStates},
		{"RequireChangeWhereItMeansNothing", testRequireChangeWhereItMeansNothing}, {"RequireChangeOfNobody", testRequireChangeOfNobody},
		{"WatchFollowsAnAccount", testWatch}, {"WatchAsksEveryServer", testWatchAsksEveryServer}, {"WatchOfNobody", testWatchOfNobody},
		{"Search", testSearch}, {"SearchShowsStates", testSearchStates}, {"SearchIsBounded", testSearchIsBounded},
		{"SearchTakesNothingForAFilter", testSearchTakesNothingForAFilter}, {"SearchScope", testSearchScope},
		{"ResolveFollowsAReference", testResolve}, {"ResolveLeadsNowhereElse", testResolveNowhere}, {"PeopleIsEverybodyOnce", testPeople},
		{"PeopleEndsEarly", testPeopleEndsEarly}, {"PeopleIsAllOrAnError", testPeopleBreaksOff},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, s) })
	}
}

type suite struct {
	Fixture
	made atomic.Int64
}

// firstPassword is what people of the suite start with.
const firstPassword = "Quay-Lantern-7734"

// person makes somebody new, so that no part depends on another.
func (s *suite) person(t *testing.T) Person {
	t.Helper()
	n := s.made.Add(1)
	p, err := s.Add(Person{
		Login: fmt.Sprintf("conf%03d", n), Given: "Cora", Surname: "Nform", Name: fmt.Sprintf("Cora Nform %03d", n),
		Phone: "+1 555 0142", Password: firstPassword,
	})
	if err != nil {
		t.Fatalf("make a person: %v", err)
	}
	return p
}

func (s *suite) find(t *testing.T, login string) directory.User {
	t.Helper()
	u, err := s.Directory.Find(t.Context(), login)
	if err != nil {
		t.Fatalf("Find(%q): %v", login, err)
	}
	return u
}

// read is the account as it is now, on the server it was found on.
func (s *suite) read(t *testing.T, u directory.User) directory.User {
	t.Helper()
	now, err := s.Directory.Read(t.Context(), u)
	if err != nil {
		t.Fatalf("Read(%s): %v", u.Login, err)
	}
	return now
}

// personAndUser is a new person, found.
func (s *suite) personAndUser(t *testing.T) (Person, directory.User) {
	t.Helper()
	p := s.person(t)
	return p, s.find(t, p.Login)
}

func (s *suite) facts(t *testing.T, p Person) map[string]string {
	t.Helper()
	f, err := s.Facts(p)
	if err != nil {
		t.Fatalf("read %s as administrator: %v", p.Login, err)
	}
	return f
}

func (s *suite) set(t *testing.T, u directory.User, password string) error {
	t.Helper()
	return silent(t, s.Directory.SetPassword(t.Context(), u, directory.NewSecret(password)), password)
}

func (s *suite) change(t *testing.T, u directory.User, old, password string) error {
	t.Helper()
	c, ok := s.Directory.(directory.Changer)
	if !ok {
		t.Skip("this back end carries no change")
	}
	return silent(t, c.ChangePassword(t.Context(), u, directory.NewSecret(old), directory.NewSecret(password)), old, password)
}

func (s *suite) authenticate(t *testing.T, u directory.User, password string) error {
	t.Helper()
	a, ok := s.Directory.(directory.Authenticator)
	if !ok {
		t.Skip("this back end checks no passwords")
	}
	return silent(t, a.Authenticate(t.Context(), u, directory.NewSecret(password)), password)
}

func (s *suite) unlock(t *testing.T, u directory.User) error {
	t.Helper()
	k, ok := s.Directory.(directory.Unlocker)
	if !ok {
		t.Skip("this back end cannot unlock")
	}
	return k.Unlock(t.Context(), u)
}

// bring brings p into a state that this directory has.
func bring(t *testing.T, state func(Person) error, p Person) {
	t.Helper()
	if state == nil {
		t.Skip("this directory has no such state")
	}
	if err := state(p); err != nil {
		t.Fatal(err)
	}
}

// reference is what u is referred to by.
func (s *suite) reference(u directory.User) string {
	if s.Reference != nil {
		return s.Reference(u)
	}
	return u.DN
}

// able skips a test of an ability that is not there, before anything else is done.
func able[A any](t *testing.T, s *suite) {
	t.Helper()
	if _, ok := s.Directory.(A); !ok {
		t.Skip("this back end lacks the ability")
	}
}

func (s *suite) resolver(t *testing.T) directory.Resolver {
	t.Helper()
	r, ok := s.Directory.(directory.Resolver)
	if !ok {
		t.Skip("this back end follows no references")
	}
	return r
}

func (s *suite) lister(t *testing.T) directory.Lister {
	t.Helper()
	l, ok := s.Directory.(directory.Lister)
	if !ok {
		t.Skip("this back end lists nobody")
	}
	return l
}

// silent fails when an error repeats a password (security case 113).
func silent(t *testing.T, err error, secrets ...string) error {
	t.Helper()
	for _, secret := range secrets {
		if err != nil && len(secret) > 3 && strings.Contains(err.Error(), secret) {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
	return err
}

// proves fails unless exactly password binds.
func (s *suite) proves(t *testing.T, p Person, password string) {
	t.Helper()
	if err := s.Bind(p, password); err != nil {
		t.Errorf("the password that was set does not bind: %v", err)
	}
}

// refused fails unless err is a refusal that names one of the rules.
func refused(t *testing.T, err error, rules ...directory.Rule) *directory.Refusal {
	t.Helper()
	var r *directory.Refusal
	if !errors.As(err, &r) {
		t.Errorf("got %v, want a refusal: %v", err, rules)
		return nil
	}
	for _, want := range rules {
		if r.Rule == want {
			return r
		}
	}
	t.Errorf("refused for %q (%s), want %v", r.Rule, r.Text, rules)
	return nil
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
