package web

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

var testFields = []field{{name: "login", max: 16}, {name: "current", max: 16, optional: true}}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       form // nil: refused
	}{
		{"plain", "login=alice&csrf=x", form{"login": "alice", "csrf": "x"}},
		{"escapes", "login=%C3%A4+%2B%25%3d%26", form{"login": "ä +%=&"}},
		{"= in the value", "login=a=b", form{"login": "a=b"}},
		{"empty", "login=", form{"login": ""}},
		{"spaces are kept", "login=+a+", form{"login": " a "}},
		{"line break", "login=a%0D%0Ab", form{"login": "a\r\nb"}},
		{"at the limit", "login=" + strings.Repeat("a", 16), form{"login": strings.Repeat("a", 16)}},
		{"over the limit", "login=" + strings.Repeat("a", 17), nil},
		{"missing", "current=x", nil},
		{"nothing", "", nil},
		{"twice", "login=a&login=b", nil},
		{"twice, equal", "login=a&login=a", nil},
		{"unknown", "login=a&x=b", nil},
		{"array", "login[]=a", nil},
		{"upper case", "LOGIN=a", nil},
		{"name escaped", "%6Cogin=a", nil},
		{"name with space", "+login=a", nil},
		{"no value", "login", nil},
		{"empty pair", "login=a&&csrf=b", nil},
		{"trailing", "login=a&", nil},
		{"leading", "&login=a", nil},
		{"cut escape", "login=%4", nil},
		{"bad escape", "login=%zz", nil},
		{"lone %", "login=%", nil},
		{"NUL", "login=a%00", nil},
		{"raw NUL", "login=a\x00", nil},
		{"not UTF-8", "login=%ff", nil},
		{"overlong UTF-8", "login=%C0%AF", nil},
		{"surrogate", "login=%ED%A0%80", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decode([]byte(c.body), testFields...)
			if (err == nil) != (c.want != nil) {
				t.Fatalf("%v, %v", map[string]string(got), err)
			}
			for k, v := range c.want {
				if got[k] != v {
					t.Errorf("%s is %q, want %q", k, got[k], v)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("%d fields, want %d", len(got), len(c.want))
			}
		})
	}
}

// A form's values must be copies: the buffer belongs to the next request soon.
func TestDecodeCopies(t *testing.T) {
	body := []byte("login=first")
	f, err := decode(body, testFields...)
	if err != nil {
		t.Fatal(err)
	}
	copy(body, "login=evil!")
	if f["login"] != "first" {
		t.Errorf("%q", f["login"])
	}
}

func TestErrorNeverRepeatsTheForm(t *testing.T) {
	for _, body := range []string{"Canary=1", "login=Canary&login=Canary", "login=Canary%zz", "login=" + strings.Repeat("Canary", 9), "login=Canary%00"} {
		if _, err := decode([]byte(body), testFields...); err == nil || strings.Contains(err.Error(), "Canary") {
			t.Errorf("%q: %v", body, err)
		}
	}
	if f := (form{"password": "Canary"}); strings.Contains(f.String(), "Canary") {
		t.Error(f.String())
	}
}

func TestFormType(t *testing.T) {
	for header, want := range map[string]bool{
		"application/x-www-form-urlencoded": true, "Application/X-WWW-Form-Urlencoded": true, "application/x-www-form-urlencoded; charset=UTF-8": true,
		"": false, "application/json": false, "multipart/form-data": false, "text/plain": false, "application/x-www-form-urlencoded; charset=utf-16": false,
		"application/x-www-form-urlencoded, application/json": false, "application/x-www-form-urlencodedx": false,
	} {
		if formType(header) != want {
			t.Errorf("%q", header)
		}
	}
}

// FuzzDecode: what is taken is text within its bounds, and exactly what a
// standard parser takes from the same bytes.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"login=a&current=b&csrf=c", "login=%C3%A4+%2B", "login=a&login=b", "login=%", "&", "=", "login=a;current=b", "login=%00", "login[]=a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := decode([]byte(body), testFields...)
		if err != nil {
			return
		}
		if _, ok := got["login"]; !ok {
			t.Fatal("login is missing")
		}
		for k, v := range got {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) || len(v) > 128 {
				t.Fatalf("%s is %q", k, v)
			}
		}
		if strings.Contains(body, ";") {
			return // net/url refuses it outright; here it is a character
		}
		std, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("taken here, refused by net/url: %v", err)
		}
		if len(std) != len(got) {
			t.Fatalf("%d fields, net/url has %d", len(got), len(std))
		}
		for k, v := range std {
			if len(v) != 1 || got[k] != v[0] {
				t.Fatalf("%s is %q, net/url says %q", k, got[k], v)
			}
		}
	})
}
