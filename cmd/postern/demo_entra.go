package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/embedded"
	"postern/directory/entra"
	"postern/directory/graphstub"
	"postern/portal/policy"
	"postern/verify"
)

// demoTenant is the name of the demo's tenant.
const demoTenant = "cloud"

// secondAccount is the tenant's own account of user8, who has one in the directory too:
// the same employee number says that it is one person.
const secondAccount = "user8.cloud"

// bannedWord is one that the tenant alone knows not to take.
const bannedWord = "northwind"

// cloudPeople are those whom the tenant alone has.
var cloudPeople = []struct{ login, given, surname, password string }{
	{"cloud1", "Nadia", "Rahman", "Lantern-Cobalt-Meadow-41"},
	{"cloud2", "Pavel", "Dvorak", "Ribbon-Glacier-Ember-77"},
	{"cloudadmin1", "Sigrid", "Nyberg", "Falcon-Timber-Velvet-08"},
	{secondAccount, "Yuki", "Tanabe", "Saffron-Harbor-Pixel-63"},
}

// startTenant starts the stand-in for a tenant. Everybody of the directory has a copy
// in it, as Entra Connect makes them; user6's has a role. It keeps nothing: with the
// demo it ends, and so do passwords set in it.
func (d *demo) startTenant(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // ends after the portal, as the directory does
	cfg := graphstub.Config{Dir: filepath.Join(d.dir, "tenant"), Domains: []graphstub.Domain{{Name: embeddedDomain, ValidityDays: 90}}, Banned: []string{"example", bannedWord}, Now: d.now}
	for _, p := range cloudPeople {
		one := graphstub.Person{UPN: p.login + "@" + embeddedDomain, Mail: p.login + "@" + embeddedDomain, Name: p.given + " " + p.surname, Given: p.given, Surname: p.surname,
			Mobile: "+1 555 0190", Password: p.password, PasswordSet: d.now().Add(-40 * 24 * time.Hour).Truncate(time.Second),
			Methods: []graphstub.Method{{ID: "6803c096-8e25-4a62-ac1f-f48ce2d26f5a", Type: "microsoftAuthenticator", Name: "Phone"}}}
		switch p.login {
		case "cloudadmin1":
			one.Roles = []string{"User Administrator"}
		case secondAccount:
			one.Employee = d.employee("user8")
		}
		cfg.People = append(cfg.People, one)
	}
	copies, err := d.copies(ctx)
	if err != nil {
		return err
	}
	cfg.People = append(cfg.People, copies...)
	if d.tenant, err = graphstub.Start(ctx, cfg); err != nil {
		return err
	}
	d.say("  stand-in for a tenant of %d people at %s", len(cfg.People), d.tenant.Graph())
	return nil
}

// employee is somebody's number in the directory.
func (d *demo) employee(login string) string {
	for _, p := range d.ldap.People() {
		if p.Login == login {
			return p.Employee
		}
	}
	return ""
}

// copies are the directory's people as they are synced.
func (d *demo) copies(ctx context.Context) ([]graphstub.Person, error) {
	dir, err := ad.New(demoDirectory, *d.directory(), ad.WithClock(d.now))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var out []graphstub.Person
	for _, p := range d.ldap.People() {
		u, err := dir.Find(ctx, p.Login)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Login, err)
		}
		if u.SID == "" {
			return nil, errors.New(p.Login + " has no SID")
		}
		one := graphstub.Person{UPN: u.UPN, Mail: p.Mail, Name: u.Name, Given: u.GivenName, Surname: u.Surname, Employee: p.Employee, Synced: true, SID: u.SID, SAM: u.Login, Disabled: u.State.Disabled}
		if p.Login == "user6" {
			one.Roles = []string{"Exchange Administrator"}
		}
		out = append(out, one)
	}
	return out, nil
}

// addTenant makes the tenant the second directory, lets people pick one, and lets its people sign in to the
// portal without a password, which a tenant lets nobody check.
func (d *demo) addTenant(cfg *Config) {
	c := entra.DefaultConfig()
	c.Tenant, c.ClientID, c.Secret = d.tenant.Tenant(), d.tenant.Client(), directory.NewSecret(d.tenant.Secret())
	c.Authority, c.Graph, c.CAFile, c.PassMinutes = d.tenant.URL(), d.tenant.Graph(), d.tenant.CAFile(), 60
	c.LinkAttribute = "employeeId"
	cfg.Directories[0].AD.LinkAttribute = "employeeID"
	cfg.Directories = append(cfg.Directories, Directory{Name: demoTenant, Label: "Microsoft 365", Entra: &c, SyncedFrom: []string{demoDirectory}})
	cfg.Picker, cfg.Directories[0].Label = true, "Head office"
	any := verify.Kind("")
	cfg.Policy.Rules = append(cfg.Policy.Rules, policy.Rule{Name: "a tenant checks no passwords", Purposes: []policy.Purpose{policy.SignIn}, Directories: []string{demoTenant},
		Plan: policy.RulePlan{PlanConfig: policy.PlanConfig{First: &any, Allowed: []verify.Kind{verify.Passkey, verify.TOTP, verify.RecoveryCode, verify.Email}}}})
}

// embeddedDomain is what the logins of sample people end with.
const embeddedDomain = "example.org"

// people are everybody of the demo, as the page shows them: of the tenant only those
// who are nobody's copy.
func (d *demo) people() []embedded.Person {
	people := d.ldap.People()
	if d.tenant == nil {
		return people
	}
	for _, p := range d.tenant.People() {
		if p.Synced {
			continue
		}
		one := embedded.Person{Login: p.UPN, Name: p.Name, Given: p.Given, Surname: p.Surname, Mail: p.Mail, Phone: p.Mobile, Disabled: p.Disabled, MustChange: p.MustChange, Protected: len(p.Roles) > 0}
		for _, was := range cloudPeople {
			if strings.HasPrefix(p.UPN, was.login+"@") && p.Password == was.password {
				one.Password = directory.NewSecret(p.Password)
			}
		}
		people = append(people, one)
	}
	return people
}
