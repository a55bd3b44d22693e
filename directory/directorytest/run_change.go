package directorytest

import (
	"errors"
	"maps"
	"testing"
	"time"

	"postern/directory"
)

func testChange(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	if err := s.change(t, u, firstPassword, nextPassword); err != nil {
		t.Fatal(err)
	}
	s.proves(t, p, nextPassword)
	if st := s.read(t, u).State; st.MustChange || st.PasswordExpired || st.BadPasswords != 0 {
		t.Errorf("after a change: %+v", st)
	}
	// Odd characters must survive as the old value too.
	const odd = ` "ключ" \ 🔑 Zaun 22 `
	if err := s.change(t, s.read(t, u), nextPassword, odd); err != nil {
		t.Fatal(err)
	}
	if err := s.change(t, s.read(t, u), odd, "Winter-Marble-8812"); err != nil {
		t.Fatal(err)
	}
	s.proves(t, p, "Winter-Marble-8812")
}

// Security case 64: a refusal names the rule.
func testChangeRefusals(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	for _, wrong := range []string{"not-the-password-1", firstPassword + " ", firstPassword[:len(firstPassword)-1]} {
		if err := s.change(t, u, wrong, nextPassword); !errors.Is(err, directory.ErrWrongPassword) {
			t.Errorf("a wrong old password: %v", err)
		}
	}
	s.proves(t, p, firstPassword) // and the count of wrong ones is nought again

	short := "aB3-aB3-aB3-aB3-"[:s.Policy.MinLength-1]
	if r := refused(t, s.change(t, u, firstPassword, short), directory.RuleTooShort); r != nil && r.Limit != s.Policy.MinLength {
		t.Errorf("limit %d, want %d", r.Limit, s.Policy.MinLength)
	}
	if s.Policy.Complexity {
		refused(t, s.change(t, u, firstPassword, "onlylowercaseletters"), directory.RuleComplexity)
	}
	refused(t, s.change(t, u, firstPassword, firstPassword), directory.RuleHistory, directory.RuleHistoryOrFilter)

	if err := s.change(t, u, firstPassword, nextPassword); err != nil {
		t.Fatal(err)
	}
	r := refused(t, s.change(t, s.read(t, u), nextPassword, firstPassword), directory.RuleHistory, directory.RuleHistoryOrFilter)
	if r != nil && r.Limit != s.Policy.History {
		t.Errorf("refused for %d remembered passwords, want %d", r.Limit, s.Policy.History)
	}
	s.proves(t, p, nextPassword)
}

// People who may not bind get in by a true change.
func testChangeWhenItMust(t *testing.T, s *suite) {
	able[directory.Changer](t, s)
	for name, state := range map[string]func(Person) error{"expired": s.Expire, "must change": s.MustChange} {
		t.Run(name, func(t *testing.T) {
			p, u := s.personAndUser(t)
			bring(t, state, p)
			u = s.read(t, u)
			if err := s.change(t, u, "not-the-password-1", nextPassword); !errors.Is(err, directory.ErrWrongPassword) {
				t.Errorf("a wrong old password: %v", err)
			}
			refused(t, s.change(t, u, firstPassword, firstPassword), directory.RuleHistory, directory.RuleHistoryOrFilter)
			if err := s.change(t, u, firstPassword, nextPassword); err != nil {
				t.Fatal(err)
			}
			s.proves(t, p, nextPassword)
			if st := s.read(t, u).State; st.MustChange || st.PasswordExpired {
				t.Errorf("after the change: %+v", st)
			}
		})
	}
}

