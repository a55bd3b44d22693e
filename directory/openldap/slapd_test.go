package openldap_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/directorytest"
	"postern/directory/openldap"
)

func config(s *directorytest.Server) openldap.Config {
	cfg := openldap.DefaultConfig()
	cfg.DialTimeout, cfg.RequestTimeout = 5*time.Second, 5*time.Second // a busy machine is no outage
	cfg.Servers = []string{s.URL}
	cfg.CAFile = s.CAFile
	cfg.BindDN, cfg.Password = s.ServiceDN, directory.NewSecret(s.ServicePassword)
	cfg.BaseDN = s.PeopleDN
	cfg.DefaultPolicy = s.PolicyDN
	cfg.PrivilegedGroups = []string{"cn=" + directorytest.AdminGroup + "," + s.GroupsDN}
	return cfg
}

func open(t *testing.T, cfg openldap.Config) *openldap.Directory {
	t.Helper()
	d, err := openldap.New("staff", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func find(t *testing.T, d directory.Directory, login string) directory.User {
	t.Helper()
	u, err := d.Find(t.Context(), login)
	if err != nil {
		t.Fatalf("Find(%q): %v", login, err)
	}
	return u
}

func secret(s string) directory.Secret { return directory.NewSecret(s) }

func TestStatesArePickedUpInOneSearch(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	for _, tt := range []struct {
		login string
		check func(directory.User) bool
	}{
		{"user1", func(u directory.User) bool {
			return u.State.Locked == false && !u.State.Disabled && !u.State.PasswordExpired && !u.State.MustChange &&
				u.Privileged == "" && len(u.Mail) == 1 && u.Manager == s.Person("manager1").DN && !u.State.PasswordExpires.IsZero()
		}},
		{"locked1", func(u directory.User) bool {
			return u.State.Locked && !u.State.Disabled && u.State.LockedUntil.After(time.Now()) && u.State.BadPasswords == s.Policy.Lockout
		}},
		{"disabled1", func(u directory.User) bool { return u.State.Disabled }},
		{"expired1", func(u directory.User) bool { return u.State.PasswordExpired }},
		{"mustchange1", func(u directory.User) bool { return u.State.MustChange }},
		{"admin1", func(u directory.User) bool { return u.Privileged != "" }},
		{"nested1", func(u directory.User) bool { return u.Privileged != "" }},
		{"tech1", func(u directory.User) bool {
			return len(u.Groups) == 1 && strings.HasPrefix(u.Groups[0], "cn="+directorytest.TechGroup) && u.Privileged == ""
		}},
	} {
		if u := find(t, d, tt.login); !tt.check(u) {
			t.Errorf("%s: %+v", tt.login, u)
		}
	}
}

// security case 58: two matches are nobody; 10 and 52: the directory's own matching
// decides, and the id is the same for every spelling.
func TestNamesResolveToOneIDOrToNobody(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	want := find(t, d, "user1").ID
	for _, same := range []string{"USER1", " user1", "user1 ", s.Person("user1").Mail} {
		if u := find(t, d, same); u.ID != want {
			t.Errorf("%q is %s, not %s", same, u.ID, want)
		}
	}
	for _, none := range []string{"", "nobody", directorytest.TwinsMail, "user*", "*", "user1)(uid=*", "user1\x00", "user\xff1",
		"a\nb", strings.Repeat("a", 257), `CORP\user1`} {
		if _, err := d.Find(t.Context(), none); !errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("Find(%q): %v", none, err)
		}
	}
}

// product.md, "Speed": a known-password change costs the server no connection, one
// bind, one search and one write.
func TestChangeCostsOneBindOneSearchOneWrite(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	ctx := t.Context()
	change := func(login, old, pw string) {
		t.Helper()
		u := find(t, d, login)
		if _, err := d.Rules(ctx, u); err != nil {
			t.Fatal(err)
		}
		if err := d.Authenticate(ctx, u, secret(old)); err != nil {
			t.Fatal(err)
		}
		if err := d.ChangePassword(ctx, u, secret(old), secret(pw)); err != nil {
			t.Fatal(err)
		}
	}
	change("user1", s.Person("user1").Password, "Warm-the-pools-1")
	before, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	change("user2", s.Person("user2").Password, "Brand-new-word-2")
	after, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	n := after.Sub(before)
	// slapd counts the modification inside the extended operation as neither.
	if n.Connections != 0 || n.Binds != 1 || n.Searches != 1 || n.Writes+n.Extended != 1 {
		t.Errorf("a change cost %+v", n)
	}
	before = after
	for _, absent := range []string{"nobody", "a\x00b", directorytest.TwinsMail} {
		if _, err := d.Find(ctx, absent); !errors.Is(err, directory.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if after, err = s.Counters(); err != nil {
		t.Fatal(err)
	}
	if n := after.Sub(before); n.Searches != 3 || n.Connections != 0 || n.Binds != 0 {
		t.Errorf("three names that are nobody cost %+v", n)
	}
}

func TestStartTLSWorksToo(t *testing.T) {
	s := directorytest.Slapd(t)
	cfg := config(s)
	cfg.Servers, cfg.StartTLS = []string{s.StartTLSURL}, true
	d := open(t, cfg)
	u := find(t, d, "user1")
	if err := d.Authenticate(t.Context(), u, secret(s.Person("user1").Password)); err != nil {
		t.Error(err)
	}
}

func TestMissingPrivilegedGroupFailsClosed(t *testing.T) {
	s := directorytest.Slapd(t)
	cfg := config(s)
	cfg.PrivilegedGroups = append(cfg.PrivilegedGroups, "cn=Gone,"+s.GroupsDN)
	if _, err := open(t, cfg).Find(t.Context(), "user1"); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestGroupSearchFindsWhatMemberOfWould(t *testing.T) {
	s := directorytest.Slapd(t)
	cfg := config(s)
	cfg.GroupBase = s.GroupsDN
	if u := find(t, open(t, cfg), "tech1"); len(u.Groups) != 1 {
		t.Errorf("groups %v", u.Groups)
	}
}

func TestADeadlineBoundsEveryCall(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	u := find(t, d, "user1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Find(ctx, "user1"); !errors.Is(err, directory.ErrUnavailable) {
		t.Error(err)
	}
	if err := d.SetPassword(ctx, u, secret("Never-sent-word-1")); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) {
		t.Error(err)
	}
}
