// Package password judges a new password before the directory is asked: length,
// the directory's rules, the person's own names, known passwords, strength. It
// says what is wrong as a key and arguments, and it makes passphrases to offer.
//
// It never asks the directory, never changes what was typed, and never keeps or
// logs it.
package password

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"postern/directory"
)

const (
	// longest is what the portal takes, in code points. Active Directory takes no more.
	longest = 256
	// alone is the least length where the password is the only proof, and
	// withMFA where it is one of two (NIST SP 800-63B-4 section 3.1.1.2).
	alone, withMFA = 15, 8
)

// Config is the portal's own rules. The directory's hold besides, whichever is stricter.
type Config struct {
	// MinLength in code points.
	MinLength int `yaml:"min_length"`
	// Alone says that somewhere this password opens something by itself: then
	// at least 15 characters.
	Alone bool `yaml:"alone"`
	// MinScore is how hard it must be to guess, 0 (no matter) to 4.
	MinScore int `yaml:"min_score"`
	// Words must not be in a password: names of the organisation, its products
	// and places.
	Words []string `yaml:"words"`
	// Breached is a local list of leaked passwords' hashes: a folder of Pwned
	// Passwords range files, or one file of lines HASH:COUNT in the order of the
	// hashes, SHA-1 or NTLM. Empty: none. Nothing is asked over a network.
	Breached string `yaml:"breached"`
	// BreachedCount is how often a password must have leaked to be refused.
	BreachedCount int `yaml:"breached_count"`

	// Log is told when Breached cannot be read and when it can again, and never
	// anything of a password. nil: slog.Default.
	Log *slog.Logger `yaml:"-"`
}

// DefaultConfig: 8 characters and more than a million guesses; with a list of
// leaked passwords, everything on it is refused.
func DefaultConfig() Config { return Config{MinLength: withMFA, MinScore: 2, BreachedCount: 1} }

// Validate returns every fault, each beginning with the name of its key. It
// looks into Breached.
func (c Config) Validate() []error {
	var faults []error
	if c.MinLength < withMFA || c.MinLength > 64 {
		faults = append(faults, fmt.Errorf("min_length: %d is not between %d and 64", c.MinLength, withMFA))
	}
	if c.MinScore < 0 || c.MinScore > 4 {
		faults = append(faults, fmt.Errorf("min_score: %d is not between 0 and 4", c.MinScore))
	}
	for i, w := range c.Words {
		if utf8.RuneCountInString(strings.TrimSpace(w)) < 3 {
			faults = append(faults, fmt.Errorf("words[%d]: %q is shorter than 3 characters", i, w))
		}
	}
	if c.Breached == "" {
		return faults
	}
	if c.BreachedCount < 1 {
		// With 0 everything would be on the list: API answers are padded with it.
		faults = append(faults, fmt.Errorf("breached_count: %d is not at least 1", c.BreachedCount))
	}
	if _, err := openBreaches(c.Breached, c.BreachedCount); err != nil {
		faults = append(faults, fmt.Errorf("breached: %s: %w", c.Breached, err))
	}
	return faults
}

// Problem is one reason to refuse a password: a message key and what goes into
// it. Keys and arguments:
//
//	too_short     limit, have
//	too_long      limit
//	not_text      control characters or bytes that are no text
//	complexity    limit (classes wanted), have
//	own           word: the person's name, login or address, or the organisation's
//	common        it, or it but for decoration, is on the list of known passwords
//	repeats       the same few characters over and over
//	weak          score, limit: too easy to guess
//	breached      it is on the list of leaked passwords
//
//	breach_unavailable  that list cannot be read now, so nothing passes
type Problem struct {
	Key  string
	Args map[string]any
}

// Judge knows the list of known passwords. It is safe for concurrent use.
type Judge struct {
	cfg   Config
	words map[string]int // rank, from 1
	sieve *sieve         // over words
	own   []string       // the organisation's words
	leaks *breaches      // nil: no list of leaked passwords
}

