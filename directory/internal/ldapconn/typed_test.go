package ldapconn

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

var looked = map[string]Looked{
	"text": {Names: []string{"uid", "cn", "sn"}, Phrases: []string{"cn"}, Phones: []string{"mobile", "telephoneNumber"}, Numbers: []string{"employeeID"}, Spelled: true},
	"rfc":  {Names: []string{"uid", "cn", "sn"}, Phrases: []string{"cn"}, Phones: []string{"mobile", "telephoneNumber"}, Numbers: []string{"employeeID"}},
}

// shape parses the filter as the wire would carry it and fails unless it is what
// Filter promises: every word once for each name as a beginning, and nothing with a
// wildcard in front but digits in telephone numbers.
func shape(t *testing.T, l Looked, typed Typed) {
	t.Helper()
	filter := l.Filter(typed)
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("%q: %s: "+format, append([]any{typed.whole, filter}, args...)...)
	}
	root, err := ldap.CompileFilter(filter)
	if err != nil {
		fail("%v", err)
	}
	if root.Tag != ldap.FilterOr || len(root.Children) == 0 || root.Children[0].Tag != ldap.FilterAnd || len(root.Children[0].Children) != len(typed.words) {
		fail("not an or that begins with an and of %d words", len(typed.words))
	}
	begins := func(p *ber.Packet, attributes []string, value string) {
		t.Helper()
		if p.Tag != ldap.FilterOr || len(p.Children) != len(attributes) {
			fail("not an or of %d", len(attributes))
		}
		for i, n := range p.Children {
			if n.Tag != ldap.FilterSubstrings || n.Children[0].Data.String() != attributes[i] || len(n.Children[1].Children) != 1 ||
				n.Children[1].Children[0].Tag != ldap.FilterSubstringsInitial || n.Children[1].Children[0].Data.String() != value {
				fail("%s does not begin with %q", attributes[i], value)
			}
		}
	}
	for i, w := range root.Children[0].Children {
		begins(w, l.Names, typed.words[i])
	}
	rest := root.Children[1:]
	if len(typed.words) > 1 {
		begins(rest[0], l.Phrases, typed.whole)
		rest = rest[1:]
	}
	for _, part := range rest {
		for _, n := range part.Children {
			attribute := n.Children[0].Data.String()
			switch n.Tag {
			case ldap.FilterEqualityMatch:
				if v := n.Children[1].Data.String(); v != typed.whole && v != typed.words[0] && v != typed.digits ||
					!slices.Contains(l.Phones, attribute) && !slices.Contains(l.Numbers, attribute) {
					fail("%s equals %q", attribute, v)
				}
			case ldap.FilterSubstrings:
				all := ""
				for _, p := range n.Children[1].Children {
					if p.Tag != ldap.FilterSubstringsAny {
						fail("part %d", p.Tag)
					}
					all += p.Data.String()
				}
				if all != significant(typed.digits) || len(all) < minPhone || Digits(all) != all || !slices.Contains(l.Phones, attribute) {
					fail("%s holds %q", attribute, all)
				}
			default:
				fail("a node of kind %d", n.Tag)
			}
		}
	}
	if typed.digits == "" && !typed.number && len(rest) > 0 || len(rest) > 4 {
		fail("%d more parts", len(rest))
	}
}

// security case 56
func TestWhateverIsTypedStaysAValueInASearch(t *testing.T) {
	for _, v := range []string{"ada", "ada lov", "*", "**", "*)(objectClass=*", ")(|(uid=*", `\2a`, `\\`, "((", "a\x00b", "\xff\xfe", "é é", "日本", "", " ", "==", "& |", "Lovelace, Ada",
		"+1 (555) 0142-77", "000000", "123456", "12*456", "E1234", "1 2 3 4 5 6 7 8", strings.Repeat("ab ", 20), strings.Repeat("x", 100)} {
		for _, l := range looked {
			shape(t, l, ParseTyped(v))
		}
	}
}

