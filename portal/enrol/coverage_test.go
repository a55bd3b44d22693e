package enrol_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/policy"
	"postern/verify"
)

type stock []enrol.Holding

func (s stock) Holdings(context.Context) ([]enrol.Holding, error) {
	if s == nil {
		return nil, errors.New("no such table")
	}
	return s, nil
}

// roll answers by id, and counts who asks at once.
type roll struct {
	directory.Directory
	people    map[directory.ID]directory.User
	now, most atomic.Int64
}

func (r *roll) Read(_ context.Context, u directory.User) (directory.User, error) {
	n := r.now.Add(1)
	defer r.now.Add(-1)
	for m := r.most.Load(); n > m && !r.most.CompareAndSwap(m, n); m = r.most.Load() {
	}
	time.Sleep(time.Millisecond) // of the bubble
	found, ok := r.people[u.ID]
	if !ok {
		return found, directory.ErrNotFound
	}
	return found, nil
}

func newSurvey(t *testing.T, all stock, people ...directory.User) (enrol.Survey, *roll) {
	t.Helper()
	rules, err := policy.New(policy.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	judge, err := rules.Simulator("web", policy.Reset)
	if err != nil {
		t.Fatal(err)
	}
	r := &roll{people: map[directory.ID]directory.User{}}
	for _, u := range people {
		r.people[u.ID] = u
	}
	return enrol.Survey{Directory: r, Inventory: all, Judge: judge, Readers: 3, Now: func() time.Time { return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) },
		Standing: func(context.Context, directory.ID) (access.Standing, error) { return access.Standing{}, nil },
		Phone:    func(directory.User) bool { return false },
		Ended: func(_ context.Context, id directory.ID, k verify.Kind) (bool, error) {
			return id == "test:guessed" && k == verify.TOTP, nil
		}}, r
}

func one(login string, mail ...string) directory.User {
	return directory.User{ID: directory.ID("test:" + login), Directory: "test", Login: login, DN: "CN=" + login + ",DC=example,DC=org", Mail: mail}
}

func TestCoverageIsWhatTheResetPlanWouldSay(t *testing.T) {
	at := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	hold := func(login string, k verify.Kind, n, from, to int) enrol.Holding {
		return enrol.Holding{Owner: directory.ID("test:" + login), Kind: k, Count: n, Oldest: at(from), Newest: at(to)}
	}
	off, chief := one("off", "o@example.org"), one("chief", "c@example.org")
	off.State.Disabled, chief.Privileged = true, "Domain Admins"
	all := stock{
		hold("app", verify.TOTP, 1, 5, 5),
		hold("both", verify.Passkey, 1, 9, 9), hold("both", verify.RecoveryCode, 7, 2, 2), hold("both", verify.TOTP, 1, 3, 4),
		hold("chief", verify.TOTP, 1, 1, 1), hold("gone", verify.TOTP, 1, 1, 1), hold("guessed", verify.TOTP, 1, 1, 1),
		hold("key", verify.Passkey, 2, 1, 8), hold("lost", verify.TOTP, 1, 1, 1), hold("off", verify.TOTP, 1, 1, 1),
	}
	synctest.Test(t, func(t *testing.T) {
		s, r := newSurvey(t, all, one("app", "a@example.org"), one("both"), one("guessed", "g@example.org"), one("key"), one("lost"), off, chief)
		got, err := s.Coverage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]struct {
			ways               int
			alone, two         bool
			codes, first, last int
		}{
			"app":     {1, false, true, 0, 5, 5},
			"both":    {2, true, true, 7, 2, 9}, // passkey, app + code
			"guessed": {0, false, false, 0, 1, 1},
			"key":     {1, true, false, 0, 1, 8},
			"lost":    {0, false, false, 0, 1, 1}, // no mail address, so the app is not enough
		}
		if len(got.People) != len(want) {
			t.Errorf("%d people", len(got.People))
		}
		for _, p := range got.People {
			w := want[p.Login]
			oldest, newest := p.Span()
			if len(p.Ways) != w.ways || p.ByPasskeyAlone() != w.alone || p.ByTwoGates() != w.two || p.Count(verify.RecoveryCode) != w.codes ||
				!oldest.Equal(at(w.first)) || !newest.Equal(at(w.last)) {
				t.Errorf("%s: %+v, want %+v", p.Login, p, w)
			}
		}
		if !slices.IsSortedFunc(got.People, func(a, b enrol.Covered) int { return cmpText(a.Login, b.Login) }) {
			t.Error("not sorted")
		}
		unserved := map[string]string{}
		for _, p := range got.Unserved {
			unserved[p.Login] = p.Unserved
		}
		if !reflect.DeepEqual(unserved, map[string]string{"off": "disabled", "chief": "privileged"}) || !slices.Equal(got.Gone, []directory.ID{"test:gone"}) {
			t.Errorf("unserved %v, gone %v", unserved, got.Gone)
		}
		if r.most.Load() != 3 {
			t.Errorf("%d were read at once, and 3 may be", r.most.Load())
		}
	})
}

func cmpText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// A count that leaves out whoever could not be asked would be believed.
func TestHalfACoverageIsNone(t *testing.T) {
	var all stock
	for i := range 40 {
		all = append(all, enrol.Holding{Owner: directory.ID(fmt.Sprintf("test:%02d", i)), Kind: verify.TOTP, Count: 1})
	}
	fault := errors.New("no answer")
	for name, c := range map[string]struct {
		spoil func(*enrol.Survey)
		want  error
	}{
		"directory": {func(s *enrol.Survey) { s.Directory = down{} }, directory.ErrUnavailable},
		"store":     {func(s *enrol.Survey) { s.Inventory = stock(nil) }, enrol.ErrUnavailable},
		"counters": {func(s *enrol.Survey) {
			s.Ended = func(context.Context, directory.ID, verify.Kind) (bool, error) { return false, fault }
		}, fault},
		"another's answer": {func(s *enrol.Survey) { s.Directory = stranger{} }, nil},
		"a missing part":   {func(s *enrol.Survey) { s.Judge = nil }, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			var people []directory.User
			for _, h := range all {
				people = append(people, directory.User{ID: h.Owner})
			}
			s, _ := newSurvey(t, all, people...)
			c.spoil(&s)
			got, err := s.Coverage(t.Context())
			if err == nil || c.want != nil && !errors.Is(err, c.want) || len(got.People)+len(got.Unserved)+len(got.Gone) != 0 {
				t.Errorf("%s: %v, %+v", name, err, got)
			}
		})
	}
}

// stranger answers for everybody with the same account.
type stranger struct{ directory.Directory }

func (stranger) Read(context.Context, directory.User) (directory.User, error) {
	return one("mallory"), nil
}
