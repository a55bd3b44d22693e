package view

import (
	"bytes"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"postern/locales"
	"postern/portal/i18n"
	"postern/portal/policy"
	"postern/static"
	"postern/templates"
)

func bundle(t testing.TB) *i18n.Bundle {
	t.Helper()
	b, err := i18n.Load(i18n.Options{Now: func() time.Time { return sampleNow }}, locales.Files)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func opts(t testing.TB) (Options, *static.Files) {
	t.Helper()
	files, err := static.New(static.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return Options{Templates: templates.Files, Bundle: bundle(t), Static: files.URL, PublicURL: "https://postern.example.org", Demo: true,
		Brand: Brand{Organisation: "example.org", Support: "555 0100", SupportURL: "tel:5550100", Hours: "Mon to Fri"}}, files
}

func renderer(t testing.TB) *Renderer {
	t.Helper()
	o, _ := opts(t)
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// element is one start tag.
type element struct {
	name  string
	attrs map[string]string
	text  string // of title and h1 only
}

func elements(t *testing.T, page string) []element {
	t.Helper()
	var list []element
	z := html.NewTokenizer(strings.NewReader(page))
	open := -1
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				t.Fatal(z.Err())
			}
			return list
		case html.StartTagToken, html.SelfClosingTagToken:
			tok := z.Token()
			e := element{name: tok.Data, attrs: map[string]string{}}
			for _, a := range tok.Attr {
				if _, twice := e.attrs[a.Key]; twice {
					t.Errorf("<%s> has %s twice", tok.Data, a.Key)
				}
				e.attrs[a.Key] = a.Val
			}
			list = append(list, e)
			if e.name == "title" || e.name == "h1" {
				open = len(list) - 1
			}
		case html.TextToken:
			if open >= 0 {
				list[open].text += z.Token().Data
			}
		case html.EndTagToken:
			if n := z.Token().Data; n == "title" || n == "h1" {
				open = -1
			}
		}
	}
}

func TestEveryPageInEveryLanguage(t *testing.T) {
	o, files := opts(t)
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range samples() {
		seen[s.page.file()] = true
		for _, l := range o.Bundle.Languages() {
			t.Run(s.name+"/"+l.Tag, func(t *testing.T) {
				var b bytes.Buffer
				if err := r.Page(&b, l.Tag, s.page); err != nil {
					t.Fatal(err)
				}
				prefix, _ := o.Bundle.Plain(l.Tag, "page.error")
				checkPage(t, b.String(), s, l, files, prefix)
			})
		}
	}
	for _, p := range pages() {
		if !seen[p.file()] {
			t.Errorf("no sample of %s", p.file())
		}
	}
}

