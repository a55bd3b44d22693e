package i18n

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"
	goi18n "github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// read adds the files of a layer. They are parsed side by side: that is most of
// what Load costs, and a person may be waiting for the program to start.
func (b *Bundle) read(layer fs.FS) error {
	names, err := fs.Glob(layer, "*.toml")
	if err != nil {
		return fmt.Errorf("i18n: %w", err)
	}
	files, errs := make([]file, len(names)), make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { files[i], errs[i] = readFile(layer, name) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, f := range files {
		tag := f.tag.String()
		c := b.byTag[tag]
		if c == nil {
			c = &catalog{Language: Language{Tag: tag}, tag: f.tag, messages: map[string]message{}}
			b.byTag[tag] = c
		}
		maps.Copy(c.messages, f.messages)
	}
	return nil
}

// file is what one file says.
type file struct {
	tag      language.Tag
	messages map[string]message
}

func readFile(layer fs.FS, name string) (file, error) {
	text, err := fs.ReadFile(layer, name)
	if err != nil {
		return file{}, fmt.Errorf("i18n: %w", err)
	}
	parsed, err := goi18n.ParseMessageFileBytes(text, name, map[string]goi18n.UnmarshalFunc{"toml": toml.Unmarshal})
	if err != nil {
		return file{}, fmt.Errorf("i18n: %s: %w", name, err)
	}
	f := file{parsed.Tag, make(map[string]message, len(parsed.Messages))}
	for _, m := range parsed.Messages {
		if f.messages[m.ID], err = compile(m); err != nil {
			return file{}, fmt.Errorf("i18n: %s: %s: %w", name, m.ID, err)
		}
	}
	return f, nil
}

func (b *Bundle) finish() error {
	base := b.byTag[Fallback]
	if base == nil {
		return fmt.Errorf("i18n: no %s.toml", Fallback)
	}
	var tags []language.Tag
	for tag, c := range b.byTag {
		if tag != Fallback {
			c.fallback = base
		}
		c.Dir = direction(c.tag)
		name, ok := c.messages["language.name"]
		if !ok {
			return fmt.Errorf("i18n: %s: language.name is missing", tag)
		}
		c.Name = name.other.lit[0]
		b.list = append(b.list, c.Language)
	}
	slices.SortFunc(b.list, func(x, y Language) int {
		// The fallback first: x/text takes the first tag where nothing matches.
		if (x.Tag == Fallback) != (y.Tag == Fallback) {
			if x.Tag == Fallback {
				return -1
			}
			return 1
		}
		return cmp.Compare(x.Tag, y.Tag)
	})
	for _, l := range b.list {
		tags = append(tags, b.byTag[l.Tag].tag)
	}
	b.matcher = language.NewMatcher(tags)
	return nil
}

// direction by script: ISO 15924 scripts written from right to left that a
// browser's language list can name.
func direction(t language.Tag) string {
	script, _ := t.Script()
	switch script.String() {
	case "Arab", "Hebr", "Thaa", "Syrc", "Nkoo", "Adlm", "Rohg":
		return "rtl"
	}
	return "ltr"
}

var placeholder = regexp.MustCompile(`\{\{\s*\.([A-Za-z]+)\s*\}\}`)

func compile(m *goi18n.Message) (message, error) {
	if m.Other == "" {
		return message{}, errors.New("the form other is missing")
	}
	other, err := parse(m.Other)
	if err != nil {
		return message{}, err
	}
	out := message{other: other}
	for category, text := range map[plural.Form]string{
		plural.Zero: m.Zero, plural.One: m.One, plural.Two: m.Two, plural.Few: m.Few, plural.Many: m.Many,
	} {
		if text == "" {
			continue
		}
		f, err := parse(text)
		if err != nil {
			return message{}, err
		}
		if out.plural == nil {
			out.plural = map[plural.Form]form{}
		}
		out.plural[category] = f
	}
	return out, nil
}

func parse(text string) (form, error) {
	var f form
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		f.lit = append(f.lit, text[at:m[0]])
		f.args = append(f.args, text[m[2]:m[3]])
		at = m[1]
	}
	f.lit = append(f.lit, text[at:])
	for _, lit := range f.lit {
		if strings.Contains(lit, "{{") || strings.Contains(lit, "}}") {
			return form{}, fmt.Errorf("only {{.Name}} may stand between braces, in %q", text)
		}
	}
	return f, nil
}
