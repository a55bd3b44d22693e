package enrol_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/policy"
	"postern/verify"
)

// listed is a roll that can be gone through, and more than it has.
type listed struct {
	*roll
	more []directory.ID
	err  error
}

func (l listed) People(_ context.Context, each func(directory.ID) error) error {
	for _, id := range slices.Concat(slices.Collect(maps.Keys(l.people)), l.more) {
		if err := each(id); err != nil {
			return err
		}
	}
	return l.err
}

// Whoever never came is the one who will be stranded: where a directory can be
// listed they are counted. A service account is a number and not a line.
func TestEverybodyIsCountedWhereADirectoryCanBeListed(t *testing.T) {
	off, robot := one("off", "o@example.org"), one("robot")
	off.State.Disabled, robot.Privileged = true, "service account"
	all := stock{{Owner: "test:app", Kind: verify.TOTP, Count: 1}, {Owner: "test:gone", Kind: verify.TOTP, Count: 1}, {Owner: "test:off", Kind: verify.TOTP, Count: 1}}
	for name, c := range map[string]struct {
		err       error
		everybody bool
		people    []string
		outside   map[string]int
	}{
		"it can":                   {nil, true, []string{"app", "never"}, map[string]int{"privileged": 1}},
		"it cannot":                {directory.ErrUnsupported, false, []string{"app"}, map[string]int{}},
		"it does not answer":       {directory.ErrUnavailable, false, nil, nil},
		"it stops half way for us": {context.DeadlineExceeded, false, nil, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, r := newSurvey(t, all, one("app", "a@example.org"), one("never", "n@example.org"), off, robot)
			l := listed{roll: r, more: []directory.ID{"test:deleted", "test:app"}, err: c.err}
			if s.Directory = l; errors.Is(c.err, directory.ErrUnsupported) {
				s.Directory = refusing{r}
			}
			got, err := s.Coverage(t.Context())
			if (err != nil) != (c.people == nil) {
				t.Fatalf("%s: %v", name, err)
			}
			var logins []string
			for _, p := range got.People {
				logins = append(logins, p.Login)
			}
			if got.Everybody != c.everybody || !slices.Equal(logins, c.people) || !maps.Equal(got.Outside, c.outside) {
				t.Errorf("%s: everybody %v, %v, outside %v", name, got.Everybody, logins, got.Outside)
			}
			if err == nil && (len(got.Unserved) != 1 || !slices.Equal(got.Gone, []directory.ID{"test:gone"})) {
				t.Errorf("%s: unserved %v, gone %v", name, got.Unserved, got.Gone)
			}
			if c.everybody && (len(got.People[1].Holdings) != 0 || len(got.People[1].Ways) != 0 || !got.People[1].Mail) {
				t.Errorf("who never came: %+v", got.People[1])
			}
		})
	}
}

// refusing is a directory of which one member cannot list.
type refusing struct{ *roll }

func (refusing) People(context.Context, func(directory.ID) error) error {
	return fmt.Errorf("%w: staff", directory.ErrUnsupported)
}

// What a case would refuse as too new is no way in a count either.
func TestSomethingNewIsNoWayByItself(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	old, fresh := now.Add(-25*time.Hour), now.Add(-23*time.Hour)
	hold := func(k verify.Kind, at time.Time) enrol.Holding {
		return enrol.Holding{Owner: "test:a", Kind: k, Count: 1, Oldest: at, Newest: now}
	}
	for name, c := range map[string]struct {
		held   []enrol.Holding
		mailAt time.Time
		ways   int
	}{
		"an old passkey":                      {[]enrol.Holding{hold(verify.Passkey, old)}, time.Time{}, 1},
		"a new passkey, and mail":             {[]enrol.Holding{hold(verify.Passkey, fresh)}, time.Time{}, 1}, // passkey and mail
		"a new passkey and a new address":     {[]enrol.Holding{hold(verify.Passkey, fresh)}, fresh, 0},
		"a new app and a new address":         {[]enrol.Holding{hold(verify.TOTP, fresh)}, fresh, 0},
		"a new app and an address since long": {[]enrol.Holding{hold(verify.TOTP, fresh)}, old, 1},
		"an old app and a new address":        {[]enrol.Holding{hold(verify.TOTP, old)}, fresh, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := newSurvey(t, c.held, one("a", "a@example.org"))
			s.Standing = func(context.Context, directory.ID) (access.Standing, error) {
				return access.Standing{MailAt: c.mailAt}, nil
			}
			got, err := s.Coverage(t.Context())
			if err != nil || len(got.People) != 1 || len(got.People[0].Ways) != c.ways {
				t.Errorf("%s: %+v, %v", name, got.People, err)
			}
		})
	}
}

