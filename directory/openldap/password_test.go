package openldap_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/directorytest"
	"postern/directory/openldap"
)

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
