package recoverycode

import (
	"fmt"
	"io"
	"strings"
)

const (
	// alphabet is Crockford's base 32: no I, L, O, U. What is misread can be
	// understood all the same: O is 0, I and L are 1.
	alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	length   = 16 // 16 × 5 = 80 bits
)

func (f *Factor) draw() ([]byte, error) {
	code := make([]byte, length)
	if _, err := io.ReadFull(f.random, code); err != nil {
		return nil, fmt.Errorf("recoverycode: no randomness: %w", err)
	}
	for i, b := range code {
		code[i] = alphabet[b&31] // 256 is a multiple of 32: no bias
	}
	return code, nil
}

func grouped(code []byte) string {
	var b strings.Builder
	for i, c := range code {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// normalise forgives what reading from paper does: small letters, spaces,
// hyphens, and the letters the alphabet leaves out. Anything else is no code.
func normalise(answer []byte) ([]byte, bool) {
	if len(answer) > 96 {
		return nil, false
	}
	code := make([]byte, 0, length)
	for _, r := range string(answer) {
		switch {
		case r == ' ', r == '-', r == '\t', r == '\u00a0', r == '\u2010', r == '\u2011', r == '\u2013':
			continue
		case 'a' <= r && r <= 'z':
			r -= 'a' - 'A'
		}
		switch r {
		case 'O':
			r = '0'
		case 'I', 'L':
			r = '1'
		}
		if len(code) == length || r >= 0x80 || strings.IndexByte(alphabet, byte(r)) < 0 {
			return nil, false
		}
		code = append(code, byte(r))
	}
	return code, len(code) == length
}
