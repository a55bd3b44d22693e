package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// setting is a line of the example that may be left out: #key: value.
var setting = regexp.MustCompile(`(?m)^( *)#([a-z_]+:|- [a-z_]+:)`)

// whole is the example with everything in it that may be left out.
func whole() string { return setting.ReplaceAllString(example, "$1$2") }

// keysOf lists the path of every key of a struct, with [] for any element.
func keysOf(t reflect.Type, at string, add func(string)) {
	switch {
	case t.Kind() == reflect.Pointer:
		keysOf(t.Elem(), at, add)
	case t.Kind() == reflect.Slice:
		keysOf(t.Elem(), at+"[]", add)
	case t.Kind() == reflect.Map:
		keysOf(t.Elem(), at+".*", add)
	case t.Kind() == reflect.Struct && t != durationType && !reflect.PointerTo(t).Implements(textType):
		for _, f := range fieldsOf(t) {
			path := strings.TrimPrefix(at+"."+f.key, ".")
			add(path)
			keysOf(f.typ, path, add)
		}
	}
}

var index = regexp.MustCompile(`\[\d+\]`)

// security case 118: the example is the documentation, so it is held to what
// the program reads, both ways.
func TestExampleNamesEveryKeyAndNoOther(t *testing.T) {
	for name, text := range map[string]string{"as printed": example, "with everything": whole()} {
		cfg := DefaultConfig()
		r := newReader(elements()...)
		r.read([]byte(text), &cfg)
		if len(r.faults) > 0 {
			t.Errorf("%s:\n%s", name, r.faults)
		}
		if name == "as printed" {
			continue
		}
		there := map[string]bool{}
		for path := range r.lines {
			there[index.ReplaceAllString(path, "[]")] = true
		}
		keysOf(reflect.TypeFor[Config](), "", func(path string) {
			if !there[path] {
				t.Errorf("the example does not name %s", path)
			}
		})
	}
}

// What the example shows as the default is the default.
func TestExampleShowsTheDefaults(t *testing.T) {
	shown, want := DefaultConfig(), DefaultConfig()
	newReader(elements()...).read([]byte(whole()), &shown)
	shown.Limits.Redis = "" // without a default
	for _, c := range []struct {
		key       string
		got, want any
	}{
		{"listen", shown.Portal.Listen, want.Portal.Listen},
		{"time_zone", shown.TimeZone, want.TimeZone},
		{"keys", shown.Keys, want.Keys},
		{"brand.name", shown.Brand.Name, want.Brand.Name},
		{"store.durability", shown.Store.Durability, want.Store.Durability},
		{"store.connections", shown.Store.Connections, want.Store.Connections},
		{"store.auto_migrate", shown.Store.AutoMigrate, want.Store.AutoMigrate},
		{"policy.cooling_off", shown.Policy.CoolingOff, want.Policy.CoolingOff},
		{"policy.plans", shown.Policy.Plans, want.Policy.Plans},
		{"factors.totp", shown.Factors.TOTP, want.Factors.TOTP},
		{"factors.passkey", shown.Factors.Passkey, want.Factors.Passkey},
		{"factors.yubikey.servers", shown.Factors.YubiKey.Servers, want.Factors.YubiKey.Servers},
		{"factors.yubikey.timeout", shown.Factors.YubiKey.Timeout, want.Factors.YubiKey.Timeout},
		{"factors.yubikey.max", shown.Factors.YubiKey.Max, want.Factors.YubiKey.Max},
		{"enrolment", shown.Enrolment, want.Enrolment},
		{"sms.timeout", shown.SMS.Timeout, want.SMS.Timeout},
		{"sms.gateway.success.status", shown.SMS.Gateway.Success.Status, want.SMS.Gateway.Success.Status},
		{"limits", shown.Limits, want.Limits},
		{"ship.witness", shown.Ship.Witness, want.Ship.Witness},
		{"ship.hold", shown.Ship.Hold, want.Ship.Hold},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: the example shows %+v, the default is %+v", c.key, c.got, c.want)
		}
	}
	for i, e := range elements()[:3] {
		shownDir := [3]any{}
		if shown.Directories[0].AD != nil {
			shownDir[0] = *shown.Directories[0].AD
		}
		if len(shown.Directories) > 1 && shown.Directories[1].OpenLDAP != nil {
			shownDir[1] = *shown.Directories[1].OpenLDAP
		}
		if len(shown.Directories) > 2 && shown.Directories[2].Entra != nil {
			shownDir[2] = *shown.Directories[2].Entra
		}
		got, def := reflect.ValueOf(shownDir[i]), reflect.ValueOf(e)
		for _, f := range fieldsOf(def.Type()) {
			d := def.FieldByIndex(f.index)
			if d.IsZero() {
				continue // what must be given
			}
			if g := got.FieldByIndex(f.index); !reflect.DeepEqual(g.Interface(), d.Interface()) {
				t.Errorf("%s: the example shows %v, the default is %v", f.key, g, d)
			}
		}
	}
}