// New reads the list, which takes some milliseconds, and looks into Breached.
func New(c Config) (*Judge, error) {
	if faults := c.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	j := &Judge{cfg: c, words: loadWords(), sieve: new(sieve)}
	for w := range j.words {
		j.sieve.add(w)
	}
	for _, w := range c.Words {
		j.own = append(j.own, strings.TrimSpace(w))
	}
	if c.Breached != "" {
		var err error
		if j.leaks, err = openBreaches(c.Breached, c.BreachedCount); err != nil {
			return nil, fmt.Errorf("breached: %s: %w", c.Breached, err)
		}
	}
	return j, nil
}

// Judge returns everything wrong with candidate for who; nothing when it may go
// to the directory, which may still refuse it.
func (j *Judge) Judge(candidate directory.Secret, rules directory.Rules, who directory.User) []Problem {
	pw := candidate.Reveal()
	if n, most := candidate.Len(), j.most(rules); n > longest || rules.MaxLength > 0 && units(pw) > rules.MaxLength {
		// Nothing else is worth the time for something that long (security case 119).
		return []Problem{{"too_long", map[string]any{"limit": most}}}
	}
	if !utf8.ValidString(pw) || strings.ContainsFunc(pw, unicode.IsControl) {
		return []Problem{{Key: "not_text"}}
	}
	var found []Problem
	add := func(key string, args map[string]any) { found = append(found, Problem{key, args}) }
	if n, least := candidate.Len(), j.least(rules); n < least {
		add("too_short", map[string]any{"limit": least, "have": n})
	}
	if n := classes(pw); rules.Complexity && n < 3 {
		add("complexity", map[string]any{"limit": 3, "have": n})
	}
	if w := containsAny(pw, j.ownWords(rules, who)); w != "" {
		add("own", map[string]any{"word": w})
	}
	common := j.common(pw)
	switch {
	case common:
		add("common", nil)
	case repeats(pw):
		add("repeats", nil)
	default:
		if s := j.score(pw); s < j.cfg.MinScore {
			add("weak", map[string]any{"score": s, "limit": j.cfg.MinScore})
		}
	}
	if !common { // which says the same
		if key := j.breached(pw); key != "" {
			add(key, nil)
		}
	}
	return found
}

// breached returns the key of what the list of leaked passwords has against pw.
func (j *Judge) breached(pw string) string {
	if j.leaks == nil {
		return ""
	}
	leaked, err := j.leaks.has(pw)
	switch {
	case err != nil:
		// Said once: whoever tries passwords must not fill the log.
		if !j.leaks.blind.Swap(true) {
			j.log().Error("the list of leaked passwords cannot be read: no new password is accepted", "path", j.leaks.path, "error", err.Error())
		}
		return "breach_unavailable"
	case j.leaks.blind.Swap(false):
		j.log().Info("the list of leaked passwords can be read again", "path", j.leaks.path)
	}
	if leaked {
		return "breached"
	}
	return ""
}

func (j *Judge) log() *slog.Logger {
	if j.cfg.Log != nil {
		return j.cfg.Log
	}
	return slog.Default()
}

// least and most are the limits in force, in code points.
func (j *Judge) least(r directory.Rules) int {
	n := max(j.cfg.MinLength, r.MinLength)
	if j.cfg.Alone {
		n = max(n, alone)
	}
	return n
}

func (j *Judge) most(r directory.Rules) int {
	if r.MaxLength > 0 {
		return min(longest, r.MaxLength)
	}
	return longest
}

// units is the length as Windows counts it: an emoji is two.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// classes counts the character classes of [MS-SAMR] section 3.1.1.7.2: capital
// and small letters, digits, a fixed list of signs (no space, no €), and
// letters that know no case.
func classes(pw string) int {
	var upper, lower, digit, sign, other int
	for _, r := range pw {
		switch {
		case unicode.IsUpper(r):
			upper = 1
		case unicode.IsLower(r):
			lower = 1
		case r >= '0' && r <= '9':
			digit = 1
		case strings.ContainsRune("~!@#$%^&*_-+=`|\\(){}[]:;\"'<>,.?/", r):
			sign = 1
		case unicode.IsLetter(r):
			other = 1
		}
	}
	return upper + lower + digit + sign + other
}

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

// containsAny returns the first of the words in pw, whatever their case.
func containsAny(pw string, words []string) string {
	low := strings.ToLower(pw)
	for _, w := range words {
		if strings.Contains(low, strings.ToLower(w)) {
			return w
		}
	}
	return ""
}
