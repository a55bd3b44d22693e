package ad_test

import (
	"errors"
	"strings"
	"testing"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
)

// What is outside of base_dn or of the places people are in is in no list, and no
// reference leads there.
func TestPeopleAndReferencesStayInTheirPlaces(t *testing.T) {
	dc := directorytest.Samba(t)
	for name, tt := range map[string]struct {
		change  func(*ad.Config)
		in, out []string // of a list
	}{
		"whole domain": {func(*ad.Config) {}, []string{"user1", "admin1", "disabled1", "Administrator", "krbtgt", "svc-postern"}, []string{"DC1$"}},
		"base":         {func(c *ad.Config) { c.BaseDN = dc.PeopleDN }, []string{"user1", "admin1", "odd1"}, []string{"Administrator", "svc-postern", "DC1$"}},
		"user_ous":     {func(c *ad.Config) { c.UserOUs = []string{dc.PeopleDN} }, []string{"user1", "admin1"}, []string{"Administrator", "svc-postern"}},
		"denied_ous":   {func(c *ad.Config) { c.DeniedOUs = []string{"CN=Users," + dc.BaseDN} }, []string{"user1", "svc-postern"}, []string{"Administrator"}},
		"login attribute": {func(c *ad.Config) { c.LoginAttributes = []string{"userPrincipalName"} },
			[]string{"user1", "svc-postern"}, []string{"krbtgt"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(dc)
			tt.change(&cfg)
			d, whole := open(t, cfg), open(t, config(dc))
			listed := map[directory.ID]bool{}
			if err := d.People(t.Context(), func(id directory.ID) error { listed[id] = true; return nil }); err != nil {
				t.Fatal(err)
			}
			for _, login := range tt.in {
				if !listed[find(t, whole, login).ID] {
					t.Errorf("%s is missing", login)
				}
			}
			for _, login := range tt.out {
				if listed[find(t, whole, login).ID] {
					t.Errorf("%s is listed", login)
				}
			}
		})
	}
	cfg := config(dc)
	cfg.BaseDN = dc.PeopleDN
	d := open(t, cfg)
	from := find(t, d, "user1")
	if m, err := d.Resolve(t.Context(), from, from.Manager); err != nil || m.Login != "manager1" {
		t.Errorf("the manager: %+v, %v", m, err)
	}
	for _, ref := range []string{dc.AdminDN, dc.ServiceDN, "<GUID=" + strings.TrimPrefix(string(find(t, open(t, config(dc)), "Administrator").ID), "corp:") + ">"} {
		if u, err := d.Resolve(t.Context(), from, ref); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s leads to %q, %v", ref, u.DN, err)
		}
	}
}
