// Package locales holds every sentence Postern says, one file a language
// (go-i18n v2, TOML). Package portal/i18n reads them.
//
// The key set is the same in every file, and so are the placeholders of a key:
// a test of portal/i18n holds them to that. A sentence that counts has every
// plural category of its language (CLDR).
package locales

import "embed"

// Files are *.toml, named by BCP 47 tag.
//
//go:embed *.toml
var Files embed.FS
