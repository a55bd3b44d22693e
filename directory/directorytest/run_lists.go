package directorytest

import (
	"testing"
	"time"

	"postern/directory"
)

// testLists: what is read of people puts them on the lists they belong on, and a
// password ends as late after it was set as the rules say.
func testLists(t *testing.T, s *suite) {
	_, u := s.personAndUser(t)
	rules, err := s.Directory.Rules(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if set, ends := u.State.PasswordSet, u.State.PasswordExpires; rules.MaxAge > 0 && (set.IsZero() || ends.Sub(set.Add(rules.MaxAge)).Abs() > time.Second) || rules.MaxAge == 0 && !ends.IsZero() {
		t.Errorf("set %v, to last %v, ends %v", set, rules.MaxAge, ends)
	}
	on := func(u directory.User, at time.Time) (lists string) {
		for _, l := range directory.Lists() {
			if l.Has(u.State, at) {
				lists += string(l) + " "
			}
		}
		return lists
	}
	now := time.Now()
	if got := on(u, now); got != "" {
		t.Errorf("somebody like any other is on %s", got)
	}
	if ends := u.State.PasswordExpires; !ends.IsZero() {
		if got := on(u, ends.Add(-time.Hour)); got != "expiring " {
			t.Errorf("an hour before the end: %q", got)
		}
	}
	for want, become := range map[string]func(Person) error{"locked ": s.Lock, "mustchange ": s.MustChange, "mustchange": s.Expire} {
		if become == nil {
			continue
		}
		p, u := s.personAndUser(t)
		if err := become(p); err != nil {
			t.Fatal(err)
		}
		if got := on(s.read(t, u), time.Now()); got != want && got != want+" " {
			t.Errorf("on %q, want %q", got, want)
		}
	}
}
