package directory

import (
	"fmt"
	"testing"
	"time"
)

func TestWhoIsOnWhichList(t *testing.T) {
	now := time.Date(2026, 3, 12, 9, 0, 0, 0, time.UTC)
	soon, later := now.Add(ExpiringIn), now.Add(ExpiringIn+time.Second)
	for name, c := range map[string]struct {
		state State
		want  string
	}{
		"nothing":                       {State{}, "[]"},
		"never expires":                 {State{PasswordSet: now}, "[]"},
		"locked until somebody acts":    {State{Locked: true}, "[locked]"},
		"locked for a while":            {State{Locked: true, LockedUntil: now.Add(time.Second)}, "[locked]"},
		"a lock that has run out":       {State{Locked: true, LockedUntil: now}, "[]"},
		"not locked, whatever the date": {State{LockedUntil: now.Add(time.Hour)}, "[]"},
		"on the fourteenth day":         {State{PasswordExpires: soon}, "[expiring]"},
		"a moment later":                {State{PasswordExpires: later}, "[]"},
		"this very moment":              {State{PasswordExpires: now}, "[]"},
		"expired":                       {State{PasswordExpires: now.Add(-time.Hour), PasswordExpired: true}, "[mustchange]"},
		"must change, with a date":      {State{PasswordExpires: soon, MustChange: true}, "[mustchange]"},
		"locked and about to expire":    {State{Locked: true, PasswordExpires: soon}, "[locked expiring]"},
	} {
		var on []List
		for _, l := range Lists() {
			if l.Has(c.state, now) {
				on = append(on, l)
			}
		}
		if got := fmt.Sprint(on); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// However many there are, a list is bounded, says how many it leaves out, and
// keeps whoever is first.
func TestARollKeepsTheFirstAndCountsTheRest(t *testing.T) {
	now := time.Date(2026, 3, 12, 9, 0, 0, 0, time.UTC)
	var all []Listed
	for i := range MostListed + 7 {
		all = append(all, Listed{ID: ID(fmt.Sprint(i)), At: now.Add(time.Duration(MostListed+7-i) * time.Minute)})
	}
	all = append(all, Listed{ID: "for good"})
	r := NewRoll(all)
	if len(r.List) != MostListed || r.More != 8 || r.List[0].ID != "for good" || r.List[1].ID != ID(fmt.Sprint(MostListed+6)) {
		t.Errorf("%d people, %d more, first %v", len(r.List), r.More, r.List[:2])
	}
	if r := NewRoll(nil); len(r.List) != 0 || r.More != 0 {
		t.Errorf("%+v", r)
	}
}

func TestAListSaysUntilWhen(t *testing.T) {
	at := time.Date(2026, 3, 12, 9, 0, 0, 0, time.UTC)
	u := User{ID: "x:1", Directory: "x", Login: "ann", Name: "Ann", State: State{Locked: true, LockedUntil: at, PasswordExpires: at.Add(time.Hour)}}
	if e := Locked.Entry(u); e != (Listed{"x:1", "x", "ann", "Ann", at}) {
		t.Errorf("%+v", e)
	}
	if e := Expiring.Entry(u); !e.At.Equal(at.Add(time.Hour)) {
		t.Errorf("%+v", e)
	}
	if e := MustChange.Entry(u); !e.At.IsZero() {
		t.Errorf("an account whose password has not expired: %+v", e)
	}
	u.State.PasswordExpired = true
	if e := MustChange.Entry(u); !e.At.Equal(at.Add(time.Hour)) {
		t.Errorf("%+v", e)
	}
	if e := Stranded.Entry(u); !e.At.IsZero() {
		t.Errorf("%+v", e)
	}
}
