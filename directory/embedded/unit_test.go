package embedded

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

func TestSamplePeopleAreWhoTheIssueSays(t *testing.T) {
	people, err := SamplePeople(rand.NewChaCha8([32]byte{7}))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := SamplePeople(rand.NewChaCha8([32]byte{7}))
	byLogin, names, phones := map[string]Person{}, map[string]bool{}, map[string]bool{}
	for i, p := range people {
		byLogin[p.Login] = p
		if names[p.Name] || phones[p.Phone] {
			t.Errorf("%s: name or phone taken twice", p.Login)
		}
		names[p.Name], phones[p.Phone] = true, true
		if p.Mail != p.Login+"@example.org" || !strings.HasPrefix(p.Phone, "+1 555 01") || len(p.Phone) != len("+1 555 0100") {
			t.Errorf("%s: %s %s", p.Login, p.Mail, p.Phone)
		}
		if p.Password != again[i].Password {
			t.Errorf("%s: the password does not come from the reader given", p.Login)
		}
	}
	if len(byLogin) != 29 || len(people) != 29 {
		t.Errorf("%d people", len(people))
	}
	if !byLogin["locked1"].Locked || !byLogin["mustchange1"].MustChange || !byLogin["expired1"].PasswordExpired ||
		!byLogin["disabled1"].Disabled || !byLogin["admin1"].Protected || byLogin["user20"].Manager != "manager1" ||
		byLogin["manager1"].Manager != "director1" || byLogin["director1"].Manager != "" ||
		byLogin["tech2"].Groups[0] != Technicians || byLogin["operator1"].Groups[0] != Operators {
		t.Error("somebody is not what the login says")
	}
	if _, err := SamplePeople(iotest{}); err == nil {
		t.Error("passwords without randomness")
	}
}

type iotest struct{}

func (iotest) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

// Whatever the dice say, a sample password obeys the policy its owner is under.
func TestSamplePasswordsObeyThePolicy(t *testing.T) {
	p := domainPolicy(0)
	for seed := range byte(50) {
		people, err := SamplePeople(rand.NewChaCha8([32]byte{seed}))
		if err != nil {
			t.Fatal(err)
		}
		for _, person := range people {
			a := account{Login: person.Login, Name: person.Name}
			if rule := a.refusedBecause(p, person.Password.Reveal()); rule != "" {
				t.Errorf("%s: %q is refused: %s", person.Login, person.Password.Reveal(), rule)
			}
		}
	}
}

func TestComplexity(t *testing.T) {
	for pw, want := range map[string]bool{
		"Fresh-harvest": true, "freshharvest1": false, "Freshharvest1": true, "fresh harvest 1": true, "ΑΒΓαβγ123": true,
		"港灯台abc1": true, "港灯台abcd": false, "🙂🙂🙂aB": true, "": false, "x-JSMITH-9": false, "x-Smith-9": false, "x-Jo-Smi9": true,
	} {
		if got := complex(pw, "jsmith", "Jo Smith"); got != want {
			t.Errorf("%q: %v, want %v", pw, got, want)
		}
	}
	// Names of one or two characters do not count.
	if !complex("Li-harvest-9", "li", "Li") {
		t.Error("a short name was held against a password")
	}
}

func TestLengthIsInUTF16Units(t *testing.T) {
	a := account{Login: "someone"}
	if a.refusedBecause(domainPolicy(0), "aB3🙂🙂🙂") != directory.RuleTooShort || a.refusedBecause(domainPolicy(0), "aB3🙂🙂🙂x") != "" {
		t.Error("an emoji is two units")
	}
}

func TestIdsAreInWireForm(t *testing.T) {
	g := guid("00112233-4455-6677-8899-aabbccddeeff")
	if got := hex.EncodeToString([]byte(g.bytes())); got != "33221100554477668899aabbccddeeff" {
		t.Errorf("GUID %s", got)
	}
	s := sid{[3]uint32{1, 2, 3}, 512}
	if got := hex.EncodeToString([]byte(s.bytes())); got != "010500000000000515000000010000000200000003000000"+"00020000" {
		t.Errorf("SID %s", got)
	}
	if s.String() != "S-1-5-21-1-2-3-512" {
		t.Error(s)
	}
	if fileTime(time.Unix(0, 0)) != "116444736000000000" || fileTime(time.Time{}) != "0" || interval(30*time.Minute) != "-18000000000" {
		t.Error("times")
	}
}

