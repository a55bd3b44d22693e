// Package password judges a new password before the directory is asked: length,
// the directory's rules, the person's own names, known passwords, strength. It
// says what is wrong as a key and arguments, and it makes passphrases to offer.
//
// It never asks the directory, never changes what was typed, and never keeps or
// logs it. With Config.BreachedURL, 20 bits of its SHA-1 leave this machine.
package password

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"postern/directory"
)

// Problem is one reason to refuse a password: a message key and what goes into
// it. Keys and arguments:
//
//	too_short     limit, have
//	too_long      limit
//	characters
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
	cfg     Config
	words   map[string]int // rank, from 1
	sieve   *sieve         // over words
	own     []string       // the organisation's words
	leaks   *breaches      // nil: no list of leaked passwords on this machine
	service *ranges        // nil: no service is asked for them
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
	if c.BreachedURL != "" {
		var err error
		if j.service, err = openRanges(c); err != nil {
			return nil, err
		}
	}
	return j, nil
}

// Judge returns everything wrong with candidate for who; nothing when it may go
// to the directory, which may still refuse it. It may take two seconds with a
// service of leaked passwords, which is asked only about what nothing else speaks
// against: of a password that is refused anyway, not even five digits go out.
func (j *Judge) Judge(candidate directory.Secret, rules directory.Rules, who directory.User) []Problem {
	found := j.here(candidate, rules, who)
	if len(found) > 0 {
		return found
	}
	if key := j.asked(candidate.Reveal()); key != "" {
		return []Problem{{Key: key}}
	}
	return nil
}

// here is Judge without asking anybody over a network.
func (j *Judge) here(candidate directory.Secret, rules directory.Rules, who directory.User) []Problem {
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
	if rules.PlainOnly && !directory.PlainCharacters(pw) {
		add("characters", nil)
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