// valid is a configuration without faults, in a folder of its own.
func valid(t *testing.T) (dir, text string) {
	t.Helper()
	dir = t.TempDir()
	writeFile(t, filepath.Join(dir, "corp.password"), "a-long-enough-one\n", 0o600)
	return dir, `public_url: https://id.example.org
trusted_proxies: [10.0.0.1]
store:
  path: postern.db
mail:
  host: mail.example.org
  from: portal@example.org
directories:
  - name: corp
    ad:
      servers: [ldaps://dc1.example.org]
      bind_dn: CN=svc,DC=example,DC=org
      bind_password: file:corp.password
      base_dn: DC=example,DC=org
`
}

func noEnv(string) (string, bool) { return "", false }

func TestEveryFaultIsToldAtOnceWithItsPath(t *testing.T) {
	dir, text := valid(t)
	if _, faults := parse([]byte(text), dir, noEnv); len(faults) > 0 {
		t.Fatalf("the valid one is not:\n%s", faults)
	}
	writeFile(t, filepath.Join(dir, "world"), "a-long-enough-two", 0o644)
	_, faults := parse([]byte(`public_url: http://id.example.org
listen: nowhere
time_zone: Mars/Olympus
keys: ""
brand: {name: "", support_url: "javascript:alert(1)", colour: mauve}
overlay: {static: /does/not/exist}
trusted_proxies: [everybody]
store:
  path: a.db
  postgres: postgres://user:hunter2-literal@db/postern
policy:
  plans:
    reset: {gates: 1, alone: [email]}
access: {roles: {operator: [""], auditor: ["CN=Audit,"], janitor: [x]}, four_eyes: {ous: [Board], directories: [nowhere]}, crossing: {groups: [""]}, hours: {days: [monday], from: "7:00", to: "19:00"}}
limits:
  answer: 0/15m
enrolment: {remind_every: 1h, snooze: 0s, deadline: tomorrow, invitation: 9000h}
directories:
  - name: Corp!
    ad:
      servers: [ldap://dc1.example.org]
      bind_dn: CN=svc,DC=example,DC=org
      bind_password: hunter2-literal
      base_dn: nonsense
      skip_verify: true
  - name: x
  - name: x
    openldap:
      servers: [ldaps://a.example.org]
      bind_dn: cn=a,dc=b
      bind_password: file:world
      base_dn: dc=b
password:
  breached_url: http://mirror.example.org/range/
  breached_ca_file: none.pem
`), dir, noEnv)
	told := faults.Error()
	for _, want := range []string{
		"public_url: ", "line 2: listen: ", "line 3: time_zone: ", "line 4: keys: ", "line 5: brand.name: ", "brand.support_url: ", "brand.colour: ",
		"line 6: overlay.static: ", "line 7: trusted_proxies[0]: ", "store.postgres: must be a reference", "line 13: policy.plans.reset",
		"line 14: access.roles.operator[0]: is empty", "line 14: access.roles.auditor[0]: ", "line 14: access.roles.janitor: unknown key",
		"line 14: access.four_eyes.ous[0]: ", "line 14: access.four_eyes.directories[0]: there is no directory", "line 14: access.crossing.groups[0]: ",
		"line 14: access.hours.days[0]: ", "line 14: access.hours.from: ",
		"line 16: limits.answer: ", "line 17: enrolment.remind_every: 1h", "enrolment.snooze: ", "enrolment.deadline: ", "enrolment.invitation: 9000h",
		"line 19: directories[0].name: ", "directories[0].ad.servers[0]: ", "line 23: directories[0].ad.bind_password: must be a reference",
		"directories[0].ad.base_dn", "line 25: directories[0].ad.skip_verify: unknown key", "line 26: directories[1]: ad, openldap, entra: ", "directories[2].name: ",
		"line 31: directories[2].openldap.bind_password: ",
		"line 34: password.breached_url: ", "line 35: password.breached_ca_file: open " + filepath.Join(dir, "none.pem"),
	} {
		if !strings.Contains(told, want) {
			t.Errorf("not told: %s", want)
		}
	}
	// security case 118: never printed.
	if strings.Contains(told, "hunter2") || strings.Contains(told, "a-long-enough") {
		t.Error("a fault shows a secret")
	}
	if t.Failed() {
		t.Log("\n" + told)
	}
}

