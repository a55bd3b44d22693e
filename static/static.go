// Package static holds the style sheets, scripts and pictures, and serves them
// from memory under addresses that change with their content.
//
// It reads files once, at New; a request can name nothing but what was read then.
package static

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed *.css *.svg *.js
var embedded embed.FS

// Prefix of every address.
const Prefix = "/static/"

// CacheControl goes with every File: the content of an address never changes (RFC 8246).
const CacheControl = "public, max-age=31536000, immutable"

// File is one file, ready to send. The slices must not be changed.
type File struct {
	Type string // Content-Type
	ETag string // with quotes
	Body []byte
	Gzip []byte // nil where it would not be smaller
}

// Files are all of them; read-only after New.
type Files struct {
	byURL map[string]File
	urls  map[string]string
}

// Options of New.
type Options struct {
	// Overlay is an operator's folder: a file in it replaces ours of the same
	// name, and may be a new one (a logo). Only css, js, svg, png, ico and
	// woff2 are served. Nil: none.
	Overlay fs.FS
	// Colour is the brand's colour, "#rrggbb", made into brand.css; empty: none.
	Colour string
}

// New reads everything there is to serve.
func New(o Options) (*Files, error) {
	f := &Files{byURL: map[string]File{}, urls: map[string]string{}}
	layers := []fs.FS{embedded}
	if o.Overlay != nil {
		layers = append(layers, o.Overlay)
	}
	content := map[string][]byte{}
	for _, layer := range layers {
		if err := read(layer, content); err != nil {
			return nil, err
		}
	}
	if o.Colour != "" {
		css, err := Palette(o.Colour)
		if err != nil {
			return nil, err
		}
		content["brand.css"] = css
	}
	for name, body := range content {
		if err := f.add(name, body); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// maxFile bounds one file of an operator's folder.
const maxFile = 1 << 20

func read(layer fs.FS, into map[string][]byte) error {
	entries, err := fs.ReadDir(layer, ".")
	if err != nil {
		return fmt.Errorf("static: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if _, served := types[path.Ext(name)]; !served || e.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		body, err := fs.ReadFile(layer, name)
		if err != nil {
			return fmt.Errorf("static: %w", err)
		}
		if len(body) > maxFile {
			return fmt.Errorf("static: %s is over 1 MiB", name)
		}
		into[name] = body
	}
	return nil
}

var types = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	".png": "image/png", ".ico": "image/x-icon", ".woff2": "font/woff2",
}

func (f *Files) add(name string, body []byte) error {
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if strings.ContainsAny(name, "/\\?#%\" ") || stem == "" {
		return fmt.Errorf("static: %q cannot be in an address", name)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:6])
	file := File{Type: types[ext], ETag: `"` + hash + `"`, Body: body}
	if packed, err := pack(body); err != nil {
		return err
	} else if len(packed) < len(body) {
		file.Gzip = packed
	}
	url := Prefix + stem + "." + hash + ext
	f.urls[name] = url
	f.byURL[url] = file
	return nil
}

func pack(body []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("static: %w", err)
	}
	_, err = w.Write(body)
	err = errors.Join(err, w.Close())
	return b.Bytes(), err
}

// URL of a file by its name ("postern.css"); empty when there is none.
func (f *Files) URL(name string) string { return f.urls[name] }

// Get finds a file by the path of a request.
func (f *Files) Get(urlPath string) (File, bool) {
	file, ok := f.byURL[urlPath]
	return file, ok
}
