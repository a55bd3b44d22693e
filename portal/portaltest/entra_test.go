//go:build !noentra

package portaltest

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/directory/directorytest"
	"postern/verify/totp"
)

// tenancy is a portal before a directory and a tenant that is synced from it: the demo's,
// whose tenant answers as strictly as Microsoft Graph does.
type tenancy struct {
	t      testing.TB
	p      *Portal
	ldap   directorytest.Endpoint
	people map[string]tenant
}

// tenant is somebody, as demo.json tells of them.
type tenant struct {
	DN, Login, Password string
	TOTPSecret          string   `json:"totp_secret"`
	RecoveryCodes       []string `json:"recovery_codes"`
}

func startTenancy(t testing.TB) *tenancy {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: needs a browser")
	}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir, address := t.TempDir(), fmt.Sprintf("localhost:%d", port)
	p, err := Run(ctx, bin, dir, "http://"+address, "demo", "--entra", "--data", dir, "--listen", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("postern did not end well: %v\n%s", err, p.Log())
		}
		if t.Failed() {
			t.Logf("postern said:\n%s", p.Log())
		}
	})
	// demo.json is written between listening and saying so.
	until(t, "the demo to say it is ready", func() bool { return strings.Contains(p.Log(), "Ctrl-C stops it.") })
	text, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		LDAP   string
		CAFile string `json:"ca_file"`
		People []tenant
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	y := &tenancy{t: t, p: p, ldap: directorytest.Endpoint{URL: file.LDAP, CAFile: file.CAFile}, people: map[string]tenant{}}
	for _, one := range file.People {
		y.people[one.Login] = one
	}
	return y
}

// app is what a person's authenticator shows.
func (y *tenancy) app(login string) string {
	y.t.Helper()
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(y.people[login].TOTPSecret)
	if err != nil || len(secret) == 0 {
		y.t.Fatalf("%s has no app: %v", login, err)
	}
	code, err := totp.Code(secret, time.Now())
	if err != nil {
		y.t.Fatal(err)
	}
	return code
}

// proven walks a reset of who is typed, with the proofs of the person it is, to the page
// for the new password.
func (y *tenancy) proven(tab *Tab, typed, picked, person string) {
	y.t.Helper()
	tab.Open("/recover/reset")
	tab.Fill("login", typed)
	tab.Set("directory", picked)
	tab.Submit()
	tab.WantStep("choose")
	tab.Choose("totp")
	tab.WantStep("answer")
	roomy()
	tab.Fill("answer", y.app(person))
	tab.Submit()
	tab.WantStep("choose")
	tab.Choose("recovery_code")
	tab.WantStep("answer")
	tab.Fill("answer", y.people[person].RecoveryCodes[0])
	tab.Submit()
	tab.WantStep("new-password")
}

func (y *tenancy) save(tab *Tab, password string) {
	y.t.Helper()
	tab.Set("password", password)
	tab.Set("confirm", password)
	tab.Submit()
}

// listed says whether the demo's page shows a password as somebody's, which it does only
// while the directory or the tenant has that very password.
func (y *tenancy) listed(b *Browser, password string) bool {
	y.t.Helper()
	tab := b.Tab(y.t, y.p.URL, false)
	tab.Open("/demo")
	return strings.Contains(tab.Eval(`document.querySelector('main').textContent`), password)
}

// recorded is the reason why the last start of somebody became a decoy.
func (y *tenancy) recorded(login string) (why string) {
	y.t.Helper()
	for _, e := range record(y.t, y.p.Dir) {
		if e.Kind == "case.started" && e.Reason == "privileged" && e.SubjectName == login {
			why = e.Detail["why"]
		}
	}
	return why
}

const (
	// plainRules are the codes of the list above the new password.
	plainRules = `[...document.querySelectorAll('.rules li')].map(e => e.dataset.rule + (e.dataset.limit || '')).join(' ')`
	ticks      = `[...document.querySelectorAll('.ticks li')].map(e => e.innerText).join('\n')`
)