func testTooYoung(t *testing.T, s *suite) {
	if s.Young == nil {
		t.Skip("no minimum age here")
	}
	d, p, err := s.Young()
	if err != nil {
		t.Fatal(err)
	}
	c, ok := d.(directory.Changer)
	if !ok {
		t.Skip("this back end carries no change")
	}
	u, err := d.Find(t.Context(), p.Login)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := d.Rules(t.Context(), u)
	if err != nil || rules.MinAge != 24*time.Hour {
		t.Errorf("minimum age %v, %v", rules.MinAge, err)
	}
	r := refused(t, c.ChangePassword(t.Context(), u, directory.NewSecret(p.Password), directory.NewSecret(nextPassword)), directory.RuleTooYoung)
	if r != nil && (r.Until.Before(time.Now().Add(20*time.Hour)) || r.Until.After(time.Now().Add(25*time.Hour))) {
		t.Errorf("may be changed at %v", r.Until)
	}
	// Active Directory lets a reset through. OpenLDAP's pwdMinAge holds for
	// everybody without `manage`, so for a service account with `write` too.
	if err := d.SetPassword(t.Context(), u, directory.NewSecret(nextPassword)); err != nil {
		refused(t, err, directory.RuleTooYoung)
	}
}

func testUnlock(t *testing.T, s *suite) {
	able[directory.Unlocker](t, s)
	p, u := s.personAndUser(t)
	if err := s.Lock(p); err != nil {
		t.Fatal(err)
	}
	if s.Bind(p, firstPassword) == nil {
		t.Fatal("a locked account bound")
	}
	u = s.read(t, u)
	if u.State.LockedUntil.Before(time.Now().Add(25*time.Minute)) || u.State.LockedUntil.After(time.Now().Add(31*time.Minute)) {
		t.Errorf("locked until %v", u.State.LockedUntil)
	}
	// Since when, and from which failures; the directory's clock is this machine's.
	if st, ago := u.State, time.Now().Add(-2*time.Minute); st.BadPasswords == 0 || st.LockedAt.Before(ago) || st.LastBad.Before(ago) || st.LastBad.After(time.Now().Add(time.Minute)) ||
		st.FirstBad.After(st.LastBad) || st.LockedAt.Before(st.FirstBad.Add(-time.Second)) {
		t.Errorf("locked at %v, from %d wrong passwords, the first at %v and the last at %v", st.LockedAt, st.BadPasswords, st.FirstBad, st.LastBad)
	}
	if err := s.unlock(t, u); err != nil {
		t.Fatal(err)
	}
	if st := s.read(t, u).State; st.Locked || !st.LockedUntil.IsZero() || !st.LockedAt.IsZero() {
		t.Errorf("after an unlock: %+v", st)
	}
	s.proves(t, p, firstPassword)
	if st := s.read(t, u).State; st.BadPasswords != 0 || !st.FirstBad.IsZero() || !st.LastBad.IsZero() {
		t.Errorf("%d wrong passwords still count after the right one: %v %v", st.BadPasswords, st.FirstBad, st.LastBad)
	}
}

// Security cases 68 and 69: an unlock changes the lockout and nothing else.
func testUnlockOnlyUnlocks(t *testing.T, s *suite) {
	able[directory.Unlocker](t, s)
	for _, c := range []struct {
		name  string
		bring func(Person) error
		holds func(directory.State) bool
	}{
		{"locked", s.Lock, func(st directory.State) bool { return !st.Locked }},
		{"never locked", func(Person) error { return nil }, func(st directory.State) bool { return !st.Locked }},
		{"disabled", s.Disable, func(st directory.State) bool { return st.Disabled }},
		{"expired", s.Expire, func(st directory.State) bool { return st.PasswordExpired }},
		{"must change", s.MustChange, func(st directory.State) bool { return st.MustChange }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, u := s.personAndUser(t)
			if err := c.bring(p); err != nil {
				t.Fatal(err)
			}
			before := s.facts(t, p)
			for range 2 {
				if err := s.unlock(t, s.read(t, u)); err != nil && !errors.Is(err, directory.ErrDenied) {
					t.Errorf("unlock: %v", err)
				}
			}
			if after := s.facts(t, p); !maps.Equal(before, after) {
				t.Errorf("an unlock changed %v to %v", before, after)
			}
			if st := s.read(t, u).State; !c.holds(st) {
				t.Errorf("after an unlock: %+v", st)
			}
		})
	}
}
