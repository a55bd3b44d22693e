package ad_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
)

// openIn opens a domain under the name that its ids begin with.
func openIn(t *testing.T, name string, dc *directorytest.DC) directory.Directory {
	t.Helper()
	cfg := config(dc)
	cfg.NetBIOSDomains = []string{dc.NetBIOS}
	d, err := ad.New(name, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestTwoDomainsInOneSet(t *testing.T) {
	one, two := directorytest.Samba(t), directorytest.Samba(t, directorytest.WithDomain("corp2.test", "CORP2"))
	add(t, two, "only2", two.PeopleDN, nil)
	set, err := directory.NewSet(directory.Named{Name: "one", Directory: openIn(t, "one", one)}, directory.Named{Name: "two", Directory: openIn(t, "two", two)})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := set.Find(ctx, "user1"); !errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("a login of both domains: %v", err)
	}
	if u := find(t, set, "only2"); u.Directory != "two" {
		t.Errorf("only2 is in %s", u.Directory)
	}
	for typed, want := range map[string]string{`POSTERN\user1`: "one", `CORP2\user1`: "two", `corp2\USER1`: "two",
		"user1@" + one.Domain: "one", "user1@" + two.Domain: "two"} {
		u := find(t, set, typed)
		if u.Directory != want || u.Login != "user1" {
			t.Errorf("%s is %s in %s", typed, u.Login, u.Directory)
		}
		pw := "Set-For-The-Right-" + want
		if err := set.SetPassword(ctx, u, secret(pw)); err != nil {
			t.Errorf("%s: %v", typed, err)
		}
		if err := set.Authenticate(ctx, u, secret(pw)); err != nil {
			t.Errorf("%s: %v", typed, err)
		}
	}
	// Each took its own, and neither the other's.
	for dc, pws := range map[*directorytest.DC][2]string{one: {"Set-For-The-Right-one", "Set-For-The-Right-two"}, two: {"Set-For-The-Right-two", "Set-For-The-Right-one"}} {
		if err := dc.Bind(dc.Person("user1").DN, pws[0]); err != nil {
			t.Errorf("%s: %v", dc.Domain, err)
		}
		if err := dc.Bind(dc.Person("user1").DN, pws[1]); err == nil {
			t.Errorf("%s took the password of the other domain", dc.Domain)
		}
	}
	// While one of them is gone the person may be there too.
	two.Stop()
	for _, typed := range []string{`POSTERN\user1`, "nobody", "only2"} {
		if _, err := set.Find(ctx, typed); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("%s while a domain is gone: %v", typed, err)
		}
	}
}

// line is the command for Samba in a remedy, as it stands.
func line(t *testing.T, f directory.Finding) string {
	t.Helper()
	lines := strings.Split(f.Mend, "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "samba-tool dsacl set ") })
	if i < 0 || !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "dsacls ") }) {
		t.Fatalf("no line to copy: %+v", f)
	}
	return lines[i]
}