// A tenant's own people get a new password in the tenant, those synced into it in the
// directory they come from, and who has a role in it nowhere.
func TestATenantsPeopleGetBackIn(t *testing.T) {
	y := startTenancy(t)
	b := browser(t)

	t.Run("the tenant's own, by its rules", func(t *testing.T) {
		tab, person := b.Tab(t, y.p.URL, false), y.people["cloud1@example.org"]
		if !y.listed(b, person.Password) {
			t.Fatal("the page does not show the password of before")
		}
		y.proven(tab, person.Login, "", person.Login)
		rules := " " + tab.Eval(plainRules) + " "
		for _, rule := range []string{" too_short8 ", " complexity3 ", " characters ", " too_long256 ", " banned "} {
			if !strings.Contains(rules, rule) {
				t.Errorf("the rules are%s, without%s", rules, rule)
			}
		}
		for _, c := range []struct{ password, fault string }{
			{"walnut harbor drift", "complexity"},
			{"Wälnut Harbor 17 Drift", "characters"},
			{strings.Repeat("Walnut Harbor 17 Drift ", 12), "too_long"},
			{"Walnut Northwind 17 Drift", "banned"}, // banned in the tenant, which alone knows
		} {
			y.save(tab, c.password)
			tab.WantStep("new-password")
			tab.WantError(c.fault)
		}
		if said := tab.Eval(`document.querySelector('#password-err').innerText`); !strings.Contains(said, "Microsoft has banned") {
			t.Errorf("a banned password: %q", said)
		}
		if !y.listed(b, person.Password) {
			t.Error("a refused password was written")
		}
		y.save(tab, "Walnut Harbor 17 Drift")
		tab.WantStep("done")
		if said := tab.Eval(ticks); !strings.Contains(said, "Signed out of your other apps and devices") {
			t.Errorf("the tenant's sessions are not spoken of: %s", said)
		}
		if y.listed(b, person.Password) {
			t.Error("the password of before is still the tenant's")
		}
	})

	t.Run("synced people, where they come from", func(t *testing.T) {
		tab, person := b.Tab(t, y.p.URL, false), y.people["user5"]
		y.proven(tab, "user5@example.org", "cloud", "user5")
		if rules := tab.Eval(plainRules); strings.Contains(rules, "characters") {
			t.Errorf("the rules are the tenant's: %s", rules)
		}
		// Which a tenant would refuse, as the stand-in refuses any write to a copy.
		const password = "Wälnut Harbor 17 Drift"
		y.save(tab, password)
		tab.WantStep("done")
		if said := tab.Eval(ticks); strings.Contains(said, "Signed out of your other apps and devices") {
			t.Errorf("a directory has no sessions to end: %s", said)
		}
		if _, err := y.ldap.Whoami(t.Context(), person.DN, password); err != nil {
			t.Errorf("the directory does not take the new password: %v", err)
		}
	})

	for typed, c := range map[string]struct{ person, why string }{
		"cloudadmin1@example.org": {"cloudadmin1@example.org", "has the role User Administrator"},
		"user6@example.org":       {"user6", "cloud: has the role Exchange Administrator"},
	} {
		t.Run("nobody with a role: "+typed, func(t *testing.T) {
			tab := b.Tab(t, y.p.URL, false)
			tab.Open("/recover/reset")
			tab.Fill("login", typed)
			tab.Submit()
			tab.WantStep("choose")
			tab.Choose("totp")
			tab.WantStep("answer")
			roomy()
			tab.Fill("answer", y.app(c.person))
			tab.Submit()
			tab.WantStep("answer")
			tab.WantError("wrong_code")
			if !y.listed(b, y.people[c.person].Password) {
				t.Error("the password of before is gone")
			}
			if why := y.recorded(c.person); !strings.HasPrefix(why, c.why) {
				t.Errorf("the record says %q", why)
			}
		})
	}
}
