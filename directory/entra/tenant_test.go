//go:build !noentra

package entra_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/entra"
	"postern/directory/graphstub"
)

// Whose password is elsewhere is refused with the reason; a copy names its original.
func TestPeopleWhosePasswordIsElsewhere(t *testing.T) {
	s := start(t, sample())
	d := open(t, config(s))
	for upn, why := range map[string]string{
		"guest1_partner.example#EXT#" + suffix: "a guest", "fed1@partner.example": "federated", "admin1" + suffix: "has the role",
		"scoped1" + suffix: "over /administrativeUnits/", "eligible1" + suffix: "may activate", "group1" + suffix: "role-assignable group Admins",
		"nested1" + suffix: "member of VIPs", "board1" + suffix: "restricted administrative unit Board", "berlin1" + suffix: "",
	} {
		u, err := d.Find(t.Context(), upn)
		if err != nil || (why == "") != (u.Privileged == "") || !strings.Contains(u.Privileged, why) || u.CopyOf != "" {
			t.Errorf("%s: %q, copy of %q, %v", upn, u.Privileged, u.CopyOf, err)
		}
	}
	u, err := d.Find(t.Context(), "synced1"+suffix)
	if err != nil || u.CopyOf != "S-1-5-21-1-2-3-1104" || u.Privileged != "" {
		t.Errorf("a copy: %+v, %v", u, err)
	}
	if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); !errors.Is(err, directory.ErrDenied) {
		t.Errorf("a copy's password: %v", err)
	}
	if c, err := d.CopyOf(t.Context(), "S-1-5-21-1-2-3-1104"); err != nil || c.ID != u.ID {
		t.Errorf("by SID: %+v, %v", c, err)
	}
	for _, sid := range []string{"S-1-5-21-1-2-3-1105", "", "unknown", "S-1-5' or userType eq 'Member", "S-1-"} {
		if c, err := d.CopyOf(t.Context(), sid); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("by SID %q: %+v, %v", sid, c, err)
		}
	}
	// Groups are ids: a name can be given to any group.
	if u, err := d.Find(t.Context(), "berlin1"+suffix); err != nil || !slices.Equal(u.Groups, []string{everyone}) {
		t.Errorf("%q, %v", u.Groups, err)
	}
	// Without the licence for activated roles nobody has one.
	cfg := sample()
	cfg.NoPremium = true
	plain := start(t, cfg)
	if u, err := open(t, config(plain)).Find(t.Context(), "user1"+suffix); err != nil || u.Privileged != "" {
		t.Errorf("without the licence: %q, %v", u.Privileged, err)
	}
}

// A mail address that is somebody else's name finds neither of them.
func TestNobodyTakesAnothersName(t *testing.T) {
	s := start(t, sample())
	d := open(t, config(s))
	if err := s.Set("user11"+suffix, func(p *graphstub.Person) { p.Mail = "user12" + suffix }); err != nil {
		t.Fatal(err)
	}
	if u, err := d.Find(t.Context(), "user12"+suffix); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("finds %s, %v", u.UPN, err)
	}
}

