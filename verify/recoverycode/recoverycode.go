// Package recoverycode is a set of ten codes that a person prints and keeps for
// the day everything else is lost.
//
// A code has 80 bits (NIST SP 800-63B-4 section 4.2.1.1 asks for 64). What is
// stored is HMAC-SHA-256, under a key that is not in the database, of
// PBKDF2-HMAC-SHA-256 of the code with a salt of the owner's. ASVS 5.0 section
// 6.5.2 wants a password hash for secrets under 112 bits. A slow one buys
// nothing here: 80 random bits cannot be tried one by one even at one hash a
// nanosecond, no dictionary helps, and a stolen database alone lacks the key.
// So the count of rounds is chosen to stay under half a millisecond a check,
// which keeps wrong answers from being a way to use up the processor.
//
// A code is removed from the vault by the check that accepts it. The package
// never counts wrong answers (portal/flow).
package recoverycode

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"postern/directory"
	"postern/verify"
)

const (
	// Count is how many codes make a set.
	Count = 10
	// Saved is the answer that finishes the set-up: "I have saved them". Typing
	// one back would only prove that it is still on the screen.
	Saved = "saved"

	rounds    = 1000 // RFC 8018 section 4.2 asks for no fewer
	keySize   = 32
	life      = 15 * time.Minute
	offerLife = 15 * time.Minute
)

// Set is what Offer shows, as JSON in Challenge.Public. It is shown once.
type Set struct {
	Codes []string `json:"codes"` // XXXX-XXXX-XXXX-XXXX
}

// Factor implements verify.Factor and verify.Enroller.
type Factor struct {
	key    []byte
	vault  verify.Vault
	now    func() time.Time
	random io.Reader
}

var _ verify.Enroller = (*Factor)(nil)

// New returns the factor. The key has at least 32 bytes and comes from outside
// the database.
func New(key []byte, vault verify.Vault, now func() time.Time, random io.Reader) (*Factor, error) {
	if len(key) < keySize {
		return nil, fmt.Errorf("recoverycode: key is shorter than %d bytes", keySize)
	}
	return &Factor{key: key, vault: vault, now: now, random: random}, nil
}

// Kind implements verify.Factor.
func (f *Factor) Kind() verify.Kind { return verify.RecoveryCode }

// Begin implements verify.Factor. The question is the same for everybody.
func (f *Factor) Begin(context.Context, verify.Subject) (verify.Challenge, error) {
	return verify.Challenge{Kind: verify.RecoveryCode, Expires: f.now().Add(life)}, nil
}

// Check implements verify.Factor. A right code is gone afterwards.
func (f *Factor) Check(ctx context.Context, s verify.Subject, c verify.Challenge, answer []byte) (verify.Evidence, error) {
	if !f.now().Before(c.Expires) {
		return verify.Evidence{}, verify.ErrExpired
	}
	code, ok := normalise(answer)
	if !ok {
		return verify.Evidence{}, verify.ErrWrong
	}
	handle, err := f.handle(s.ID, code)
	if err != nil {
		return verify.Evidence{}, err
	}
	// A decoy owns nothing, even one that has a person's id: the same statement
	// finds no row.
	owner := s.ID
	if s.User == nil {
		owner = ""
	}
	burnt, err := f.vault.Burn(ctx, owner, verify.RecoveryCode, handle)
	if err != nil {
		return verify.Evidence{}, fmt.Errorf("recoverycode: %w", err)
	}
	if s.User == nil {
		return verify.Evidence{}, verify.ErrWrong
	}
	return verify.Evidence{Credential: burnt.ID, Since: burnt.Created}, nil
}

// offered is what the server remembers between Offer and Enrol: never a code.
type offered struct {
	Owner   directory.ID `json:"owner"`
	Case    string       `json:"case"`
	Handles [][]byte     `json:"handles"`
}

// Offer implements verify.Enroller.
func (f *Factor) Offer(_ context.Context, s verify.Subject) (verify.Challenge, error) {
	if s.User == nil {
		return verify.Challenge{}, errors.New("recoverycode: nobody to enrol")
	}
	set, o := Set{}, offered{Owner: s.ID, Case: s.Case}
	for range Count {
		code, err := f.draw()
		if err != nil {
			return verify.Challenge{}, err
		}
		handle, err := f.handle(s.ID, code)
		if err != nil {
			return verify.Challenge{}, err
		}
		set.Codes = append(set.Codes, grouped(code))
		o.Handles = append(o.Handles, handle)
	}
	public, err := json.Marshal(set)
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("recoverycode: %w", err)
	}
	state, err := json.Marshal(o)
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("recoverycode: %w", err)
	}
	return verify.Challenge{Kind: verify.RecoveryCode, State: state, Public: public, Expires: f.now().Add(offerLife)}, nil
}

// Enrol implements verify.Enroller. The answer is Saved. Every older code goes.
func (f *Factor) Enrol(_ context.Context, s verify.Subject, offer verify.Challenge, answer []byte) (verify.Enrolment, error) {
	now := f.now()
	if !now.Before(offer.Expires) {
		return verify.Enrolment{}, verify.ErrExpired
	}
	var o offered
	if err := json.Unmarshal(offer.State, &o); err != nil || len(o.Handles) != Count {
		return verify.Enrolment{}, errors.New("recoverycode: offer cannot be read")
	}
	if string(answer) != Saved || s.User == nil || o.Owner != s.ID || o.Case != s.Case {
		return verify.Enrolment{}, verify.ErrWrong
	}
	e := verify.Enrolment{ReplaceAll: true}
	for _, handle := range o.Handles {
		id, err := verify.NewID(f.random)
		if err != nil {
			return verify.Enrolment{}, err
		}
		e.Add = append(e.Add, verify.Credential{ID: id, Owner: s.ID, Kind: verify.RecoveryCode, Name: "Recovery code", Handle: handle, Created: now})
	}
	return e, nil
}

// handle is what is stored of a code.
func (f *Factor) handle(owner directory.ID, code []byte) ([]byte, error) {
	salt := mac(f.key, "postern recovery salt v1", []byte(owner))
	slow, err := pbkdf2.Key(sha256.New, string(code), salt, rounds, sha256.Size)
	if err != nil {
		return nil, errors.New("recoverycode: cannot hash")
	}
	return mac(f.key, "postern recovery code v1", slow), nil
}

// mac labels are of one length each, so no two inputs can meet.
func mac(key []byte, label string, message []byte) []byte {
	m := hmac.New(sha256.New, key)
	io.WriteString(m, label)
	m.Write(message)
	return m.Sum(nil)
}
