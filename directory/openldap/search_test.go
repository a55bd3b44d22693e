package openldap_test

import (
	"errors"
	"strings"
	"testing"

	"postern/directory"
	"postern/directory/directorytest"
	"postern/directory/embedded"
	"postern/directory/openldap"
)

// Whatever is typed, and whether it finds anybody, the server is asked once.
func TestSearchCostsOneSearchWhateverIsTyped(t *testing.T) {
	s := directorytest.Slapd(t)
	d := open(t, config(s))
	search := func(q directory.Query) {
		t.Helper()
		if _, err := d.Search(t.Context(), q); err != nil {
			t.Fatalf("%q: %v", q.Text, err)
		}
	}
	search(directory.Query{Text: "warm the pools"})
	for _, text := range []string{"user1", "us", "nobody-at-all", "", "a", "*", "\x00", strings.Repeat("x", 100), "+1 555 0142", "a b c d e f g h i", "amara oka"} {
		for _, bases := range [][]string{nil, {s.Person("user1").DN, s.Person("user2").DN}} {
			before, err := s.Counters()
			if err != nil {
				t.Fatal(err)
			}
			search(directory.Query{Text: text, Scope: directory.Scope{Bases: bases}})
			after, err := s.Counters()
			if err != nil {
				t.Fatal(err)
			}
			if n := after.Sub(before); n.Searches != int64(max(1, len(bases))) || n.Binds != 0 || n.Connections != 0 || n.Writes != 0 {
				t.Errorf("%.20q in %d bases: %+v", text, len(bases), n)
			}
		}
	}
}

// What slapd does not drop from a number counts.
func TestANumberInBracketsIsFoundAsItIsSpelled(t *testing.T) {
	s := directorytest.Slapd(t)
	if _, err := s.AddUser(directorytest.Person{Login: "brackets1", Phone: "(0555) 71-93", Password: "Quay-Lantern-7734"}); err != nil {
		t.Fatal(err)
	}
	d := open(t, config(s))
	for text, n := range map[string]int{"(0555) 71-93": 1, "(0555)7193": 1, "05557193": 0} {
		if f, err := d.Search(t.Context(), directory.Query{Text: text}); err != nil || len(f.Hits) != n {
			t.Errorf("%q: %+v, %v", text, f, err)
		}
	}
}

func TestRequireChangeNeedsARightAndAPolicyThatLooks(t *testing.T) {
	s := directorytest.Slapd(t)
	outside, err := s.AddUser(directorytest.Person{Login: "outside1", DN: "uid=outside1," + s.BaseDN, Password: "Quay-Lantern-7734"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddPolicyOf("idle", map[string]string{"pwdMustChange": "FALSE"}, s.Person("user2").DN); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, login string
		change      func(*openldap.Config)
		want        error
	}{
		{"with both", "user1", func(*openldap.Config) {}, nil},
		{"outside of the right", "outside1", func(c *openldap.Config) { c.BaseDN = s.BaseDN }, directory.ErrDenied},
		{"under a policy that does not look", "user2", func(*openldap.Config) {}, directory.ErrUnsupported},
		{"under no policy", "user3", func(c *openldap.Config) { c.DefaultPolicy = "" }, directory.ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := config(s)
			tt.change(&cfg)
			d := open(t, cfg)
			u := find(t, d, tt.login)
			if err := d.RequireChange(t.Context(), u); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			e, err := s.Entry(u.DN, "pwdReset")
			if got := e.GetAttributeValue("pwdReset"); err != nil || (got == "TRUE") != (tt.want == nil) {
				t.Errorf("pwdReset is %q, %v", got, err)
			}
		})
	}
	if err := s.Bind(outside.DN, outside.Password); err != nil {
		t.Error(err)
	}
}

func TestRequireChangeNeedsTheOverlay(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Config{Dir: t.TempDir()}) // it has none
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cfg := openldap.DefaultConfig()
	cfg.Servers, cfg.CAFile = []string{s.URL()}, s.CAFile()
	cfg.BindDN, cfg.Password, cfg.BaseDN = s.ServiceDN(), s.ServicePassword(), s.PeopleDN()
	u := directory.User{ID: "staff:00000000-0000-4000-8000-000000000000"}
	if err := open(t, cfg).RequireChange(t.Context(), u); !errors.Is(err, directory.ErrUnsupported) {
		t.Error(err)
	}
}