func TestEveryConfiguredNameFinds(t *testing.T) {
	cfg := sample()
	cfg.People = append(cfg.People, graphstub.Person{UPN: "names1" + suffix, Name: "Names", Proxies: []string{"SMTP:n.ames@example.com", "smtp:alias@example.com"},
		OtherMails: []string{"home@example.net"}, Employee: "E-77"})
	s := start(t, cfg)
	conf := config(s)
	conf.LoginAttributes = []string{"userPrincipalName", "mail", "proxyAddresses", "otherMails", "employeeId", "id"}
	d := open(t, conf)
	u, err := d.Find(t.Context(), "names1"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	_, id, _ := strings.Cut(string(u.ID), ":")
	for _, typed := range []string{"alias@example.com", "n.ames@example.com", "home@example.net", "E-77", "e-77", id, strings.ToUpper(id)} {
		if v, err := d.Find(t.Context(), typed); err != nil || v.ID != u.ID {
			t.Errorf("%q finds %q, %v", typed, v.UPN, err)
		}
	}
}

// Graph has one sentence for every rule.
func TestRefusedPasswordsNameTheRule(t *testing.T) {
	s := start(t, sample())
	d := open(t, config(s))
	u, err := d.Find(t.Context(), "user13"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	before := password(s, u.UPN)
	for pw, rule := range map[string]directory.Rule{
		"aB3-aB3": directory.RuleTooShort, strings.Repeat("aB3-", 65): directory.RuleTooLong, "onlylowercaseletters": directory.RuleComplexity,
		"lower-and-12345": "", "Grüße-aus-Köln-22": directory.RuleCharacters, "C0ntoso-Harvest-2291": directory.RuleBanned, "": directory.RuleTooShort,
	} {
		err := d.SetPassword(t.Context(), u, directory.NewSecret(pw))
		var no *directory.Refusal
		if rule == "" {
			if err != nil {
				t.Errorf("%q: %v", pw, err)
			}
			before = pw
			continue
		}
		if !errors.As(err, &no) || no.Rule != rule || strings.Contains(err.Error(), pw) && pw != "" {
			t.Errorf("%q: %v, want %s", pw, err, rule)
		}
	}
	if got := password(s, u.UPN); got != before && got != "lower-and-12345" {
		t.Errorf("the password is %q", got)
	}
}

func TestAResetAsksForAnotherOneWherePolicySays(t *testing.T) {
	s := start(t, sample())
	conf := config(s)
	conf.MustChange = true
	d := open(t, conf)
	u, err := d.Find(t.Context(), "user14"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.SetPassword(t.Context(), u, directory.NewSecret(next)); err != nil {
		t.Fatal(err)
	}
	rules, err := d.Rules(t.Context(), u)
	if now, readErr := d.Read(t.Context(), u); err != nil || readErr != nil || !now.State.MustChange || !rules.ResetForcesChange {
		t.Errorf("%+v %+v, %v %v", now.State, rules, err, readErr)
	}
	if err := d.RevokeSessions(t.Context(), u); err != nil {
		t.Error(err)
	}
}

// What is registered can be seen, taken away, and registered anew with a pass that is
// shown once.
func TestMethodsAndPasses(t *testing.T) {
	cfg := sample()
	cfg.People = append(cfg.People, graphstub.Person{UPN: "methods1" + suffix, Name: "Methods", Methods: []graphstub.Method{
		{ID: "3179e48a-750b-4051-897c-87b9720928f7", Type: "phone", Name: "+49 30 5550142"}, {ID: "b172893e-893b-46ef-9aa7-34f4ee6c6e60", Type: "softwareOath", Name: "app"},
		{ID: "-2_GRUg2-HYz6_1YG4YRAQ2", Type: "fido2", Name: "Key"}, {ID: "3ddfcfc8-9383-446f-83cc-3ab9be4be18f", Type: "email", Name: "a@example.net"},
		{ID: "6803c096-8e25-4a62-ac1f-f48ce2d26f5a", Type: "microsoftAuthenticator", Name: "iPhone"},
		{ID: "66fb0b53-58fa-4b2f-95fe-1e1a1e7e0e3b", Type: "windowsHelloForBusiness", Name: "Laptop"}}})
	s := start(t, cfg)
	d := open(t, config(s))
	u, err := d.Find(t.Context(), "methods1"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	report := map[string]directory.Registration{}
	if err := d.Registered(t.Context(), func(r directory.Registration) error { report[r.Login] = r; return nil }); err != nil {
		t.Fatal(err)
	}
	if r := report[u.UPN]; r.ID != u.ID || !r.Ready || len(r.Kinds) != 6 || report["user1"+suffix].Ready {
		t.Errorf("the report has %+v", r)
	}
	all, err := d.Methods(t.Context(), u)
	if err != nil || len(all) != 7 || all[0].Kind != "password" || all[0].Removable || all[1].Name != "+49 30 5550142" {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := d.RemoveMethod(t.Context(), u, all[0]); !errors.Is(err, directory.ErrUnsupported) {
		t.Errorf("the password was taken away: %v", err)
	}
	for _, m := range all[1:] {
		if !m.Removable {
			t.Errorf("%s cannot be taken away", m.Kind)
		}
		if err := d.RemoveMethod(t.Context(), u, m); err != nil {
			t.Errorf("%s: %v", m.Kind, err)
		}
		if err := d.RemoveMethod(t.Context(), u, m); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s once more: %v", m.Kind, err)
		}
	}
	first, err := d.IssuePass(t.Context(), u)
	if err != nil || first.Value.Empty() || time.Until(first.Until) < 50*time.Minute || time.Until(first.Until) > 61*time.Minute {
		t.Fatalf("a pass until %v, %v", first.Until, err)
	}
	second, err := d.IssuePass(t.Context(), u)
	if err != nil || second.Value == first.Value {
		t.Errorf("a second pass: %v", err)
	}
	if all, err = d.Methods(t.Context(), u); err != nil || len(all) != 2 || all[1].Kind != "temporaryAccessPass" || strings.Contains(all[1].Name, second.Value.Reveal()) {
		t.Errorf("%+v, %v", all, err)
	}
	admin, err := d.Find(t.Context(), "admin1"+suffix)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.IssuePass(t.Context(), admin); !errors.Is(err, directory.ErrDenied) {
		t.Errorf("a pass for an administrator: %v", err)
	}
	none := config(s)
	none.PassMinutes = 0
	if _, err := open(t, none).IssuePass(t.Context(), u); !errors.Is(err, directory.ErrUnsupported) {
		t.Errorf("where none are given: %v", err)
	}
	if open(t, none).GivesPasses(u) || !open(t, config(s)).GivesPasses(u) {
		t.Error("whether passes are given is told wrongly")
	}
}

// finding is the one of a check whose text holds some words.
func finding(t *testing.T, d *entra.Directory, check, text string) directory.Finding {
	t.Helper()
	all := d.Examine(t.Context())
	for _, f := range all {
		if f.Severity > directory.OK && (f.Mend == "" || f.Why == "") {
			t.Errorf("without a remedy or a reason: %+v", f)
		}
		if f.Check == check && strings.Contains(f.What, text) {
			return f
		}
	}
	t.Errorf("nothing was said about %q (%s): %+v", text, check, all)
	return directory.Finding{}
}

// Each missing right, and each that is too wide, is told with the command that mends it.
func TestExamineNamesTheCure(t *testing.T) {
	healthy := start(t, sample())
	conf := config(healthy)
	for _, f := range open(t, conf).Examine(t.Context()) {
		if f.Severity > directory.OK && f.Check != "credential" {
			t.Errorf("of a healthy tenant: %+v", f)
		}
	}
	for _, r := range healthy.Requests() {
		if r.Method != "GET" {
			t.Errorf("the doctor sent %+v", r)
		}
	}
	without := func(p string) []string {
		return slices.DeleteFunc(slices.Clone(graphstub.Needed), func(q string) bool { return p == q })
	}
	for _, tt := range []struct {
		name, check, text, mend string
		change                  func(*graphstub.Config)
		severity                directory.Severity
	}{
		{"no reset", "permissions", "User-PasswordProfile.ReadWrite.All is not granted", "az ad app permission add --id ", func(c *graphstub.Config) { c.Consent = without("User-PasswordProfile.ReadWrite.All") }, directory.Failure},
		{"no revoke", "permissions", "User.RevokeSessions.All is not granted", "admin-consent", func(c *graphstub.Config) { c.Consent = without("User.RevokeSessions.All") }, directory.Warning},
		{"no roles read", "privileged", "Insufficient privileges", "RoleManagement.Read.Directory", func(c *graphstub.Config) { c.Consent = without("RoleManagement.Read.Directory") }, directory.Failure},
		{"no people", "people", "Insufficient privileges", "User.Read.All", func(c *graphstub.Config) { c.Consent = []string{"Organization.Read.All"} }, directory.Failure},
		{"nothing at all", "token", "may not read the tenant's own name", "Directory.Read.All", func(c *graphstub.Config) { c.Consent = []string{"AuditLog.Read.All"} }, directory.Failure},
		{"too wide", "permissions", "RoleManagement.ReadWrite.Directory is granted", "az ad app permission delete", func(c *graphstub.Config) { c.Consent = append(without(""), "RoleManagement.ReadWrite.Directory") }, directory.Warning},
		{"no role", "roles", "no role that may reset", "roleAssignments --body", func(c *graphstub.Config) { c.Roles = []string{"Directory Readers"} }, directory.Failure},
		{"too mighty", "roles", "has the role Global Administrator", "--method DELETE", func(c *graphstub.Config) { c.Roles = []string{"Global Administrator"} }, directory.Failure},
		{"no passes", "pass", "is off", `"state":"enabled"`, func(c *graphstub.Config) { c.PassesOff = true }, directory.Failure},
		{"short passes", "pass", "allows 10 to 30", `"maximumLifetimeInMinutes":60`, func(c *graphstub.Config) { c.PassMin, c.PassMax = 10, 30 }, directory.Failure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := sample()
			tt.change(&cfg)
			s := start(t, cfg)
			f := finding(t, open(t, config(s)), tt.check, tt.text)
			if f.Severity != tt.severity || !strings.Contains(f.Mend, tt.mend) {
				t.Errorf("%+v", f)
			}
		})
	}
}
