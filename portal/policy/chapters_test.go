package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/directory"
	"postern/portal/access"
	"postern/verify"
)

func TestChaptersAreThePlansInTheOrderTheyAreTried(t *testing.T) {
	c := DefaultConfig()
	c.Scope.Groups = []string{"Staff"}
	c.Rules = []Rule{
		{Name: "kiosks", Doors: []access.Door{access.Kiosk}, Groups: []string{"Ward"}, Plan: RulePlan{PlanConfig: PlanConfig{Alone: []verify.Kind{}}}},
		{Name: "money", Purposes: []Purpose{Reset}, Groups: []string{"Finance", "CN=Board, DC=x"}, OUs: []string{"OU=HQ,DC=x"}, Plan: RulePlan{PlanConfig: PlanConfig{Allowed: []verify.Kind{verify.Passkey}, Gates: 1, Anchor: []verify.Class{}}}},
		{Name: "units", Purposes: []Purpose{Unlock}, Groups: []string{"staff", "cn=board,dc=X"}, Plan: RulePlan{PlanConfig: PlanConfig{Alone: []verify.Kind{}}}},
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	told := func(list []Chapter) string {
		var s []string
		for _, c := range list {
			s = append(s, fmt.Sprintf("%s %v %v", c.Plan.Name, c.Groups, c.OUs))
		}
		return strings.Join(s, "; ")
	}
	for _, c := range []struct {
		door    access.Door
		purpose Purpose
		want    string
	}{
		{access.Web, Reset, "money [Finance CN=Board, DC=x] [OU=HQ,DC=x]; default [] []"},
		{access.Kiosk, Reset, "kiosks [Ward] []; money [Finance CN=Board, DC=x] [OU=HQ,DC=x]; default [] []"},
		{access.Web, Unlock, "units [staff cn=board,dc=X] []; default [] []"},
		{access.Web, SignIn, "default [] []"},
	} {
		if got := told(p.Chapters(c.door, c.purpose)); got != c.want {
			t.Errorf("%s at %s: %s", c.purpose, c.door, got)
		}
	}
	money := p.Chapters(access.Web, Reset)[0]
	if len(money.Paths) != 1 || !slices.Equal(money.Paths[0].Proofs, []verify.Kind{verify.Passkey}) || len(money.Paths[0].Missing) != 0 {
		t.Errorf("%+v", money.Paths)
	}
	// What a reader does with it does not reach the policy.
	money.Groups[0], money.Plan.Allowed[0] = "Everybody", verify.Email
	u := directory.User{ID: "x:1", Groups: []string{"Finance"}, DN: "CN=a,OU=HQ,DC=x"}
	if got := p.For(access.Web, Reset, u); got.Name != "money" || got.Allowed[0] != verify.Passkey {
		t.Errorf("%+v", got)
	}
	if got := p.Groups(); !slices.Equal(got, []string{"Staff", "Ward", "Finance", "CN=Board, DC=x"}) {
		t.Errorf("groups %q", got)
	}
}

// A rule for everybody leaves nobody for the default, which is then not told.
func TestChaptersEndWhereNobodyGetsPast(t *testing.T) {
	c := DefaultConfig()
	c.Rules = []Rule{{Name: "all", Doors: []access.Door{access.Web}, Plan: RulePlan{PlanConfig: PlanConfig{Alone: []verify.Kind{}}}}}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Chapters(access.Web, Reset); len(got) != 1 || got[0].Plan.Name != "all" {
		t.Errorf("%+v", got)
	}
	if got := p.Chapters(access.Kiosk, Reset); len(got) != 1 || got[0].Plan.Name != "default" {
		t.Errorf("%+v", got)
	}
}
