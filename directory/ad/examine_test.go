package ad_test

import (
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