func TestWhatTheDoctorPrintsMendsIt(t *testing.T) {
	dc := directorytest.Samba(t)
	ctx := t.Context()
	cut, annex, deep := "OU=Cut Off,"+dc.PeopleDN, "OU=O'Hara Annex,"+dc.BaseDN, "OU=Deep,OU=Cut Off,"+dc.PeopleDN
	for _, ou := range []string{cut, annex, deep} {
		if err := dc.AddUnit(ou); err != nil {
			t.Fatal(err)
		}
	}
	for login, ou := range map[string]string{"cut1": cut, "deep1": deep, "annex1": annex, "alone1": dc.PeopleDN} {
		add(t, dc, login, ou, nil)
	}
	alone := "CN=alone1," + dc.PeopleDN
	if err := dc.BlockInheritance(ctx, cut, true); err != nil {
		t.Fatal(err)
	}
	cfg := config(dc)
	cfg.UserOUs = []string{dc.PeopleDN, annex}
	d := open(t, cfg)
	for _, tt := range []struct{ name, login, place string }{
		{"inheritance is blocked further up", "deep1", cut},
		{"inheritance is blocked", "cut1", ""}, // mended with the one before
		{"the delegation is missing", "annex1", annex},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := find(t, d, tt.login)
			if tt.place != "" {
				if err := d.SetPassword(ctx, u, secret("Before-It-Is-Mended-1")); !errors.Is(err, directory.ErrDenied) {
					t.Errorf("before: %v", err)
				}
				lacks := func() []directory.Finding {
					return slices.DeleteFunc(d.Examine(ctx), func(f directory.Finding) bool {
						return f.Check != "rights" || f.Severity == directory.OK || !strings.Contains(f.Mend, "--objectdn="+shell(tt.place)+" ")
					})
				}
				found := lacks()
				if len(found) != 1 || !strings.Contains(found[0].What, "Reset Password") || !strings.Contains(found[0].Mend, `dsacls "`+tt.place+`" `) {
					t.Fatalf("%+v", found)
				}
				if out, err := dc.Shell(ctx, line(t, found[0])); err != nil {
					t.Fatal(out, err)
				}
				if found := lacks(); len(found) != 0 {
					t.Errorf("afterwards: %+v", found)
				}
			}
			pw := "After-It-Was-Mended-1"
			if err := d.SetPassword(ctx, u, secret(pw)); err != nil {
				t.Fatal(err)
			}
			if err := dc.Bind(u.DN, pw); err != nil {
				t.Error(err)
			}
			if err := dc.Lock(u.DN); err != nil {
				t.Fatal(err)
			}
			if err := d.Unlock(ctx, u); err != nil {
				t.Error(err)
			}
			if u, err := d.Read(ctx, u); err != nil || u.State.Locked {
				t.Errorf("still locked: %+v, %v", u.State, err)
			}
		})
	}
	t.Run("an account that inherits nothing", func(t *testing.T) {
		if err := dc.BlockInheritance(ctx, alone, true); err != nil {
			t.Fatal(err)
		}
		cfg := config(dc)
		cfg.BaseDN, cfg.UserOUs = alone, nil
		d := open(t, cfg)
		var found directory.Finding
		for _, f := range d.Examine(ctx) {
			if f.Check == "rights" && f.Severity == directory.Failure {
				found = f
			}
		}
		if !strings.Contains(found.Mend, shell(alone)) {
			t.Fatalf("%+v", found)
		}
		if out, err := dc.Shell(ctx, line(t, found)); err != nil {
			t.Fatal(out, err)
		}
		if err := d.SetPassword(ctx, find(t, d, "alone1"), secret("Mended-By-Itself-1")); err != nil {
			t.Error(err)
		}
		for _, f := range d.Examine(ctx) {
			if f.Check == "rights" && f.Severity == directory.Failure {
				t.Errorf("afterwards: %+v", f)
			}
		}
	})
	t.Run("people that cannot be read", func(t *testing.T) {
		hidden := "OU=Hidden," + dc.PeopleDN
		if err := dc.AddUnit(hidden); err != nil {
			t.Fatal(err)
		}
		add(t, dc, "hidden1", hidden, nil)
		if err := dc.BlockInheritance(ctx, hidden, false); err != nil {
			t.Fatal(err)
		}
		// One line lets them be read, the next lets them be helped.
		for _, what := range []string{"tokenGroups", "Reset Password"} {
			i := 0
			found := d.Examine(ctx)
			for i < len(found) && (found[i].Severity == directory.OK || !strings.Contains(found[i].What, "CN=hidden1,") || !strings.Contains(found[i].What, what)) {
				i++
			}
			if i == len(found) {
				t.Fatalf("nothing is said of %s: %+v", what, found)
			}
			if out, err := dc.Shell(ctx, line(t, found[i])); err != nil {
				t.Fatal(out, err)
			}
		}
		if err := d.SetPassword(ctx, find(t, d, "hidden1"), secret("Seen-And-Helped-1")); err != nil {
			t.Error(err)
		}
	})
}

func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
