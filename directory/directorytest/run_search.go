package directorytest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"postern/directory"
)

func (s *suite) searcher(t *testing.T) directory.Searcher {
	t.Helper()
	d, ok := s.Directory.(directory.Searcher)
	if !ok {
		t.Skip("this back end looks for nobody")
	}
	return d
}

// somebody is person with names of one's own.
func (s *suite) somebody(t *testing.T, p Person) (Person, directory.User) {
	t.Helper()
	p.Login, p.Password = fmt.Sprintf("srch%03d", s.made.Add(1)), firstPassword
	if p.Name == "" {
		p.Name = p.Given + " " + p.Surname
	}
	p, err := s.Add(p)
	if err != nil {
		t.Fatalf("make a person: %v", err)
	}
	return p, s.find(t, p.Login)
}

func (s *suite) search(t *testing.T, q directory.Query) directory.Found {
	t.Helper()
	f, err := s.searcher(t).Search(t.Context(), q)
	if err != nil {
		t.Fatalf("search for %.80q: %v", q.Text, err)
	}
	return f
}

func logins(f directory.Found) []string {
	var out []string
	for _, h := range f.Hits {
		out = append(out, h.Login)
	}
	return out
}

func testSearch(t *testing.T, s *suite) {
	s.searcher(t)
	p, u := s.somebody(t, Person{Given: "Adaline", Surname: "Quillfeather", Name: "Adaline Béatrix Quillfeather",
		Mail: "a.quill@corp-search.example", Phone: "+1 555 7193 042", Employee: "E771204"})
	s.somebody(t, Person{Given: "Bernice", Surname: "Quillon", Phone: "+1 555 7193 999 042", Employee: "E7712"})
	want := directory.Hit{ID: u.ID, Directory: u.Directory, DN: u.DN, Login: u.Login, Name: u.Name, Mail: u.Mail[0]}
	for _, text := range []string{p.Login, strings.ToUpper(p.Login), p.UPN, "adal", "ADALINE", "quillf", "Quillfeather", "ada quill", "quill ada",
		"quillfeather, adaline", "adaline béa", "Adaline BÉATRIX Q", "  adaline   quillfeather\u00a0", "a.quill", p.Mail, strings.ToUpper(p.Mail),
		"a quillf", p.Login + " adaline", p.Phone, "15557193042", "+1-555-719-3042", "555 7193042", "0555 7193042", "001 555 7193 042", p.Employee, "e771204"} {
		if text == "" || s.WholeNumbers && text != p.Phone && strings.HasSuffix(text, "042") {
			continue
		}
		if f := s.search(t, directory.Query{Text: text}); len(f.Hits) != 1 || f.Hits[0] != want || f.More {
			t.Errorf("%q finds %+v, want %+v", text, f, want)
		}
	}
	for _, text := range []string{"daline", "feather", "quillfeatherx", "adaline bernice", "quill@corp-search.example", "E771", "E77120", "7193 04200",
		"béatrix", "adaline  nobody", "5557193999999", TechGroup} {
		if f := s.search(t, directory.Query{Text: text}); len(f.Hits) != 0 || f.More {
			t.Errorf("%q finds %q", text, logins(f))
		}
	}
	// Whom nobody may touch is found, too: what follows is the core's to decide.
	for _, login := range append(append([]string{}, s.Privileged...), s.Odd...) {
		if f := s.search(t, directory.Query{Text: login}); !slices.Contains(logins(f), login) {
			t.Errorf("%q finds %q", login, logins(f))
		}
	}
	for _, text := range s.Ambiguous {
		if f := s.search(t, directory.Query{Text: text}); len(f.Hits) < 2 {
			t.Errorf("%q finds %q", text, logins(f))
		}
	}
}

func testSearchStates(t *testing.T, s *suite) {
	s.searcher(t)
	for _, c := range []struct {
		name  string
		bring func(Person) error
		is    func(directory.Hit) bool
	}{
		{"as ever", func(Person) error { return nil }, func(h directory.Hit) bool { return !h.Disabled && !h.Locked }},
		{"locked", s.Lock, func(h directory.Hit) bool { return h.Locked && !h.Disabled }},
		{"disabled", s.Disable, func(h directory.Hit) bool { return h.Disabled }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := s.somebody(t, Person{Given: "Stately", Surname: "Condition"})
			bring(t, c.bring, p)
			if f := s.search(t, directory.Query{Text: p.Login}); len(f.Hits) != 1 || !c.is(f.Hits[0]) {
				t.Errorf("%+v", f)
			}
		})
	}
}

func testSearchIsBounded(t *testing.T, s *suite) {
	s.searcher(t)
	var all []string
	for _, given := range []string{"edda", "Astrid", "Dora", "Cleo", "bea"} {
		p, _ := s.somebody(t, Person{Given: given, Surname: "Manyfold"})
		all = append(all, p.Login)
	}
	sorted := []string{all[1], all[4], all[3], all[2], all[0]}
	for most, want := range map[int]int{1: 1, 3: 3, 4: 4, 5: 5, 6: 5, 0: 5, -1: 1, 1000: 5} {
		f := s.search(t, directory.Query{Text: "manyfold", Most: most})
		if len(f.Hits) != want || f.More != (want < 5) {
			t.Errorf("at most %d: %d hits, more %v", most, len(f.Hits), f.More)
		}
		if want == 5 && !slices.Equal(logins(f), sorted) {
			t.Errorf("%q are not by name: %q", logins(f), sorted)
		}
		if !slices.IsSortedFunc(f.Hits, func(a, b directory.Hit) int {
			return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
		}) {
			t.Errorf("%q are not by name", logins(f))
		}
	}
}