func FuzzSearchFilter(f *testing.F) {
	for _, v := range []string{"ada lov", "*", "*)(objectClass=*", `\2a`, "a\x00b", "\xff", "+1 555 0142", "1*5*5*5*0*1", "a,b; c", "  ,  ", "E1234"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		typed := ParseTyped(v)
		if len(typed.words) == 0 || len(typed.words) > maxWords || utf8.RuneCountInString(typed.whole) > maxTyped || typed.whole == "" {
			t.Fatalf("%q is %+v", v, typed)
		}
		for _, l := range looked {
			shape(t, l, typed)
		}
	})
}

// security case 52
func TestWhatFindsNobodyIsLookedForAllTheSame(t *testing.T) {
	for in, refused := range map[string]bool{
		"": true, " ": true, "a": true, "é": true, " a ": true, "a b": true, ",;": true, "a,": true, "ab\x00": true, "ab\ncd": true, "ab\x7f": true, "ab\u0085": true, "ab\xff": true,
		strings.Repeat("a", 65): true, strings.Repeat("ab ", 9): true,
		"ab": false, " ab ": false, "éa": false, "王明": false, "ab c": false, strings.Repeat("a", 64): false, strings.Repeat("é", 64): false, strings.Repeat("ab ", 8): false,
	} {
		if got := ParseTyped(in).whole == nobody.whole; got != refused {
			t.Errorf("%q: %v", in, got)
		}
	}
}

func TestANumberIsKnownForOne(t *testing.T) {
	for in, want := range map[string]Typed{
		"+1 (555) 01-42":  {digits: "15550142"},
		"15550142":        {digits: "15550142", number: true},
		"0049.555/0142":   {digits: "00495550142", number: true},
		"E1234":           {number: true},
		"user12":          {},
		"a1":              {number: true},
		"ext 42":          {},
		"+1 555 0142 ada": {},
		"++":              {},
	} {
		if got := ParseTyped(in); got.digits != want.digits || got.number != want.number {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

// What a pattern of single digits finds besides is no hit.
func TestNumbersThatOnlyLookAlikeDoNotFit(t *testing.T) {
	l := looked["text"]
	typed := ParseTyped("0555 0142")
	if !l.Loose(typed) || looked["rfc"].Loose(typed) || l.Loose(ParseTyped("12 345")) || l.Loose(ParseTyped("ada")) {
		t.Error("loose")
	}
	for phone, want := range map[string]bool{"+1 555 0142": true, "(555) 01.42": true, "0555-0142": true, "5 5 5 0 1 4 2 9": true, "+1 555 9 0142": false, "5551042": false, "": false} {
		if got := l.Fits(typed, ldap.NewEntry("cn=x", map[string][]string{"mobile": {"+9 999", phone}})); got != want {
			t.Errorf("%q: %v", phone, got)
		}
	}
	for attribute, want := range map[string]bool{"uid": true, "employeeID": true, "title": false} {
		if got := l.Fits(ParseTyped("5550142"), ldap.NewEntry("cn=x", map[string][]string{attribute: {"5550142"}})); got != want {
			t.Errorf("%s: %v", attribute, got)
		}
	}
}

func TestBasesLieInTheDirectory(t *testing.T) {
	const base = "ou=People,dc=x"
	for _, tt := range []struct{ scope, want []string }{
		{nil, []string{base}},
		{[]string{"OU=people, DC=X"}, []string{"ou=people,dc=X"}},
		{[]string{"ou=b,ou=people,dc=x", "ou=a,ou=people,dc=x", "ou=deep,ou=a,ou=people,dc=x", "OU=B,ou=people,dc=x"}, []string{"ou=b,ou=people,dc=x", "ou=a,ou=people,dc=x"}},
		{[]string{"ou=a,ou=people,dc=x", "ou=people,dc=x"}, []string{"ou=people,dc=x"}},
	} {
		got, err := SearchBases(base, tt.scope)
		if err != nil || !slices.EqualFunc(got, tt.want, strings.EqualFold) {
			t.Errorf("%q: %q, %v", tt.scope, got, err)
		}
	}
	for _, bad := range []string{"", "dc=x", "ou=other,dc=x", `ou=a\,ou=people,dc=x`, "no dn", "<GUID=1>", "ou=people,dc=x,dc=y"} {
		if got, err := SearchBases(base, []string{"ou=a,ou=people,dc=x", bad}); !errors.Is(err, directory.ErrOutside) || got != nil {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}