func checkPage(t *testing.T, page string, s sample, l i18n.Language, files *static.Files, prefix string) {
	t.Helper()
	for _, bad := range []string{"<no value>", "⟦", "ZgotmplZ", "{{", "%!", "<nil>", "0001"} {
		if strings.Contains(page, bad) {
			t.Errorf("has %q near %.120q", bad, page[max(0, strings.Index(page, bad)-60):])
		}
	}
	ids, refs := map[string]bool{}, []string{}
	h1, title, step, alert, weight, asking := 0, "", "", "", len(page), 0
	last := 0
	for _, e := range elements(t, page) {
		switch e.name {
		case "html":
			if e.attrs["lang"] != l.Tag || e.attrs["dir"] != l.Dir {
				t.Errorf("html has lang %q dir %q", e.attrs["lang"], e.attrs["dir"])
			}
		case "title":
			title = e.text
		case "main":
			step = e.attrs["data-step"]
		case "h1":
			h1++
			last = 1
			if strings.TrimSpace(e.text) == "" {
				t.Error("an empty h1")
			}
		case "h2", "h3":
			level := int(e.name[1] - '0')
			if level > last+1 {
				t.Errorf("%s after h%d", e.name, last)
			}
			last = level
		case "script":
			if !strings.HasPrefix(e.attrs["src"], static.Prefix) {
				t.Error("an inline script")
			}
		case "style":
			t.Error("an inline style sheet")
		case "form":
			switch {
			case !strings.HasPrefix(e.attrs["action"], "/"):
				t.Errorf("form %v", e.attrs)
			case e.attrs["method"] == "get":
				asking++
			case e.attrs["method"] != "post":
				t.Errorf("form %v", e.attrs)
			}
		case "input":
			if e.attrs["type"] == "password" && e.attrs["value"] != "" {
				t.Error("a password field with a value")
			}
			if e.attrs["type"] != "hidden" && e.attrs["id"] == "" {
				t.Errorf("input %v has no id for its label", e.attrs)
			}
		}
		for name, v := range e.attrs {
			switch {
			case name == "style" || strings.HasPrefix(name, "on"):
				t.Errorf("<%s %s>", e.name, name)
			case name == "src" || name == "href" && e.name == "link":
				f, ok := files.Get(v)
				if !ok {
					t.Errorf("%s is not ours", v)
				}
				weight += len(f.Body)
			case name == "href" && strings.Contains(v, "//") && !strings.HasPrefix(v, "otpauth://totp/"):
				t.Errorf("a link to elsewhere: %s", v)
			case name == "id":
				if ids[v] {
					t.Errorf("id %s twice", v)
				}
				ids[v] = true
			case name == "aria-describedby" || name == "aria-labelledby" || name == "for" || name == "aria-controls":
				refs = append(refs, strings.Fields(v)...)
			case name == "data-error":
				alert = v
				if e.attrs["role"] != "alert" {
					t.Error("data-error without role=alert")
				}
			}
		}
	}
	for _, ref := range refs {
		if !ids[ref] {
			t.Errorf("nothing has the id %s", ref)
		}
	}
	if in := strings.Contains(page, `action="/signout"`); in != (s.page.top().Person != "") {
		t.Errorf("the account's menu is there: %v", in)
	}
	if h1 != 1 {
		t.Errorf("%d h1", h1)
	}
	if step != s.step {
		t.Errorf("data-step %q, want %q", step, s.step)
	}
	if alert != s.error {
		t.Errorf("data-error %q, want %q", alert, s.error)
	}
	if len(s.page.top().Faults) > 0 != strings.HasPrefix(title, prefix) {
		t.Errorf("title %q", title)
	}
	// A form that asks has no token: addresses are written into logs.
	if n := strings.Count(page, "<form") - asking; strings.Count(page, `name="csrf"`) != n {
		t.Errorf("%d forms, %d csrf fields", n, strings.Count(page, `name="csrf"`))
	}
	if weight > 60<<10 {
		t.Errorf("%d bytes with styles and scripts", weight)
	}
}

// Security cases 1 and 3: what a page says of why it refuses must not depend on whose account it is.
func TestStrangersReadTheSameRefusal(t *testing.T) {
	r := renderer(t)
	var first string
	for _, reason := range []string{"too_many_tries", "superseded", "account_changed", "not_eligible", "directory_denied", "unsupported", "too_many_refused_passwords", "", "what"} {
		var b bytes.Buffer
		if err := r.Page(&b, "en", &Refused{Reason: reason, Purpose: "reset", Receipt: "P-1"}); err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = b.String()
		}
		if b.String() != first {
			t.Errorf("%q reads differently", reason)
		}
	}
}

func TestEveryErrorCodeHasItsSentence(t *testing.T) {
	s := renderer(t).langs["en"]
	general := s.fault(&Fault{Code: "server"})
	for code := range strings.FieldsSeq(`wrong_code wrong_password wrong_passkey expired_code replayed_code too_many_tries limited conflict unavailable
		mismatch too_short too_long complexity common contains_name contains_login contains_mail contains_org repeats weak history too_young
		banned quality history_or_filter cannot_change same_as_old not_allowed must_supply_old required bad_form csrf not_found host
		bad_name duplicate too_many no_offer bad_characters nobody bad_choice`) {
		for _, f := range []Fault{{Code: code}, {Code: code, Limit: 7, Until: at(60)}} {
			if got := s.fault(&f); got == general || strings.Contains(got, "⟦") || strings.Contains(got, " 0 ") {
				t.Errorf("%s: %q", code, got)
			}
		}
	}
	for _, reason := range []string{"same_class", "needs_other_first", "needs_stronger", "not_enrolled"} {
		if !s.bundle.Has("reason." + reason) {
			t.Errorf("no reason.%s", reason)
		}
	}
	if got := s.fault(&Fault{Code: "never heard of"}); got != general {
		t.Errorf("an unknown code reads %q", got)
	}
}

func TestNoFaultIsLost(t *testing.T) {
	r := renderer(t)
	for _, s := range samples() {
		for _, field := range []string{"", "login", "current", "answer", "password", "confirm", "name", "purpose", "door"} {
			switch s.page.(type) {
			case *Start, *Wait, *Applying, *Done, *Refused, *Expired, *ErrorPage, *Help, *Demo, *ActivityLog, *DeskIndex, *KioskShut, *KioskPhone, *KioskHelp, *DeskKioskGiven:
				continue // nothing is sent from these
			}
			f := s.page.top()
			before := f.Faults
			f.Faults = []Fault{{Field: field, Code: "required"}}
			var b bytes.Buffer
			if err := r.Page(&b, "en", s.page); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(b.String(), `data-error="required"`); n != 1 {
				t.Errorf("%s: a fault of %q is said %d times", s.name, field, n)
			}
			f.Faults = before
		}
	}
}

