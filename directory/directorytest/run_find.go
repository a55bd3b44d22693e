package directorytest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
)

func testFind(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	switch {
	case u.Login != p.Login:
		t.Errorf("login %q, want %q", u.Login, p.Login)
	case u.ID == "" || u.Directory == "" || !strings.HasPrefix(string(u.ID), u.Directory+":") || string(u.ID) != strings.ToLower(string(u.ID)):
		t.Errorf("id %q of directory %q", u.ID, u.Directory)
	case !strings.EqualFold(u.DN, p.DN):
		t.Errorf("DN %q, want %q", u.DN, p.DN)
	case u.Name != p.Name || u.GivenName != p.Given || u.Surname != p.Surname:
		t.Errorf("names %q %q %q", u.Name, u.GivenName, u.Surname)
	case !slices.Equal(u.Mail, []string{p.Mail}) || !slices.Equal(u.Phone, []string{p.Phone}):
		t.Errorf("mail %q, phone %q", u.Mail, u.Phone)
	case u.Server == "":
		t.Error("does not say which server answered")
	case u.Privileged != "":
		t.Errorf("an ordinary person is privileged: %s", u.Privileged)
	}
	st := u.State
	if st.Disabled || st.Locked || st.AccountExpired || st.PasswordExpired || st.MustChange || st.CannotChange || st.BadPasswords != 0 {
		t.Errorf("an ordinary person is %+v", st)
	}
	if age := time.Since(st.PasswordSet); age < -time.Minute || age > 2*time.Hour {
		t.Errorf("password set %v ago", age)
	}
	if s.Managed != "" {
		if m := s.find(t, s.Managed); m.Manager == "" {
			t.Errorf("%s has no manager", s.Managed)
		}
	}
	if _, err := s.Directory.Find(t.Context(), "nobody-of-that-name"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("an unknown name: %v", err)
	}
}

// Security case 10: whatever is typed, one account is one ID.
func testAliases(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	for _, typed := range append([]string{strings.ToUpper(p.Login), strings.ToUpper(p.Login[:1]) + p.Login[1:]}, s.Aliases(p)...) {
		v, err := s.Directory.Find(t.Context(), typed)
		if err != nil || v.ID != u.ID {
			t.Errorf("%q finds %q, %v; want %q", typed, v.ID, err, u.ID)
		}
	}
}

// Security case 58: two matches are nobody.
func testAmbiguous(t *testing.T, s *suite) {
	if len(s.Ambiguous) == 0 {
		t.Skip("no ambiguous names here")
	}
	for _, typed := range s.Ambiguous {
		if u, err := s.Directory.Find(t.Context(), typed); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%q finds %q, %v", typed, u.DN, err)
		}
	}
}

