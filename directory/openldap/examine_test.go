package openldap_test

import (
	"testing"

	"postern/directory"
	"postern/directory/directorytest"
)

func severity(t *testing.T, findings []directory.Finding, check string) (worst directory.Severity) {
	t.Helper()
	seen := false
	for _, f := range findings {
		if f.Severity == directory.Failure && f.Mend == "" {
			t.Errorf("a failure without a remedy: %+v", f)
		}
		if f.Check == check {
			seen, worst = true, max(worst, f.Severity)
		}
	}
	if !seen {
		t.Errorf("nothing was said about %q: %+v", check, findings)
	}
	return worst
}

// security case 73, and the doctor's other lines.
func TestExamineTellsAServiceAccountFromRootDN(t *testing.T) {
	s := directorytest.Slapd(t)
	cfg := config(s)
	before, err := s.Entry(s.Person("user1").DN, "+", "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []string{"tls", "bind", "server", "account", "base", "people", "policy", "privileged"} {
		found := open(t, cfg).Examine(t.Context())
		if got := severity(t, found, check); got != directory.OK && check != "tls" {
			t.Errorf("%s: %v in %+v", check, got, found)
		}
	}
	if after, err := s.Entry(s.Person("user1").DN, "+", "*"); err != nil || after.GetAttributeValue("entryCSN") != before.GetAttributeValue("entryCSN") {
		t.Errorf("Examine changed something: %v", err)
	}

	root := cfg
	root.BindDN, root.Password = s.RootDN, secret(s.RootPassword)
	if found := open(t, root).Examine(t.Context()); severity(t, found, "account") != directory.Failure {
		t.Errorf("rootdn was not noticed: %+v", found)
	}
	wrong := cfg
	wrong.Password = secret("not the password")
	if found := open(t, wrong).Examine(t.Context()); severity(t, found, "bind") != directory.Failure {
		t.Errorf("%+v", found)
	}
	stranger := cfg
	stranger.CAFile = directorytest.Slapd(t).CAFile
	if found := open(t, stranger).Examine(t.Context()); severity(t, found, "tls") != directory.Failure {
		t.Errorf("%+v", found)
	}
	down := cfg
	down.Servers = []string{"ldaps://127.0.0.1:1"}
	if found := open(t, down).Examine(t.Context()); severity(t, found, "reach") != directory.Failure {
		t.Errorf("%+v", found)
	}
	policy := cfg
	policy.DefaultPolicy = "cn=gone," + s.BaseDN
	if found := open(t, policy).Examine(t.Context()); severity(t, found, "policy") != directory.Failure {
		t.Errorf("%+v", found)
	}
}
