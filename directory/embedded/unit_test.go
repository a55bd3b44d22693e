package embedded

import (
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
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
		"(userAccountControl:1.2.840.113556.1.4.803:=2)": true, "(userAccountControl:1.2.840.113556.1.4.803:=16)": false,
		"(userAccountControl:1.2.840.113556.1.4.804:=18)": true, `(memberOf=cn=group\5c, a, dc=x)`: true,
	} {
		m, err := compile(filter)
		if err != nil || m(e) != want {
			t.Errorf("%s: %v, want %v", filter, err, want)
		}
	}
	for _, filter := range []string{"", "(", "mail", "(mail=a*)", "(mail>=a)", "(mail:1.2.3:=a)", "(userAccountControl:1.2.840.113556.1.4.803:=x)"} {
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
	if !below("cn=a,ou=b,dc=c", "DC=C") || below("dc=c", "dc=c") || below("cn=a,dc=xc", "dc=c") || !childOf("cn=a,dc=c", "dc=c") || childOf("cn=a,ou=b,dc=c", "dc=c") {
		t.Error("below, childOf")
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

var _ io.Reader = iotest{}
