package view

import (
	"strings"

	"postern/portal/policy"
	"postern/verify"
)

// percent is n of all, rounded so that 0 and 100 mean nobody and everybody: a
// page that rounds the last stranded one away would be believed.
func percent(n, all int) int {
	if all <= 0 || n <= 0 {
		return 0
	}
	p := (200*n + all) / (2 * all)
	if n < all {
		p = min(p, 99)
	}
	return max(1, min(p, 100))
}

// barWidth is of the drawing, in its own units.
const barWidth = 560

// segment is one part of a bar.
type segment struct {
	Class string
	X, W  int
	Key   string // its sentence
	N     int
}

// segments divide everybody by the best way they have, each in one part. A part
// that is not empty can be seen, however few they are.
func segments(c Count) []segment {
	parts := []segment{
		{Class: "b1", Key: "census.passkey", N: c.ByPasskeyAlone},
		{Class: "b2", Key: "census.others", N: c.CanRecover - c.ByPasskeyAlone},
		{Class: "b3", Key: "census.stranded", N: c.Stranded},
	}
	const gap, least = 4, 8
	x := 0
	for i := range parts {
		p := &parts[i]
		if p.N <= 0 || c.People <= 0 {
			continue
		}
		rest := 0 // what must stay free for those that follow
		for _, later := range parts[i+1:] {
			if later.N > 0 {
				rest += least + gap
			}
		}
		p.X = x
		p.W = max(least, min(barWidth*p.N/c.People, barWidth-x-rest))
		if rest == 0 {
			p.W = barWidth - x
		}
		x += p.W + gap
	}
	return parts
}

// plus is "Passkey + E-mail code".
func (w *words) plus(kinds []verify.Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = w.text(kindText(k))
	}
	return strings.Join(names, " + ")
}

// strengthTone is how a strength is painted; it is written as well.
func strengthTone(s policy.Strength) string {
	switch s {
	case policy.PhishingResistant:
		return "ok"
	case policy.OneKind:
		return "warn"
	}
	return ""
}

// coded is the sentence of a code; a general one for a code nobody has written
// about yet.
func (w *words) coded(prefix string, code any) string {
	key := join(prefix, code)
	if !w.bundle.Has(key) {
		key = prefix + "some"
	}
	return w.say(key, nil)
}
