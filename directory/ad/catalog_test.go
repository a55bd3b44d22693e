package ad_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
)

// add makes an account in a container, with what else it has.
func add(t *testing.T, dc *directorytest.DC, login, in string, attributes map[string]string) {
	t.Helper()
	dn := "CN=" + login + "," + in
	if _, err := dc.AddUser(directorytest.Person{Login: login, DN: dn, Password: "Quay-Lantern-7734"}); err != nil {
		t.Fatal(err)
	}
	m := ldap.NewModifyRequest(dn, nil)
	for a, v := range attributes {
		m.Replace(a, []string{v})
	}
	if len(m.Changes) == 0 {
		return
	}
	if err := dc.Modify(m); err != nil {
		t.Fatal(err)
	}
}

func TestANameThatSomebodyElsewhereInTheForestHasFindsNobody(t *testing.T) {
	dc := directorytest.Samba(t)
	add(t, dc, "forest1", dc.PeopleDN, map[string]string{"mail": "shared@example.org", "employeeID": "40017"})
	add(t, dc, "forest2", "CN=Users,"+dc.BaseDN, map[string]string{"mail": "shared@example.org", "employeeID": "40017"})
	add(t, dc, "forest3", "CN=Users,"+dc.BaseDN, map[string]string{"mail": "third@example.org"})
	main, gc := before(t, dc, &front{behind: dc.URL}), before(t, dc, &front{behind: dc.CatalogURL})
	cfg := config(dc)
	cfg.Servers, cfg.BaseDN = []string{"ldaps://" + main.addr()}, dc.PeopleDN
	cfg.LoginAttributes = []string{"sAMAccountName", "userPrincipalName", "mail", "employeeID"}
	alone := open(t, cfg)
	cfg.GlobalCatalog = []string{"ldaps://" + gc.addr()}
	d := open(t, cfg)

	// Without the catalogue the other account is out of sight.
	if u := find(t, alone, "shared@example.org"); u.Login != "forest1" {
		t.Fatal(u.Login)
	}
	find(t, d, "forest1") // fills the caches
	var cost [2]int
	for i, tt := range []struct {
		typed string
		found bool
	}{{"forest1", true}, {`POSTERN\forest1`, true}, {"forest1@" + dc.Domain, true}, {"shared@example.org", false}, {"forest2", false},
		{"third@example.org", false}, {"nobody", false}, {`CORP2\forest1`, false}, {"*", false}, {"", false}} {
		_, main0, _ := main.counts()
		_, gc0, _ := gc.counts()
		u, err := d.Find(t.Context(), tt.typed)
		if tt.found && (err != nil || u.Login != "forest1" || u.Server != main.addr()) || !tt.found && !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%q: %q on %s, %v", tt.typed, u.Login, u.Server, err)
		}
		_, main1, _ := main.counts()
		_, gc1, _ := gc.counts()
		now := [2]int{main1 - main0, gc1 - gc0}
		if i == 0 {
			cost = now
		}
		if now != cost || now[1] != 1 {
			t.Errorf("%q costs %v searches at the domain and the catalogue, the first name cost %v", tt.typed, now, cost)
		}
	}
	// The catalogue is asked for names and nothing else.
	_, before, _ := gc.counts()
	u := find(t, d, "forest1")
	if err := d.SetPassword(t.Context(), u, secret("Not-By-The-Catalogue-1")); err != nil {
		t.Error(err)
	}
	if _, err := d.Read(t.Context(), u); err != nil {
		t.Error(err)
	}
	if changes, n, _ := gc.counts(); changes != 0 || n != before+1 {
		t.Errorf("the catalogue got %d changes and %d searches", changes, n-before)
	}

	// What the catalogue does not hold is looked for in the domain, as before.
	if u := find(t, alone, "40017"); u.Login != "forest1" {
		t.Error(u.Login)
	}
	lacks := false
	for _, f := range d.Examine(t.Context()) {
		if f.Check == "catalogue" {
			t.Logf("%s: %s", f.Severity, f.What)
		}
		lacks = lacks || f.Check == "catalogue" && f.Severity == directory.Warning && strings.Contains(f.What, "employeeID") && strings.Contains(f.Mend, "\nSet-ADObject -Identity 'CN=Employee-ID,")
	}
	if !lacks {
		t.Error("the doctor does not say that employeeID is missing")
	}
}

func TestWithoutItsCatalogueNobodyIsFound(t *testing.T) {
	dc := directorytest.Samba(t)
	cfg := config(dc)
	cfg.GlobalCatalog = []string{"ldaps://127.0.0.1:1"}
	d := open(t, cfg)
	for _, typed := range []string{"user1", "nobody"} {
		if _, err := d.Find(t.Context(), typed); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s: %v", typed, err)
		}
	}
	if !slices.ContainsFunc(d.Examine(t.Context()), func(f directory.Finding) bool {
		return f.Severity == directory.Failure && strings.Contains(f.What, "127.0.0.1:1")
	}) {
		t.Error("the doctor is content")
	}
	// A domain's own port is refused: it knows the domain and not the forest.
	cfg.GlobalCatalog = []string{"ldaps://gc1.corp.example", "ldaps://gc1.corp.example:389", "ldap://gc1.corp.example:3268"}
	if _, err := ad.New("corp", cfg); err == nil || strings.Count(err.Error(), "global_catalog[") != 3 {
		t.Error(err)
	}
}

// Two forests cannot trust each other's catalogue in life; here it is a catalogue
// that knows of somebody who is in no other domain controller's reach.
func TestSomebodyOfAnotherDomainIsNobodyHere(t *testing.T) {
	dc, other := directorytest.Samba(t), directorytest.Samba(t, directorytest.WithDomain("corp2.test", "CORP2"))
	both := filepath.Join(t.TempDir(), "both.pem")
	if err := os.WriteFile(both, slices.Concat(dc.CA.PEM, other.CA.PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	// One name that both take the service account by.
	const service = "postern@forest.test"
	for _, c := range []*directorytest.DC{dc, other} {
		m := ldap.NewModifyRequest(c.ServiceDN, nil)
		m.Replace("userPrincipalName", []string{service})
		if err := c.Modify(m); err != nil {
			t.Fatal(err)
		}
	}
	add(t, dc, "here1", dc.PeopleDN, nil)
	add(t, other, "there1", other.PeopleDN, nil)
	cfg := config(dc)
	cfg.CAFile, cfg.BindDN, cfg.GlobalCatalog = both, service, []string{other.CatalogURL}
	d := open(t, cfg)
	if u := find(t, d, "here1"); u.Login != "here1" {
		t.Error(u.Login)
	}
	for _, typed := range []string{"there1", "user1", "there1@corp2.test"} {
		if u, err := d.Find(t.Context(), typed); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s leads to %s, %v", typed, u.DN, err)
		}
	}
}
