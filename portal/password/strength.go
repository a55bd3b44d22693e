package password

import (
	_ "embed"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed words.txt
var wordList string

const (
	// looked is how many characters the estimate looks at: the rest can only
	// make a password stronger, and time must not grow with what was sent
	// (security case 119).
	looked = 64
	// pieces is the most parts a password is taken apart into.
	pieces = 12
	// longestWord of the list.
	longestWord = 18
)

// loadWords gives every word its rank: the number of its line. The list is made
// of several, of passwords, English words and names, and one line holds the
// words that have the same place in theirs.
func loadWords() map[string]int {
	words := make(map[string]int, strings.Count(wordList, "\n")+strings.Count(wordList, " "))
	rank := 0
	for line := range strings.Lines(wordList) {
		rank++
		for w := range strings.FieldsSeq(line) {
			words[w] = rank
		}
	}
	return words
}

// leet undoes the usual replacements.
func leet(r rune) rune {
	switch r {
	case '@', '4':
		return 'a'
	case '3', '€':
		return 'e'
	case '1', '!', '|':
		return 'i'
	case '0':
		return 'o'
	case '$', '5':
		return 's'
	case '7', '+':
		return 't'
	}
	return r
}

// common reports whether pw is on the list, as it is or but for case, the usual
// replacements, and digits and signs around it.
func (j *Judge) common(pw string) bool {
	if len(pw) > 4*looked {
		return false
	}
	low := strings.ToLower(pw)
	notLetter := func(r rune) bool { return !unicode.IsLetter(r) }
	for _, form := range []string{low, strings.Map(leet, low), strings.TrimFunc(low, notLetter),
		strings.Map(leet, strings.TrimFunc(low, notLetter)), strings.Map(leet, strings.TrimRightFunc(low, notLetter)),
		strings.Map(leet, strings.TrimLeft(strings.TrimRight(low, "0123456789!?.#*-_ "), " "))} {
		// A short word with long decoration is for the estimate to judge.
		if _, known := j.words[form]; known && 2*utf8.RuneCountInString(form) >= utf8.RuneCountInString(pw) {
			return true
		}
	}
	return false
}

// repeats reports whether pw is a few characters over and over: a unit at least
// three times, and nothing else but a part of it.
func repeats(pw string) bool {
	r := []rune(strings.ToLower(pw))
	for unit := 1; unit <= len(r)/3; unit++ {
		same := true
		for i := unit; i < len(r) && same; i++ {
			same = r[i] == r[i-unit]
		}
		if same {
			return true
		}
	}
	return false
}

// score is zxcvbn's scale, by the number of guesses: under 10^3, 10^6, 10^8,
// 10^10, and more (Wheeler, zxcvbn, USENIX Security 2016).
func (j *Judge) score(pw string) int {
	g := j.guesses(pw)
	for s, limit := range []float64{3, 6, 8, 10} {
		if g < limit {
			return s
		}
	}
	return 4
}

// guesses is the decimal logarithm of how many guesses somebody needs who tries
// common words, their usual variations, rows of keys and dates first. It takes
// pw apart in the way that makes it weakest.
func (j *Judge) guesses(pw string) float64 {
	r := []rune(pw)
	if len(r) > looked {
		r = r[:looked]
	}
	n := len(r)
	if n == 0 {
		return 0
	}
	// best[k][p]: the first k characters in p parts.
	best := make([][pieces + 1]float64, n+1)
	for k := range best {
		for p := range best[k] {
			best[k][p] = math.Inf(1)
		}
	}
	best[0][0] = 0
	// open[k][p]: the same, with a tail of characters that mean nothing, which
	// is one part however long it is.
	open := make([][pieces + 1]float64, n+1)
	for k := range open {
		open[k] = best[n]
	}
	parts := j.parts(r)
	for k := range n + 1 {
		for p := range best[k] {
			best[k][p] = min(best[k][p], open[k][p])
		}
		if k == n {
			break
		}
		for p := range pieces + 1 {
			open[k+1][p] = min(open[k+1][p], open[k][p]+1)
			if p == pieces {
				break
			}
			open[k+1][p+1] = min(open[k+1][p+1], best[k][p]+1)
			for _, part := range parts[k] {
				best[part.end][p+1] = min(best[part.end][p+1], best[k][p]+part.guesses)
			}
		}
	}
	least := math.Inf(1)
	for p := 1; p <= pieces; p++ {
		// Which sort of part comes where must be guessed too: p! orders.
		order, _ := math.Lgamma(float64(p + 1))
		least = min(least, best[n][p]+order/math.Ln10)
	}
	return least
}

type part struct {
	end     int
	guesses float64 // decimal logarithm
}

// parts finds what is guessable, by where it begins.
func (j *Judge) parts(r []rune) [][]part {
	found := make([][]part, len(r))
	add := func(i, end int, guesses float64) {
		found[i] = append(found[i], part{end, math.Log10(max(guesses, 1.5))})
	}
	j.dictionary(r, add)
	sequences(r, add)
	numbers(r, add)
	return found
}

func (j *Judge) dictionary(r []rune, add func(i, end int, guesses float64)) {
	low, plain := make([]byte, len(r)), make([]byte, len(r))
	for i, c := range r {
		low[i], plain[i] = narrow(unicode.ToLower(c)), narrow(leet(unicode.ToLower(c)))
	}
	for i := range r {
		h, hp, replaced := sieveStart, sieveStart, false
		for end := i + 1; end <= min(len(r), i+longestWord); end++ {
			h, hp = sieveStep(h, low[end-1]), sieveStep(hp, plain[end-1])
			replaced = replaced || low[end-1] != plain[end-1]
			if end < i+3 {
				continue
			}
			if j.sieve.has(h) {
				if rank, ok := j.words[string(low[i:end])]; ok {
					add(i, end, float64(rank)*cases(r[i:end]))
					continue
				}
			}
			if replaced && j.sieve.has(hp) {
				if rank, ok := j.words[string(plain[i:end])]; ok {
					add(i, end, float64(rank)*cases(r[i:end])*4)
				}
			}
		}
	}
}

// sieve says which words are not on the list without looking there. A password
// has some hundred parts, hardly any is a word, and every look misses the cache.
type sieve [1 << 14]uint64

const sieveStart = uint32(2166136261) // FNV-1a

func sieveStep(h uint32, c byte) uint32 { return (h ^ uint32(c)) * 16777619 }

func (s *sieve) place(h uint32) (*uint64, uint64) {
	h *= 0x9e3779b1 // the last byte alone moves only the low bits
	return &s[h>>18], 1 << (h >> 12 & 63)
}

func (s *sieve) add(word string) {
	h := sieveStart
	for i := range len(word) {
		h = sieveStep(h, word[i])
	}
	at, bit := s.place(h)
	*at |= bit
}

// has is never false for a word that was added.
func (s *sieve) has(h uint32) bool {
	at, bit := s.place(h)
	return *at&bit != 0
}

// narrow keeps positions: the list is ASCII, and nothing else matches in it.
func narrow(r rune) byte {
	if r > unicode.MaxASCII {
		return 0
	}
	return byte(r)
}

// cases is in how many usual ways a word is capitalised.
func cases(word []rune) float64 {
	upper := 0
	for _, c := range word {
		if unicode.IsUpper(c) {
			upper++
		}
	}
	switch {
	case upper == 0:
		return 1
	case upper == len(word), upper == 1 && (unicode.IsUpper(word[0]) || unicode.IsUpper(word[len(word)-1])):
		return 2
	}
	return math.Pow(2, float64(min(upper, len(word)-upper))+2)
}

// rows of keys, as US, German and French keyboards have them.
var rows = [...]string{"1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn", "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "!@#$%^&*()", "!\"§$%&/()="}

// sequences finds abc, 321, aaaa and qwer, from three characters on.
func sequences(r []rune, add func(i, end int, guesses float64)) {
	for i := 0; i+2 < len(r); i++ {
		for _, next := range []func(a, b rune) bool{
			func(a, b rune) bool { return b == a },
			func(a, b rune) bool { return b == a+1 && unicode.IsLetter(a) == unicode.IsLetter(b) },
			func(a, b rune) bool { return b == a-1 && unicode.IsLetter(a) == unicode.IsLetter(b) },
			func(a, b rune) bool { return alongRow(a, b) },
			func(a, b rune) bool { return alongRow(b, a) },
		} {
			end := i + 1
			for end < len(r) && next(unicode.ToLower(r[end-1]), unicode.ToLower(r[end])) {
				end++
			}
			for ; end >= i+3; end-- {
				add(i, end, 20*float64(end-i)*cases(r[i:end]))
			}
		}
	}
}

func alongRow(a, b rune) bool {
	for _, row := range rows {
		prev := rune(-1)
		for _, c := range row {
			if prev == a && c == b {
				return true
			}
			prev = c
		}
	}
	return false
}

// numbers finds years and dates.
func numbers(r []rune, add func(i, end int, guesses float64)) {
	digits := 0 // in a row, up to and with i
	for i, c := range r {
		if c < '0' || c > '9' {
			digits = 0
			continue
		}
		digits++
		if digits >= 4 {
			if y := string(r[i-3 : i+1]); y >= "1900" && y <= "2059" {
				add(i-3, i+1, 160)
			}
		}
		for _, n := range []int{6, 8} {
			if digits >= n && date(r[i-n+1:i+1]) {
				add(i-n+1, i+1, 365*160)
			}
		}
	}
}

// date takes ddmmyy, mmddyy, yymmdd and the same with four digits of the year.
func date(d []rune) bool {
	num := func(r []rune) (n int) {
		for _, c := range r {
			n = 10*n + int(c-'0')
		}
		return n
	}
	day := func(a, b int) bool { return a >= 1 && b >= 1 && min(a, b) <= 12 && max(a, b) <= 31 }
	if len(d) == 6 {
		return day(num(d[:2]), num(d[2:4])) || day(num(d[2:4]), num(d[4:]))
	}
	year := func(y int) bool { return y >= 1900 && y < 2060 }
	return day(num(d[:2]), num(d[2:4])) && year(num(d[4:])) || day(num(d[4:6]), num(d[6:])) && year(num(d[:4]))
}
