package embedded

import (
	"fmt"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestOnlyTheServiceAccountWrites(t *testing.T) {
	f := started(t)
	p, other, admin := f.person("user5"), f.person("user6"), f.person("admin1")
	user := f.dial()
	if err := user.Bind(p.DN, p.Password.Reveal()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*ldap.Conn{"a stranger": f.dial(), "the user": user} {
		for _, m := range []*ldap.ModifyRequest{reset(p.DN, "Fresh-Harvest-22"), reset(other.DN, "Fresh-Harvest-22"), changed(p.DN, p.Password.Reveal(), "Fresh-Harvest-22")} {
			t.Run(name, func(t *testing.T) { says(t, c.Modify(m), ldap.LDAPResultInsufficientAccessRights, "00002098") })
		}
	}
	s := f.service()
	mail := ldap.NewModifyRequest(p.DN, nil)
	mail.Replace("mail", []string{"evil@example.org"})
	says(t, s.Modify(mail), ldap.LDAPResultInsufficientAccessRights, "00002098")
	unlock := ldap.NewModifyRequest(admin.DN, nil)
	unlock.Replace("lockoutTime", []string{"0"})
	for _, m := range []*ldap.ModifyRequest{reset(admin.DN, "Fresh-Harvest-22"), unlock} {
		says(t, s.Modify(m), ldap.LDAPResultInsufficientAccessRights, "00002098")
	}
	if err := s.Modify(changed(admin.DN, admin.Password.Reveal(), "Fresh-Harvest-22")); err != nil {
		t.Errorf("a true change is everybody's right: %v", err)
	}
	says(t, s.Add(&ldap.AddRequest{DN: "CN=x," + peopleDN}), ldap.LDAPResultInsufficientAccessRights, "00002098")
	says(t, s.Del(&ldap.DelRequest{DN: p.DN}), ldap.LDAPResultInsufficientAccessRights, "00002098")
	if err := f.bind(p.DN, p.Password.Reveal()); err != nil {
		t.Errorf("something was written: %v", err)
	}
}

func TestPasswordWritesAnswerAsActiveDirectory(t *testing.T) {
	f := started(t)
	s := f.service()
	p := f.person("user7")
	old := p.Password.Reveal()
	raw := func(value string) *ldap.ModifyRequest {
		m := ldap.NewModifyRequest(p.DN, nil)
		m.Replace("unicodePwd", []string{value})
		return m
	}
	hinted := reset(p.DN, old)
	hinted.Controls = []ldap.Control{ldap.NewControlString(oidPolicyHints, true, "\x30\x03\x02\x01\x01")}
	for _, c := range []struct {
		name string
		m    *ldap.ModifyRequest
		code uint16
		text string
	}{
		{"too short", reset(p.DN, "aB3-aB3-a"), ldap.LDAPResultConstraintViolation, "0000052D: "},
		{"two classes", reset(p.DN, "alllowercase11"), ldap.LDAPResultConstraintViolation, "0000052D: "},
		{"own login", reset(p.DN, "x-User7-Harvest-22"), ldap.LDAPResultConstraintViolation, "0000052D: "},
		{"own name", reset(p.DN, "x-tomasz-Harvest-22"), ldap.LDAPResultConstraintViolation, "0000052D: "},
		{"history on a hinted reset", hinted, ldap.LDAPResultConstraintViolation, "0000052D: "},
		{"no quotation marks", raw("F\x00r\x00e\x00s\x00h\x00-\x00H\x00a\x002\x00-\x00x\x00"), ldap.LDAPResultUnwillingToPerform, "0000001F: "},
		{"not UTF-16", raw(`"Fresh-Harvest-22"`), ldap.LDAPResultUnwillingToPerform, "0000001F: "},
		{"empty", reset(p.DN, ""), ldap.LDAPResultConstraintViolation, "0000052D: "},
		{"wrong old", changed(p.DN, "wrong", "Fresh-Harvest-22"), ldap.LDAPResultConstraintViolation, "00000056: "},
		{"reused", changed(p.DN, old, old), ldap.LDAPResultConstraintViolation, "0000052D: "},
		{"nobody", reset("<GUID=00000000-0000-4000-8000-000000000000>", "Fresh-Harvest-22"), ldap.LDAPResultNoSuchObject, "0000208D: "},
	} {
		t.Run(c.name, func(t *testing.T) { says(t, s.Modify(c.m), c.code, c.text) })
	}
	if err := f.bind(p.DN, old); err != nil {
		t.Fatalf("a refused password was stored: %v", err)
	}
	if err := s.Modify(reset(p.DN, old)); err != nil {
		t.Errorf("a reset without the control obeys no history: %v", err)
	}
	var last string
	for i := range 5 {
		pw := fmt.Sprintf("Fresh-Harvest-%d", 22+i)
		if err := s.Modify(changed(p.DN, map[bool]string{true: old, false: last}[i == 0], pw)); err != nil {
			t.Fatal(err)
		}
		last = pw
	}
	says(t, s.Modify(changed(p.DN, last, "Fresh-Harvest-22")), ldap.LDAPResultConstraintViolation, "0000052D: ")
	if err := s.Modify(changed(p.DN, last, old)); err != nil {
		t.Errorf("the sixth last password is forgotten: %v", err)
	}
}

func TestWrongOldPasswordsLockToo(t *testing.T) {
	f := started(t)
	s, p := f.service(), f.person("user8")
	for range 5 {
		says(t, s.Modify(changed(p.DN, "wrong", "Fresh-Harvest-22")), ldap.LDAPResultConstraintViolation, "00000056")
	}
	says(t, s.Modify(changed(p.DN, p.Password.Reveal(), "Fresh-Harvest-22")), ldap.LDAPResultConstraintViolation, "00000775")
}

func TestLockoutTimeAndPwdLastSetTakeTheirValuesOnly(t *testing.T) {
	f := started(t)
	s, p := f.service(), f.person("locked1")
	write := func(attr, value string) error {
		m := ldap.NewModifyRequest(p.DN, nil)
		m.Replace(attr, []string{value})
		return s.Modify(m)
	}
	for _, c := range [][2]string{{"lockoutTime", "1"}, {"lockoutTime", "-1"}, {"pwdLastSet", "1"}, {"pwdLastSet", "133000000000000000"}} {
		says(t, write(c[0], c[1]), ldap.LDAPResultUnwillingToPerform, "00000057")
	}
	if err := write("lockoutTime", "0"); err != nil {
		t.Fatal(err)
	}
	if err := f.bind(p.DN, p.Password.Reveal()); err != nil {
		t.Errorf("after the unlock: %v", err)
	}
	if err := write("pwdLastSet", "0"); err != nil {
		t.Fatal(err)
	}
	says(t, f.bind(p.DN, p.Password.Reveal()), ldap.LDAPResultInvalidCredentials, "data 773")
	if err := write("pwdLastSet", "-1"); err != nil {
		t.Fatal(err)
	}
	if err := f.bind(p.DN, p.Password.Reveal()); err != nil {
		t.Errorf("after -1: %v", err)
	}
}

func TestAFailedPartUndoesTheWhole(t *testing.T) {
	f := started(t)
	p := f.person("locked1")
	m := ldap.NewModifyRequest(p.DN, nil)
	m.Replace("lockoutTime", []string{"0"})
	m.Replace("unicodePwd", []string{quoted("short")})
	says(t, f.service().Modify(m), ldap.LDAPResultConstraintViolation, "0000052D")
	if !f.person("locked1").Locked {
		t.Error("unlocked by a request that failed")
	}
}
