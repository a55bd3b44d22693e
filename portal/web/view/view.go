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
	"slices"
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
	src, err := o.sources(newWords(o, o.Bundle.Languages()[0], icons).funcs())
	if err != nil {
		return nil, err
	}
	langs := o.Bundle.Languages()
	sets, errs := make([]*set, len(langs)), make([]error, len(langs))
	var all sync.WaitGroup
	for i, l := range langs {
		all.Go(func() { sets[i], errs[i] = newSet(newWords(o, l, icons), src) })
	}
	all.Wait()
	// One language's: a fault is mostly the same in all of them.
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, errs[i]
	}
	for i, l := range langs {
		r.langs[l.Tag] = sets[i]
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
func shared() []string {
	return []string{"web/layout.html", "web/fields.html", "web/passkey.html", "web/charts.html", "web/kiosk.html"}
}

// sources is every file, parsed once for all languages.
type sources struct {
	shared trees            // with what every page is parsed
	pages  map[string]trees // by Page.file
	mails  map[string]trees // by name, with their layout
	texts  map[string]string
}

func (o Options) sources(funcs template.FuncMap) (src sources, err error) {
	src = sources{shared: trees{}, pages: map[string]trees{}, mails: map[string]trees{}, texts: map[string]string{}}
	for _, name := range shared() {
		part, err := o.parse(name, funcs)
		if err != nil {
			return src, err
		}
		src.shared = src.shared.under(part)
	}
	for _, p := range pages() {
		if src.pages[p.file()], err = o.parse(pageFile(p), funcs); err != nil {
			return src, err
		}
	}
	layout, err := o.parse("mail/layout.html", funcs)
	if err != nil {
		return src, err
	}
	for _, name := range mails() {
		part, err := o.parse("mail/"+name+".html", funcs)
		if err != nil {
			return src, err
		}
		src.mails[name] = layout.under(part)
		if src.texts[name], err = o.read("mail/" + name + ".txt"); err != nil {
			return src, err
		}
	}
	return src, nil
}

func pageFile(p Page) string { return "web/" + p.file() + ".html" }

// newSet makes everything in the language of w.
func newSet(w *words, src sources) (*set, error) {
	s := &set{words: w, pages: map[string]*template.Template{}, mails: map[string]*template.Template{}, texts: map[string]*text.Template{}}
	funcs := w.funcs()
	shared, err := src.shared.in(w)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	if err := s.readRows(shared, funcs); err != nil {
		return nil, fmt.Errorf("view: web/fields.html: %w", err)
	}
	for _, p := range pages() {
		if s.pages[p.file()], err = readPage(p, shared, src.pages[p.file()], w, funcs); err != nil {
			return nil, fmt.Errorf("view: %s: %w", pageFile(p), err)
		}
	}
	return s, s.readMails(src, funcs)
}

func readPage(p Page, shared, own trees, w *words, funcs template.FuncMap) (*template.Template, error) {
	own, err := own.in(w)
	if err != nil {
		return nil, err
	}
	t, err := shared.under(own).template("page", funcs)
	if err != nil {
		return nil, err
	}
	// The zero page finds fields that do not exist, and makes html/template do
	// its escaping now instead of in the first request.
	return t, t.Execute(io.Discard, p)
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
	return []Page{&Start{}, &StartForm{Purpose: "reset"}, &SignIn{}, &Choose{Purpose: "reset", Need: 1}, &Answer{Purpose: "reset", Kind: "totp"}, &Wait{Purpose: "reset"}, &ApproveFirst{}, &Approve{Purpose: "reset"}, &ApproveUnfit{}, &NotMe{}, &Welcome{}, &Snooze{}, &Link{}, &Receipt{Purpose: "reset"},
		&NewPassword{Purpose: "reset"}, &Applying{Purpose: "reset"}, &Done{Purpose: "reset"}, &Refused{Purpose: "reset"},
		&Expired{Purpose: "reset"}, &ErrorPage{}, &Me{}, &Factors{}, &OfferTOTP{}, &OfferPasskey{}, &OfferYubiKey{}, &OfferCodes{},
		&Remove{Method: Method{Kind: "totp"}}, &Kept{}, &RemoveKept{}, &Pass{}, &ActivityLog{}, &Help{Topic: Topics()[0]}, &Demo{},
		&DeskIndex{}, &DeskPeople{Found: []Hit{{}}}, &DeskPerson{}, &DeskCase{Purpose: "reset", Stage: "code"}, &DeskHold{Purpose: "reset", Waiting: Waiting{Reasons: []string{""}}}, &DeskEvidence{Purpose: "reset", Door: "desk"}, &DeskProof{}, &DeskPolicy{Who: &Explained{}}, &DeskCoverage{Count: &Count{}}, &DeskThreat{Frame: Frame{Threat: &Threat{}}}, &DeskDoctor{Groups: []FindingGroup{{Severity: "ok", Findings: []Finding{{}}}}},
		&DeskFigures{Shown: &Figures{Coverage: &Count{}}}, &DeskLists{}, &DeskList{List: "locked", People: []ListedRow{{}}},
		&KioskStart{}, &KioskShut{}, &KioskRegister{}, &DeskKiosks{}, &DeskKiosk{Row: KioskRow{Way: "key"}}, &DeskKioskGiven{}, &KioskHelp{Step: "ask"}, &KioskPhone{Purpose: "reset", Step: "wait"}, &Phone{}}
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
