package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// secretParts make a key secret wherever they stand in it, secretWords as a
// whole word of it, so that "spin" is no PIN.
var (
	secretParts = []string{"password", "passwd", "passphrase", "secret", "token", "authorization", "cookie", "csrf", "otp", "apikey", "api_key", "api-key", "privatekey", "private_key", "private-key"}
	secretWords = []string{"pass", "pw", "pwd", "code", "codes", "answer", "answers", "pin", "confirm", "current", "hold", "held", "seed", "session", "bearer", "link"}
	// harmlessCodes are words that make a code that follows them no secret.
	harmlessCodes = []string{"status", "reason", "error", "result", "exit"}
)

// secretKey says whether a key names something that must not be shown. Case and
// the way words are joined (user_code, userCode, user-code, USER.CODE) do not
// matter.
func secretKey(key string) bool {
	lower := strings.ToLower(key)
	for _, p := range secretParts {
		if strings.Contains(lower, p) {
			return true
		}
	}
	before := ""
	for _, w := range words(key) {
		if slices.Contains(secretWords, w) && (w != "code" || !slices.Contains(harmlessCodes, before)) {
			return true
		}
		before = w
	}
	return false
}

// words splits a key at everything that is neither letter nor digit, and before
// capitals that begin a word.
func words(key string) []string {
	var list []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			list = append(list, word.String())
			word.Reset()
		}
	}
	lower := false
	for _, r := range key {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			end()
			lower = false
			continue
		}
		if unicode.IsUpper(r) && lower {
			end()
		}
		lower = !unicode.IsUpper(r)
		word.WriteRune(unicode.ToLower(r))
	}
	end()
	return list
}

// shown is text as the log has it.
func shown(s string) string { return bounded(s, maxText) }

// bounded cuts s at max bytes, between two characters, and escapes what would
// move a terminal's cursor or turn text around. The encoder does so for ASCII
// control characters; those beyond (C1, bidirectional overrides, zero width)
// pass through JSON as they are.
func bounded(s string, max int) string {
	rest := 0
	if len(s) > max {
		cut := max
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s, rest = s[:cut], len(s)-cut
	}
	if i := strings.IndexFunc(s, tricky); i >= 0 {
		var b strings.Builder
		for _, r := range s {
			if tricky(r) {
				fmt.Fprintf(&b, "<U+%04X>", r)
			} else {
				b.WriteRune(r)
			}
		}
		s = b.String()
	}
	if rest > 0 {
		s += fmt.Sprintf("… [%d bytes more]", rest)
	}
	return s
}

func tricky(r rune) bool { return r >= 0x7f && r != utf8.RuneError && !unicode.IsPrint(r) }

// withoutArguments takes the argument words out of a stack trace of the runtime:
// a number, or an array handed over by value, is readable there, and may be a
// code or a key.
func withoutArguments(stack string) string {
	var b strings.Builder
	for line := range strings.Lines(stack) {
		text, end := strings.TrimSuffix(line, "\n"), ""
		if len(text) < len(line) {
			end = "\n"
		}
		// What stands in the last parentheses of a line about a function are its
		// arguments; "created by" has none, and places are indented.
		if at := strings.LastIndexByte(text, '('); at > 0 && strings.HasSuffix(text, ")") && text[0] != '\t' && !strings.HasPrefix(text, "created by ") {
			text = text[:at] + "(…)"
		}
		b.WriteString(text)
		b.WriteString(end)
	}
	return b.String()
}
