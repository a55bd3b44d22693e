package policy

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/directory"
	"postern/portal/access"
	"postern/verify"
)

func told(e Explanation) string {
	var lines []string
	for _, p := range e.Paths {
		s := fmt.Sprintf("%v %s", p.Proofs, p.Strength)
		for _, m := range p.Missing {
			s += fmt.Sprintf(" -%s:%s", m.Kind, m.Why)
		}
		lines = append(lines, s)
	}
	return strings.Join(lines, "\n")
}

func TestExplainNamesEveryPathAndWhatIsMissing(t *testing.T) {
	p := defaults(t)
	tests := []struct {
		name    string
		purpose Purpose
		m       Means
		weakest Strength
		want    string
	}{
		{"app and mail", Reset, Means{Enrolled: []verify.Kind{verify.TOTP}, Mail: true}, TwoKinds, `
[totp email] two_kinds
[passkey] phishing_resistant -passkey:not_enrolled
[totp recovery_code] two_kinds -recovery_code:not_enrolled
[email recovery_code] two_kinds -recovery_code:not_enrolled`},
		{"nothing at all", Reset, Means{}, "", `
[passkey] phishing_resistant -passkey:not_enrolled
[totp email] two_kinds -totp:not_enrolled -email:no_mail
[totp recovery_code] two_kinds -totp:not_enrolled -recovery_code:not_enrolled
[email recovery_code] two_kinds -email:no_mail -recovery_code:not_enrolled`},
		{"the weakest way in decides", Reset, Means{Enrolled: []verify.Kind{verify.Passkey, verify.TOTP}, Mail: true}, TwoKinds, `
[passkey] phishing_resistant
[totp email] two_kinds
[totp recovery_code] two_kinds -recovery_code:not_enrolled
[email recovery_code] two_kinds -recovery_code:not_enrolled`},
		{"an app that wrong answers have ended", Reset, Means{Enrolled: []verify.Kind{verify.TOTP}, Mail: true, Ended: []verify.Kind{verify.TOTP}}, "", `
[passkey] phishing_resistant -passkey:not_enrolled
[totp email] two_kinds -totp:ended
[email recovery_code] two_kinds -recovery_code:not_enrolled
[totp recovery_code] two_kinds -totp:ended -recovery_code:not_enrolled`},
		{"a change takes the password", Change, Means{}, OneKind, `
[password] one_kind`},
		{"the password comes first", SignIn, Means{Enrolled: []verify.Kind{verify.TOTP}}, TwoKinds, `
[password totp] two_kinds
[passkey] phishing_resistant -passkey:not_enrolled
[password email] two_kinds -email:no_mail
[password recovery_code] two_kinds -recovery_code:not_enrolled`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := Explain(p.For(access.Web, tt.purpose, someone()), tt.m)
			if want := strings.TrimPrefix(tt.want, "\n"); told(got) != want {
				t.Errorf("got\n%s\nwant\n%s", told(got), want)
			}
			if got.Weakest != tt.weakest || got.Open != (tt.weakest != "") || got.Plan != "default" {
				t.Errorf("open %v, weakest %q, plan %q", got.Open, got.Weakest, got.Plan)
			}
		})
	}
}

func TestApprovalAndSMSNeedSomebodyToAskAndANumber(t *testing.T) {
	plan := Plan{Allowed: []verify.Kind{verify.SMS, verify.Approval}, Gates: 2}
	if got, want := told(Explain(plan, Means{})), "[sms approval] two_kinds -sms:no_phone -approval:no_manager"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !Explain(plan, Means{Phone: true, Manager: true}).Open {
		t.Error("not open with both")
	}
}

