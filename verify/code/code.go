// Package code is a one-time code sent by mail or by SMS as a factor.
//
// It makes the code and recognises it. It never sends anything, never chooses an
// address (that is read from the directory when the message goes out) and never
// keeps the code: what stays is a MAC under a key that is not in the database.
// Single use is the core's work: it drops the open challenge with the answer.
package code

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"postern/verify"
)

const (
	// alphabet has no 0 O 1 I L: 31 characters, so 8 of them carry 39.6 bits.
	// With five tries a guess succeeds once in 10^11 cases.
	alphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
	length   = 8
	// life is ten minutes (ASVS 5.0 section 6.5.5, NIST SP 800-63B-4 section 4.2.1.2).
	life = 10 * time.Minute
	// keySize is the least length of the key, in bytes.
	keySize = 32
)

// Factor implements verify.Factor for one channel.
type Factor struct {
	kind    verify.Kind
	channel string
	key     []byte
	now     func() time.Time
	random  io.Reader
}

var _ verify.Factor = (*Factor)(nil)

// New returns the factor for verify.Email or verify.SMS. The key has at least
// 32 bytes and comes from outside the database, so that a stolen database
// cannot be searched for codes (case 24).
func New(kind verify.Kind, key []byte, now func() time.Time, random io.Reader) (*Factor, error) {
	channel, ok := map[verify.Kind]string{verify.Email: "mail", verify.SMS: "sms"}[kind]
	if !ok {
		return nil, fmt.Errorf("code: %q is not a channel for codes", kind)
	}
	if len(key) < keySize {
		return nil, fmt.Errorf("code: key is shorter than %d bytes", keySize)
	}
	return &Factor{kind: kind, channel: channel, key: key, now: now, random: random}, nil
}

// Kind implements verify.Factor.
func (f *Factor) Kind() verify.Kind { return f.kind }

// Begin implements verify.Factor. Delivery.Args holds "code", in two groups of
// four, and "minutes". A decoy gets all of it too; the core drops the message.
func (f *Factor) Begin(_ context.Context, s verify.Subject) (verify.Challenge, error) {
	code, err := f.draw()
	if err != nil {
		return verify.Challenge{}, err
	}
	return verify.Challenge{
		Kind:    f.kind,
		State:   f.mac(s, code),
		Expires: f.now().Add(life),
		Deliver: []verify.Delivery{{Channel: f.channel, Template: "code", Args: map[string]string{
			"code":    string(code[:length/2]) + "-" + string(code[length/2:]),
			"minutes": strconv.Itoa(int(life / time.Minute)),
		}}},
	}, nil
}

// Check implements verify.Factor. Capitals, spaces and hyphens do not matter.
func (f *Factor) Check(_ context.Context, s verify.Subject, c verify.Challenge, answer []byte) (verify.Evidence, error) {
	if len(c.State) != sha256.Size || c.Kind != f.kind {
		return verify.Evidence{}, errors.New("code: challenge cannot be read")
	}
	if !f.now().Before(c.Expires) {
		return verify.Evidence{}, verify.ErrExpired
	}
	code, ok := normalise(answer)
	if !ok {
		return verify.Evidence{}, verify.ErrWrong
	}
	right := subtle.ConstantTimeCompare(f.mac(s, code), c.State) == 1
	if !right || s.User == nil {
		return verify.Evidence{}, verify.ErrWrong
	}
	return verify.Evidence{}, nil
}

// mac binds a code to channel, case, person and purpose: in any other of them
// it is simply wrong (cases 21, 22, 88). A decoy's is under another label, so
// that its code is wrong whatever happens to the decoy afterwards.
func (f *Factor) mac(s verify.Subject, code []byte) []byte {
	label := "postern code v1"
	if s.User == nil {
		label = "postern decoy 1"
	}
	m := hmac.New(sha256.New, f.key)
	for _, part := range []string{label, string(f.kind), s.Case, string(s.ID), s.Purpose, string(code)} {
		// With its length, or "a"+"bc" would be "ab"+"c".
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		m.Write(n[:])
		io.WriteString(m, part)
	}
	return m.Sum(nil)
}

// draw makes a code in which every character is equally likely.
func (f *Factor) draw() ([]byte, error) {
	code := make([]byte, 0, length)
	var b [16]byte
	for {
		if _, err := io.ReadFull(f.random, b[:]); err != nil {
			return nil, fmt.Errorf("code: no randomness: %w", err)
		}
		for _, v := range b {
			// A plain remainder would favour the first eight characters.
			if int(v) >= 256-256%len(alphabet) {
				continue
			}
			if code = append(code, alphabet[int(v)%len(alphabet)]); len(code) == length {
				return code, nil
			}
		}
	}
}

// normalise forgives what copying from a message does: small letters, spaces,
// hyphens of every sort between characters. Anything else is not a code.
func normalise(answer []byte) ([]byte, bool) {
	if len(answer) > 64 {
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
		if len(code) == length || !strings.ContainsRune(alphabet, r) {
			return nil, false
		}
		code = append(code, byte(r))
	}
	return code, len(code) == length
}
