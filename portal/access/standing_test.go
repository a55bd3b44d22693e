package access_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
)

// seen is what somebody's account looked like, one look an hour.
type seen struct {
	access.Standing
	now time.Time
}

func (s *seen) mail(addresses ...string) (told []string) {
	u := directory.User{ID: "d:1", Mail: addresses}
	s.now = s.now.Add(time.Hour)
	s.Standing, _ = s.Observe(u, bytes.Repeat([]byte{1}, 32), s.now)
	return s.Addresses(u, s.now)
}

const owner = "owner@example.org"

// Whoever can write an address writes so many that the owner's would be one too
// many of those remembered, gives it back, and takes it again: the owner must hear
// of that as well.
func TestNobodyIsPushedOutOfThoseWhoHear(t *testing.T) {
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("evil%d@example.net", i))
		}
		return list
	}
	for what, attack := range map[string]func(*seen){
		"one after the other": func(s *seen) {
			for _, m := range many(20) {
				s.mail(m)
			}
			s.mail(owner)
		},
		"all at once": func(s *seen) { s.mail(append(many(20), owner)...) },
		"twice": func(s *seen) {
			for range 2 {
				for _, m := range many(20) {
					s.mail(m)
				}
				s.mail(owner)
			}
		},
	} {
		s := &seen{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
		s.mail(owner)
		attack(s)
		for n := range 3 {
			told := s.mail(fmt.Sprintf("taken%d@example.net", n))
			if !slices.Contains(told, owner) {
				t.Errorf("%s: the owner does not hear of it: %v", what, told)
			}
			if len(told) > 10 {
				t.Errorf("%s: %d addresses hear of it", what, len(told))
			}
		}
	}
}

// An address that is gone hears for a month, and one that is back is told once.
func TestFormerAddresses(t *testing.T) {
	s := &seen{now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	s.mail(owner)
	if told := s.mail("new@example.org"); !slices.Equal(told, []string{"new@example.org", owner}) {
		t.Errorf("%v", told)
	}
	if told := s.mail(owner); !slices.Equal(told, []string{owner, "new@example.org"}) {
		t.Errorf("%v", told)
	}
	s.now = s.now.Add(31 * 24 * time.Hour)
	if told := s.mail(owner); !slices.Equal(told, []string{owner}) {
		t.Errorf("%v", told)
	}
	if told := s.mail("third@example.org"); !slices.Equal(told, []string{"third@example.org", owner}) || len(s.Former) != 1 {
		t.Errorf("%v, %v", told, s.Former)
	}
}
