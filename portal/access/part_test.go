package access

import (
	"strings"
	"testing"

	"postern/directory"
)

// A scope left out is everybody, an exception left out is nobody: taken for each
// other they would open the desk to all, or shut it.
func TestAnExceptionLeftOutIsNobody(t *testing.T) {
	ada := directory.User{ID: "ad:1", Directory: "ad", DN: "CN=Ada,OU=Board,DC=x", Groups: []string{"CN=Board,DC=x"}}
	for name, c := range map[string]struct {
		p    Part
		want bool
	}{
		"nothing":              {Part{}, false},
		"empty lists":          {Part{OUs: []string{}, Groups: []string{}, Directories: []string{}}, false},
		"in the OU":            {Part{OUs: []string{"ou=board,dc=x"}}, true},
		"in the group":         {Part{Groups: []string{"board"}}, true},
		"in the directory":     {Part{Directories: []string{"ad"}}, true},
		"in one of two":        {Part{OUs: []string{"OU=Board,DC=x"}, Groups: []string{"Other"}}, false},
		"in another directory": {Part{Directories: []string{"lab"}, Groups: []string{"Board"}}, false},
	} {
		if got := c.p.Holds(ada); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (Part{}).Holds(directory.User{}) || (Part{OUs: []string{"DC=x"}}).Holds(directory.User{}) {
		t.Error("nobody is somebody")
	}
}

func TestCrossingIsForThoseBeyondOnesOwnScope(t *testing.T) {
	ward := directory.User{ID: "ad:1", Directory: "ad", DN: "CN=Ann,OU=Ward,DC=x"}
	lab := directory.User{ID: "ad:2", Directory: "ad", DN: "CN=Bo,OU=Lab,DC=x"}
	far := directory.User{ID: "ad:3", Directory: "ad", DN: "CN=Cy,OU=Far,DC=x"}
	tech, senior := []Role{Technician}, []Role{Technician, Senior}
	c := Config{Scope: Scope{Technician: Reach{OUs: []string{"OU=Ward,DC=x"}}, Senior: Reach{OUs: []string{"OU=Lab,DC=x"}}},
		Crossing: Part{OUs: []string{"OU=Lab,DC=x", "OU=Ward,DC=x"}}}
	for name, one := range map[string]struct {
		c     Config
		roles []Role
		u     directory.User
		want  bool
	}{
		"their own":                  {c, tech, ward, false},
		"beyond it":                  {c, tech, lab, true},
		"beyond the crossing too":    {c, tech, far, false},
		"a senior's own":             {c, senior, lab, false},
		"no role that helps":         {c, []Role{Auditor, Operator}, lab, false},
		"nobody":                     {c, nil, lab, false},
		"nothing is given":           {Config{Scope: c.Scope}, tech, lab, false},
		"a scope that is everything": {Config{Crossing: c.Crossing}, tech, lab, false},
	} {
		if got := one.c.Crosses(one.roles, one.u); got != one.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestPartsThatMeanNothingAreFaults(t *testing.T) {
	c := Config{FourEyes: Part{OUs: []string{"Ward", "OU=Ward,DC=x"}, Groups: []string{" "}}, Crossing: Part{Groups: []string{"Ward", "CN=,"}}}
	var told []string
	for _, err := range c.Validate() {
		key, _, _ := strings.Cut(err.Error(), ":")
		told = append(told, key)
	}
	if got := strings.Join(told, " "); got != "four_eyes.ous[0] four_eyes.groups[0] crossing.groups[1]" {
		t.Error(got)
	}
}
