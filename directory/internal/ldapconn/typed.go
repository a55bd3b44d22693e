package ldapconn

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

const (
	// A search needs minTyped code points and takes maxTyped, in maxWords words: each
	// word is as many look-ups as there are names, and nobody's name has more.
	minTyped, maxTyped, maxWords = 2, 64, 8
	// minPhone is how many digits must be there to look for them inside a number:
	// fewer are an extension, and inside of everybody's number.
	minPhone = 6
)

// Typed is what a technician typed, taken apart.
type Typed struct {
	whole  string // with single spaces
	words  []string
	digits string // of what may be a telephone number, else empty
	number bool   // may be an employee number
}

// nobody is looked for in place of what finds nobody, so that refusing it costs what
// finding nobody costs.
var nobody = Typed{whole: "postern-nobody-has-this-name", words: []string{"postern-nobody-has-this-name"}}

// ParseTyped takes apart what was typed. Text that is too short or too long, is no text
// or holds control characters is nobody's, and so are single letters alone: no
// index knows them, and half of everybody begins with each.
func ParseTyped(text string) Typed {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return nobody
	}
	fields := strings.Fields(text)
	t := Typed{whole: strings.Join(fields, " ")}
	if n := utf8.RuneCountInString(strings.TrimSpace(text)); n < minTyped || n > maxTyped {
		return nobody
	}
	useful := false
	for _, w := range fields {
		// "Lovelace, Ada" is how mail programs write it.
		if w = strings.Trim(w, ",;"); w != "" {
			t.words = append(t.words, w)
			useful = useful || utf8.RuneCountInString(w) >= minTyped
		}
	}
	if !useful || len(t.words) > maxWords {
		return nobody
	}
	digits := Digits(text)
	if strings.Trim(t.whole, "0123456789 +-()./") == "" && len(digits) >= minTyped {
		t.digits = digits
	}
	// A login that ends in a digit is no number; looking for it as one would cost a
	// look at everybody where employee numbers have no index.
	t.number = len(t.words) == 1 && 2*len(digits) >= len(t.words[0])
	return t
}

// Digits are the decimal digits of a number, however it is written.
func Digits(number string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
}

// significant is what a number has in common in all its spellings: without 0 or 00
// in front, which stand for a country code that is written elsewhere. Where too little
// is left they are part of it.
func significant(digits string) string {
	if s := strings.TrimLeft(digits, "0"); len(s) >= minPhone {
		return s
	}
	return digits
}

// Looked names the attributes a search looks at, with values as prefixes of Names
// and Phrases and whole for Numbers.
type Looked struct {
	Names   []string // each word begins one of these
	Phrases []string // all that was typed begins one of these
	Phones  []string
	Numbers []string // of employees
	// Spelled says that the server compares telephone numbers as text: spaces and
	// hyphens count (RFC 4517 section 4.2.29 drops them, Active Directory does not).
	Spelled bool
}

// Loose reports whether the filter for t finds numbers that only look alike, so
// that the answer must be looked through with Fits.
func (l Looked) Loose(t Typed) bool { return l.Spelled && len(significant(t.digits)) >= minPhone }

// Filter builds the RFC 4515 filter for t. Whatever was typed is a value in it: a
// prefix of a name, never anything with a wildcard in front, which no index answers
// (telephone numbers of at least six digits excepted). It panics as AnyEqual does.
func (l Looked) Filter(t Typed) string {
	var b strings.Builder
	b.WriteString("(|(&")
	for _, w := range t.words {
		b.WriteString(anyOf(ldap.EscapeFilter(w)+"*", l.Names))
	}
	b.WriteString(")")
	if len(t.words) > 1 {
		b.WriteString(anyOf(ldap.EscapeFilter(t.whole)+"*", l.Phrases))
	}
	if t.number {
		b.WriteString(AnyEqual(t.words[0], l.Numbers...))
	}
	if t.digits != "" {
		b.WriteString(AnyEqual(t.digits, l.Phones...))
		b.WriteString(AnyEqual(t.whole, l.Phones...))
		if s := significant(t.digits); len(s) >= minPhone {
			if l.Spelled {
				s = strings.Join(strings.Split(s, ""), "*")
			}
			b.WriteString(anyOf("*"+s+"*", l.Phones))
		}
	}
	b.WriteString(")")
	return b.String()
}

// Fits reports whether an entry that a loose filter found is one that was meant:
// its number holds the digits typed in a row, or it was found by something else.
func (l Looked) Fits(t Typed, e *ldap.Entry) bool {
	for _, v := range Values(e, l.Phones) {
		if strings.Contains(Digits(v), significant(t.digits)) {
			return true
		}
	}
	// What was typed is digits and punctuation: these begin with it in bytes, too.
	for _, list := range [][]string{l.Names, l.Phrases, l.Numbers} {
		for _, v := range Values(e, list) {
			if strings.HasPrefix(strings.TrimSpace(v), t.words[0]) {
				return true
			}
		}
	}
	return false
}
