package enrol_test

import (
	"bytes"
	"encoding/csv"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"postern/directory"
	"postern/portal/enrol"
	"postern/verify"
)

func TestFiguresAddUpInAllAndByGroup(t *testing.T) {
	hold := func(login string, k verify.Kind, n int) enrol.Holding {
		return enrol.Holding{Owner: directory.ID("test:" + login), Kind: k, Count: n}
	}
	in := func(login string, groups ...string) directory.User {
		u := one(login)
		u.Groups = groups
		return u
	}
	off := in("off", "CN=Ward,DC=x")
	off.State.Disabled = true
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSurvey(t, stock{hold("codes", verify.RecoveryCode, 2), hold("codes", verify.TOTP, 1), hold("gone", verify.TOTP, 1), hold("key", verify.Passkey, 1),
			hold("lost", verify.TOTP, 1), hold("off", verify.TOTP, 1)},
			in("codes", "cn=ward, dc=X"), in("key", "CN=Ward,DC=x", "Office"), in("lost", "Elsewhere"), off)
		s.Groups = []string{"Ward", "CN=Office,DC=x", "Office"}
		got, err := s.Coverage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := enrol.Figures{People: 3, CanRecover: 2, ByPasskeyAlone: 1, ByTwoGates: 1, OneWay: 2, CannotRecover: 1, CodesLeft: 2, FewCodes: 1,
			Factors: map[verify.Kind]int{verify.TOTP: 2, verify.RecoveryCode: 1, verify.Passkey: 1}, NotServed: map[string]int{"disabled": 1}, Gone: 1}
		if f := got.Figures(); !reflect.DeepEqual(f, want) {
			t.Errorf("%+v\nwant %+v", f, want)
		}
		for group, want := range map[string][3]int{"Ward": {2, 2, 1}, "Office": {1, 1, 0}, "CN=Office,DC=x": {}, "Elsewhere": {}} {
			if f := got.In(group); f.People != want[0] || f.CanRecover != want[1] || f.NotServed["disabled"] != want[2] || f.Gone != 0 {
				t.Errorf("%s: %+v", group, f)
			}
		}
		if len(got.Groups) != 3 {
			t.Errorf("asked about %v", got.Groups)
		}
	})
}

// security case 113: names in a directory are others' text.
func TestCoverageCSVHoldsNoFormulaAndNoControls(t *testing.T) {
	all := enrol.Coverage{People: []enrol.Covered{{ID: "corp:1", Login: "=cmd|' /C calc'!A0", Name: "@SUM(A1)\x1b[2J"}},
		Unserved: []enrol.Covered{{ID: "corp:2", Login: "-2+3", Unserved: "disabled"}}, Gone: []directory.ID{"+1"}}
	var out bytes.Buffer
	if err := all.WriteCSV(&out); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatal(rows, err)
	}
	for i, status := range []string{"status", enrol.CannotRecover, "not_served:disabled", enrol.Gone} {
		if rows[i][2] != status {
			t.Errorf("line %d: %q", i, rows[i])
		}
	}
	for _, row := range rows[1:] {
		for _, field := range row {
			if strings.ContainsAny(field, "\x1b\n") || field != "" && strings.ContainsAny(field[:1], "=+-@") {
				t.Errorf("%q", field)
			}
		}
	}
}
