// Package i18n turns a message key and its arguments into text in the person's
// language: which language, plurals, dates, durations, writing direction.
//
// The files (package locales, or an operator's folder over it) are go-i18n v2
// TOML. go-i18n reads them; the sentences are then compiled into parts once, so
// that a page costs no template run per sentence. Placeholders are {{.Name}}
// and nothing else; the plural form is chosen by the argument N.
//
// It never escapes for HTML (portal/web/view does) and never holds a secret
// longer than the call.
package i18n

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// Args are what goes into a sentence. Values may be string, int, time.Time (as
// a time of day, with the date when it is another day), time.Duration, Text,
// and []Text (as a list).
type Args = map[string]any

// Text is a sentence to be.
type Text struct {
	Key  string
	Args Args
}

// raw is text of this package's own making: it is not isolated a second time.
type raw string

// Msg is short for a Text without arguments.
func Msg(key string) Text { return Text{Key: key} }

// Fallback is the language used where nothing better fits; every key exists in it.
const Fallback = "en"

// Language is one the portal speaks.
type Language struct {
	Tag  string // "de"
	Name string // in itself: "Deutsch"
	Dir  string // "ltr" or "rtl"
}

// Bundle is every sentence in every language; read-only after Load.
type Bundle struct {
	zone    *time.Location
	now     func() time.Time
	list    []Language
	byTag   map[string]*catalog
	matcher language.Matcher
}

type catalog struct {
	Language
	tag      language.Tag
	messages map[string]message
	fallback *catalog // nil for Fallback itself
}

// message has one form, or one per plural category.
type message struct {
	other  form
	plural map[plural.Form]form // nil: no plural
}

// form is text and placeholders in turn: lit[0] arg[0] lit[1] …
type form struct {
	lit  []string
	args []string
}

// Languages in the order of the menu.
func (b *Bundle) Languages() []Language { return slices.Clone(b.list) }

// Dir is "rtl" or "ltr".
func (b *Bundle) Dir(lang string) string { return b.catalog(lang).Dir }

// Has says whether a key exists at all.
func (b *Bundle) Has(key string) bool {
	_, ok := b.byTag[Fallback].messages[key]
	return ok
}

// Keys of the fallback language, sorted.
func (b *Bundle) Keys() []string {
	keys := make([]string, 0, len(b.byTag[Fallback].messages))
	for k := range b.byTag[Fallback].messages {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Plain returns a sentence that needs no arguments, and whether it is one.
func (b *Bundle) Plain(lang, key string) (string, bool) {
	m, ok := b.catalog(lang).find(key)
	if !ok || m.plural != nil || len(m.other.args) > 0 {
		return "", false
	}
	return m.other.lit[0], true
}

// T returns the sentence of key. A key nobody wrote gives the key between
// marks that the tests look for, never an empty string.
func (b *Bundle) T(lang, key string, args Args) string {
	c := b.catalog(lang)
	m, ok := c.find(key)
	if !ok {
		return missing(key)
	}
	f := m.other
	if m.plural != nil {
		if n, ok := args["N"].(int); ok {
			if p, ok := m.plural[plural.Cardinal.MatchPlural(c.tag, abs(n), 0, 0, 0, 0)]; ok {
				f = p
			}
		}
	}
	if len(f.args) == 0 {
		return f.lit[0]
	}
	var s strings.Builder
	for i, name := range f.args {
		s.WriteString(f.lit[i])
		v, ok := args[name]
		if !ok {
			s.WriteString(missing(key + "." + name))
			continue
		}
		b.write(&s, c, v)
	}
	s.WriteString(f.lit[len(f.lit)-1])
	return s.String()
}

// Text is T for a Text; the zero Text is empty.
func (b *Bundle) Text(lang string, t Text) string {
	if t.Key == "" {
		return ""
	}
	return b.T(lang, t.Key, t.Args)
}

func (b *Bundle) write(s *strings.Builder, c *catalog, v any) {
	switch v := v.(type) {
	case string:
		c.isolate(s, v)
	case raw:
		s.WriteString(string(v))
	case int:
		s.WriteString(strconv.Itoa(v))
	case Text:
		s.WriteString(b.Text(c.Tag, v))
	case []Text:
		s.WriteString(b.List(c.Tag, v))
	case time.Time:
		c.isolate(s, b.When(c.Tag, v))
	case time.Duration:
		s.WriteString(b.Span(c.Tag, v))
	default:
		s.WriteString(missing(fmt.Sprintf("%T", v)))
	}
}

// isolate keeps a name or a number from being reordered by the sentence around
// it, and the sentence from being reordered by it (Unicode UAX 9, section 2.7).
func (c *catalog) isolate(s *strings.Builder, v string) {
	if c.Dir != "rtl" {
		s.WriteString(v)
		return
	}
	s.WriteString("\u2068")
	s.WriteString(v)
	s.WriteString("\u2069")
}

// List joins texts with commas.
func (b *Bundle) List(lang string, list []Text) string {
	words := make([]string, len(list))
	for i, t := range list {
		words[i] = b.Text(lang, t)
	}
	sep, _ := b.Plain(lang, "format.comma")
	return strings.Join(words, sep)
}

func (b *Bundle) catalog(lang string) *catalog {
	if c, ok := b.byTag[lang]; ok {
		return c
	}
	return b.byTag[Fallback]
}

// find looks in the language, then in the fallback (an operator's own language
// file may be incomplete; ours are held complete by a test).
func (c *catalog) find(key string) (message, bool) {
	m, ok := c.messages[key]
	if !ok && c.fallback != nil {
		m, ok = c.fallback.messages[key]
	}
	return m, ok
}

func missing(key string) string { return "⟦" + key + "⟧" }

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// Options of Load.
type Options struct {
	Zone *time.Location   // of every time shown; nil: UTC
	Now  func() time.Time // to leave out today's date; nil: time.Now
}

// Load reads every *.toml at the top of each layer; a later layer's sentences
// win over an earlier one's, and may add a language. A fault in any file is an
// error that names it.
func Load(o Options, layers ...fs.FS) (*Bundle, error) {
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	b := &Bundle{zone: o.Zone, now: o.Now, byTag: map[string]*catalog{}}
	for _, layer := range layers {
		if err := b.read(layer); err != nil {
			return nil, err
		}
	}
	return b, b.finish()
}
