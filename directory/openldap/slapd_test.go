package openldap_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/directorytest"
	"postern/directory/openldap"
)

func config(s *directorytest.Server) openldap.Config {
	cfg := openldap.DefaultConfig()
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

func TestRefusalsNameTheRule(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	ctx := t.Context()
	u, old := find(t, d, "user1"), s.Person("user1").Password

	wantRule := func(what string, err error, rule directory.Rule, limit int) {
		t.Helper()
		var r *directory.Refusal
		if !errors.As(err, &r) || r.Rule != rule || r.Limit != limit {
			t.Errorf("%s: %v (%+v), want %s %d", what, err, r, rule, limit)
		}
	}
	wantRule("short reset", d.SetPassword(ctx, u, secret("short")), directory.RuleTooShort, s.Policy.MinLength)
	wantRule("short change", d.ChangePassword(ctx, u, secret(old), secret("short")), directory.RuleTooShort, s.Policy.MinLength)
	if err := d.ChangePassword(ctx, u, secret("not the old one"), secret("Fine-new-word-1")); !errors.Is(err, directory.ErrWrongPassword) {
		t.Errorf("wrong old password: %v", err)
	}
	if err := d.SetPassword(ctx, u, secret("Fine-new-word-1")); err != nil {
		t.Fatal(err)
	}
	wantRule("reset to the one before", d.SetPassword(ctx, u, secret(old)), directory.RuleHistory, s.Policy.History)
	rules, err := d.Rules(ctx, u)
	if err != nil || !rules.HistoryOnReset || rules.MinLength != s.Policy.MinLength {
		t.Errorf("rules %+v, %v", rules, err)
	}
	strong := find(t, d, "strong1")
	if rules, err = d.Rules(ctx, strong); err != nil || rules.MinLength != directorytest.StrongLength {
		t.Errorf("rules of strong1 %+v, %v", rules, err)
	}
	wantRule("own policy", d.SetPassword(ctx, strong, secret("twelve chars")), directory.RuleTooShort, directorytest.StrongLength)
}

func TestMinimumAgeHoldsAndSaysUntilWhen(t *testing.T) {
	p := directorytest.DefaultPolicy()
	p.MinAgeDays = 1
	s := directorytest.Slapd(t, directorytest.WithPolicy(p))
	d := open(t, config(s))
	u, old := find(t, d, "user1"), s.Person("user1").Password
	var r *directory.Refusal
	err := d.ChangePassword(t.Context(), u, secret(old), secret("Fine-new-word-1"))
	if !errors.As(err, &r) || r.Rule != directory.RuleTooYoung || r.Until.Before(time.Now().Add(23*time.Hour)) {
		t.Errorf("%v %+v", err, r)
	}
}

// security case 59: blank passwords never reach the server; and the answers.
func TestAuthenticateTellsRightFromWrong(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	ctx := t.Context()
	u := find(t, d, "user1")
	if err := d.Authenticate(ctx, u, secret(s.Person("user1").Password)); err != nil {
		t.Fatal(err)
	}
	before, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	for _, blank := range []string{"", " ", "\x00", "\x00\x00", "right\x00", "\t\n"} {
		if err := d.Authenticate(ctx, u, secret(blank)); !errors.Is(err, directory.ErrWrongPassword) {
			t.Errorf("%q: %v", blank, err)
		}
	}
	after, err := s.Counters()
	if err != nil {
		t.Fatal(err)
	}
	if n := after.Sub(before); n.Binds != 0 {
		t.Errorf("blank passwords made %d binds", n.Binds)
	}
	for _, tt := range []struct {
		login, pw string
		want      error
	}{
		{"user1", "wrong", directory.ErrWrongPassword},
		{"locked1", s.Person("locked1").Password, directory.ErrWrongPassword},
		{"expired1", s.Person("expired1").Password, directory.ErrPasswordExpired},
		{"expired1", "wrong", directory.ErrWrongPassword},
		{"mustchange1", s.Person("mustchange1").Password, directory.ErrMustChange},
	} {
		if err := d.Authenticate(ctx, find(t, d, tt.login), secret(tt.pw)); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.login, err, tt.want)
		}
	}
}

