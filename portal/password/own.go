package password

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/directory"
)

// ownWords are what must not be in this person's password.
func (j *Judge) ownWords(rules directory.Rules, who directory.User) []string {
	// The directory refuses parts of three characters ([MS-SAMR] section
	// 3.1.1.7.2); without its rule a part needs four, or Ann could not use "channel".
	least := 4
	if rules.Complexity {
		least = 3
	}
	var words []string
	add := func(w string) {
		if w = strings.TrimSpace(w); utf8.RuneCountInString(w) >= least && !containsFold(words, w) {
			words = append(words, w)
		}
	}
	add(who.Login)
	name, _, _ := strings.Cut(who.UPN, "@")
	add(name)
	for _, m := range who.Mail {
		name, _, _ := strings.Cut(m, "@")
		add(name)
	}
	for _, n := range []string{who.Name, who.GivenName, who.Surname} {
		// The separators are those of [MS-SAMR] section 3.1.1.7.2.
		for _, part := range strings.FieldsFunc(n, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",.-_#", r) }) {
			add(part)
		}
	}
	least = 3
	for _, w := range j.own {
		add(w)
	}
	return words
}

func containsFold(list []string, w string) bool {
	for _, have := range list {
		if strings.EqualFold(have, w) {
			return true
		}
	}
	return false
}

// containsAny returns the first of the words in pw, whatever their case; of four
// characters and more also written backwards or with the usual replacements,
// which whoever guesses for one person tries next. Shorter ones would turn up
// everywhere: eva is ave in travel.
func containsAny(pw string, words []string) string {
	low := strings.ToLower(pw)
	// 1 and its likes stand for i and for l. Letters are never taken for one
	// another, or Ali could not use all.
	forms := []string{low, strings.Map(leet, low), strings.Map(leetL, low)}
	for _, w := range words {
		plain := strings.ToLower(w)
		if strings.Contains(low, plain) {
			return w
		}
		if utf8.RuneCountInString(plain) < 4 {
			continue
		}
		for _, form := range forms {
			if strings.Contains(form, plain) || strings.Contains(form, backwards(plain)) {
				return w
			}
		}
	}
	return ""
}

func leetL(r rune) rune {
	switch r {
	case '1', '!', '|':
		return 'l'
	}
	return leet(r)
}

func backwards(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}
