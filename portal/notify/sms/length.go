package sms

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// maxSegments a message may have. Each is paid for, and the more there are the
// likelier one is lost. It is never cut to fit: half a code is no code.
const maxSegments = 3

// The alphabet of 3GPP TS 23.038, section 6.2.1 without its escape, and the
// characters of its extension table (section 6.2.1.1), which count twice.
const (
	gsm7         = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsm7Extended = "\f^{}\\[~]|€"
)

// Length is what a text costs.
type Length struct {
	Segments int  // messages it is sent as
	Units    int  // septets, or UTF-16 units when Unicode
	Unicode  bool // some character is not in the GSM alphabet: 70 fit, not 160
}

// Measure counts as telephones do: 160 septets or 70 UTF-16 units in one
// message, 153 or 67 in each of several (3GPP TS 23.040, section 9.2.3.24.1).
func Measure(text string) Length {
	var l Length
	for _, r := range text {
		if !strings.ContainsRune(gsm7, r) && !strings.ContainsRune(gsm7Extended, r) {
			l.Unicode = true
			break
		}
	}
	whole, part := 160, 153
	if l.Unicode {
		whole, part = 70, 67
	}
	segments, used := 1, 0
	for _, r := range text {
		size := 1
		if !l.Unicode && strings.ContainsRune(gsm7Extended, r) || l.Unicode && r > 0xffff {
			size = 2
		}
		l.Units += size
		// A character of two units is not torn apart.
		if used+size > part {
			segments, used = segments+1, 0
		}
		used += size
	}
	switch {
	case l.Units == 0:
		segments = 0
	case l.Units <= whole:
		segments = 1
	}
	l.Segments = segments
	return l
}

var (
	errEmpty = errors.New("sms: the message has no text")
	errText  = errors.New("sms: the message is not text")
	errLong  = errors.New("sms: the message is longer than 3 SMS")
)

// tidy returns what can be sent of a text: line ends as \n, no other control
// characters. A display name may hold them, and a telephone may obey them.
func tidy(text string) (string, error) {
	if !utf8.ValidString(text) {
		return "", errText
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\r', r == 0x2028, r == 0x2029:
			return '\n'
		case r == '\t':
			return ' '
		case r < ' ', r >= 0x7f && r < 0xa0, r == 0xfffe, r == 0xffff:
			return -1
		}
		return r
	}, text)
	text = strings.TrimSpace(text)
	switch n := Measure(text).Segments; {
	case n == 0:
		return "", errEmpty
	case n > maxSegments:
		return "", errLong
	}
	return text, nil
}
