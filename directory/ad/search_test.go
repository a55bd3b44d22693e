package ad_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/directorytest"
)

func TestSearchFindsPeopleAndNothingElse(t *testing.T) {
	dc := directorytest.Samba(t)
	d := open(t, config(dc))
	for text, want := range map[string]string{
		`POSTERN\user12`: "user12", `postern\USER12`: "user12", `OTHER\user12`: "", "DC1": "", "DC1$": "", "Domain Admins": "", directorytest.TechGroup: "",
		"svc-postern": "svc-postern", "krbtgt": "krbtgt", "administrator": "Administrator", "o'hara, zoë \"zo\" (qa) \\ 山": "odd1",
	} {
		f, err := d.Search(t.Context(), directory.Query{Text: text})
		if err != nil || want == "" && len(f.Hits) > 0 || want != "" && (len(f.Hits) != 1 || f.Hits[0].Login != want) {
			t.Errorf("%q: %+v, %v; want %q", text, f, err, want)
		}
	}
	// The lockout is computed in a search, so that one that is over is not shown.
	c, err := dc.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Bind(dc.ServiceDN, dc.ServicePassword); err != nil {
		t.Fatal(err)
	}
	res, err := c.Search(ldap.NewSearchRequest(dc.PeopleDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 5, false,
		"(sAMAccountName=locked1)", []string{"msDS-User-Account-Control-Computed"}, nil))
	if err != nil || len(res.Entries) != 1 || res.Entries[0].GetAttributeValue("msDS-User-Account-Control-Computed") != "16" {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestRequireChangeNeedsTheRightToWritePwdLastSet(t *testing.T) {
	dc := directorytest.Samba(t)
	d := open(t, config(dc))
	for _, login := range []string{"Administrator", "svc-postern"} {
		if err := d.RequireChange(t.Context(), find(t, d, login)); !errors.Is(err, directory.ErrDenied) {
			t.Errorf("%s is outside of the delegation: %v", login, err)
		}
	}
	told := func(cfgUser string) directory.Finding {
		t.Helper()
		cfg := config(dc)
		cfg.UserOUs = []string{dc.PeopleDN}
		if cfgUser != "" {
			cfg.BindDN, cfg.Password = dc.Person(cfgUser).DN, secret(dc.Person(cfgUser).Password)
		}
		for _, f := range open(t, cfg).Examine(t.Context()) {
			if f.Check == "expire" {
				return f
			}
		}
		t.Fatal("nothing is said of pwdLastSet")
		return directory.Finding{}
	}
	if f := told(""); f.Severity != directory.OK || f.Mend != "" || !strings.Contains(f.What, "may require") {
		t.Errorf("granted: %+v", f)
	}
	if f := told("user1"); f.Severity != directory.OK || !strings.Contains(f.Mend, "samba-tool dsacl set") || !strings.Contains(f.What, "may not write pwdLastSet") {
		t.Errorf("not granted: %+v", f)
	}
}
