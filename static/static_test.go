package static

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func TestAddressesChangeWithTheContent(t *testing.T) {
	a, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{Overlay: fstest.MapFS{"postern.css": {Data: []byte("body{}")}, "logo.png": {Data: []byte("png")}, ".hidden.css": {}, "notes.txt": {}, "sub/x.css": {}}})
	if err != nil {
		t.Fatal(err)
	}
	if a.URL("postern.css") == b.URL("postern.css") || a.URL("tokens.css") != b.URL("tokens.css") {
		t.Errorf("%s %s", a.URL("postern.css"), b.URL("postern.css"))
	}
	f, ok := b.Get(b.URL("postern.css"))
	if !ok || string(f.Body) != "body{}" {
		t.Errorf("the operator's file does not win: %q", f.Body)
	}
	if b.URL("logo.png") == "" {
		t.Error("a new file of the operator is not served")
	}
	for _, name := range []string{".hidden.css", "notes.txt", "sub/x.css", "static.go"} {
		if url := b.URL(name); url != "" {
			t.Errorf("%s is served as %s", name, url)
		}
	}
}

func TestEveryFileIsServedWithTypeTagAndGzip(t *testing.T) {
	f, err := New(Options{Colour: "#7a1f5c"})
	if err != nil {
		t.Fatal(err)
	}
	names, _ := fs.Glob(embedded, "*")
	for _, name := range append(names, "brand.css") {
		file, ok := f.Get(f.URL(name))
		if !ok || file.Type == "" || !regexp.MustCompile(`^"[0-9a-f]{12}"$`).MatchString(file.ETag) {
			t.Errorf("%s: %v %q %q", name, ok, file.Type, file.ETag)
		}
		if file.Gzip == nil {
			continue
		}
		r, err := gzip.NewReader(bytes.NewReader(file.Gzip))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(r); err != nil || !bytes.Equal(body, file.Body) {
			t.Errorf("%s: gzip differs: %v", name, err)
		}
	}
}

func TestNothingElseCanBeNamed(t *testing.T) {
	f, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/static/", "/static/postern.css", "/static/../static.go", "/static/postern.000000000000.css", "/etc/passwd"} {
		if _, ok := f.Get(path); ok {
			t.Errorf("%q is served", path)
		}
	}
}

// The content policy forbids inline parts and other origins; our files must not want them.
func TestFilesNeedNothingFromElsewhere(t *testing.T) {
	names, _ := fs.Glob(embedded, "*")
	for _, name := range names {
		text, _ := fs.ReadFile(embedded, name)
		s := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		for _, bad := range []string{"http:", "https:", "url(data:", "@import", "eval(", "innerHTML = ", "document.write", "localStorage"} {
			if strings.Contains(s, bad) {
				t.Errorf("%s has %q", name, bad)
			}
		}
	}
}

// tokens reads the custom properties of one scheme out of tokens.css.
func tokens(t *testing.T, css, after string) map[string]rgb {
	t.Helper()
	_, rest, ok := strings.Cut(css, after)
	if !ok {
		t.Fatalf("no %q in the style sheet", after)
	}
	block, _, _ := strings.Cut(rest, "}")
	out := map[string]rgb{}
	for _, m := range regexp.MustCompile(`--([a-z0-9-]+):\s*(#[0-9a-f]{3,6})\b`).FindAllStringSubmatch(block, -1) {
		c, err := parseColour(m[2])
		if err != nil {
			t.Fatal(err)
		}
		out[m[1]] = c
	}
	return out
}