// Security case 47: names and messages are inert.
func TestMarkupInValuesIsInert(t *testing.T) {
	r := renderer(t)
	evil := `"><svg onload=alert(1)><script>x</script>'`
	for _, p := range []Page{
		&StartForm{Purpose: "reset", Login: evil, Picker: Picker{Places: []Place{{evil, evil}}, Place: evil}, Frame: Frame{CSRF: evil, Here: evil}},
		&Me{Frame: Frame{Person: evil, CSRF: evil}, Name: evil, Login: evil, Methods: []Method{{ID: evil, Kind: "totp", Name: evil}}, Recent: []Activity{{Address: evil, Kind: evil}}},
		&Factors{Frame: Frame{Person: evil}, Methods: []Method{{ID: evil, Kind: "passkey", Name: evil}}, Editing: evil, Typed: evil},
		&OfferTOTP{URI: "javascript:" + evil, QRPath: evil, Secret: evil, Name: evil},
		&OfferPasskey{Options: evil}, &SignIn{Options: evil, Login: evil}, &ErrorPage{Code: evil, Request: evil, Again: "javascript:" + evil},
		&Refused{Reason: evil, Receipt: evil}, &Demo{People: []DemoPerson{{Login: evil, Password: evil, What: "user"}}, Inbox: []DemoMessage{{Subject: evil, Text: evil}}},
		&DeskPolicy{Login: evil, Purpose: policy.Purpose(evil), Who: &Explained{Login: evil, Name: evil, Verdict: policy.Verdict{Explanation: policy.Explanation{Plan: evil}}}},
		&DeskPolicy{Chapters: []policy.Chapter{{Groups: []string{evil}, OUs: []string{evil}, Plan: policy.Plan{Name: evil}}}},
		&DeskCoverage{Count: &Count{People: 1, Groups: []GroupCount{{Group: evil}}, List: []Stranded{{Login: evil, Name: evil}}}},
		&NewPassword{Purpose: "reset", Login: evil, Phrases: []string{evil}, Rules: []Rule{{Code: "own", Words: []string{evil}}}},
	} {
		var b bytes.Buffer
		if err := r.Page(&b, "ar", p); err != nil {
			t.Fatal(err)
		}
		for _, e := range elements(t, b.String()) {
			if e.name == "script" && e.attrs["src"] == "" || e.attrs["onload"] != "" || strings.HasPrefix(e.attrs["href"], "javascript:") {
				t.Errorf("%s: <%s %v>", p.file(), e.name, e.attrs)
			}
		}
	}
}

func TestBuffersForgetSecrets(t *testing.T) {
	r := renderer(t)
	if err := r.Page(io.Discard, "en", &OfferCodes{Codes: []string{"CANARY-CODE-1234"}}); err != nil {
		t.Fatal(err)
	}
	b := r.pool.Get().(*bytes.Buffer)
	b.Reset()
	if full := b.Bytes()[:b.Cap()]; bytes.Contains(full, []byte("CANARY-CODE")) {
		t.Error("a recovery code stays in the pooled buffer")
	}
}

// What the small templates put into tags is markup, not text.
var (
	markup = regexp.MustCompile(`\{\{define "(step|door|at-[a-z]+|login-[a-z]+|answer-described)"\}\}.*\{\{end\}\}`)
	action = regexp.MustCompile(`\{\{[^}]*\}\}`)
	word   = regexp.MustCompile(`\p{L}{3,}`)
)

func TestTemplatesHoldNoText(t *testing.T) {
	names, _ := fs.Glob(templates.Files, "web/*.html")
	for _, name := range names {
		src, _ := fs.ReadFile(templates.Files, name)
		src = action.ReplaceAll(markup.ReplaceAll(src, nil), nil)
		// The tokenizer takes what is in noscript for text.
		z := html.NewTokenizer(bytes.NewReader(bytes.ReplaceAll(src, []byte("noscript>"), []byte("div>"))))
		for tt := z.Next(); tt != html.ErrorToken; tt = z.Next() {
			if text := z.Token().Data; tt == html.TextToken && word.MatchString(text) {
				t.Errorf("%s says %q without a key", name, strings.TrimSpace(text))
			}
		}
	}
}