func TestDescriptorIsWellFormed(t *testing.T) {
	d := &data{Domain: [3]uint32{1, 2, 3}}
	for _, protected := range []bool{false, true} {
		b := []byte(d.descriptor(protected))
		dacl := int(b[16]) | int(b[17])<<8
		size := int(b[dacl+2]) | int(b[dacl+3])<<8
		count := int(b[dacl+4])
		at := dacl + 8
		for range count {
			at += int(b[at+2]) | int(b[at+3])<<8
		}
		if dacl+size != len(b) || at != len(b) {
			t.Errorf("protected=%v: DACL at %d of %d bytes, entries end at %d, descriptor at %d", protected, dacl, size, at, len(b))
		}
		if has := strings.Contains(string(b), guid(rightResetPassword).bytes()); has == protected {
			t.Errorf("protected=%v, and Reset Password granted=%v", protected, has)
		}
	}
}

func TestFilters(t *testing.T) {
	e := &entry{dn: "CN=u,DC=x", attrs: map[string][]string{
		"sAMAccountName": {"Alice Smith"}, "mail": {"a@x", "b@x"}, "objectGUID": {"\x00*\xff"}, "userAccountControl": {"514"},
		"memberOf": {"CN=Group\\, A,DC=x"}, "objectClass": {"top", "user"},
	}}
	for filter, want := range map[string]bool{
		"(samaccountname=ALICE SMITH)": true, "(sAMAccountName= alice  smith )": true, "(sAMAccountName=alicesmith)": false,
		"(mail=B@x)": true, "(mail=*)": true, "(phone=*)": false, `(mail=\2a)`: false, `(objectGUID=\00\2a\ff)`: true, `(objectGUID=\00\2a\fe)`: false,
		"(&(objectClass=user)(mail=a@x))": true, "(&(objectClass=user)(mail=c@x))": false, "(|(mail=c@x)(mail=a@x))": true, "(!(mail=a@x))": false,
		"(samaccountname=ALI*)": true, "(sAMAccountName=alice  s*)": false, "(sAMAccountName=alice s*)": true, "(sAMAccountName=smith*)": false, "(sAMAccountName=*ce*mi*TH)": true,
		"(sAMAccountName=*mi*ce*)": false, "(sAMAccountName=alice smith*h)": false, `(mail=\2a*)`: false, "(mail=b*)": true, "(mail=*x)": true, "(phone=a*)": false,
		"(userAccountControl:1.2.840.113556.1.4.803:=2)": true, "(userAccountControl:1.2.840.113556.1.4.803:=16)": false,
		"(userAccountControl:1.2.840.113556.1.4.804:=18)": true, `(memberOf=cn=group\5c, a, dc=x)`: true,
	} {
		m, err := compile(filter)
		if err != nil || m(e) != want {
			t.Errorf("%s: %v, want %v", filter, err, want)
		}
	}
	for _, filter := range []string{"", "(", "mail", "(mail>=a)", "(memberOf=CN=a*)", "(objectGUID=*a)", "(mail:1.2.3:=a)", "(userAccountControl:1.2.840.113556.1.4.803:=x)"} {
		if _, err := compile(filter); err == nil {
			t.Errorf("%q compiles", filter)
		}
	}
}

// Security case 56: a value is a value, whatever is in it.
func FuzzFilterValue(f *testing.F) {
	for _, s := range []string{"*", ")(", `\2a`, "a*)(objectClass=*", "\x00", "\xff\xfe", " x ", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		m, err := compile("(sAMAccountName=" + ldap.EscapeFilter(value) + ")")
		if err != nil {
			if value == "" {
				return
			}
			t.Fatalf("%q: %v", value, err)
		}
		if m(&entry{attrs: map[string][]string{"sAMAccountName": {"someone-else-entirely"}}}) && !foldEqual(value, "someone-else-entirely") {
			t.Errorf("%q matches somebody else", value)
		}
	})
}