// WCAG 2.2 success criteria 1.4.3 (text 4.5) and 1.4.11 (parts of controls 3).
func checkContrast(t *testing.T, scheme string, c map[string]rgb) {
	t.Helper()
	for _, p := range []struct {
		front, back string
		least       float64
	}{
		{"ink", "surface", 7}, {"ink", "ground", 7}, {"ink", "sunk", 7}, {"ink-2", "surface", 4.5}, {"ink-2", "ground", 4.5}, {"ink-2", "sunk", 4.5},
		{"link", "surface", 4.5}, {"link", "ground", 4.5}, {"link", "pine-soft", 4.5}, {"on-pine", "pine", 4.5}, {"on-pine-2", "pine", 4.5}, {"on-pine", "pine-2", 4.5}, {"on-pine-2", "pine-2", 4.5},
		{"on-lamp", "lamp", 4.5}, {"ink", "lamp-soft", 4.5}, {"ok", "ok-soft", 4.5}, {"warn", "warn-soft", 4.5}, {"bad", "bad-soft", 4.5}, {"bad", "surface", 4.5},
		{"ink", "ok-soft", 4.5}, {"ink", "warn-soft", 4.5}, {"ink", "bad-soft", 4.5},
		{"edge", "surface", 3}, {"edge", "sunk", 3}, {"pine", "surface", 3.5}, {"focus-out", "surface", 3}, {"focus-out", "ground", 3},
		{"c1", "surface", 3}, {"c2", "surface", 3}, {"c3", "surface", 3},
	} {
		front, ok1 := c[p.front]
		back, ok2 := c[p.back]
		if !ok1 || !ok2 {
			t.Errorf("%s: %s or %s is no colour", scheme, p.front, p.back)
			continue
		}
		if got := contrast(front, back); got < p.least {
			t.Errorf("%s: %s on %s has %.2f, needs %.1f", scheme, p.front, p.back, got, p.least)
		}
	}
}

func TestTokensHaveEnoughContrast(t *testing.T) {
	css, err := fs.ReadFile(embedded, "tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	light := tokens(t, string(css), ":root {")
	auto := tokens(t, string(css), `:root:not([data-theme="light"]) {`)
	dark := tokens(t, string(css), "\n:root[data-theme=\"dark\"] {")
	for name, c := range auto {
		if dark[name] != c {
			t.Errorf("the two dark schemes differ in %s", name)
		}
	}
	dark["on-lamp"] = light["on-lamp"]
	checkContrast(t, "light", light)
	checkContrast(t, "dark", dark)
}

func TestAnyBrandColourKeepsContrast(t *testing.T) {
	css, _ := fs.ReadFile(embedded, "tokens.css")
	light := tokens(t, string(css), ":root {")
	dark := tokens(t, string(css), "\n:root[data-theme=\"dark\"] {")
	for r := 0; r < 256; r += 51 {
		for g := 0; g < 256; g += 51 {
			for b := 0; b < 256; b += 51 {
				colour := rgb{uint8(r), uint8(g), uint8(b)}
				sheet, err := Palette(colour.String())
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range []struct {
					after string
					base  map[string]rgb
				}{{":root{", light}, {":root[data-theme=\"dark\"]{", dark}} {
					c := tokens(t, string(sheet), s.after)
					for _, p := range [][2]rgb{{c["on-pine"], c["pine"]}, {c["on-pine"], c["pine-2"]}, {c["link"], s.base["surface"]}, {c["link"], s.base["ground"]}, {c["link"], c["pine-soft"]}} {
						if got := contrast(p[0], p[1]); got < 4.5 {
							t.Errorf("%s %s: %s on %s has %.2f", colour, s.after, p[0], p[1], got)
						}
					}
					if got := contrast(c["pine"], s.base["surface"]); got < 3 {
						t.Errorf("%s %s: the button %s has %.2f", colour, s.after, c["pine"], got)
					}
				}
			}
		}
	}
}

func TestBadBrandColoursAreRefused(t *testing.T) {
	for _, s := range []string{"", "red", "#12", "#gggggg", "#0b5c4c;}", "0b5c4c0"} {
		if _, err := Palette(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
	if got := contrast(rgb{}, rgb{255, 255, 255}); math.Abs(got-21) > .01 {
		t.Errorf("black on white is %.2f, not 21", got)
	}
}
