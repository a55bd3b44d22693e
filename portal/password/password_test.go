package password

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"postern/directory"
)

func newJudge(t testing.TB, change func(*Config)) *Judge {
	t.Helper()
	c := DefaultConfig()
	if change != nil {
		change(&c)
	}
	j, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

var ada = directory.User{ID: "ad:1", Login: "alovelace", UPN: "ada.l@example.org", Name: "Lovelace, Ada-Maria", GivenName: "Ada", Mail: []string{"enchantress@example.org"}}

func keys(problems []Problem) string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Key)
	}
	return strings.Join(out, " ")
}

const good = "teal-Mosaic-quorum-81"

// security cases 53 and 54
func TestJudge(t *testing.T) {
	ad := directory.Rules{MinLength: 10, Complexity: true}
	tests := []struct {
		name  string
		pw    string
		rules directory.Rules
		want  string
	}{
		{"good", good, ad, ""},
		{"8 code points, enough with MFA", "vK9#tz2q", directory.Rules{}, ""},
		{"7 code points", "vK9#tz2", directory.Rules{}, "too_short"},
		{"length is in code points, not bytes", "éüßñåø", directory.Rules{}, "too_short"},
		{"9 code points of Thai, 27 bytes", "ไก่จิกเด็", directory.Rules{}, ""},
		{"the directory wants more", "vK9#tz2q", ad, "too_short"},
		{"no digits, no signs, no rule about it", "quorumtealmosaicvat", directory.Rules{}, ""},
		{"the same where the domain asks for classes", "quorumtealmosaicvat", ad, "complexity"},
		{"letters without case are a class", "quorum42字字mosaic", ad, ""},
		{"a space is none of the signs", "quorum teal mosaic", ad, "complexity"},
		{"leading and trailing space stay", "  " + good + "  ", ad, ""},
		{"quotes and backslashes", `qu"or\um'Teal` + "`x", ad, ""},
		{"emoji", "🦀 quorum 🦀 Teal 7", ad, ""},
		{"256 characters", strings.Repeat("quorum4-Teal ", 20)[:256], directory.Rules{}, "repeats"},
		{"256 mixed characters", longText(256), directory.Rules{}, ""},
		{"257 characters", longText(257), directory.Rules{}, "too_long"},
		{"a directory that takes 16", longText(17), directory.Rules{MaxLength: 16}, "too_long"},
		{"emoji count twice there", strings.Repeat("🦀🐙", 5), directory.Rules{MaxLength: 16}, "too_long"},
		{"NUL", "quorum\x00Teal7", ad, "not_text"},
		{"line end", "quorum\nTeal7!", ad, "not_text"},
		{"broken UTF-8", "quorum\xffTeal7!", ad, "not_text"},
		{"empty", "", directory.Rules{}, "too_short weak"},
		{"common", "password", directory.Rules{}, "common"},
		{"common with decoration", "Password123!", ad, "common"},
		{"common in leet", "P@$$w0rd2024", ad, "common"},
		{"the login", "xALOVELACEquorum7", ad, "own"},
		{"part of the name", "mosaic-Lovelace-7", ad, "own"},
		{"three letters of the name, under Microsoft's rule", "teal-mosaicADA-81", ad, "own"},
		{"three letters of the name, elsewhere", "teal-mosaicADA-81", directory.Rules{}, ""},
		{"the mail name", "enchantress-Quo-81", ad, "own"},
		{"the organisation", "teal-ACME-quorum-81", ad, "own"},
		{"the login backwards", "teal-ecalevola-81", directory.Rules{}, "own"},
		{"the login in leet", "teal-@l0v3l4c3-81", directory.Rules{}, "own"},
		{"1 for l", "teal-a1ove1ace-81", directory.Rules{}, "own"},
		{"1 for i", "teal-Mar1a-quorum-81", directory.Rules{}, "own"},
		{"backwards and in leet", "teal-3c4l3v0L-quorum-81", directory.Rules{}, "own"},
		{"the mail name backwards", "sserTNahcne-Quo-81", directory.Rules{}, "own"},
		{"the organisation in leet", "teal-4cm3-quorum-81", ad, "own"},
		{"the organisation backwards", "teal-Emca-quorum-81", ad, "own"},
		{"three letters in leet are anybody's", "teal-mosaic-4d4-81", directory.Rules{}, ""},
		{"one character", "qqqqqqqqqqqqqqqq", directory.Rules{}, "repeats"},
		{"one unit", "xy7xy7xy7xy7", directory.Rules{}, "repeats"},
		{"keys in a row", "qwertyuiopasdf", directory.Rules{}, "weak"},
		{"a season and a year", "Summer2024!", ad, "common"},
		{"two common words", "Sunshinemonkey1", ad, "weak"},
	}
	j := newJudge(t, func(c *Config) { c.Words = []string{"Acme"} })
	for _, tt := range tests {
		if got := keys(j.Judge(directory.NewSecret(tt.pw), tt.rules, ada)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func longText(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%x-", i*i*7919+13)
	}
	return b.String()[:n]
}

// security case 54: alone it takes 15.
func TestAPasswordThatStandsAloneIsLonger(t *testing.T) {
	j := newJudge(t, func(c *Config) { c.Alone = true })
	fourteen, fifteen := "vK9#tz2qLw7@pb", "vK9#tz2qLw7@pbx"
	got := j.Judge(directory.NewSecret(fourteen), directory.Rules{MinLength: 8}, ada)
	if want := []Problem{{"too_short", map[string]any{"limit": 15, "have": 14}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("14: %v", got)
	}
	if got := j.Judge(directory.NewSecret(fifteen), directory.Rules{MinLength: 8}, ada); len(got) > 0 {
		t.Errorf("15: %v", got)
	}
	if got := j.Judge(directory.NewSecret(fifteen), directory.Rules{MinLength: 20}, ada); keys(got) != "too_short" {
		t.Errorf("the portal undercut the directory: %v", got)
	}
}

// A letter is never taken for another: what is refused must look like the name.
func TestNearNamesDoNotForbidOtherWords(t *testing.T) {
	j := newJudge(t, func(c *Config) { c.Words = []string{"SAP"} })
	for _, c := range []struct {
		pw, given, login, want string
	}{
		{"falling-Mosaic-quorum", "Ali", "ali", ""},
		{"travel-Mosaic-quorum", "Eva", "eva", ""},
		{"passport-Mosaic-quorum", "Ada", "ada", ""}, // SAP backwards
		{"illicit-Mosaic-quorum", "Lili", "u100", ""},
		{"quorum-m4x1ne-teal", "Maxine", "u100", "own"},
		{"quorum-mos-teal-OO1u", "Maxine", "u100", ""},
		{"quorum-mos-teal-001u", "Maxine", "u100", "own"}, // a login with digits, backwards
		{"quorum-u100-teal-mos", "Maxine", "u100", "own"},
		{"quorum-Çelik-teal-mos", "Çelik", "u100", "own"},
		{"quorum-kileÇ-teal-mos", "Çelik", "u100", "own"},
	} {
		who := directory.User{Login: c.login, GivenName: c.given}
		if got := keys(j.Judge(directory.NewSecret(c.pw), directory.Rules{Complexity: false}, who)); got != c.want {
			t.Errorf("%s for %s: %q, want %q", c.pw, c.given, got, c.want)
		}
	}
}

// security case 54: eight where the password is one of two proofs, fifteen where
// it stands alone, and what the directory wants where that is more; in code points.
func TestTheLengthIsTheStrictestOfAllRules(t *testing.T) {
	mixed := []rune("vK9#tz2qLw7@pbxÄ字🦀hQ4&mZ8")
	for _, c := range []struct {
		alone          bool
		own, directory int
		want           int
	}{
		{false, 8, 0, 8}, {true, 8, 0, 15}, {false, 8, 14, 14}, {true, 8, 14, 15}, {true, 8, 20, 20}, {false, 12, 7, 12}, {true, 18, 7, 18},
	} {
		j := newJudge(t, func(cfg *Config) { cfg.Alone, cfg.MinLength = c.alone, c.own })
		rules := directory.Rules{MinLength: c.directory}
		for n := 1; n <= len(mixed); n++ {
			found := j.Judge(directory.NewSecret(string(mixed[:n])), rules, ada)
			short := len(found) > 0 && found[0].Key == "too_short"
			if short != (n < c.want) {
				t.Errorf("%+v: %d code points: %v", c, n, found)
			}
			if short && found[0].Args["limit"] != c.want {
				t.Errorf("%+v: says %v", c, found[0].Args)
			}
		}
	}
}

// No composition rule but the directory's (NIST SP 800-63B-4 section 3.1.1.2).
func TestNoKindsOfCharactersAreAskedForUnlessTheDirectoryDoes(t *testing.T) {
	j := newJudge(t, func(c *Config) { c.Alone = true })
	for _, pw := range []string{"quorumtealmosaicvat", "QUORUMTEALMOSAICVAT", "8162549307728164059", "字書物語山川空海風林火山雷電", "   . , - ! ? ; : / ( ) = +", "ไก่จิกเด็กตายบนปาก"} {
		for _, p := range j.Judge(directory.NewSecret(pw), directory.Rules{}, ada) {
			if p.Key == "complexity" {
				t.Errorf("%q: %+v", pw, p)
			}
		}
	}
}

func TestNothingOfThePasswordIsInAProblem(t *testing.T) {
	j := newJudge(t, nil)
	for _, pw := range []string{"canary7", "Canary2024!", "canary\x00", strings.Repeat("canary", 50)} {
		if got := fmt.Sprintf("%v", j.Judge(directory.NewSecret(pw), directory.Rules{Complexity: true}, ada)); strings.Contains(strings.ToLower(got), "canary") {
			t.Errorf("%q: %s", pw, got)
		}
	}
}

func TestScore(t *testing.T) {
	j := newJudge(t, nil)
	tests := []struct {
		pw       string
		min, max int
	}{
		{"password", 0, 0}, {"qwertyuiop", 0, 0}, {"abcdefghijkl", 0, 0}, {"19840512", 0, 1}, {"1qaz2wsx", 0, 1},
		{"Summer2024!", 0, 2}, {"Passw0rd!", 0, 1}, {"iloveyou2", 0, 1}, {"dragonmonkey", 0, 1},
		{"vK9#tz2q", 2, 3}, {"vK9#tz2qLw7", 4, 4}, {"correct horse battery staple", 4, 4}, {good, 4, 4},
		{"ไก่จิกเด็กตาย", 4, 4}, {"", 0, 0},
	}
	for _, tt := range tests {
		if got := j.score(tt.pw); got < tt.min || got > tt.max {
			t.Errorf("%q: score %d (10^%.1f guesses), want %d to %d", tt.pw, got, j.guesses(tt.pw), tt.min, tt.max)
		}
	}
}

// Adding to a password must never be held against it by much: only which parts
// it is made of may be guessed better.
func TestLongerIsNotWeaker(t *testing.T) {
	j := newJudge(t, nil)
	pw := ""
	for i, r := range "teal7quorum#Mosaic" {
		longer := pw + string(r)
		if a, b := j.guesses(pw), j.guesses(longer); b < a-3 {
			t.Errorf("after %d characters 10^%.1f became 10^%.1f", i, a, b)
		}
		pw = longer
	}
}

func TestChecklistSaysWhatJudgeAsks(t *testing.T) {
	j := newJudge(t, func(c *Config) { c.Words = []string{"Acme"} })
	items := j.Checklist(directory.Rules{MinLength: 12, MaxLength: 32, Complexity: true, History: 5, QualityCheck: true}, ada)
	want := []Item{
		{"too_short", map[string]any{"limit": 12}, Live},
		{"too_long", map[string]any{"limit": 32}, Live},
		{"complexity", map[string]any{"limit": 3}, Live},
		{"own", map[string]any{"words": []string{"alovelace", "ada.l", "enchantress", "Lovelace", "Ada", "Maria", "Acme"}}, Live},
		{"common", nil, Later},
		{"weak", map[string]any{"limit": 2}, Later},
		{"history", map[string]any{"limit": 5, "on_reset": false}, Later},
		{"quality", nil, Later},
	}
	if !reflect.DeepEqual(items, want) {
		t.Errorf("got  %v\nwant %v", items, want)
	}
	tenant := j.Checklist(directory.Rules{MinLength: 8, MaxLength: 256, Complexity: true, PlainOnly: true, BannedList: true}, directory.User{})
	for _, want := range []Item{{"too_long", map[string]any{"limit": 256}, Live}, {"complexity", map[string]any{"limit": 3}, Live}, {"characters", nil, Live}, {"banned", nil, Later}} {
		if !slices.ContainsFunc(tenant, func(i Item) bool { return reflect.DeepEqual(i, want) }) {
			t.Errorf("a tenant's rules: %v is not in %v", want, tenant)
		}
	}
	lax := j.Checklist(directory.Rules{}, directory.User{})
	for _, i := range lax {
		if i.Key == "complexity" || i.Key == "too_long" || i.Key == "history" {
			t.Errorf("claims a rule that nobody made: %v", i)
		}
	}
}

func TestPassphrasesKeepTheRulesAndDiffer(t *testing.T) {
	j := newJudge(t, func(c *Config) { c.Alone, c.MinScore = true, 4 })
	rules := directory.Rules{MinLength: 14, Complexity: true}
	seen := map[string]bool{}
	for range 300 {
		pw, err := j.Passphrase(rand.Reader, rules, ada)
		if err != nil {
			t.Fatal(err)
		}
		if p := j.Judge(pw, rules, ada); len(p) > 0 || seen[pw.Reveal()] || classes(pw.Reveal()) < 3 {
			t.Fatalf("%q: %v, seen before %v", pw.Reveal(), p, seen[pw.Reveal()])
		}
		seen[pw.Reveal()] = true
	}
	if bits := phraseWords*math.Log2(7776) + math.Log2(100); bits < 50 {
		t.Errorf("%.0f bits", bits)
	}
	// A longer one where the directory wants it, within what it takes.
	for _, least := range []int{30, 40, 64} {
		rules := directory.Rules{MinLength: least, MaxLength: least + 20, Complexity: true}
		if pw, err := j.Passphrase(rand.Reader, rules, ada); err != nil || len(j.Judge(pw, rules, ada)) > 0 {
			t.Errorf("at least %d characters: %v", least, err)
		}
	}
	if _, err := j.Passphrase(rand.Reader, directory.Rules{MaxLength: 15}, ada); !errors.Is(err, ErrNoPhrase) {
		t.Errorf("with no room: %v", err)
	}
	if _, err := j.Passphrase(bytes.NewReader(nil), rules, ada); err == nil {
		t.Error("made a passphrase without randomness")
	}
}

func TestValidate(t *testing.T) {
	if f := DefaultConfig().Validate(); len(f) > 0 {
		t.Fatal(f)
	}
	bad := Config{MinLength: 7, MinScore: 5, Words: []string{"Acme", " x "}}
	f := bad.Validate()
	if len(f) != 3 || !strings.HasPrefix(f[2].Error(), "words[1]: ") {
		t.Errorf("%v", f)
	}
	if _, err := New(bad); err == nil {
		t.Error("New took it")
	}
}

func TestTheListIsWhatTheCodeThinksItIs(t *testing.T) {
	words := loadWords()
	if len(words) < 10_000 || words["password"] == 0 || words["password"] > 10 {
		t.Fatalf("%d words, password is number %d", len(words), words["password"])
	}
	for w := range words {
		if len(w) < 3 || len(w) > longestWord || w != strings.ToLower(w) || strings.ContainsFunc(w, func(r rune) bool { return r > 126 || r < 33 }) {
			t.Errorf("%q", w)
		}
	}
}

func FuzzJudge(f *testing.F) {
	j := newJudge(f, nil)
	for _, s := range []string{good, "", "İıſK", "\xff\xfe", strings.Repeat("@4({[<3690!|1l7$5+%2z", 12), strings.Repeat("👩‍👩‍👧", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, rules := range []directory.Rules{{}, {Complexity: true, MinLength: 12, MaxLength: 20}} {
			j.Judge(directory.NewSecret(s), rules, ada)
		}
		if g := j.guesses(s); s != "" && (math.IsInf(g, 0) || math.IsNaN(g) || g < 0) {
			t.Errorf("%q: %v", s, g)
		}
	})
}

// security case 119: what is sent must not decide how long it takes.
func BenchmarkJudge(b *testing.B) {
	j := newJudge(b, nil)
	for name, pw := range map[string]string{"usual": good, "256": longText(256), "leet256": strings.Repeat("@4({[<3690!|1l7$5+%2z", 13)[:256], "words256": longText(3) + strings.Repeat("sunshine1password", 20)[:250], "a100k": strings.Repeat("a", 100_000)} {
		b.Run(name, func(b *testing.B) {
			s := directory.NewSecret(pw)
			b.ReportAllocs()
			for b.Loop() {
				j.Judge(s, directory.Rules{Complexity: true}, ada)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newJudge(b, nil)
	}
}
