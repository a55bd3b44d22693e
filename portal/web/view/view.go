// Package view turns typed page structs into HTML and messages into mail and
// SMS text, in the person's language.
//
// It decides nothing, reads no request and no store: what is not in the struct
// is not on the page. User text is a key and arguments until the moment it is
// written (portal/i18n). Templates are parsed once for each language, and what
// is the same on every page in that language (sentences without arguments,
// icons, addresses) becomes plain text then (fold.go).
package view

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/url"
	"strings"
	"sync"
	text "text/template"

	"postern/portal/i18n"
)

// Brand is what an operator makes their own.
type Brand struct {
	Name         string // product name in the header; empty: Postern
	Organisation string // whose accounts these are, e.g. example.org
	Support      string // help desk number or address as people read it; empty: not shown
	SupportURL   string // tel:, mailto: or https: of the same
	Hours        string // when the help desk answers, in the operator's own words
	Logo         string // name of a file in the operator's static folder, shown instead of the mark
}

// Options of New.
type Options struct {
	Templates fs.FS // web/*.html and mail/*; see package templates
	Overlay   fs.FS // an operator's folder of the same shape, may be nil; its files win
	Bundle    *i18n.Bundle
	Static    func(name string) string // URL of a static file; empty: there is no such file
	Brand     Brand
	PublicURL string // origin, for mail: "https://postern.example.org"
	Demo      bool   // every page links to /demo
}

// Renderer writes pages and messages. Safe for concurrent use.
type Renderer struct {
	bundle *i18n.Bundle
	langs  map[string]*set
	pool   sync.Pool
}

// set is everything in one language.
type set struct {
	*words
	pages map[string]*template.Template
	mails map[string]*template.Template
	texts map[string]*text.Template
}

// New reads and checks every template in every language. A fault in an
// operator's file is an error that names it.
func New(o Options) (*Renderer, error) {
	if o.Brand.Name == "" {
		o.Brand.Name = "Postern"
	}
	if err := o.Brand.check(o.Static); err != nil {
		return nil, err
	}
	r := &Renderer{bundle: o.Bundle, langs: map[string]*set{}, pool: sync.Pool{New: func() any { return new(bytes.Buffer) }}}
	icons, err := readIcons(o)
	if err != nil {
		return nil, err
	}
	for _, l := range o.Bundle.Languages() {
		s := &set{words: newWords(o, l, icons), pages: map[string]*template.Template{}}
		if err := s.readPages(o); err != nil {
			return nil, err
		}
		if err := s.readMails(o); err != nil {
			return nil, err
		}
		r.langs[l.Tag] = s
	}
	return r, nil
}

func (b Brand) check(static func(string) string) error {
	if b.Logo != "" && static(b.Logo) == "" {
		return fmt.Errorf("view: brand logo: no static file %q", b.Logo)
	}
	if b.SupportURL == "" {
		return nil
	}
	u, err := url.Parse(b.SupportURL)
	if err != nil || (u.Scheme != "tel" && u.Scheme != "mailto" && u.Scheme != "https") {
		return errors.New("view: brand support URL: begins with none of tel, mailto and https")
	}
	return nil
}

// shared are the files every page is parsed with.
func shared() []string { return []string{"web/layout.html", "web/fields.html", "web/passkey.html"} }

func (s *set) readPages(o Options) error {
	base := template.New("web").Funcs(s.funcs())
	for _, name := range shared() {
		src, err := o.read(name)
		if err != nil {
			return err
		}
		if _, err := base.New(name).Parse(src); err != nil {
			return fmt.Errorf("view: %s: %w", name, err)
		}
	}
	if err := s.readRows(base); err != nil {
		return err
	}
	for _, p := range pages() {
		name := "web/" + p.file() + ".html"
		src, err := o.read(name)
		if err != nil {
			return err
		}
		t, err := base.Clone()
		if err == nil {
			_, err = t.New(name).Parse(src)
		}
		if err != nil {
			return fmt.Errorf("view: %s: %w", name, err)
		}
		for _, part := range t.Templates() {
			if part.Tree == nil {
				continue
			}
			if err := s.fold(part.Tree.Root); err != nil {
				return fmt.Errorf("view: %s: %s: %w", name, part.Name(), err)
			}
		}
		t = t.Lookup("page")
		// The zero page finds fields and templates that do not exist, and makes
		// html/template do its escaping now instead of in the first request.
		if err := t.Execute(io.Discard, p); err != nil {
			return fmt.Errorf("view: %s: %w", name, err)
		}
		s.pages[p.file()] = t
	}
	return nil
}

func (o Options) read(name string) (string, error) {
	if o.Overlay != nil {
		src, err := fs.ReadFile(o.Overlay, name)
		if err == nil {
			return string(src), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("view: overlay: %w", err)
		}
	}
	src, err := fs.ReadFile(o.Templates, name)
	if err != nil {
		return "", fmt.Errorf("view: %w", err)
	}
	return string(src), nil
}

// maxKept bounds the buffers that wait for the next page.
const maxKept = 256 << 10

// Page writes p in lang (one of the bundle's languages; any other reads as the
// fallback). When it fails nothing has been written.
func (r *Renderer) Page(w io.Writer, lang string, p Page) error {
	s := r.langs[lang]
	if s == nil {
		s = r.langs[i18n.Fallback]
	}
	b := r.pool.Get().(*bytes.Buffer)
	b.Reset()
	defer func() {
		// A page can hold recovery codes; the next one must not find them.
		clear(b.Bytes())
		if b.Cap() <= maxKept {
			r.pool.Put(b)
		}
	}()
	if err := s.pages[p.file()].Execute(b, p); err != nil {
		return fmt.Errorf("view: %s: %w", p.file(), err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// pages is one zero value of every page struct.
func pages() []Page {
	return []Page{&Start{}, &StartForm{Purpose: "reset"}, &SignIn{}, &Choose{Purpose: "reset", Need: 1}, &Answer{Purpose: "reset", Kind: "totp"}, &Wait{Purpose: "reset"},
		&NewPassword{Purpose: "reset"}, &Applying{Purpose: "reset"}, &Done{Purpose: "reset"}, &Refused{Purpose: "reset"},
		&Expired{Purpose: "reset"}, &ErrorPage{}, &Me{}, &Factors{}, &OfferTOTP{}, &OfferPasskey{}, &OfferCodes{},
		&Remove{Method: Method{Kind: "totp"}}, &ActivityLog{}, &Help{Topic: Topics()[0]}, &Demo{}}
}

func readIcons(o Options) (map[string]string, error) {
	src, err := o.read("web/icons.svg")
	if err != nil {
		return nil, err
	}
	icons := map[string]string{}
	for part := range strings.SplitSeq(src, "<symbol ") {
		_, rest, ok := strings.Cut(part, `id="i-`)
		if !ok {
			continue
		}
		name, rest, _ := strings.Cut(rest, `"`)
		_, body, _ := strings.Cut(rest, ">")
		icons[name], _, _ = strings.Cut(body, "</symbol>")
	}
	return icons, nil
}
