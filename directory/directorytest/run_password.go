package directorytest

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"postern/directory"
)

const nextPassword = "Fresh-Harvest-2291"

func testAuthenticate(t *testing.T, s *suite) {
	able[directory.Authenticator](t, s)
	for _, c := range []struct {
		name     string
		bring    func(Person) error
		password string
		want     error
	}{
		{"right", nil, firstPassword, nil},
		{"wrong", nil, "not-the-password-1", directory.ErrWrongPassword},
		{"a space more", nil, firstPassword + " ", directory.ErrWrongPassword},
		{"a space", nil, " ", directory.ErrWrongPassword},
		{"NUL", nil, "\x00", directory.ErrWrongPassword},
		{"locked", s.Lock, firstPassword, directory.ErrWrongPassword},
		{"disabled", s.Disable, firstPassword, directory.ErrWrongPassword},
		{"expired", s.Expire, firstPassword, directory.ErrPasswordExpired},
		{"must change", s.MustChange, firstPassword, directory.ErrMustChange},
		{"must change, wrong", s.MustChange, "not-the-password-1", directory.ErrWrongPassword},
		{"disabled, wrong", s.Disable, "not-the-password-1", directory.ErrWrongPassword},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, u := s.personAndUser(t)
			if c.bring != nil {
				bring(t, c.bring, p)
			}
			if err := s.authenticate(t, u, c.password); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// Security case 59: RFC 4513 section 5.1.2 makes an empty password an anonymous success.
func testEmptyPassword(t *testing.T, s *suite) {
	_, u := s.personAndUser(t)
	var before int64
	if s.Binds != nil {
		var err error
		if before, err = s.Binds(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.authenticate(t, u, ""); !errors.Is(err, directory.ErrWrongPassword) {
		t.Errorf("an empty password: %v", err)
	}
	if err := s.change(t, u, "", nextPassword); !errors.Is(err, directory.ErrWrongPassword) {
		t.Errorf("a change with an empty old password: %v", err)
	}
	if s.Binds != nil {
		after, err := s.Binds()
		if err != nil || after != before {
			t.Errorf("%d binds reached the server, %v", after-before, err)
		}
	}
	if n := s.read(t, u).State.BadPasswords; n != 0 {
		t.Errorf("%d wrong passwords counted", n)
	}
}

func testResetToNothing(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	var r *directory.Refusal
	if err := s.set(t, u, ""); !errors.As(err, &r) {
		t.Errorf("a reset to an empty password: %v", err)
	}
	s.proves(t, p, firstPassword)
}

func testReset(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	if err := s.set(t, u, nextPassword); err != nil {
		t.Fatal(err)
	}
	s.proves(t, p, nextPassword)
	rules, err := s.Directory.Rules(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	now := s.read(t, u)
	if now.State.MustChange != rules.ResetForcesChange {
		t.Errorf("after a reset: %+v, rules say ResetForcesChange=%v", now.State, rules.ResetForcesChange)
	}
	if now.State.PasswordSet.Before(u.State.PasswordSet) {
		t.Errorf("the password was set at %v, before at %v", now.State.PasswordSet, u.State.PasswordSet)
	}
	// The same once more: refused exactly where the rules say that a reset
	// obeys the history (security case 63).
	again := s.set(t, now, nextPassword)
	if rules.HistoryOnReset {
		refused(t, again, directory.RuleHistory, directory.RuleHistoryOrFilter)
	} else if again != nil {
		t.Errorf("rules claim no history on a reset, and yet: %v", again)
	}
}

func testResetRefusals(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	facts := s.facts(t, p)
	short := strings.Repeat("aB3-", 10)[:s.Policy.MinLength-1]
	if r := refused(t, s.set(t, u, short), directory.RuleTooShort); r != nil && r.Limit != s.Policy.MinLength {
		t.Errorf("limit %d, want %d", r.Limit, s.Policy.MinLength)
	}
	if s.Policy.Complexity {
		simples := []string{"onlylowercaseletters", "ONLYUPPERCASE", "12345678901234", "lower-and-signs"}
		if s.ChecksNames {
			simples = append(simples, "Nform-Harvest-2291", strings.ToUpper(p.Login)+"-harvest-2291")
		}
		for _, simple := range simples {
			refused(t, s.set(t, u, simple), directory.RuleComplexity)
		}
	}
	if now := s.facts(t, p); !maps.Equal(facts, now) {
		t.Errorf("a refused password changed the account: %v, before %v", now, facts)
	}
	s.proves(t, p, firstPassword)
}

// Security case 68: whatever is done, the other states stay.
func testResetLeavesStates(t *testing.T, s *suite) {
	t.Run("disabled", func(t *testing.T) {
		p, u := s.personAndUser(t)
		if err := s.Disable(p); err != nil {
			t.Fatal(err)
		}
		// As the core does it: read again, then write. OpenLDAP itself enables
		// the account with a reset (slapo-ppolicy deletes pwdAccountLockedTime),
		// so there the connector has to refuse.
		err := s.set(t, s.read(t, u), nextPassword)
		if err == nil && s.Bind(p, nextPassword) == nil {
			t.Error("a reset let a disabled account in")
		}
		if !s.read(t, u).State.Disabled {
			t.Errorf("a reset enabled the account (%v)", err)
		}
	})
	t.Run("locked", func(t *testing.T) {
		p, u := s.personAndUser(t)
		bring(t, s.Lock, p)
		if err := s.set(t, s.read(t, u), nextPassword); err != nil {
			t.Fatal(err)
		}
		rules, err := s.Directory.Rules(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if locked := s.read(t, u).State.Locked; locked == rules.ResetUnlocks {
			t.Errorf("after a reset locked=%v, rules say ResetUnlocks=%v", locked, rules.ResetUnlocks)
		}
		if rules.ResetUnlocks {
			s.proves(t, p, nextPassword)
		}
	})
}

// Security case 53: exactly these bytes, and nothing near them.
func testExactBytes(t *testing.T, s *suite) {
	run := func(n int) string { return strings.Repeat("aZ3-", n/4+1)[:n] }
	for _, c := range []struct {
		name, password string
		near           []string
	}{
		{"spaces around", "  Fresh Harvest 22  ", []string{"Fresh Harvest 22", "  Fresh Harvest 22", "Fresh Harvest 22  "}},
		{"inner spaces", "Fresh  Harvest 22", []string{"Fresh Harvest 22"}},
		{"quotes", `"Fresh" 'Harvest' 22`, []string{`Fresh" 'Harvest' 22`, `\"Fresh\" 'Harvest' 22`}},
		{"only quotes around", `"Fresh-Harvest-22"`, []string{`Fresh-Harvest-22`}},
		{"backslashes", `Fresh\Harvest\\22\`, []string{`Fresh\Harvest\22\`, `Fresh\Harvest\\22`}},
		{"filter and DN characters", `*)(uid=*),cn="a"+b;<22>#Z`, nil},
		{"percent, ampersand, angle", `%41&amp;<b>Fresh22</b>`, []string{`A&<b>Fresh22</b>`}},
		{"Greek and Arabic", "Πύλη-مفتاح-2291", []string{"πύλη-مفتاح-2291"}},
		{"Chinese and Japanese", "港の灯台-Harvest-22-鍵", nil},
		{"emoji", "Fresh🌾Harvest🔑22👩🏽‍🌾", []string{"FreshHarvest22"}},
		{"NFC", "Fre\u00e9sh-H\u00e4rvest-22", []string{"Fre\u0065\u0301sh-Ha\u0308rvest-22"}},
		{"NFD", "Fre\u0065\u0301sh-Ha\u0308rvest-22", []string{"Fre\u00e9sh-H\u00e4rvest-22"}},
		{"8", run(8), nil}, {"15", run(15), nil}, {"64", run(64), nil}, {"127", run(127), nil}, {"128", run(128), nil}, {"256", run(256), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, u := s.personAndUser(t)
			err := s.set(t, u, c.password)
			if len(c.password) < s.Policy.MinLength {
				refused(t, err, directory.RuleTooShort)
				return
			}
			if s.Policy.PlainOnly && !directory.PlainCharacters(c.password) {
				refused(t, err, directory.RuleCharacters)
				s.proves(t, p, firstPassword)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			runes := []rune(c.password)
			near := append(c.near, string(runes[:len(runes)-1]), c.password+" ")
			if most := s.Policy.Lockout - 1; most > 0 {
				near = near[:min(len(near), most)]
			}
			for _, n := range near {
				if s.Bind(p, n) == nil {
					t.Errorf("%q binds too", n)
				}
			}
			s.proves(t, p, c.password)
			if a, can := s.Directory.(directory.Authenticator); can {
				if err := a.Authenticate(t.Context(), u, directory.NewSecret(c.password)); err != nil {
					t.Errorf("Authenticate: %v", err)
				}
			}
		})
	}
}
