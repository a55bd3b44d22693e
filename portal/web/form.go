package web

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// field says what one field of a form may hold.
type field struct {
	name string
	max  int // bytes, after decoding
	// optional fields may be absent; every other one must be there, once, even
	// if it is empty.
	optional bool
}

// The fields of all forms. Their names are fixed: people script against them.
var (
	fieldPurpose  = field{name: "purpose", max: 16}
	fieldLogin    = field{name: "login", max: 512}
	fieldPlace    = field{name: "directory", max: 32, optional: true} // where there is a picker
	fieldCurrent  = field{name: "current", max: 4 << 10, optional: true}
	fieldFactor   = field{name: "factor", max: 32}
	fieldAnswer   = field{name: "answer", max: 32 << 10}
	fieldPassword = field{name: "password", max: 4 << 10}
	fieldConfirm  = field{name: "confirm", max: 4 << 10}
	fieldAlso     = field{name: "also", max: 4, optional: true}
	fieldName     = field{name: "name", max: 256}
	fieldReplace  = field{name: "replace", max: 64}
	fieldDecision = field{name: "decision", max: 8}
	fieldNumber   = field{name: "number", max: 8}
	fieldNote     = field{name: "note", max: 1 << 10}
	fieldWhy      = field{name: "why", max: 16, optional: true}
	fieldCode     = field{name: "code", max: 64}
	fieldCause    = field{name: "cause", max: 1 << 10}
	fieldTicket   = field{name: "ticket", max: 512}
	fieldSend     = field{name: "send", max: 8, optional: true}
	fieldLevel    = field{name: "level", max: 8}
	fieldFor      = field{name: "for", max: 4, optional: true}
	fieldAct      = field{name: "act", max: 16}
	fieldAt       = field{name: "at", max: 256}
	fieldOnce     = field{name: "once", max: 32}
	fieldWhich    = field{name: "which", max: 64, optional: true}
	fieldSearch   = field{name: "q", max: 512, optional: true}
	fieldDoor     = field{name: "door", max: 16}
	fieldCall     = field{name: "call", max: 32, optional: true}
	fieldPublic   = field{name: "public", max: 512}
	fieldPrint    = field{name: "print", max: 64}
	fieldCounter  = field{name: "counter", max: 20}
	fieldChal     = field{name: "challenge", max: 128}
	fieldLang     = field{name: "lang", max: 64}
)

const csrfField = "csrf"

// errForm is any form that is not exactly what its page sends. The reason is
// for the log: it names the fault and a declared field, never what was sent.
type errForm struct{ fault string }

func (e *errForm) Error() string { return "web: form: " + e.fault }

// form is a decoded body. Its strings are copies: fasthttp uses the request's
// buffer again for the next request on the connection.
type form map[string]string

// decode reads an application/x-www-form-urlencoded body (WHATWG URL section
// 5.1) far more strictly than browsers need: each declared field at most once,
// nothing undeclared, no empty pairs, no broken escapes, valid UTF-8 without
// NUL. What a lax parser makes of the rest differs from one to the next, and
// that difference is the attack (GitLab CVE-2023-7028, LTB CVE-2018-12421).
// csrf is always declared.
func decode(body []byte, fields ...field) (form, error) {
	f := make(form, len(fields)+1)
	for len(body) > 0 {
		pair, rest, more := bytes.Cut(body, []byte("&"))
		if more && len(rest) == 0 {
			return nil, &errForm{"ends with a separator"}
		}
		body = rest
		rawName, rawValue, ok := bytes.Cut(pair, []byte("="))
		if !ok {
			return nil, &errForm{"a pair without ="}
		}
		d, ok := declared(string(rawName), fields)
		if !ok {
			return nil, &errForm{"a field this form does not have"}
		}
		if _, twice := f[d.name]; twice {
			return nil, &errForm{d.name + " twice"}
		}
		value, err := unescape(rawValue, d.max)
		if err != nil {
			return nil, &errForm{d.name + ": " + err.Error()}
		}
		f[d.name] = value
	}
	for _, d := range fields {
		if _, there := f[d.name]; !there && !d.optional {
			return nil, &errForm{d.name + " is missing"}
		}
	}
	return f, nil
}

// declared compares the name as it was sent, undecoded: no declared name needs
// an escape, so an escaped one is somebody looking for a second spelling.
func declared(name string, fields []field) (field, bool) {
	if name == csrfField {
		return field{name: csrfField, max: 128}, true
	}
	for _, d := range fields {
		if d.name == name {
			return d, true
		}
	}
	return field{}, false
}

var (
	errTooLong = errors.New("too long")
	errEscape  = errors.New("a broken escape")
	errText    = errors.New("not text")
)

func unescape(raw []byte, limit int) (string, error) {
	var b strings.Builder
	b.Grow(min(len(raw), limit))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(raw) {
				return "", errEscape
			}
			hi, lo := nibble(raw[i+1]), nibble(raw[i+2])
			if hi < 0 || lo < 0 {
				return "", errEscape
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		if c == 0 {
			return "", errText
		}
		if b.Len() == limit {
			return "", errTooLong
		}
		b.WriteByte(c)
	}
	if !utf8.ValidString(b.String()) {
		return "", errText
	}
	return b.String(), nil
}

func nibble(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// formType reports whether a Content-Type is the one kind of body we read. A
// parameter other than charset=utf-8 asks for a different reading of the bytes.
func formType(header string) bool {
	kind, params, _ := strings.Cut(header, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") {
		return false
	}
	params = strings.TrimSpace(params)
	return params == "" || strings.EqualFold(params, "charset=utf-8")
}

var _ fmt.Stringer = form(nil)

// String keeps a form out of logs whatever is done with it.
func (f form) String() string { return fmt.Sprintf("form of %d fields", len(f)) }
