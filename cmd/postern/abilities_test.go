package main

import (
	"slices"
	"strings"
	"testing"

	"postern/directory/entra"
	"postern/portal/policy"
	"postern/portal/web/view"
	"postern/verify"
)

const tenantPart = `  - name: cloud
    entra:
      tenant: 8bc3f0d2-5f0e-4b7e-9d58-0a2f3d1c6e11
      client_id: 1f6a2f0b-3c52-4d0a-8f44-5b1f0a9c2d37
      managed_identity: true
`

// tenantOnly is valid without its other directories.
func tenantOnly(t *testing.T) (dir, text string) {
	t.Helper()
	dir, text = valid(t)
	return dir, text[:strings.Index(text, "  - name: corp")] + tenantPart
}

// faultsBesides are those that the build tag noentra does not bring.
func faultsBesides(faults Faults) Faults {
	return slices.DeleteFunc(faults, func(f Fault) bool { return !entra.Built && strings.HasPrefix(f.What, "this program was built without") })
}

// The picker is there when it is asked for, and shows names that people can tell apart.
func TestThePickerIsAskedForAndHasLabels(t *testing.T) {
	dir, corp := valid(t)
	both := corp + tenantPart
	if cfg, _ := parse([]byte(both), dir, noEnv); cfg.places() != nil {
		t.Error("a picker nobody asked for")
	}
	both = "picker: true\n" + both
	cfg, faults := parse([]byte(strings.Replace(both, "name: corp", "name: corp\n    label: Head office", 1)), dir, noEnv)
	if got := cfg.places(); len(faultsBesides(faults)) > 0 || !slices.Equal(got, []view.Place{{Name: "corp", Label: "Head office"}, {Name: "cloud", Label: "cloud"}}) {
		t.Errorf("%v, %v", got, faults)
	}
	for path, text := range map[string]string{
		"picker":               "picker: true\n" + corp,
		"directories[1].label": strings.Replace(both, "name: corp", "name: corp\n    label: Cloud", 1),
		"directories[0].label": strings.Replace(both, "name: corp", `name: corp`+"\n    label: \"a\\u202eb\"", 1),
	} {
		if _, faults := parse([]byte(text), dir, noEnv); !slices.ContainsFunc(faults, func(f Fault) bool { return f.Path == path }) {
			t.Errorf("%s: %v", path, faults)
		}
	}
}

// A tenant cannot unlock, and checks no password: what nobody can do is not offered, and
// the defaults do not ask for it.
func TestOnlyWhatSomeDirectoryCanIsOffered(t *testing.T) {
	dir, text := tenantOnly(t)
	cfg, faults := parse([]byte(text), dir, noEnv)
	if faults = faultsBesides(faults); len(faults) > 0 {
		t.Fatalf("a tenant alone:\n%s", faults)
	}
	if got := cfg.purposes(); !slices.Equal(got, []policy.Purpose{policy.Reset, policy.SignIn}) || cfg.passwords() != view.AskNone {
		t.Errorf("a tenant alone: %v, asked %q", got, cfg.passwords())
	}
	for name, plan := range map[string]policy.PlanConfig{"signin": cfg.Policy.Plans.SignIn, "stepup": cfg.Policy.Plans.StepUp} {
		if slices.Contains(plan.Allowed, verify.Password) || *plan.First == verify.Password {
			t.Errorf("%s: %v", name, plan.Allowed)
		}
	}
	dir, text = valid(t)
	all := []policy.Purpose{policy.Reset, policy.Unlock, policy.Change, policy.SignIn}
	for want, text := range map[view.Asked]string{view.AskAll: text, view.AskSome: text + tenantPart} {
		cfg, _ := parse([]byte(text), dir, noEnv)
		if got := cfg.purposes(); !slices.Equal(got, all) || cfg.passwords() != want || !slices.Contains(cfg.Policy.Plans.SignIn.Allowed, verify.Password) {
			t.Errorf("%v, asked %q, not %q", got, cfg.passwords(), want)
		}
	}
}

func TestAPlanForWhatNoDirectoryCanIsAFault(t *testing.T) {
	dir, alone := tenantOnly(t)
	_, both := valid(t)
	both += tenantPart
	rule := "  rules:\n    - {name: one, purposes: [reset, unlock], directories: [cloud], plan: {tries: 4}}\n"
	for _, c := range []struct{ name, text, path string }{
		{"unlock", alone + "policy:\n  plans:\n    unlock: {tries: 4}\n", "policy.plans.unlock"},
		{"change", alone + "policy:\n  plans:\n    change: {tries: 4}\n", "policy.plans.change"},
		{"a password to sign in with", alone + "policy:\n  plans:\n    signin: {allowed: [password, totp]}\n", "policy.plans.signin.allowed[0]"},
		{"a rule", both + "policy:\n" + rule, "policy.rules[0].purposes[1]"},
		{"a rule, for whom the other directory has", strings.Replace(both+"policy:\n"+rule, "[cloud]", "[corp, cloud]", 1), ""},
	} {
		_, faults := parse([]byte(strings.ReplaceAll(c.text, "file:corp.password", "env:P")), dir, func(string) (string, bool) { return "a-long-enough-one", true })
		faults = faultsBesides(faults)
		if c.path == "" && len(faults) > 0 || c.path != "" && !slices.ContainsFunc(faults, func(f Fault) bool { return f.Path == c.path }) {
			t.Errorf("%s: %v", c.name, faults)
		}
	}
}