// The survey looks at the contacts of everybody it may, before it says what they
// are worth; and of nobody else.
func TestTheSurveyWatchesWhomThePortalServes(t *testing.T) {
	off := one("off", "o@example.org")
	off.State.Disabled = true
	synctest.Test(t, func(t *testing.T) {
		s, r := newSurvey(t, stock{{Owner: "test:a", Kind: verify.TOTP, Count: 1}, {Owner: "test:ice", Kind: verify.TOTP, Count: 1}}, one("a", "a@example.org"), one("b"), one("ice", "i@example.org"), off)
		s.Directory = listed{roll: r}
		var mu sync.Mutex
		seen := map[directory.ID]bool{}
		s.Observe = func(_ context.Context, u directory.User) error {
			mu.Lock()
			defer mu.Unlock()
			seen[u.ID] = true
			return nil
		}
		s.Standing = func(_ context.Context, id directory.ID) (known access.Standing, err error) {
			mu.Lock()
			defer mu.Unlock()
			if !seen[id] {
				t.Errorf("%s was judged before it was looked at", id)
			}
			if id == "test:ice" {
				known.Frozen = s.Now()
			}
			return known, nil
		}
		got, err := s.Coverage(t.Context())
		if err != nil || !maps.Equal(seen, map[directory.ID]bool{"test:a": true, "test:b": true, "test:ice": true}) {
			t.Errorf("%v, %v", seen, err)
		}
		if len(got.People) != 2 || len(got.Unserved) != 1 || got.Unserved[0].Unserved != "frozen" || len(got.Unserved[0].Ways) != 0 {
			t.Errorf("%+v", got)
		}
		s.Observe = func(context.Context, directory.User) error { return errors.New("disk full") }
		if got, err := s.Coverage(t.Context()); err == nil {
			t.Errorf("half a survey: %+v", got)
		}
	})
}

// crowd is a directory of n people that answers at once.
type crowd struct {
	directory.Directory
	n int
}

func (c crowd) Read(_ context.Context, u directory.User) (directory.User, error) {
	u.Directory, u.Login = "test", string(u.ID[5:])
	u.DN, u.Mail = "CN="+u.Login+",OU=People,DC=example,DC=org", []string{u.Login + "@example.org"}
	return u, nil
}

func (c crowd) People(_ context.Context, each func(directory.ID) error) error {
	for i := range c.n {
		if err := each(directory.ID(fmt.Sprintf("test:person%05d", i))); err != nil {
			return err
		}
	}
	return nil
}

// crowded is a survey of n people of whom two thirds have something.
func crowded(t testing.TB, n int) enrol.Survey {
	rules, err := policy.New(policy.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	judge, err := rules.Simulator("web", policy.Reset)
	if err != nil {
		t.Fatal(err)
	}
	all := stock{}
	for i := range n {
		for k, every := range map[verify.Kind]int{verify.TOTP: 2, verify.RecoveryCode: 3, verify.Passkey: 5} {
			if i%every == 0 {
				all = append(all, enrol.Holding{Owner: directory.ID(fmt.Sprintf("test:person%05d", i)), Kind: k, Count: 1})
			}
		}
	}
	return enrol.Survey{Directory: crowd{n: n}, Inventory: all, Judge: judge, Readers: 8, Now: time.Now,
		Standing: func(context.Context, directory.ID) (access.Standing, error) { return access.Standing{}, nil },
		Phone:    func(directory.User) bool { return false },
		Ended:    func(context.Context, directory.ID, verify.Kind) (bool, error) { return false, nil }}
}

// The bar is 2 s for 2,000 people, the directory and the store not counted.
func TestTwoThousandPeopleAreNoWait(t *testing.T) {
	began := time.Now()
	got, err := crowded(t, 2000).Coverage(t.Context())
	took := time.Since(began)
	if err != nil || !got.Everybody || len(got.People) != 2000 {
		t.Fatalf("%d people, %v", len(got.People), err)
	}
	if t.Logf("2,000 people in %v", took.Round(time.Millisecond)); took > 2*time.Second {
		t.Errorf("%v", took)
	}
}

func BenchmarkCoverage(b *testing.B) {
	s := crowded(b, 2000)
	for b.Loop() {
		if _, err := s.Coverage(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