// What Explain says and what a case does must be one thing: the same Reachable,
// for every plan and whatever people have.
func TestExplainAgreesWithThePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SliceOfDistinct(rapid.SampledFrom(every()), rapid.ID[verify.Kind])
		plan := Plan{Allowed: kinds.Draw(t, "allowed"), Alone: kinds.Draw(t, "alone"), Gates: rapid.IntRange(0, 4).Draw(t, "gates"),
			Anchor: rapid.SliceOfDistinct(rapid.SampledFrom([]verify.Class{verify.Possession, verify.Issued, verify.Saved}), rapid.ID[verify.Class]).Draw(t, "anchor")}
		if len(plan.Allowed) > 0 && rapid.Bool().Draw(t, "has first") {
			plan.First = rapid.SampledFrom(plan.Allowed).Draw(t, "first")
		}
		m := Means{Enrolled: kinds.Draw(t, "enrolled"), Mail: rapid.Bool().Draw(t, "mail"), Phone: rapid.Bool().Draw(t, "phone"),
			Manager: rapid.Bool().Draw(t, "manager"), Ended: kinds.Draw(t, "ended")}
		var have []verify.Kind
		for _, k := range every() {
			if m.lacks(k) == "" {
				have = append(have, k)
			}
		}
		e := Explain(plan, m)
		if e.Open != plan.Reachable(have) {
			t.Fatalf("open is %v, and with %v a case says otherwise", e.Open, have)
		}
		var sets []int
		for _, path := range e.Paths {
			if !plan.Enough(path.Proofs) {
				t.Fatalf("%v is not enough", path.Proofs)
			}
			for i, k := range path.Proofs {
				if why := plan.Offer(k, path.Proofs[:i]); why != "" {
					t.Fatalf("%v cannot be given in this order: %s is %s", path.Proofs, k, why)
				}
				if rest := slices.Delete(slices.Clone(path.Proofs), i, i+1); plan.Reachable(rest) {
					t.Fatalf("%v is not minimal: %v would do", path.Proofs, rest)
				}
			}
			if open := !slices.ContainsFunc(path.Proofs, func(k verify.Kind) bool { return !slices.Contains(have, k) }); open != (len(path.Missing) == 0) {
				t.Fatalf("%v: missing %v of %v", path.Proofs, path.Missing, have)
			}
			set := 0
			for _, k := range path.Proofs {
				set |= 1 << slices.Index(every(), k)
			}
			sets = append(sets, set)
		}
		// None is left out: whatever reaches the plan holds one of the paths.
		for set := range 1 << len(every()) {
			var some []verify.Kind
			for i, k := range every() {
				if set>>i&1 == 1 {
					some = append(some, k)
				}
			}
			covered := slices.ContainsFunc(sets, func(s int) bool { return s&set == s })
			if bits.OnesCount(uint(set)) <= 4 && plan.Reachable(some) != covered {
				t.Fatalf("%v reaches the plan, and is on no path: %v", some, e.Paths)
			}
		}
	})
}

func TestSimulatorChoosesThePlanAsACaseDoes(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Scope.DenyGroups = []string{"Board"}
	cfg.Rules = []Rule{{Name: "keys", Groups: []string{"Finance"}, Purposes: []Purpose{Reset}, Plan: RulePlan{PlanConfig: PlanConfig{Allowed: []verify.Kind{verify.Passkey}, Gates: 1, Anchor: []verify.Class{}}}}}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	app := Means{Enrolled: []verify.Kind{verify.TOTP}, Mail: true}
	disabled := someone()
	disabled.State.Disabled = true
	tests := []struct {
		name     string
		purpose  Purpose
		u        directory.User
		m        Means
		plan     string
		unserved string
		stranded bool
		weakest  Strength
	}{
		{"anybody", Reset, someone(), app, "default", "", false, TwoKinds},
		{"a rule", Reset, someone("Finance"), app, "keys", "", true, ""},
		{"the rule is for another purpose", Unlock, someone("Finance"), app, "default", "", false, TwoKinds},
		{"denied is not stranded", Reset, someone("Board"), app, "default", "denied", false, ""},
		{"disabled is not stranded", Reset, disabled, Means{}, "default", "disabled", false, ""},
		{"password and mail, to add the first factor", StepUp, someone(), Means{Mail: true}, "default", "", false, TwoKinds},
		{"the app alone, once there is one", StepUp, someone(), app, "default", "", false, OneKind},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := p.Simulator(access.Web, tt.purpose)
			if err != nil {
				t.Fatal(err)
			}
			// Twice: the second time it remembers.
			for range 2 {
				v := s.Explain(tt.u, tt.m)
				if v.Plan != tt.plan || v.Unserved != tt.unserved || v.Stranded() != tt.stranded || v.Weakest != tt.weakest {
					t.Errorf("%+v", v)
				}
			}
		})
	}
	s, _ := p.Simulator(access.Web, StepUp)
	if first, then := s.Explain(someone(), Means{Mail: true}), s.Explain(someone(), app); len(first.Paths) <= len(then.Paths) {
		t.Errorf("two plans of one name are taken for one: %s\n%s", told(first.Explanation), told(then.Explanation))
	}
	if _, err := p.Simulator("window", Reset); err == nil {
		t.Error("there is no such door")
	}
	if _, err := p.Simulator(access.Web, "conquer"); err == nil {
		t.Error("there is no such purpose")
	}
}