func TestExpiredAndMustChangePeopleCanChange(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	for _, login := range []string{"expired1", "mustchange1"} {
		u := find(t, d, login)
		if err := d.ChangePassword(t.Context(), u, secret(s.Person(login).Password), secret("A-true-change-1")); err != nil {
			t.Fatalf("%s: %v", login, err)
		}
		u, err := d.Read(t.Context(), u)
		if err != nil || u.State.PasswordExpired || u.State.MustChange {
			t.Errorf("%s afterwards: %+v, %v", login, u.State, err)
		}
		if err := s.Bind(u.DN, "A-true-change-1"); err != nil {
			t.Errorf("%s: %v", login, err)
		}
	}
}

// security case 69, and what Rules.ResetUnlocks claims.
func TestUnlockAndResetEndALockoutButNotAnAdministratorsLock(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	ctx := t.Context()
	u := find(t, d, "locked1")
	if err := d.ChangePassword(ctx, u, secret(s.Person("locked1").Password), secret("Fine-new-word-1")); !errors.Is(err, directory.ErrWrongPassword) {
		t.Errorf("a change while locked: %v", err)
	}
	for range 2 { // the second time it is not locked any more
		if err := d.Unlock(ctx, u); err != nil {
			t.Fatal(err)
		}
	}
	u, err := d.Read(ctx, u)
	if err != nil || u.State.Locked || u.State.BadPasswords != 0 {
		t.Fatalf("after unlock %+v, %v", u.State, err)
	}
	if err := d.Authenticate(ctx, u, secret(s.Person("locked1").Password)); err != nil {
		t.Errorf("the password was touched: %v", err)
	}
	if err := s.Lock("locked1"); err != nil {
		t.Fatal(err)
	}
	if err := d.SetPassword(ctx, u, secret("Reset-unlocks-1")); err != nil {
		t.Fatal(err)
	}
	if u, err = d.Read(ctx, u); err != nil || u.State.Locked {
		t.Errorf("after a reset %+v, %v", u.State, err)
	}
	if err := s.Bind(u.DN, "Reset-unlocks-1"); err != nil {
		t.Error(err)
	}
	off := find(t, d, "disabled1")
	if err := d.Unlock(ctx, off); !errors.Is(err, directory.ErrDenied) {
		t.Errorf("unlocking what an administrator locked: %v", err)
	}
	if off, err = d.Read(ctx, off); err != nil || !off.State.Disabled {
		t.Errorf("%+v, %v", off.State, err)
	}
}

// security case 53
func TestExactBytesAreSet(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	u := find(t, d, "user3")
	for _, pw := range []string{` leading and trailing `, `quote " and \ back`, "пароль-очень-длинный", "emoji 🔑🔒 and more",
		"nfc \u00e9 nfd e\u0301", strings.Repeat("x", 64), strings.Repeat("0123456789abcdef", 16)} {
		if err := d.SetPassword(t.Context(), u, secret(pw)); err != nil {
			t.Fatalf("%q: %v", pw, err)
		}
		if err := s.Bind(u.DN, pw); err != nil {
			t.Errorf("%q: %v", pw, err)
		}
		if err := d.Authenticate(t.Context(), u, secret(strings.TrimSpace(pw)+"x")); !errors.Is(err, directory.ErrWrongPassword) {
			t.Errorf("%q and more: %v", pw, err)
		}
	}
}

