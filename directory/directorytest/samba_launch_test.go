package directorytest_test

import (
	"strings"
	"testing"

	"postern/directory/directorytest"
)

func TestSambaIsReadyWithPeopleInEveryState(t *testing.T) {
	dc := directorytest.Samba(t)
	for login, want := range map[string]string{
		"user1": "", "odd1": "", "strong1": "", "admin1": "", "primary1": "",
		"locked1": "data 775", "disabled1": "data 533", "expired1": "data 532", "mustchange1": "data 773", "left1": "data 701",
	} {
		p := dc.Person(login)
		err := dc.Bind(p.DN, p.Password)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: bind says %v, want %q", login, err, want)
		}
	}
	who, err := dc.Whoami(t.Context(), dc.Person("user1").UPN, dc.Person("user1").Password)
	if err != nil || !strings.Contains(who, "user1") {
		t.Errorf("ldapwhoami says %q, %v", who, err)
	}
	if err := dc.Bind(dc.ServiceDN, dc.ServicePassword); err != nil {
		t.Errorf("service account: %v", err)
	}
}