// BenchmarkSimulate2000 compares two policies over 2,000 people with every mix of
// factors; the bar is 2 s.
func BenchmarkSimulate2000(b *testing.B) {
	now := DefaultConfig()
	now.Plans.Reset.Allowed = slices.DeleteFunc(every(), func(k verify.Kind) bool { return k == verify.Password })
	next := now
	for i := range 20 {
		next.Rules = append(next.Rules, Rule{Name: fmt.Sprint("rule", i), Groups: []string{fmt.Sprint("Group ", i)}, Purposes: []Purpose{Reset}, Plan: RulePlan{PlanConfig: PlanConfig{Gates: 2 + i%2}}})
	}
	bound := []verify.Kind{verify.Passkey, verify.TOTP, verify.YubiKey, verify.RecoveryCode}
	type person struct {
		u directory.User
		m Means
	}
	people := make([]person, 2000)
	for i := range people {
		people[i] = person{someone(fmt.Sprintf("CN=Group %d,OU=Groups,DC=example,DC=org", i%25), "CN=Everybody,DC=example,DC=org"), Means{Mail: i&16 == 0, Phone: i&32 == 0}}
		for j, k := range bound {
			if i>>j&1 == 1 {
				people[i].m.Enrolled = append(people[i].m.Enrolled, k)
			}
		}
	}
	for b.Loop() {
		stranded := 0
		for _, cfg := range []Config{now, next} {
			p, err := New(cfg)
			if err != nil {
				b.Fatal(err)
			}
			s, err := p.Simulator(access.Web, Reset)
			if err != nil {
				b.Fatal(err)
			}
			for _, one := range people {
				if s.Explain(one.u, one.m).Stranded() {
					stranded++
				}
			}
		}
		if stranded == 0 || stranded == 2*len(people) {
			b.Fatalf("%d are stranded: the people are no sample", stranded)
		}
	}
}

// Cooling goes by the plan of the person and the age of the oldest thing; what has
// no age has been there as long as anybody knows.
func TestCoolingGoesByThePersonsOwnPlan(t *testing.T) {
	c := DefaultConfig()
	long := 72 * time.Hour
	c.Rules = []Rule{{Name: "finance", Groups: []string{"Finance"}, Purposes: []Purpose{Reset}, Plan: RulePlan{PlanConfig: c.Plans.Reset, CoolingOff: &long}}}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Simulator(access.Web, Reset)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	since := map[verify.Kind]time.Time{verify.Passkey: now.Add(-time.Hour), verify.TOTP: now.Add(-24 * time.Hour), verify.RecoveryCode: now.Add(-72 * time.Hour), verify.Email: {}}
	banker := someone()
	banker.Groups = []string{"Finance"}
	for _, tt := range []struct {
		u    directory.User
		want []verify.Kind
	}{{someone(), []verify.Kind{verify.Passkey}}, {banker, []verify.Kind{verify.Passkey, verify.TOTP}}} {
		if got := s.Cooling(tt.u, since, now); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v, want %v", tt.u.Groups, got, tt.want)
		}
	}
}