// security case 118
func TestSecretsAreNeverPrintedWithTheConfiguration(t *testing.T) {
	dir, text := valid(t)
	cfg, _ := parse([]byte(text), dir, noEnv)
	if cfg.Directories[0].AD.Password.Reveal() != "a-long-enough-one" {
		t.Fatal("the secret was not read")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if strings.Contains(fmt.Sprintf(verb, *cfg.Directories[0].AD), "a-long-enough") {
			t.Errorf("%s shows the secret", verb)
		}
	}
}

// security case 29 and 118: each of these must keep serve from starting.
func TestUnsafeConfigurationsAreRefused(t *testing.T) {
	for _, c := range []struct{ name, from, to, path string }{
		{"https that nobody speaks", "trusted_proxies: [10.0.0.1]\n", "", "public_url"},
		{"plain http for others", "https://id", "http://id", "public_url"},
		{"everybody is a trusted proxy", "10.0.0.1", "0.0.0.0/0", "trusted_proxies[0]"},
		{"metrics for everybody", "store:", "admin: 0.0.0.0:9090\nstore:", "admin"},
		{"passwords in the clear", "ldaps://", "ldap://", "directories[0].ad.servers[0]"},
		{"a literal secret", "file:corp.password", "hunter2-literal", "directories[0].ad.bind_password"},
		{"no verification", "      base_dn:", "      skip_verify: true\n      base_dn:", "directories[0].ad.skip_verify"},
		{"one mail is enough", "store:", "policy:\n  plans:\n    reset: {alone: [email]}\nstore:", "policy.plans.reset.gates"},
		{"a factor that cannot work", "store:", "policy:\n  plans:\n    reset: {allowed: [passkey, totp, sms]}\nstore:", "policy"},
		{"mail in the clear", "  from:", "  tls: none\n  from:", "mail"},
		{"database in the clear", "  path: postern.db", "  postgres: env:DB", "store.postgres"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, text := valid(t)
			changed := strings.Replace(text, c.from, c.to, 1)
			if changed == text {
				t.Fatal("the test changes nothing")
			}
			env := func(string) (string, bool) { return "postgres://u:p4ssw0rd-x@db.example.org/x?sslmode=prefer", true }
			_, faults := parse([]byte(changed), dir, env)
			if !slices.ContainsFunc(faults, func(f Fault) bool { return strings.HasPrefix(f.Path, c.path) }) {
				t.Errorf("%v", faults)
			}
		})
	}
}

// security case 118
func TestAConfigurationThatEverybodyMayWriteIsAFault(t *testing.T) {
	dir, text := valid(t)
	path := filepath.Join(dir, "postern.yaml")
	c := &cli{env: noEnv}
	writeFile(t, path, text, 0o644)
	if _, err := c.load(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := c.load(path); err == nil || !strings.Contains(err.Error(), "chmod o-w") {
		t.Error(err)
	}
}

func TestSinceReadsDatesAndLengths(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-01-31":           time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
		"2026-01-31T08:00:00Z": time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC),
		"36h":                  now.Add(-36 * time.Hour),
		"7d":                   now.AddDate(0, 0, -7),
	} {
		if got, err := parseSince(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yesterday", "-3h", "-1d", "7", "", "999999999d"} {
		if got, err := parseSince(text, now); err == nil {
			t.Errorf("%q became %v", text, got)
		}
	}
}
