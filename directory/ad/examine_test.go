package ad_test

import (
	"slices"
	"strings"
	"testing"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
)

// security case 72: missing and excessive rights are told without changing anything.
func TestExamineJudgesTheDelegation(t *testing.T) {
	dc := directorytest.Samba(t)
	worst := func(cfg ad.Config, check, text string) directory.Severity {
		t.Helper()
		var w directory.Severity
		seen := false
		found := open(t, cfg).Examine(t.Context())
		for _, f := range found {
			if f.Severity == directory.Failure && f.Mend == "" {
				t.Errorf("a failure without a remedy: %+v", f)
			}
			if f.Check == check && strings.Contains(f.What+f.Mend, text) {
				seen, w = true, max(w, f.Severity)
			}
		}
		if !seen {
			t.Errorf("nothing was said about %q (%s): %+v", check, text, found)
		}
		return w
	}
	cfg := config(dc)
	cfg.UserOUs = []string{dc.PeopleDN}
	for _, check := range []string{"bind", "base", "clock", "policy", "privileged"} {
		if w := worst(cfg, check, ""); w != directory.OK {
			t.Errorf("%s: %v", check, w)
		}
	}
	if w := worst(cfg, "rights", "may reset the password and unlock"); w != directory.OK {
		t.Errorf("rights: %v", w)
	}
	// Of the whole domain, where the service account itself and others are outside
	// the delegation, it judges by those it can help, and names the other place.
	whole := config(dc)
	whole.BaseDN, whole.UserOUs = dc.BaseDN, nil
	for _, f := range open(t, whole).Examine(t.Context()) {
		if f.Check == "rights" && (f.Severity == directory.Failure || strings.Contains(f.What, whole.BindDN)) {
			t.Errorf("of the whole domain: %+v", f)
		}
	}
	if w := worst(whole, "rights", "may reset the password and unlock"); w != directory.OK {
		t.Errorf("of the whole domain: %v", w)
	}
	// Samba leaves the delegation on protected accounts in the OU.
	if w := worst(cfg, "rights", "protected account"); w != directory.Warning {
		t.Errorf("protected: %v", w)
	}
	if w := worst(cfg, "history", "policy hints"); w != directory.Warning {
		t.Errorf("history: %v", w)
	}

	person := cfg
	person.BindDN, person.Password = dc.Person("user1").DN, secret(dc.Person("user1").Password)
	if w := worst(person, "rights", "Reset Password"); w != directory.Failure {
		t.Errorf("an account without delegation: %v", w)
	}
	if w := worst(person, "rights", "samba-tool dsacl set"); w != directory.Failure {
		t.Error("the command is missing")
	}
	admin := cfg
	admin.BindDN, admin.Password = dc.AdminDN, secret(dc.AdminPass)
	if w := worst(admin, "rights", "member of Domain Admins"); w != directory.Failure {
		t.Errorf("an administrator as service account: %v", w)
	}
}

// of are the findings of one check that are not well, or all of them.
func of(found []directory.Finding, check string, ill bool) []directory.Finding {
	return slices.DeleteFunc(slices.Clone(found), func(f directory.Finding) bool { return f.Check != check || ill && f.Severity == directory.OK })
}

func TestAServerOfAnotherDomainIsAFailure(t *testing.T) {
	dc := directorytest.Samba(t)
	liar := before(t, dc, &front{behind: dc.URL, tells: true, holds: "DC=other,DC=example"})
	cfg := config(dc)
	cfg.Servers = []string{"ldaps://" + liar.addr(), dc.URL}
	cfg.BaseDN = dc.PeopleDN
	found := open(t, cfg).Examine(t.Context())
	ill := of(found, "domain", true)
	if len(ill) != 1 || ill[0].Severity != directory.Failure || !strings.Contains(ill[0].What, liar.addr()+" says that it holds other.example, while base_dn is in postern.test") ||
		!strings.Contains(ill[0].Mend, "\nnltest /dclist:postern.test") {
		t.Errorf("%+v", found)
	}
	// The other one is examined all the same, and the first one no further.
	if n := len(of(found, "policy", false)); n != 1 {
		t.Errorf("%d findings on policies", n)
	}
}

func TestExamineTellsWhatIsDemandedAndWhoIsProtected(t *testing.T) {
	dc := directorytest.Samba(t)
	ctx := t.Context()
	cfg := config(dc)
	found := open(t, cfg).Examine(ctx)
	for check, want := range map[string]string{
		"reach": "was reached", "tls": "TLS 1.3", "signing": "cannot be seen from here", "protected": "3 protected accounts (adminCount=1) in " + dc.BaseDN,
	} {
		if f := of(found, check, false); len(f) != 1 || !strings.Contains(f[0].What, want) {
			t.Errorf("%s: %+v", check, f)
		}
	}
	if f := of(found, "protected", true); len(f) != 0 {
		t.Errorf("where no border is drawn: %+v", f)
	}
	if f := of(found, "writable", false); len(f) != 0 {
		t.Errorf("%+v", f)
	}
	cfg.UserOUs = []string{dc.PeopleDN}
	if f := of(open(t, cfg).Examine(ctx), "protected", true); len(f) != 1 || !strings.Contains(f[0].What, dc.Person("stale1").DN) || !strings.Contains(f[0].Mend, "\ndsacls \""+dc.Person("stale1").DN+"\" /P:N\n") {
		t.Errorf("inside of user_ous: %+v", f)
	}
	cfg.DeniedOUs = []string{dc.Person("stale1").DN}
	if f := of(open(t, cfg).Examine(ctx), "protected", false); len(f) != 1 || !strings.HasPrefix(f[0].What, "0 ") {
		t.Errorf("denied: %+v", f)
	}
}

func TestAPolicyThatAppliesAndCannotBeReadIsTold(t *testing.T) {
	dc := directorytest.Samba(t)
	ctx := t.Context()
	pso := "CN=Strong,CN=Password Settings Container,CN=System," + dc.BaseDN
	d := open(t, config(dc))
	if f := of(d.Examine(ctx), "policy", true); len(f) != 0 {
		t.Fatalf("%+v", f)
	}
	// The container first: nobody but administrators may look into it.
	container := "CN=Password Settings Container,CN=System," + dc.BaseDN
	person := config(dc)
	person.BindDN, person.Password = dc.Person("user1").DN, secret(dc.Person("user1").Password)
	other := open(t, person)
	f := of(other.Examine(ctx), "policy", true)
	if len(f) != 1 || !strings.Contains(strings.ToLower(f[0].What), strings.ToLower(container)) {
		t.Fatalf("%+v", f)
	}
	if out, err := dc.Shell(ctx, line(t, f[0])); err != nil {
		t.Fatal(out, err)
	}
	if f := of(other.Examine(ctx), "policy", true); len(f) != 0 {
		t.Errorf("afterwards: %+v", f)
	}
	// One of its own, which inherits nothing.
	if err := dc.BlockInheritance(ctx, pso, false); err != nil {
		t.Fatal(err)
	}
	f = of(d.Examine(ctx), "policy", true)
	if len(f) != 1 || !strings.HasPrefix(f[0].What, pso+" applies to "+dc.Person("strong1").DN) {
		t.Fatalf("%+v", f)
	}
	if out, err := dc.Shell(ctx, line(t, f[0])); err != nil {
		t.Fatal(out, err)
	}
	if f := of(d.Examine(ctx), "policy", true); len(f) != 0 {
		t.Errorf("afterwards: %+v", f)
	}
}
