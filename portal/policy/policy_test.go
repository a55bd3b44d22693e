package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/verify"
)

func someone(groups ...string) directory.User {
	return directory.User{ID: "ad:1", DN: "CN=Ada,OU=Staff,DC=example,DC=org", Groups: groups}
}

func TestTheFirstRuleThatMatchesWins(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Rules = []Rule{
		{Name: "kiosk", Doors: []access.Door{access.Kiosk}, Plan: RulePlan{PlanConfig: PlanConfig{Life: 5 * time.Minute}}},
		{Name: "finance", Groups: []string{"CN=Finance,DC=example,DC=org"}, Purposes: []Purpose{Reset}, Plan: RulePlan{PlanConfig: PlanConfig{Gates: 3, Alone: []verify.Kind{}}}},
		{Name: "plant", OUs: []string{"ou=plant, dc=example, dc=org"}, Plan: RulePlan{PlanConfig: PlanConfig{Tries: 3}}},
		{Name: "everybody", Purposes: []Purpose{Reset}, Plan: RulePlan{PlanConfig: PlanConfig{Tries: 4}}},
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	plant := someone("cn=finance , dc=example,dc=org")
	plant.DN = `CN=Bob\, the other,OU=Shift,OU=Plant,DC=example,DC=org`
	tests := []struct {
		door    access.Door
		purpose Purpose
		u       directory.User
		want    string
	}{
		{access.Web, Reset, someone(), "everybody"},
		{access.Web, Unlock, someone(), "default"},
		{access.Web, Reset, someone("cn=FINANCE,dc=example,dc=org"), "finance"},
		{access.Web, Unlock, someone("cn=FINANCE,dc=example,dc=org"), "default"},
		{access.Kiosk, Reset, someone("CN=Finance,DC=example,DC=org"), "kiosk"},
		{access.Web, Reset, plant, "finance"},
		{access.Web, SignIn, plant, "plant"},
	}
	for _, tt := range tests {
		if got := p.For(tt.door, tt.purpose, tt.u).Name; got != tt.want {
			t.Errorf("%s %s %v: %s, want %s", tt.door, tt.purpose, tt.u.Groups, got, tt.want)
		}
	}
	finance := p.For(access.Web, Reset, plant)
	if finance.Gates != 3 || len(finance.Alone) != 0 || finance.Tries != 5 || len(finance.Allowed) != 4 {
		t.Errorf("what a rule leaves out is not as in the default: %+v", finance)
	}
	if got := p.For(access.Web, "conquer", someone()); got.Enough(every()) || got.Life != 0 {
		t.Errorf("a purpose nobody knows has a plan: %+v", got)
	}
}

// A case keeps its plan; changing it must not change anybody else's.
func TestAPlanIsACopy(t *testing.T) {
	p := defaults(t)
	got := p.For(access.Web, Reset, someone())
	got.Allowed[0], got.Alone[0], got.Anchor[0] = verify.Email, verify.Email, verify.Issued
	if again := p.For(access.Web, Reset, someone()); again.Allowed[0] != verify.Passkey || again.Alone[0] != verify.Passkey || again.Anchor[0] != verify.Possession {
		t.Errorf("the policy was changed through a plan: %+v", again)
	}
}

// security case 3
func TestADecoyLooksLikeOnePersonForEver(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Rules = []Rule{
		{Name: "vip", Groups: []string{"VIP"}, Purposes: []Purpose{Reset}, Plan: RulePlan{PlanConfig: PlanConfig{Allowed: []verify.Kind{verify.Passkey}, Gates: 1}}},
		{Name: "vip in", Groups: []string{"VIP"}, Purposes: []Purpose{SignIn}, Plan: RulePlan{PlanConfig: PlanConfig{Allowed: []verify.Kind{verify.Passkey}, First: ptr(verify.Kind("")), Gates: 1}}},
		{Name: "plant", OUs: []string{"OU=Plant,DC=x"}, Plan: RulePlan{PlanConfig: PlanConfig{Tries: 3}}},
		{Name: "all", Purposes: []Purpose{Unlock}, Plan: RulePlan{PlanConfig: PlanConfig{Tries: 4}}},
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := New(cfg)
	seen := map[string]int{}
	for i := range 3000 {
		seed := fmt.Appendf(nil, "keyed hash %d", i)
		reset := p.Decoy(access.Web, Reset, seed)
		seen[reset.Name]++
		if !reflect.DeepEqual(reset, p.Decoy(access.Web, Reset, seed)) || !reflect.DeepEqual(reset, other.Decoy(access.Web, Reset, seed)) {
			t.Fatal("the same seed got another plan")
		}
		if in := p.Decoy(access.Web, SignIn, seed).Name; (reset.Name == "vip") != (in == "vip in") {
			t.Fatalf("one decoy is two sorts of people: %s to reset, %s to sign in", reset.Name, in)
		}
	}
	for _, name := range []string{"vip", "plant", "default"} {
		if seen[name] < 800 {
			t.Errorf("%s was picked %d times of 3000", name, seen[name])
		}
	}
	if got := p.Decoy(access.Web, Unlock, []byte("x")).Name; got != "all" && got != "plant" {
		t.Errorf("a rule for everybody is not for decoys: %s", got)
	}
	if got := defaults(t).Decoy(access.Web, SignIn, nil); got.Life <= 0 || got.Tries <= 0 {
		t.Errorf("no seed gives no plan: %+v", got)
	}
}

func TestEligible(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Scope = Scope{Groups: []string{"Portal users"}, OUs: []string{"OU=Staff,DC=example,DC=org"},
		DenyGroups: []string{"CN=Board,DC=example,DC=org"}, DenyOUs: []string{"OU=Robots,OU=Staff,DC=example,DC=org"}}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*directory.User)) directory.User {
		u := someone("CN=Portal  Users,OU=Groups,DC=example,DC=org")
		change(&u)
		return u
	}
	tests := []struct {
		want string
		u    directory.User
	}{
		{"", with(func(*directory.User) {})},
		{"unknown_account", directory.User{}},
		{"privileged", with(func(u *directory.User) { u.Privileged = "Domain Admins"; u.State.Disabled = true })},
		{"disabled", with(func(u *directory.User) { u.State.Disabled = true })},
		{"account_expired", with(func(u *directory.User) { u.State.AccountExpired = true })},
		{"", with(func(u *directory.User) { u.State.Locked, u.State.MustChange = true, true })},
		{"denied", with(func(u *directory.User) { u.Groups = append(u.Groups, "cn=board,dc=example,dc=org") })},
		{"denied", with(func(u *directory.User) { u.DN = "CN=R2,OU=Robots,OU=Staff,DC=example,DC=org" })},
		{"out_of_scope", with(func(u *directory.User) { u.Groups = nil })},
		// Whom the portal does not serve at all shows as nobody at the desk, whatever else they are.
		{"out_of_scope", with(func(u *directory.User) { u.Groups, u.State.Disabled = nil, true })},
		{"out_of_scope", with(func(u *directory.User) { u.Groups, u.State.AccountExpired = nil, true })},
		{"denied", with(func(u *directory.User) {
			u.Groups, u.State.Disabled = append(u.Groups, "cn=board,dc=example,dc=org"), true
		})},
		{"out_of_scope", with(func(u *directory.User) { u.DN = "CN=Ada,OU=Other,DC=example,DC=org" })},
		{"out_of_scope", with(func(u *directory.User) { u.DN = `CN=Ada\,OU=Staff\,DC=example\,DC=org` })},
		{"out_of_scope", with(func(u *directory.User) { u.DN = "" })},
	}
	for _, tt := range tests {
		if got := p.Eligible(tt.u); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.u, got, tt.want)
		}
	}
}

