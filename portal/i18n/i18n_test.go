package i18n_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/BurntSushi/toml"
	goi18n "github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"

	"postern/locales"
	"postern/portal/i18n"
)

var noon = time.Date(2026, 3, 12, 11, 5, 0, 0, time.UTC)

func load(t testing.TB, layers ...fs.FS) *i18n.Bundle {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		zone = time.FixedZone("Europe/Berlin", 3600)
	}
	b, err := i18n.Load(i18n.Options{Zone: zone, Now: func() time.Time { return noon }}, append([]fs.FS{locales.Files}, layers...)...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// files reads the locale files as go-i18n itself does.
func files(t *testing.T) map[string]map[string]*goi18n.Message {
	t.Helper()
	all := map[string]map[string]*goi18n.Message{}
	names, _ := fs.Glob(locales.Files, "*.toml")
	for _, name := range names {
		text, err := fs.ReadFile(locales.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := goi18n.ParseMessageFileBytes(text, name, map[string]goi18n.UnmarshalFunc{"toml": toml.Unmarshal})
		if err != nil {
			t.Fatal(err)
		}
		all[f.Tag.String()] = map[string]*goi18n.Message{}
		for _, m := range f.Messages {
			all[f.Tag.String()][m.ID] = m
		}
	}
	return all
}

func forms(m *goi18n.Message) map[string]string {
	all := map[string]string{"zero": m.Zero, "one": m.One, "two": m.Two, "few": m.Few, "many": m.Many, "other": m.Other}
	for k, v := range all {
		if v == "" {
			delete(all, k)
		}
	}
	return all
}

func placeholders(m *goi18n.Message) []string {
	var names []string
	for _, text := range forms(m) {
		for part := range strings.SplitSeq(text, "{{.") {
			if name, _, ok := strings.Cut(part, "}}"); ok && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

func TestEveryLanguageHasEveryKeyWithTheSamePlaceholders(t *testing.T) {
	all := files(t)
	for _, want := range []string{"en", "de", "ar"} {
		if all[want] == nil {
			t.Fatalf("no %s.toml", want)
		}
	}
	for lang, messages := range all {
		for key, m := range all["en"] {
			other, ok := messages[key]
			if !ok {
				t.Errorf("%s: %s is missing", lang, key)
				continue
			}
			if got, want := placeholders(other), placeholders(m); !slices.Equal(got, want) {
				t.Errorf("%s: %s has placeholders %v, English has %v", lang, key, got, want)
			}
			if (len(forms(m)) > 1) != (len(forms(other)) > 1) {
				t.Errorf("%s: %s counts in one language and not in the other", lang, key)
			}
		}
		for key := range messages {
			if all["en"][key] == nil {
				t.Errorf("%s: %s is not in English", lang, key)
			}
		}
	}
}

func TestCountingSentencesHaveEveryPluralCategory(t *testing.T) {
	categories := map[string][]string{"en": {"one", "other"}, "de": {"one", "other"}, "ar": {"few", "many", "one", "other", "two", "zero"}}
	for lang, messages := range files(t) {
		for key, m := range messages {
			have := forms(m)
			if len(have) == 1 {
				continue
			}
			var got []string
			for c := range have {
				got = append(got, c)
			}
			slices.Sort(got)
			if !slices.Equal(got, categories[lang]) {
				t.Errorf("%s: %s has %v, want %v", lang, key, got, categories[lang])
			}
		}
	}
}

// The compiled sentences must be what go-i18n itself would say.
func TestSaysWhatGoI18nSays(t *testing.T) {
	b := load(t)
	ref := goi18n.NewBundle(language.English)
	ref.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	all := files(t)
	for lang, messages := range all {
		for _, m := range messages {
			if err := ref.AddMessages(language.MustParse(lang), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	plain := strings.NewReplacer("\u2068", "", "\u2069", "")
	for lang, messages := range all {
		l := goi18n.NewLocalizer(ref, lang)
		for key, m := range messages {
			for _, n := range []int{0, 1, 2, 3, 10, 11, 99, 100, 101, 102, 1000} {
				args := i18n.Args{}
				for _, name := range placeholders(m) {
					args[name] = "x" + name
				}
				args["N"] = n
				c := &goi18n.LocalizeConfig{MessageID: key, TemplateData: args}
				if len(forms(m)) > 1 {
					c.PluralCount = n
				}
				want, err := l.Localize(c)
				if err != nil {
					t.Fatalf("%s: %s: %v", lang, key, err)
				}
				if got := plain.Replace(b.T(lang, key, args)); got != want {
					t.Fatalf("%s: %s with %d:\n got %q\nwant %q", lang, key, n, got, want)
				}
			}
		}
	}
}

func TestChoosesTheLanguage(t *testing.T) {
	b := load(t)
	for _, c := range []struct{ query, cookie, header, want string }{
		{"", "", "", "en"},
		{"", "", "de-DE,de;q=0.9,en;q=0.8", "de"},
		{"", "", "de-AT", "de"},
		{"", "", "ar-EG,ar;q=0.9", "ar"},
		{"", "", "fr-FR,fr;q=0.9,de;q=0.5", "de"},
		{"", "", "en;q=0.2,de;q=0.9", "de"},
		{"", "", "fr,it", "en"},
		{"", "", "*", "en"},
		{"", "", ";;;,,,q=1", "en"},
		{"", "", strings.Repeat("zz-", 100) + "de", "en"},
		{"", "", strings.Repeat("fr,", 100000) + "de", "en"},
		{"", "ar", "de", "ar"},
		{"de", "ar", "en", "de"},
		{"xx", "ar", "en", "ar"},
		{"../../etc", "\x00", "de", "de"},
		{"DE", "", "", "en"},
	} {
		if got := b.Choose(c.query, c.cookie, c.header); got != c.want {
			t.Errorf("Choose(%.20q, %q, %.40q) = %q, want %q", c.query, c.cookie, c.header, got, c.want)
		}
	}
}

func TestTimesAreInTheConfiguredZone(t *testing.T) {
	b := load(t)
	for _, c := range []struct{ lang, clock, date, when string }{
		{"en", "12:05", "12 March 2026", "1 January 2027, 00:30"},
		{"de", "12:05 Uhr", "12. März 2026", "1. Januar 2027, 00:30 Uhr"},
		{"ar", "12:05", "12 مارس 2026", "1 يناير 2027، 00:30"},
	} {
		if got := b.Clock(c.lang, noon); got != c.clock {
			t.Errorf("%s: Clock = %q, want %q", c.lang, got, c.clock)
		}
		if got := b.When(c.lang, noon); got != c.clock {
			t.Errorf("%s: When(today) = %q, want %q", c.lang, got, c.clock)
		}
		if got := b.Date(c.lang, noon); got != c.date {
			t.Errorf("%s: Date = %q, want %q", c.lang, got, c.date)
		}
		if got := b.When(c.lang, time.Date(2026, 12, 31, 23, 30, 0, 0, time.UTC)); got != c.when {
			t.Errorf("%s: When = %q, want %q", c.lang, got, c.when)
		}
	}
}

func TestSpansRoundUp(t *testing.T) {
	b := load(t)
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1 second", 30 * time.Second: "30 seconds", 51 * time.Second: "1 minute", 61 * time.Second: "2 minutes",
		15 * time.Minute: "15 minutes", 3*time.Hour - time.Second: "3 hours", 72 * time.Hour: "3 days",
	} {
		if got := b.Span("en", d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
	if got := b.Span("ar", 2*time.Minute); got != "دقيقتين" {
		t.Errorf("Arabic dual: %q", got)
	}
}

func TestNamesCannotReorderAnArabicSentence(t *testing.T) {
	b := load(t)
	got := b.T("ar", "wait.for", i18n.Args{"Name": "a\u202eb"})
	if !strings.Contains(got, "\u2068a\u202eb\u2069") {
		t.Errorf("not isolated: %q", got)
	}
}

func TestMissingTextIsLoud(t *testing.T) {
	b := load(t)
	for _, got := range []string{
		b.T("en", "no.such_key", nil),
		b.T("en", "wait.for", nil),
		b.T("en", "wait.for", i18n.Args{"Name": struct{}{}}),
	} {
		if !strings.Contains(got, "⟦") {
			t.Errorf("silent: %q", got)
		}
	}
}

func TestOperatorsSentencesWin(t *testing.T) {
	b := load(t, fstest.MapFS{
		"en.toml": {Data: []byte("[start]\ntitle = \"Welcome\"\n")},
		"fr.toml": {Data: []byte("[language]\nname = \"Français\"\n")},
	})
	if got := b.T("en", "start.title", nil); got != "Welcome" {
		t.Errorf("got %q", got)
	}
	if got := b.T("fr", "page.help", nil); got != "Help" {
		t.Errorf("an incomplete language does not fall back: %q", got)
	}
	if got := b.Choose("", "", "fr-CA"); got != "fr" {
		t.Errorf("an added language is not chosen: %q", got)
	}
}

func TestFaultyFilesAreNamed(t *testing.T) {
	for name, text := range map[string]string{
		"syntax":   "[start\n",
		"template": "[start]\ntitle = \"{{.Name | printf}}\"\n",
		"no other": "[start.title]\none = \"x\"\n",
	} {
		_, err := i18n.Load(i18n.Options{}, locales.Files, fstest.MapFS{"de.toml": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), "de.toml") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := i18n.Load(i18n.Options{}, fstest.MapFS{}); err == nil {
		t.Error("a bundle without English")
	}
}

func FuzzChoose(f *testing.F) {
	for _, h := range []string{"", "de-DE,de;q=0.9", "*;q=0", "en;q=9999", "\xff\x00", "a-b-c-d-e-f-g"} {
		f.Add(h, h, h)
	}
	b := load(f)
	var tags []string
	for _, l := range b.Languages() {
		tags = append(tags, l.Tag)
	}
	f.Fuzz(func(t *testing.T, query, cookie, header string) {
		if got := b.Choose(query, cookie, header); !slices.Contains(tags, got) {
			t.Errorf("Choose gave %q", got)
		}
	})
}

func BenchmarkT(b *testing.B) {
	bundle := load(b)
	for _, key := range []string{"start.title", "error.left"} {
		b.Run(key, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bundle.T("ar", key, i18n.Args{"N": 3})
			}
		})
	}
}

func ExampleBundle_T() {
	b, _ := i18n.Load(i18n.Options{}, locales.Files)
	fmt.Println(b.T("en", "error.left", i18n.Args{"N": 1}))
	fmt.Println(b.T("de", "error.left", i18n.Args{"N": 3}))
	// Output:
	// You have 1 try left.
	// Sie haben noch 3 Versuche.
}