// A DN is never trusted for long: the entry that stands there may be another by then.
func TestWritesFollowTheEntryAndNotItsName(t *testing.T) {
	s := directorytest.Slapd(t)
	clock := time.Now()
	cfg := config(s)
	d, err := openldap.New("staff", cfg, openldap.WithClock(func() time.Time { return clock }))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	u := find(t, d, "user5")
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(s.RootDN, s.RootPassword); err != nil {
		t.Fatal(err)
	}
	if err := c.ModifyDN(ldap.NewModifyDNRequest(u.DN, "uid=renamed5", true, "")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddUser(directorytest.Person{Login: "user5", Password: "Somebody-else-1"}); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(10 * time.Second)
	if err := d.SetPassword(t.Context(), u, secret("For-the-renamed-1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Bind("uid=renamed5,"+s.PeopleDN, "For-the-renamed-1"); err != nil {
		t.Errorf("the renamed entry: %v", err)
	}
	if err := s.Bind("uid=user5,"+s.PeopleDN, "Somebody-else-1"); err != nil {
		t.Errorf("the newcomer at the old name: %v", err)
	}
	if err := c.Del(ldap.NewDelRequest("uid=renamed5,"+s.PeopleDN, nil)); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(10 * time.Second)
	if err := d.SetPassword(t.Context(), u, secret("For-the-deleted-1")); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a deleted entry: %v", err)
	}
	if err := d.Unlock(t.Context(), u); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("unlock of a deleted entry: %v", err)
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

// A reference leads to no other server and through no alias, and nobody outside of
// the places people are in is listed.
func TestPeopleAndReferencesStayInTheirPlaces(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	from := find(t, d, "user1")
	elsewhere := s.StartTLSURL + "/" + s.Person("user2").DN
	for dn, attrs := range map[string]map[string][]string{
		"uid=referred1," + s.PeopleDN: {"objectClass": {"extensibleObject", "referral"}, "ref": {elsewhere}},
		"uid=alias1," + s.PeopleDN:    {"objectClass": {"extensibleObject", "alias"}, "aliasedObjectName": {s.Person("admin1").DN}},
		"ou=deep," + s.PeopleDN:       {"objectClass": {"organizationalUnit"}},
	} {
		if err := s.Add(dn, attrs); err != nil {
			t.Fatal(err)
		}
	}
	deep, err := s.AddUser(directorytest.Person{Login: "deep1", DN: "uid=deep1,ou=deep," + s.PeopleDN, Password: "Quay-Lantern-7734"})
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"uid=referred1," + s.PeopleDN, "uid=user2,uid=referred1," + s.PeopleDN, "uid=alias1," + s.PeopleDN} {
		if u, err := d.Resolve(t.Context(), from, ref); !errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("%s leads to %q, %v", ref, u.DN, err)
		}
	}
	if u, err := d.Resolve(t.Context(), from, deep.DN); err != nil || u.Login != "deep1" {
		t.Errorf("%+v, %v", u, err)
	}
	for name, tt := range map[string]struct {
		change func(*openldap.Config)
		n      int
		deep   bool
	}{
		"everybody":          {func(*openldap.Config) {}, len(s.People) + 1, true},
		"user_ous":           {func(c *openldap.Config) { c.UserOUs = []string{"OU=Deep," + s.PeopleDN} }, 1, true},
		"denied_ous":         {func(c *openldap.Config) { c.DeniedOUs = []string{"ou=deep," + s.PeopleDN} }, len(s.People), false},
		"user_filter":        {func(c *openldap.Config) { c.UserFilter = "(uid=deep1)" }, 1, true},
		"nobody has a login": {func(c *openldap.Config) { c.LoginAttributes = []string{"employeeNumber"} }, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(s)
			tt.change(&cfg)
			id, n, seen := find(t, d, "deep1").ID, 0, false
			err := open(t, cfg).People(t.Context(), func(got directory.ID) error { n++; seen = seen || got == id; return nil })
			if err != nil || n != tt.n || seen != tt.deep {
				t.Errorf("%d people, deep1 %v, %v", n, seen, err)
			}
		})
	}
}

// Where the server ends a listing early there is none, and the doctor says so.
func TestAListingBeyondTheServersLimitIsNoListing(t *testing.T) {
	listing := func(d *openldap.Directory) (out directory.Finding) {
		t.Helper()
		for _, f := range d.Examine(t.Context()) {
			if f.Check == "listing" {
				out = f
			}
		}
		return out
	}
	s := directorytest.Slapd(t)
	if f := listing(open(t, config(s))); f.Severity != directory.OK || !strings.Contains(f.What, fmt.Sprintf("all %d people", len(s.People))) {
		t.Errorf("without a limit: %+v", f)
	}
	p := directorytest.DefaultPolicy()
	p.ListLimit = 20
	s = directorytest.Slapd(t, directorytest.WithPolicy(p))
	d, err := openldap.New("staff", config(s), openldap.WithPageSize(10))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n := 0
	if err := d.People(t.Context(), func(directory.ID) error { n++; return nil }); !errors.Is(err, directory.ErrUnavailable) || n != 20 {
		t.Errorf("%d people, %v", n, err)
	}
	if f := listing(d); f.Severity != directory.Warning || !strings.Contains(f.What, "after 20") || !strings.Contains(f.Mend, "size.prtotal=unlimited") {
		t.Errorf("with a limit: %+v", f)
	}
}