// Once something stronger is enrolled the password and a mailed code must not
// do any more (security case 45).
func TestStepUpAsksForTheStrongestEnrolled(t *testing.T) {
	p := defaults(t)
	weak := []verify.Kind{verify.Password, verify.Email}
	for _, tt := range []struct {
		enrolled []verify.Kind
		weak     bool
	}{
		{nil, true}, {[]verify.Kind{verify.Email, verify.Password}, true}, {[]verify.Kind{verify.YubiKey}, true},
		{[]verify.Kind{verify.TOTP}, false}, {[]verify.Kind{verify.RecoveryCode}, false}, {[]verify.Kind{verify.Passkey, verify.Email}, false},
	} {
		plan := p.StepUp(access.Web, someone(), tt.enrolled)
		if got := plan.Enough(weak); got != tt.weak {
			t.Errorf("with %v enrolled, password and mail enough = %v", tt.enrolled, got)
		}
		if !tt.weak && !plan.Reachable(tt.enrolled) {
			t.Errorf("with %v enrolled nobody can step up", tt.enrolled)
		}
	}
}

func TestKindsNamesAllThatMustBeSetUp(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Rules = []Rule{{Name: "x", Purposes: []Purpose{Reset}, Groups: []string{"g"}, Plan: RulePlan{PlanConfig: PlanConfig{Allowed: []verify.Kind{verify.Passkey, verify.YubiKey}, Gates: 1, Anchor: []verify.Class{}, Alone: []verify.Kind{verify.Passkey}}}}}
	if p, err := New(cfg); err == nil {
		t.Fatalf("YubiKey alone was let through: %v", p.Kinds())
	}
	cfg.Rules[0].Plan = RulePlan{PlanConfig: PlanConfig{Allowed: []verify.Kind{verify.Passkey, verify.SMS, verify.YubiKey}}}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := []verify.Kind{verify.Email, verify.Handover, verify.Passkey, verify.Password, verify.RecoveryCode, verify.SMS, verify.TOTP, verify.YubiKey}
	if got := p.Kinds(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestValidateNamesEveryFaultAtItsPlace(t *testing.T) {
	if faults := DefaultConfig().Validate(); len(faults) > 0 {
		t.Fatalf("the default: %v", faults)
	}
	tests := []struct {
		path   string
		change func(*Config)
	}{
		{"plans.reset.gates", func(c *Config) { c.Plans.Reset.Gates = 1 }},
		{"plans.unlock.gates", func(c *Config) {
			c.Plans.Unlock.Gates, c.Plans.Unlock.Anchor = 1, []verify.Class{}
		}},
		{"plans.reset.gates", func(c *Config) { c.Plans.Reset.Alone = []verify.Kind{verify.Email} }},
		{"plans.reset.gates", func(c *Config) { c.Plans.Reset.Alone = []verify.Kind{verify.TOTP} }},
		{"plans.reset.gates", func(c *Config) { c.Plans.Reset.Alone = []verify.Kind{verify.RecoveryCode} }},
		{"plans.signin.gates", func(c *Config) { c.Plans.SignIn.Gates = 1 }},
		{"plans.signin.gates", func(c *Config) { c.Plans.SignIn.Alone = []verify.Kind{verify.Password} }},
		{"plans.stepup.gates", func(c *Config) { c.Plans.StepUp.Alone = []verify.Kind{verify.Email} }},
		{"plans.stepup.gates", func(c *Config) { c.Plans.StepUp.Gates = 1 }},
		{"plans.change.first", func(c *Config) { c.Plans.Change.First = nil }},
		{"plans.reset.gates", func(c *Config) {
			c.Plans.Reset.Allowed, c.Plans.Reset.Alone = []verify.Kind{verify.Email, verify.SMS}, []verify.Kind{}
		}},
		{"plans.reset.gates", func(c *Config) { c.Plans.Reset.Gates, c.Plans.Reset.Alone = 4, []verify.Kind{} }},
		{"plans.reset.gates", func(c *Config) { c.Plans.Reset.Gates = 6 }},
		{"plans.reset.allowed", func(c *Config) { c.Plans.Reset.Allowed = []verify.Kind{} }},
		{"plans.reset.allowed[0]", func(c *Config) { c.Plans.Reset.Allowed[0] = "magic" }},
		{"plans.reset.allowed[1]", func(c *Config) { c.Plans.Reset.Allowed[1] = verify.Passkey }},
		{"plans.reset.allowed[1]", func(c *Config) { c.Plans.Reset.Allowed[1] = verify.Password }},
		{"plans.reset.alone[0]", func(c *Config) { c.Plans.Reset.Alone = []verify.Kind{verify.YubiKey} }},
		{"plans.reset.anchor[0]", func(c *Config) { c.Plans.Reset.Anchor = []verify.Class{"luck"} }},
		{"plans.reset.life", func(c *Config) { c.Plans.Reset.Life = 2 * time.Hour }},
		{"plans.reset.tries", func(c *Config) { c.Plans.Reset.Tries = 0 }},
		{"plans.reset.per_day", func(c *Config) { c.Plans.Reset.PerDay = ptr(-1) }},
		{"approval.levels", func(c *Config) { c.Approval.Levels = 6 }},
		{"approval.approvers", func(c *Config) { c.Approval.Approvers = []string{"a", ""} }},
		{"rules[0].plan.approval.approvers", func(c *Config) {
			c.Rules = []Rule{{Name: "a", Groups: []string{"x"}, Plan: RulePlan{Approval: &Approval{Approvers: make([]string, 6)}}}}
		}},
		{"scope.ous[0]", func(c *Config) { c.Scope.OUs = []string{"Staff"} }},
		{"scope.deny_groups[0]", func(c *Config) { c.Scope.DenyGroups = []string{""} }},
		{"rules[0].name", func(c *Config) { c.Rules = []Rule{{Groups: []string{"x"}}} }},
		{"rules[0].name", func(c *Config) { c.Rules = []Rule{{Name: "default", Groups: []string{"x"}}} }},
		{"rules[0].doors[0]", func(c *Config) { c.Rules = []Rule{{Name: "a", Doors: []access.Door{"attic"}}} }},
		// A stricter plan that never holds is worse than none.
		{"rules[0].doors[1]", func(c *Config) {
			c.Rules = []Rule{{Name: "a", Doors: []access.Door{access.Web, access.Desk}, Purposes: []Purpose{Reset}, Groups: []string{"x"}}}
		}},
		{"rules[0].purposes[0]", func(c *Config) {
			c.Rules = []Rule{{Name: "a", Doors: []access.Door{access.Web}, Purposes: []Purpose{Assist}, Groups: []string{"x"}}}
		}},
		{"rules[0].purposes[1]", func(c *Config) { c.Rules = []Rule{{Name: "a", Purposes: []Purpose{Reset, "conquer"}}} }},
		{"rules[0].ous[0]", func(c *Config) { c.Rules = []Rule{{Name: "a", OUs: []string{"="}}} }},
		{"rules[0].plan.gates", func(c *Config) {
			c.Rules = []Rule{{Name: "a", Purposes: []Purpose{Reset}, Plan: RulePlan{PlanConfig: PlanConfig{Gates: 1}}}}
		}},
		{"rules[1]", func(c *Config) {
			c.Rules = []Rule{{Name: "a", Doors: []access.Door{access.Web}}, {Name: "b", Doors: []access.Door{access.Web}, Groups: []string{"x"}}}
		}},
	}
	for _, tt := range tests {
		c := DefaultConfig()
		tt.change(&c)
		faults := c.Validate()
		found := false
		for _, f := range faults {
			found = found || strings.HasPrefix(f.Error(), tt.path+": ")
		}
		if !found {
			t.Errorf("want a fault at %s, got %v", tt.path, faults)
		}
		if p, err := New(c); err == nil || p != nil {
			t.Errorf("%s: New took it", tt.path)
		}
	}
	bad := DefaultConfig()
	bad.Plans.Reset.Life, bad.Plans.Reset.Tries, bad.Plans.Unlock.Tries = 0, 0, 0
	if faults := bad.Validate(); len(faults) != 3 {
		t.Errorf("three faults, %d told: %v", len(faults), faults)
	}
}
