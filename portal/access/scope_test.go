package access

import (
	"strings"
	"testing"

	"postern/directory"
)

func TestAReachIsNeverWiderThanItSays(t *testing.T) {
	all := []Role{Technician, Senior}
	ward := directory.User{Directory: "ad", DN: `CN=Ada,OU=Ward\, 4,OU=Staff,DC=x`, Groups: []string{"CN=Nurses,DC=x"}}
	for name, c := range map[string]struct {
		scope Scope
		roles []Role
		u     directory.User
		want  bool
	}{
		"everything":            {Scope{}, all, ward, true},
		"no role":               {Scope{}, []Role{Auditor, Operator}, ward, false},
		"below":                 {Scope{Technician: Reach{OUs: []string{"ou=ward\\2C 4, ou=staff,dc=X"}}}, all[:1], ward, true},
		"beside":                {Scope{Technician: Reach{OUs: []string{"OU=Other,DC=x", "OU=aff,DC=x"}}}, all[:1], ward, false},
		"the entry itself":      {Scope{Technician: Reach{OUs: []string{ward.DN}}}, all[:1], ward, false},
		"no DN at all":          {Scope{Technician: Reach{OUs: []string{"DC=x"}}}, all[:1], directory.User{}, false},
		"a member":              {Scope{Technician: Reach{Groups: []string{"nurses"}}}, all[:1], ward, true},
		"no member":             {Scope{Technician: Reach{Groups: []string{"nurse"}}}, all[:1], ward, false},
		"in another directory":  {Scope{Technician: Reach{Directories: []string{"lab"}, Groups: []string{"nurses"}}}, all[:1], ward, false},
		"the senior's is wider": {Scope{Technician: Reach{Directories: []string{"lab"}}}, all, ward, true},
	} {
		if got := c.scope.Of(c.roles, c.u); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestScopesAndTicketsThatMeanNothingAreFaults(t *testing.T) {
	c := Config{Ticket: "(", Scope: Scope{Technician: Reach{OUs: []string{"Ward"}, Groups: []string{" ", "CN=,"}}, Senior: Reach{OUs: []string{""}}}}
	var told []string
	for _, err := range c.Validate() {
		key, _, _ := strings.Cut(err.Error(), ":")
		told = append(told, key)
	}
	if got := strings.Join(told, " "); got != "scope.technician.ous[0] scope.technician.groups[0] scope.technician.groups[1] scope.senior.ous[0] ticket" {
		t.Error(got)
	}
	for ticket, want := range map[string]bool{"INC-7": true, "7": true, "": false, " 7": false, strings.Repeat("x", 40): true, strings.Repeat("x", 41): false} {
		if p, err := (Config{}).Tickets(); err != nil || p.MatchString(ticket) != want {
			t.Errorf("%q: %v", ticket, !want)
		}
	}
	if p, err := (Config{Ticket: "INC[0-9]+|SR"}).Tickets(); err != nil || p.MatchString("xSR") || !p.MatchString("INC12") || p.MatchString("INC12 ") {
		t.Error("a pattern is not matched as a whole")
	}
}