func TestDNForms(t *testing.T) {
	if !sameDN("cn=A\\, b, ou=X,dc=y", "CN=a\\2C B,OU=x,DC=Y") || sameDN("cn=a,dc=y", "cn=a,dc=z") || sameDN("garbage", "cn=a") {
		t.Error("sameDN")
	}
	in := func(how func(dn, base *ldap.DN) bool, dn, base string) bool {
		t.Helper()
		a, errA := ldap.ParseDN(dn)
		b, errB := ldap.ParseDN(base)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		return how(a, b)
	}
	if !in(atOrBelow, "cn=a,ou=b,dc=c", "DC=C") || !in(atOrBelow, "dc=c", "DC=c") || in(atOrBelow, "cn=a,dc=xc", "dc=c") || in(atOrBelow, "dc=c", "ou=b,dc=c") {
		t.Error("atOrBelow")
	}
	if !in(childOf, "cn=a,dc=c", "DC=c") || in(childOf, "cn=a,ou=b,dc=c", "dc=c") || in(childOf, "dc=c", "dc=c") || in(childOf, "", "dc=c") {
		t.Error("childOf")
	}
	want := guid("00112233-4455-6677-8899-aabbccddeeff").bytes()
	for _, dn := range []string{"<GUID=00112233-4455-6677-8899-aabbccddeeff>", "<guid=00112233-4455-6677-8899-AABBCCDDEEFF>", "<GUID=33221100554477668899aabbccddeeff>"} {
		if g, ok := guidOf(dn); !ok || g != want {
			t.Errorf("%s: %x", dn, g)
		}
	}
	for _, dn := range []string{"<GUID=>", "<GUID=zz>", "<GUID=00112233-4455-6677-8899-aabbccddee>"} {
		d := &data{Accounts: []*account{{GUID: "00112233-4455-6677-8899-aabbccddeeff"}, {}}}
		if a := d.byDN(dn); a != nil && a.GUID != "" {
			t.Errorf("%s finds somebody", dn)
		}
	}
}

