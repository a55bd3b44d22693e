package access

import (
	"slices"
	"strings"
	"testing"

	"postern/directory"
	"postern/verify"
)

func TestRolesComeFromGroupsAlone(t *testing.T) {
	r := Roles{Technician: []string{"Help Desk"}, Senior: []string{"CN=Seniors,DC=x"}, Auditor: []string{"Audit", "Help Desk"}, Operator: []string{"Ops"}}
	for groups, want := range map[string][]Role{
		"":                           nil,
		"Staff":                      nil,
		"cn=help  desk,ou=G,dc=x":    {Technician, Auditor},
		"cn=SENIORS, dc=X":           {Senior},
		"CN=Seniors,DC=y":            nil,
		"CN=Ops,DC=x|CN=Audit,DC=x":  {Auditor, Operator},
		"CN=Other,OU=Ops,DC=x":       nil,
		"CN=Ops\\,CN=Audit,OU=x,DC=": nil,
	} {
		u := directory.User{ID: "ad:1"}
		if groups != "" {
			u.Groups = strings.Split(groups, "|")
		}
		if got := r.Of(u); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", groups, got, want)
		}
	}
	if got := (Roles{}).Of(directory.User{Groups: []string{"", "Ops"}}); got != nil || (Roles{}).On() {
		t.Errorf("nothing is configured, and somebody has %v", got)
	}
	if !(Roles{Senior: []string{"x"}}).On() {
		t.Error("a role that is given is off")
	}
}

func TestGroupsNobodyCouldBeInAreFaults(t *testing.T) {
	c := Config{Roles: Roles{Technician: []string{"Help Desk", "CN=a,DC=b"}, Senior: []string{" "}, Auditor: []string{"CN=Audit,"}, Operator: []string{"Ops", "", "Ops"}}}
	var told []string
	for _, err := range c.Validate() {
		told = append(told, err.Error())
	}
	want := []string{"roles.senior[0]: is empty", `roles.auditor[0]: "CN=Audit," is neither a name nor a DN`, "roles.operator[1]: is empty", `roles.operator[2]: "Ops" is there twice`}
	if !slices.Equal(told, want) {
		t.Errorf("%q", told)
	}
	if faults := (Config{}).Validate(); faults != nil {
		t.Errorf("nothing at all: %v", faults)
	}
}

func TestBoundNeedsSomethingInThePersonsHand(t *testing.T) {
	for kinds, want := range map[string]bool{"": false, "password email": false, "recovery_code": false, "password sms": false, "password totp": true, "passkey": true, "yubikey": true} {
		var p Principal
		for k := range strings.FieldsSeq(kinds) {
			p.By = append(p.By, verify.Kind(k))
		}
		if p.Bound() != want {
			t.Errorf("%q: %v", kinds, p.Bound())
		}
	}
}