// Security cases 52 and 56: what is typed stays a value, and finds nobody it does not name.
func testSearchTakesNothingForAFilter(t *testing.T, s *suite) {
	d := s.searcher(t)
	star, _ := s.somebody(t, Person{Given: "Star*(", Surname: "Literal"})
	p, _ := s.somebody(t, Person{Given: "Starling", Surname: "Literal"})
	if f := s.search(t, directory.Query{Text: "star*( lit"}); !slices.Equal(logins(f), []string{star.Login}) {
		t.Errorf("a star is no wildcard: %q", logins(f))
	}
	for _, text := range []string{"", " ", "*", "**", "s", "s t a r", "* *", "*)(objectClass=*", ")(|(uid=*", p.Login + ")(mail=*", "*)(uid=*))(|(uid=*", `\2a`, `\2a\2a`,
		`\zz`, `\`, "()", "(&(cn=*))", "!(uid=x)", "&|", "=*", "cn=*", "*" + p.Login, p.Login[:4] + "*", p.Login + "\x00", "\x00\x00", p.Login + "\n", "ab\r\ncd", "\xff\xfe", p.Login + "\xc3\x28",
		strings.Repeat("a", 64), strings.Repeat("s", 65), strings.Repeat("st ", 21), strings.Repeat("é", 5000), "🙂🙂", "\u202e" + p.Login, p.DN, "a,b;c", ",;", ",; ,;", "000000",
		"------", "++", "+*1", "1*5*5*5", "(.)", "0 0 0 0 0 0 0 0", "<GUID=00000000-0000-0000-0000-000000000000>"} {
		f, err := d.Search(t.Context(), directory.Query{Text: text})
		if err != nil || len(f.Hits) != 0 || f.More {
			t.Errorf("%.80q finds %q, %v", text, logins(f), err)
		}
	}
}

func testSearchScope(t *testing.T, s *suite) {
	d := s.searcher(t)
	one, _ := s.somebody(t, Person{Given: "Ona", Surname: "Scopeworth"})
	two, _ := s.somebody(t, Person{Given: "Tova", Surname: "Scopeworth"})
	if one.DN == "" { // a directory without branches: everything is outside of it
		for _, base := range []string{"", "DC=example,DC=test"} {
			if f, err := d.Search(t.Context(), directory.Query{Text: "scopeworth", Scope: directory.Scope{Bases: []string{base}}}); !errors.Is(err, directory.ErrOutside) || len(f.Hits) != 0 {
				t.Errorf("below %q: %q, %v", base, logins(f), err)
			}
		}
		return
	}
	_, branch, _ := strings.Cut(one.DN, ",")
	both := []string{one.Login, two.Login}
	for name, c := range map[string]struct{ bases, want []string }{
		"everywhere": {nil, both}, "the branch": {[]string{branch}, both}, "spelled otherwise": {[]string{strings.ToUpper(strings.ReplaceAll(branch, ",", " , "))}, both},
		"one": {[]string{one.DN}, both[:1]}, "each": {[]string{two.DN, one.DN}, both}, "one inside the other": {[]string{two.DN, branch, one.DN, branch}, both},
	} {
		t.Run(name, func(t *testing.T) {
			f := s.search(t, directory.Query{Text: "scopeworth", Scope: directory.Scope{Bases: c.bases, Groups: []string{"CN=nobody looks at this"}}})
			if !slices.Equal(logins(f), c.want) || f.More {
				t.Errorf("%+v, want %q", f, c.want)
			}
		})
	}
	// A branch that is not ours is not read as no branch at all.
	for _, base := range []string{"", " ", "DC=elsewhere,DC=test", "not a DN", "<GUID=00000000-0000-0000-0000-000000000000>", branch + ",DC=net", one.DN + "\x00"} {
		f, err := d.Search(t.Context(), directory.Query{Text: "scopeworth", Scope: directory.Scope{Bases: []string{one.DN, base}}})
		if !errors.Is(err, directory.ErrOutside) || !strings.Contains(err.Error(), fmt.Sprintf("%q", base)) || len(f.Hits) != 0 {
			t.Errorf("below %q: %q, %v", base, logins(f), err)
		}
	}
	gone := "OU=Closed," + branch
	if _, err := d.Search(t.Context(), directory.Query{Text: "scopeworth", Scope: directory.Scope{Bases: []string{gone}}}); !errors.Is(err, directory.ErrUnavailable) ||
		!strings.Contains(strings.ToLower(err.Error()), strings.ToLower(gone)) {
		t.Errorf("below a branch that is gone: %v", err)
	}
	if _, err := d.Search(cancelled(), directory.Query{Text: "scopeworth"}); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("after the end of its time: %v", err)
	}
}