// Security cases 52 and 56.
func testOddNames(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	never := []string{
		"", "*", p.Login[:3] + "*", "*" + p.Login, ")(", "*)(objectClass=*", ")(|(uid=*", p.Login + ")(mail=*",
		"*)(uid=*))(|(uid=*", `\2a`, `\`, `\zz`, "(", ")", "&", "|", "!(uid=x)", "=", "<", p.Login + "\x00", "\x00", p.Login + "\r\n",
		p.Login + "\nuid: admin", "\xff\xfe", p.Login + "\xc3\x28", strings.Repeat("a", 300), strings.Repeat("é", 5000), p.DN,
		"<GUID=00000000-0000-0000-0000-000000000000>", "cn=*", "🙂", "\u202e" + p.Login, "objectClass", " ", "\t",
	}
	for _, typed := range never {
		if v, err := s.Directory.Find(t.Context(), typed); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%.40q finds %q, %v", typed, v.DN, err)
		}
	}
	// What a directory's own matching may take for the same name: then it must be
	// the same account (OpenLDAP takes full-width letters for ordinary ones).
	wide := strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r + 0xfee0
		}
		return r
	}, p.Login)
	for _, typed := range []string{p.Login + "\u200b", "\ufeff" + p.Login, p.Login[:2] + "\u00ad" + p.Login[2:], wide, p.Login + "\u0301"} {
		v, err := s.Directory.Find(t.Context(), typed)
		if err == nil && v.ID != u.ID || err != nil && !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%q finds %q, %v", typed, v.DN, err)
		}
	}
}

func testRead(t *testing.T, s *suite) {
	_, u := s.personAndUser(t)
	v := s.read(t, u)
	if v.ID != u.ID || v.Login != u.Login || v.DN != u.DN || v.State != u.State || !slices.Equal(v.Mail, u.Mail) {
		t.Errorf("read again:\n%+v\nwant\n%+v", v, u)
	}
	// Names are for people to read: nothing is looked up by them.
	renamed := u
	renamed.DN, renamed.Login, renamed.UPN = "cn=somebody else", "admin1", "admin1"
	if v := s.read(t, renamed); v.ID != u.ID || v.Login != u.Login {
		t.Errorf("read by name: %+v", v)
	}
	gone := u
	gone.ID = directory.ID(u.Directory + ":00000000-0000-4000-8000-000000000000")
	for _, id := range []directory.ID{gone.ID, directory.ID(u.Directory + ":*"), "elsewhere:" + directory.ID(strings.TrimPrefix(string(u.ID), u.Directory+":")), ""} {
		gone.ID = id
		if _, err := s.Directory.Read(t.Context(), gone); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("read of %q: %v, want not found", id, err)
		}
		if err := s.set(t, gone, "Fresh-Harvest-2291"); err == nil {
			t.Errorf("a password was set for %q", id)
		}
	}
}

func testDeadline(t *testing.T, s *suite) {
	p, u := s.personAndUser(t)
	ctx := cancelled()
	for name, call := range map[string]func() error{
		"Find":        func() error { _, err := s.Directory.Find(ctx, p.Login); return err },
		"Read":        func() error { _, err := s.Directory.Read(ctx, u); return err },
		"SetPassword": func() error { return s.Directory.SetPassword(ctx, u, directory.NewSecret("Fresh-Harvest-2291")) },
	} {
		if err := call(); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("%s after the end of its time: %v", name, err)
		}
	}
	s.proves(t, p, firstPassword)
}

func testStates(t *testing.T, s *suite) {
	for _, c := range []struct {
		name  string
		bring func(Person) error
		is    func(directory.State) bool
	}{
		{"locked", s.Lock, func(st directory.State) bool { return st.Locked && !st.Disabled }},
		{"disabled", s.Disable, func(st directory.State) bool { return st.Disabled }},
		{"expired", s.Expire, func(st directory.State) bool { return st.PasswordExpired && !st.Disabled && !st.Locked }},
		{"must change", s.MustChange, func(st directory.State) bool { return st.MustChange && !st.Disabled && !st.Locked }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, u := s.personAndUser(t)
			bring(t, c.bring, p)
			for how, v := range map[string]directory.User{"Find": s.find(t, p.Login), "Read": s.read(t, u)} {
				if !c.is(v.State) {
					t.Errorf("%s says %+v", how, v.State)
				}
			}
		})
	}
	t.Run("wrong passwords are counted", func(t *testing.T) {
		if s.Policy.Lockout == 0 {
			t.Skip("this directory does not tell")
		}
		p, u := s.personAndUser(t)
		if err := s.Bind(p, "not-the-password-1"); err == nil {
			t.Fatal("a wrong password bound")
		}
		if n := s.read(t, u).State.BadPasswords; n != 1 {
			t.Errorf("%d wrong passwords, want 1", n)
		}
	})
}

// Security case 65, and finding 5: an administrator by primaryGroupID alone.
func testPrivileged(t *testing.T, s *suite) {
	for _, login := range s.Privileged {
		u := s.find(t, login)
		if u.Privileged == "" || s.read(t, u).Privileged == "" {
			t.Errorf("%s is not seen to be privileged", login)
		}
	}
}

func testRules(t *testing.T, s *suite) {
	_, u := s.personAndUser(t)
	r, err := s.Directory.Rules(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if r.MinLength != s.Policy.MinLength || r.History != s.Policy.History || r.LockoutThreshold != s.Policy.Lockout ||
		r.Complexity != s.Policy.Complexity || r.Unreadable != "" || r.Source == "" {
		t.Errorf("rules %+v, want %+v", r, s.Policy)
	}
	if r.PlainOnly != s.Policy.PlainOnly {
		t.Errorf("plain characters only: %v", r.PlainOnly)
	}
	if s.Policy.Lockout > 0 && (r.LockoutDuration != 30*time.Minute || r.LockoutWindow != 30*time.Minute) || r.MaxAge < 24*time.Hour {
		t.Errorf("times %+v", r)
	}
	if s.Strong == "" {
		return
	}
	strong, err := s.Directory.Rules(t.Context(), s.find(t, s.Strong))
	if err != nil || strong.MinLength != StrongLength || strong.Source == r.Source {
		t.Errorf("%s: rules %+v, %v", s.Strong, strong, err)
	}
	refused(t, s.set(t, s.find(t, s.Strong), "Fresh-Harv-22"), directory.RuleTooShort)
}
