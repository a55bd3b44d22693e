package main

import (
	"regexp"
	"testing"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/openldap"
)

// security cases 3 and 18: a decoy's password is asked of the same directory
// every time, and of somebody who cannot exist.
func TestADecoyIsAlwaysTheSameStranger(t *testing.T) {
	make := stranger([]Directory{
		{Name: "corp", AD: &ad.Config{BaseDN: "OU=People, DC=Corp,dc=example"}},
		{Name: "old", OpenLDAP: &openldap.Config{BaseDN: "ou=people,dc=example,dc=org"}},
	})
	form := regexp.MustCompile(`^(corp|old):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	seen := map[string]int{}
	for _, id := range []directory.ID{"decoy:a", "decoy:b", "decoy:c", "decoy:d", "decoy:e", "decoy:f", "decoy:g", "decoy:h"} {
		u := make(id)
		if again := make(id); again.ID != u.ID || again.DN != u.DN {
			t.Errorf("%s became two people", id)
		}
		if !form.MatchString(string(u.ID)) {
			t.Errorf("%s cannot be an id", u.ID)
		}
		seen[u.Directory]++
		switch u.Directory {
		case "corp":
			if u.UPN != u.Login+"@corp.example" || u.DN != "CN="+u.Login+",OU=People, DC=Corp,dc=example" {
				t.Errorf("%+v", u)
			}
		case "old":
			if u.DN != "uid="+u.Login+",ou=people,dc=example,dc=org" {
				t.Errorf("%+v", u)
			}
		}
	}
	if seen["corp"] == 0 || seen["old"] == 0 {
		t.Errorf("every decoy is in one directory: %v", seen)
	}
}
