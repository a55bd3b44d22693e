package password

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The sieve only saves time: with every hole open the estimate is the same.
func TestTheSieveChangesNoEstimate(t *testing.T) {
	j, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	open := *j
	open.sieve = new(sieve)
	for i := range open.sieve {
		open.sieve[i] = ^uint64(0)
	}
	words := make([]string, 0, len(j.words))
	for w := range j.words {
		words = append(words, w)
	}
	slices.Sort(words)
	r := rand.New(rand.NewPCG(1, 2))
	leetOf := strings.NewReplacer("a", "4", "e", "3", "o", "0", "s", "$")
	stopped := 0
	for range 20_000 {
		var b strings.Builder
		for range 1 + r.IntN(4) {
			w := words[r.IntN(len(words))]
			switch r.IntN(4) {
			case 0:
				w = leetOf.Replace(w)
			case 1:
				w = strings.ToUpper(w[:1]) + w[1:]
			case 2:
				w = w[r.IntN(len(w)):]
			}
			b.WriteString(w + []string{"", "-", "7", "é"}[r.IntN(4)])
		}
		if got, want := j.guesses(b.String()), open.guesses(b.String()); got != want {
			t.Fatalf("%q: %v with the sieve, %v without", b.String(), got, want)
		}
		h := sieveStart
		for i := range b.Len() {
			h = sieveStep(h, b.String()[i])
		}
		if !j.sieve.has(h) {
			stopped++
		}
	}
	if stopped < 10_000 {
		t.Errorf("it stops only %d of 20000", stopped)
	}
}
