package view

import (
	"bytes"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"postern/templates"
)

func TestOperatorsTemplatesWinAndAreChecked(t *testing.T) {
	o, _ := opts(t)
	good, err := fs.ReadFile(templates.Files, "web/expired.html")
	if err != nil {
		t.Fatal(err)
	}
	o.Overlay = fstest.MapFS{"web/expired.html": {Data: bytes.ReplaceAll(good, []byte(`<div class="card">`), []byte(`<div class="card"><p>Our house</p>`))}}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Page(&b, "de", &Expired{Purpose: "reset"}); err != nil || !strings.Contains(b.String(), "<p>Our house</p>") {
		t.Errorf("not laid over: %v", err)
	}
	for what, src := range map[string]string{
		"syntax":        `{{define "main"}}{{if}}{{end}}`,
		"unknown field": string(good) + `{{define "main"}}{{.Secret}}{{end}}`,
		"unknown text":  string(good) + `{{define "main"}}{{t "no.such"}}{{end}}`,
		"bad context":   string(good) + `{{define "main"}}<a href="{{if .Life}}"{{end}}>{{end}}`,
		"empty":         ``,
	} {
		o.Overlay = fstest.MapFS{"web/expired.html": {Data: []byte(src)}}
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "web/expired.html") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestBrandIsChecked(t *testing.T) {
	o, _ := opts(t)
	for _, b := range []Brand{{SupportURL: "javascript:alert(1)"}, {SupportURL: "http://example.org"}, {Logo: "nope.png"}} {
		o.Brand = b
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", b)
		}
	}
	o.Brand = Brand{Name: "Acme <Doors>", Logo: "mark.svg"}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.Page(&out, "en", &Start{}); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "Acme &lt;Doors&gt;") || !strings.Contains(s, `<img class="logo"`) || strings.Contains(s, "Stuck?") {
		t.Error("the brand is not used as given")
	}
}

func BenchmarkPage(b *testing.B) {
	r := renderer(b)
	for _, s := range samples() {
		switch s.name {
		case "start", "form-reset", "choose-first", "answer-totp-wrong", "new-password", "done-reset", "me":
			for _, lang := range []string{"en", "ar"} {
				b.Run(s.name+"/"+lang, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if err := r.Page(io.Discard, lang, s.page); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
