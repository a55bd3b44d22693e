package ad_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
)

func config(dc *directorytest.DC) ad.Config {
	cfg := ad.DefaultConfig()
	cfg.DialTimeout, cfg.RequestTimeout = 5*time.Second, 5*time.Second // a busy machine is no outage
	cfg.Servers = []string{dc.URL}
	cfg.CAFile = dc.CAFile
	cfg.BindDN, cfg.Password = dc.ServiceDN, directory.NewSecret(dc.ServicePassword)
	cfg.BaseDN = dc.BaseDN
	cfg.NetBIOSDomains = []string{"POSTERN"}
	return cfg
}

func open(t *testing.T, cfg ad.Config) *ad.Directory {
	t.Helper()
	d, err := ad.New("corp", cfg)
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

func TestSambaReadsAndWrites(t *testing.T) {
	dc := directorytest.Samba(t)
	d := open(t, config(dc))
	ctx := t.Context()

	t.Run("states", func(t *testing.T) {
		for _, tt := range []struct {
			login string
			check func(directory.User) bool
		}{
			{"user1", func(u directory.User) bool {
				s := u.State
				return !s.Locked && !s.Disabled && !s.PasswordExpired && !s.MustChange && !s.AccountExpired && u.Privileged == "" &&
					len(u.Mail) == 1 && u.Manager == dc.Person("manager1").DN && time.Since(s.PasswordSet) < time.Hour*24*365
			}},
			{"locked1", func(u directory.User) bool { return u.State.Locked }},
			{"disabled1", func(u directory.User) bool { return u.State.Disabled }},
			{"expired1", func(u directory.User) bool { return u.State.PasswordExpired }},
			{"mustchange1", func(u directory.User) bool { return u.State.MustChange }},
			{"left1", func(u directory.User) bool { return u.State.AccountExpired }},
			// security cases 65 and 67
			{"admin1", func(u directory.User) bool { return u.Privileged == "member of Domain Admins" }},
			{"nested1", func(u directory.User) bool { return strings.HasPrefix(u.Privileged, "member of") }},
			{"primary1", func(u directory.User) bool { return u.Privileged == "member of Domain Admins" }},
			{"stale1", func(u directory.User) bool { return u.Privileged == "adminCount is set" }},
			{"krbtgt", func(u directory.User) bool { return u.Privileged != "" }},
			{"DC1$", func(u directory.User) bool { return u.Privileged != "" }},
			{"tech1", func(u directory.User) bool {
				return u.Privileged == "" && slices.ContainsFunc(u.Groups, func(g string) bool {
					return strings.HasPrefix(g, "CN="+directorytest.TechGroup+",")
				})
			}},
		} {
			if u := find(t, d, tt.login); !tt.check(u) {
				t.Errorf("%s: %+v", tt.login, u)
			}
		}
	})

	// security cases 10, 52, 56 and 58
	t.Run("names", func(t *testing.T) {
		want := find(t, d, "user1").ID
		for _, same := range []string{"USER1", " user1", "user1 ", `POSTERN\user1`, `postern\USER1`, dc.Person("user1").UPN, dc.Person("user1").Mail} {
			if u := find(t, d, same); u.ID != want {
				t.Errorf("%q is %s, not %s", same, u.ID, want)
			}
		}
		for _, none := range []string{"", "nobody", directorytest.TwinsMail, dc.Person("victim1").UPN, `OTHER\user1`, `\user1`, `POSTERN\`,
			"user*", "*)(objectClass=*", "user1\x00", "user\xff1", "a\nb", strings.Repeat("a", 257)} {
			if _, err := d.Find(ctx, none); !errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("Find(%q): %v", none, err)
			}
		}
	})

	t.Run("rules and refusals", func(t *testing.T) {
		u, old := find(t, d, "user1"), dc.Person("user1").Password
		rules, err := d.Rules(ctx, u)
		if err != nil || rules.MinLength != dc.Policy.MinLength || !rules.Complexity || rules.History != dc.Policy.History ||
			rules.LockoutThreshold != dc.Policy.Lockout || rules.Source != "domain" || rules.ResetUnlocks {
			t.Errorf("rules %+v, %v", rules, err)
		}
		// security case 63: Samba lists no policy hints, so nothing is claimed.
		if rules.HistoryOnReset {
			t.Error("history on reset is claimed where the server does not list the control")
		}
		want := func(what string, err error, rule directory.Rule, limit int) {
			t.Helper()
			var r *directory.Refusal
			if !errors.As(err, &r) || r.Rule != rule || r.Limit != limit {
				t.Errorf("%s: %v (%+v), want %s %d", what, err, r, rule, limit)
			}
		}
		want("short", d.SetPassword(ctx, u, secret("Sh0rt!")), directory.RuleTooShort, dc.Policy.MinLength)
		want("simple", d.SetPassword(ctx, u, secret("onlylowercaseletters")), directory.RuleComplexity, 0)
		want("short change", d.ChangePassword(ctx, u, secret(old), secret("Sh0rt!")), directory.RuleTooShort, dc.Policy.MinLength)
		want("same again", d.ChangePassword(ctx, u, secret(old), secret(old)), directory.RuleHistory, dc.Policy.History)
		// security case 64
		if err := d.ChangePassword(ctx, u, secret("Not-the-0ld-one"), secret("Fine-New-Word-1")); !errors.Is(err, directory.ErrWrongPassword) {
			t.Errorf("wrong old password: %v", err)
		}
		if err := d.ChangePassword(ctx, u, secret(old), secret("Fine-New-Word-1")); err != nil {
			t.Error(err)
		}
		if err := dc.Bind(u.DN, "Fine-New-Word-1"); err != nil {
			t.Error(err)
		}
		strong := find(t, d, "strong1")
		if rules, err = d.Rules(ctx, strong); err != nil || (rules.MinLength != directorytest.StrongLength && rules.Unreadable == "") {
			t.Errorf("rules of strong1 %+v, %v", rules, err)
		}
		t.Logf("strong1: %+v", rules)
		if err := d.SetPassword(ctx, strong, secret("Twelve-Char1")); !errors.As(err, new(*directory.Refusal)) {
			t.Errorf("a PSO was not obeyed: %v", err)
		}
	})

	// security case 59
	t.Run("authenticate", func(t *testing.T) {
		for _, tt := range []struct {
			login, pw string
			want      error
		}{
			{"user2", dc.Person("user2").Password, nil},
			{"user2", "wrong", directory.ErrWrongPassword},
			{"user2", "", directory.ErrWrongPassword},
			{"locked1", dc.Person("locked1").Password, directory.ErrWrongPassword},
			{"disabled1", dc.Person("disabled1").Password, directory.ErrWrongPassword},
			{"expired1", dc.Person("expired1").Password, directory.ErrPasswordExpired},
			{"mustchange1", dc.Person("mustchange1").Password, directory.ErrMustChange},
			{"mustchange1", "wrong", directory.ErrWrongPassword},
		} {
			u := find(t, d, tt.login)
			err := d.Authenticate(ctx, u, secret(tt.pw))
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.login, err, tt.want)
			}
			var denied *directory.BindDenied
			if errors.As(err, &denied) {
				t.Logf("%s: %s", tt.login, denied.Reason)
			}
		}
		if u := find(t, d, "user2"); u.State.BadPasswords != 1 {
			t.Errorf("user2 has %d bad passwords", u.State.BadPasswords)
		}
	})

	t.Run("true change of expired and must-change", func(t *testing.T) {
		for _, login := range []string{"expired1", "mustchange1"} {
			u := find(t, d, login)
			if err := d.ChangePassword(ctx, u, secret(dc.Person(login).Password), secret("A-True-Change-1")); err != nil {
				t.Fatalf("%s: %v", login, err)
			}
			u, err := d.Read(ctx, u)
			if err != nil || u.State.PasswordExpired || u.State.MustChange {
				t.Errorf("%s afterwards: %+v, %v", login, u.State, err)
			}
			if err := dc.Bind(u.DN, "A-True-Change-1"); err != nil {
				t.Errorf("%s: %v", login, err)
			}
		}
	})

	// security case 69
	t.Run("a reset does not unlock, unlock does", func(t *testing.T) {
		u := find(t, d, "locked1")
		if err := d.SetPassword(ctx, u, secret("Still-L0cked-after")); err != nil {
			t.Fatal(err)
		}
		u, err := d.Read(ctx, u)
		if err != nil || !u.State.Locked {
			t.Errorf("after reset %+v, %v", u.State, err)
		}
		for range 2 {
			if err := d.Unlock(ctx, u); err != nil {
				t.Fatal(err)
			}
		}
		if u, err = d.Read(ctx, u); err != nil || u.State.Locked {
			t.Errorf("after unlock %+v, %v", u.State, err)
		}
		if err := d.Authenticate(ctx, u, secret("Still-L0cked-after")); err != nil {
			t.Error(err)
		}
	})

	// security case 68: what was disabled stays disabled.
	t.Run("a reset changes no other state", func(t *testing.T) {
		u := find(t, d, "disabled1")
		if err := d.SetPassword(ctx, u, secret("Disabled-But-Set-1")); err != nil {
			t.Fatal(err)
		}
		if u, err := d.Read(ctx, u); err != nil || !u.State.Disabled {
			t.Errorf("%+v, %v", u.State, err)
		}
	})

	// security cases 53 and 62
	t.Run("exact bytes", func(t *testing.T) {
		u := find(t, d, "user3")
		for _, pw := range []string{` Leading and trailing 1 `, `Quote " and \ back 1`, "Пароль-очень-1", "Emoji 🔑🔒 and more 1",
			"Nfc \u00e9 nfd e\u0301 1", strings.Repeat("xY3", 21), strings.Repeat("0123456789abcdeF", 16)} {
			if err := d.SetPassword(ctx, u, secret(pw)); err != nil {
				t.Errorf("%q: %v", pw, err)
				continue
			}
			if err := dc.Bind(u.DN, pw); err != nil {
				t.Errorf("%q: %v", pw, err)
			}
		}
	})

	t.Run("writes follow the object and not its name", func(t *testing.T) {
		u := find(t, d, "user5")
		c, err := dc.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Bind(dc.AdminDN, dc.AdminPass); err != nil {
			t.Fatal(err)
		}
		if err := c.ModifyDN(ldap.NewModifyDNRequest(u.DN, "CN=Renamed Five", true, "")); err != nil {
			t.Fatal(err)
		}
		if err := d.SetPassword(ctx, u, secret("For-The-Renamed-1")); err != nil {
			t.Fatal(err)
		}
		if err := dc.Bind("CN=Renamed Five,"+dc.PeopleDN, "For-The-Renamed-1"); err != nil {
			t.Error(err)
		}
		if err := c.Del(ldap.NewDelRequest("CN=Renamed Five,"+dc.PeopleDN, nil)); err != nil {
			t.Fatal(err)
		}
		if err := d.SetPassword(ctx, u, secret("For-The-Deleted-1")); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("set on a deleted object: %v", err)
		}
		if _, err := d.Read(ctx, u); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("read of a deleted object: %v", err)
		}
	})

	t.Run("outside its delegation the service account is denied", func(t *testing.T) {
		if err := d.SetPassword(ctx, find(t, d, "Administrator"), secret("Never-Ever-Set-1")); !errors.Is(err, directory.ErrDenied) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("places and configured groups", func(t *testing.T) {
		cfg := config(dc)
		cfg.DeniedOUs = []string{dc.PeopleDN}
		if u := find(t, open(t, cfg), "user1"); !strings.HasPrefix(u.Privileged, "in the denied branch") {
			t.Errorf("denied: %q", u.Privileged)
		}
		cfg = config(dc)
		cfg.UserOUs = []string{"OU=Elsewhere," + dc.BaseDN}
		if u := find(t, open(t, cfg), "user1"); u.Privileged != "outside the allowed branches" {
			t.Errorf("outside: %q", u.Privileged)
		}
		cfg = config(dc)
		tech := find(t, d, "tech1")
		i := slices.IndexFunc(tech.Groups, func(g string) bool { return strings.HasPrefix(g, "CN="+directorytest.TechGroup+",") })
		cfg.PrivilegedGroups = []string{tech.Groups[i]}
		if u := find(t, open(t, cfg), "tech1"); u.Privileged == "" {
			t.Error("a configured group does not protect")
		}
		cfg.PrivilegedGroups = []string{"CN=Gone," + dc.BaseDN}
		if _, err := open(t, cfg).Find(ctx, "user1"); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrNotFound) {
			t.Errorf("a group that is gone: %v", err)
		}
	})
}
