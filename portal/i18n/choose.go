package i18n

import (
	"strings"

	"golang.org/x/text/language"
)

// maxHeader bounds what is parsed of Accept-Language; browsers send under 100 bytes.
const maxHeader = 256

// Choose picks the language of a request: what the person clicked (?lang=),
// else what they clicked before (cookie), else what the browser asks for
// (Accept-Language, RFC 9110 section 12.5.4). All three are strangers' input:
// the answer is always one of Languages.
func (b *Bundle) Choose(query, cookie, header string) string {
	for _, tag := range []string{query, cookie} {
		if _, ok := b.byTag[tag]; ok {
			return tag
		}
	}
	if len(header) > maxHeader {
		header = header[:strings.LastIndexByte(header[:maxHeader], ',')+1]
	}
	// The usual header is "de-DE,de;q=0.9,en;q=0.8": the first range has no
	// weight, so nothing outranks it, and matching it needs no parser.
	first, _, _ := strings.Cut(header, ",")
	first = strings.TrimSpace(first)
	if base, _, _ := strings.Cut(first, "-"); !strings.Contains(first, ";") {
		if _, ok := b.byTag[base]; ok {
			return base
		}
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return Fallback
	}
	_, i, confidence := b.matcher.Match(tags...)
	if confidence == language.No {
		return Fallback
	}
	return b.list[i].Tag
}
