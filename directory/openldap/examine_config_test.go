package openldap

import (
	"strings"
	"testing"

	"postern/directory"
	"postern/directory/directorytest"
)

func examined(t *testing.T, s *directorytest.Server, change func(*Config)) map[string]directory.Finding {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Servers, cfg.CAFile = []string{s.URL}, s.CAFile
	cfg.BindDN, cfg.Password = s.ServiceDN, directory.NewSecret(s.ServicePassword)
	cfg.BaseDN, cfg.DefaultPolicy = s.PeopleDN, s.PolicyDN
	cfg.PrivilegedGroups = []string{"cn=" + directorytest.AdminGroup + "," + s.GroupsDN}
	if change != nil {
		change(&cfg)
	}
	d, err := New("staff", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	found := map[string]directory.Finding{}
	for _, f := range d.Examine(t.Context()) {
		found[f.Check] = f
		if f.Severity > directory.OK && (f.Why == "" || f.Mend == "") {
			t.Errorf("neither why nor what to do: %+v", f)
		}
	}
	return found
}

// What stands in cn=config alone is not claimed to be seen, and who can see it is told how.
func TestExamineSaysWhatItCannotSee(t *testing.T) {
	found := examined(t, directorytest.Slapd(t), nil)
	for check, mend := range map[string]string{"manage": "slapacl -D 'cn=svc-postern,ou=services,dc=example,dc=org'", "index": "'olcDbIndex: entryUUID eq'"} {
		if f := found[check]; f.Severity != directory.OK || !strings.Contains(f.What, "cannot be seen from here") || !strings.Contains(f.Mend, mend) {
			t.Errorf("%s: %+v", check, f)
		}
	}
	if f := found["ppolicy"]; f.Severity != directory.OK || !strings.Contains(f.What, "is at work") {
		t.Errorf("%+v", f)
	}
}

// Where cn=config is open, manage and missing indexes are named, with what mends them.
func TestExamineReadsAConfigurationThatIsOpenToIt(t *testing.T) {
	policy := directorytest.DefaultPolicy()
	policy.OpenConfig = true
	s := directorytest.Slapd(t, directorytest.WithPolicy(policy))
	found := examined(t, s, nil)
	if f := found["manage"]; f.Severity != directory.OK || strings.Contains(f.What, "cannot") {
		t.Errorf("%+v", f)
	}
	if f := found["index"]; f.Severity != directory.OK || strings.Contains(f.What, "cannot") {
		t.Errorf("%+v", f)
	}
	if f := found["account"]; f.Severity != directory.Warning || !strings.Contains(f.What, "may read cn=config") {
		t.Errorf("%+v", f)
	}
	found = examined(t, s, func(c *Config) { c.LoginAttributes = []string{"uid", "employeeType", "title"} })
	if f := found["index"]; f.Severity != directory.Warning || !strings.Contains(f.What, "no index employeeType eq, title eq") || !strings.Contains(f.Mend, "'dn: olcDatabase={2}mdb,cn=config'") || !strings.Contains(f.Mend, "'olcDbIndex: title eq'") {
		t.Errorf("%+v", f)
	}

	policy.Manage = true
	found = examined(t, directorytest.Slapd(t, directorytest.WithPolicy(policy)), nil)
	if f := found["manage"]; f.Severity != directory.Failure || !strings.Contains(f.Mend, `by dn.base="cn=svc-postern,ou=services,dc=example,dc=org" =wx by anonymous auth`) {
		t.Errorf("%+v", f)
	}
}

// The remedy for rootdn is whole: an account, its rights and no others, in commands.
func TestExamineGivesRootDNAWayOut(t *testing.T) {
	s := directorytest.Slapd(t)
	found := examined(t, s, func(c *Config) { c.BindDN, c.Password = s.RootDN, directory.NewSecret(s.RootPassword) })
	f := found["account"]
	if f.Severity != directory.Failure {
		t.Fatalf("%+v", f)
	}
	for _, want := range []string{"ldapadd -x -H " + s.URL, "'dn: cn=postern,dc=example,dc=org'", "ldappasswd ",
		`{0}to dn.subtree="ou=people,dc=example,dc=org" attrs=userPassword by dn.exact="cn=postern,dc=example,dc=org" =wx by anonymous auth by self =wx by * none'`, `dn.subtree="ou=policies,dc=example,dc=org"`, `dn.subtree="ou=groups,dc=example,dc=org"`} {
		if !strings.Contains(f.Mend, want) {
			t.Errorf("%s is missing in\n%s", want, f.Mend)
		}
	}
	if _, there := found["manage"]; there {
		t.Error("rootdn needs no manage")
	}
	if strings.Contains(f.Mend, s.RootPassword) {
		t.Error("the password is in it")
	}
}

func TestTameTakesManageAndNothingElse(t *testing.T) {
	const dn = "cn=svc,dc=x"
	for text, want := range map[string]string{
		`{0}to attrs=userPassword by dn.exact="cn=svc,dc=x" manage by * none`:    `{0}to attrs=userPassword by dn.exact="cn=svc,dc=x" =wx by * none`,
		`{0}to * by dn="CN=svc, DC=x" manage stop by * read`:                     `{0}to * by dn="CN=svc, DC=x" read stop by * read`,
		`{1}to * by users manage`:                                                `{1}to * by users read`,
		`{1}to *  by  *  =mwrscxd  break`:                                        `{1}to * by * read  break`,
		`{0}to attrs=userPassword by dn.exact="cn=svc,dc=x" =wx by * none`:       "",
		`{0}to attrs=userPassword by dn.exact="cn=manage,dc=x" manage by * none`: "",
		`{0}to * by dn.exact="cn=svc,dc=x" write by self manage`:                 "",
		`{0}to * by group.exact="cn=admins,dc=x" manage`:                         "",
		`{0}to dn.exact="cn=by me manage,dc=x" by users read`:                    "",
		``: "",
	} {
		if got, gives := tame(text, dn); gives != (want != "") || gives && got != want {
			t.Errorf("%s: %v %s", text, gives, got)
		}
	}
}

func TestIndexedIsForEqualityOfThatAttribute(t *testing.T) {
	for index, want := range map[string]bool{"uid eq": true, "cn,UID pres,eq,sub": true, "uid sub": false, "uidNumber eq": false, "uid": true, "mail eq": false, "default eq": false} {
		if got := indexed(index, "uid"); got != want {
			t.Errorf("%q: %v", index, got)
		}
	}
}

// What is copied into a shell is what was meant, whatever a name is made of.
func TestLinesSurviveAShell(t *testing.T) {
	if got := lines("cat", "dn: cn=O'Brien $(x),dc=x", "a: b"); got != "printf '%s\\n' \\\n  'dn: cn=O'\\''Brien $(x),dc=x' \\\n  'a: b' \\\n  | cat" {
		t.Errorf("%s", got)
	}
}