// Whatever is changed shows in the next search, by name and by object.
func TestIndexFollowsWhatChanges(t *testing.T) {
	f := started(t, func(c *Config) {
		c.People = []Person{{Login: "ärmel", Name: "A", Manager: "BOSS", Password: directory.NewSecret("Amber-Tulip-41")},
			{Login: "boss", Name: "B", Password: directory.NewSecret("Amber-Tulip-42")}}
	})
	s := f.service()
	logins := func(base string, scope int, filter string) []string {
		t.Helper()
		res, err := s.Search(ldap.NewSearchRequest(base, scope, 0, 0, 0, false, filter, []string{"sAMAccountName"}, nil))
		if ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) {
			return nil
		}
		if err != nil {
			t.Fatalf("%s below %s: %v", filter, base, err)
		}
		var out []string
		for _, e := range res.Entries {
			out = append(out, e.GetAttributeValue("sAMAccountName"))
		}
		return out
	}
	is := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	managed := "(manager=cn=boss," + peopleDN + ")"
	is("managed", logins(baseDN, ldap.ScopeWholeSubtree, managed), "ärmel")
	// Cases of letters that no lower-case normal form sees.
	is("by name", logins("CN=ÄRMEL,"+peopleDN, ldap.ScopeBaseObject, "(objectClass=*)"), "ärmel")
	is("disabled", logins(baseDN, ldap.ScopeWholeSubtree, "(userAccountControl:1.2.840.113556.1.4.803:=2)"))
	if err := f.Set("ärmel", func(p *Person) { p.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	is("disabled", logins(baseDN, ldap.ScopeWholeSubtree, "(userAccountControl:1.2.840.113556.1.4.803:=2)"), "ärmel")
	is("still managed", logins(peopleDN, ldap.ScopeSingleLevel, managed), "ärmel")
	if err := f.Add(Person{Login: "new", Name: "N", Groups: []string{"New"}, Manager: "boss", Password: directory.NewSecret("Amber-Tulip-43")}); err != nil {
		t.Fatal(err)
	}
	is("added", logins(baseDN, ldap.ScopeWholeSubtree, managed), "ärmel", "new")
	is("its group", logins("cn=new,"+groupsDN, ldap.ScopeBaseObject, "(member=CN=new,"+peopleDN+")"), "New")
	if err := f.Remove("Boss"); err != nil {
		t.Fatal(err)
	}
	is("removed", logins("CN=boss,"+peopleDN, ldap.ScopeBaseObject, "(objectClass=*)"))
	is("managed by nobody", logins(baseDN, ldap.ScopeWholeSubtree, "(manager=*)"))
	is("people", logins(peopleDN, ldap.ScopeWholeSubtree, "(objectClass=user)"), "ärmel", "new")
	if f.Remove("boss") == nil {
		t.Error("removed twice")
	}
	f.clock.pass(500 * 24 * time.Hour)
	if e := f.entry("CN=new,"+peopleDN, "msDS-User-Account-Control-Computed"); e.GetAttributeValue("msDS-User-Account-Control-Computed") != "8388608" {
		t.Errorf("what is computed does not follow the clock: %v", e.Attributes)
	}
}

func TestPagesAsInActiveDirectory(t *testing.T) {
	f := started(t)
	s := f.service()
	ask := func(size uint32, cookie string) (*ldap.SearchResult, *ldap.ControlPaging, error) {
		t.Helper()
		paging := ldap.NewControlPaging(size)
		paging.SetCookie([]byte(cookie))
		res, err := s.Search(ldap.NewSearchRequest(peopleDN, ldap.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=user)", []string{"1.1"}, []ldap.Control{paging}))
		if err != nil {
			return res, nil, err
		}
		next, ok := ldap.FindControl(res.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok {
			t.Fatal("no control came back")
		}
		return res, next, nil
	}
	seen, cookie := map[string]bool{}, ""
	for pages := 1; ; pages++ {
		res, next, err := ask(10, cookie)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range res.Entries {
			seen[e.DN] = true
		}
		if cookie = string(next.Cookie); cookie == "" {
			if pages != 3 || len(seen) != 29 {
				t.Errorf("%d people in %d pages", len(seen), pages)
			}
			break
		}
	}
	if res, next, err := ask(0, ""); err != nil || len(res.Entries) != 0 || len(next.Cookie) != 0 {
		t.Errorf("a page of none: %v", err)
	}
	for _, cookie := range []string{"x", "-1", "1 "} {
		_, _, err := ask(10, cookie)
		says(t, err, ldap.LDAPResultUnwillingToPerform, "00000057")
	}
	if res, _, err := ask(10, "1000"); err != nil || len(res.Entries) != 0 {
		t.Errorf("a cookie beyond the end: %v", err)
	}
}

// Without pages nobody gets more than a thousand (MaxPageSize).
func TestOneAnswerHoldsAThousand(t *testing.T) {
	f := started(t)
	f.mu.Lock()
	for range maxPageSize {
		a := *f.data.Accounts[0]
		a.Login = "x" + string(a.GUID)
		a.DN = Person{Login: fmt.Sprint("crowd", len(f.data.Accounts))}.dnOf()
		f.data.Accounts = append(f.data.Accounts, &a)
	}
	f.index = nil
	f.mu.Unlock()
	s := f.service()
	req := ldap.NewSearchRequest(peopleDN, ldap.ScopeWholeSubtree, 0, 0, 0, false, "(objectClass=user)", []string{"1.1"}, nil)
	res, err := s.Search(req)
	if !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || len(res.Entries) != maxPageSize {
		t.Errorf("%d entries, %v", len(res.Entries), err)
	}
	if res, err = s.SearchWithPaging(req, 5000); err != nil || len(res.Entries) != maxPageSize+29 {
		t.Errorf("%d entries in pages, %v", len(res.Entries), err)
	}
}

var _ io.Reader = iotest{}
