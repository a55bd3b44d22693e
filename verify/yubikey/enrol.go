package yubikey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"postern/directory"
	"postern/verify"
)

// Keys are keys whose secrets are known here before anybody has them.
type Keys interface {
	// Find returns the key with this public id; verify.ErrNoCredential when
	// there is none.
	Find(ctx context.Context, publicID [6]byte) (Imported, error)
}

// ErrUnknownKey is a key that nobody imported: offline it cannot be enrolled.
// It is a wrong answer too.
var ErrUnknownKey = fmt.Errorf("yubikey: this key was not imported: %w", verify.ErrWrong)

// offered is what the server remembers between Offer and Enrol. It holds no
// secret: the key brings its own.
type offered struct {
	Owner directory.ID `json:"owner"`
	Case  string       `json:"case"`
}

// Offer implements verify.Enroller; there is nothing to show but "touch it".
// ErrTooMany when the person has as many keys as are allowed.
func (f *Factor) Offer(ctx context.Context, s verify.Subject) (verify.Challenge, error) {
	if err := f.room(ctx, s); err != nil {
		return verify.Challenge{}, err
	}
	state, err := json.Marshal(offered{Owner: s.ID, Case: s.Case})
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("yubikey: %w", err)
	}
	return verify.Challenge{Kind: verify.YubiKey, State: state, Expires: f.now().Add(offerLife)}, nil
}

// Enrol implements verify.Enroller: the answer is a password of the new key. It
// is spent with the set-up: the credential's counter starts at its counter.
// ErrDuplicate when the key is somebody's already, known only to whoever has the
// key; ErrUnknownKey offline.
func (f *Factor) Enrol(ctx context.Context, s verify.Subject, offer verify.Challenge, answer []byte) (verify.Enrolment, error) {
	now := f.now()
	if !now.Before(offer.Expires) {
		return verify.Enrolment{}, verify.ErrExpired
	}
	typed, ok := read(answer)
	if !ok {
		return verify.Enrolment{}, verify.ErrWrong
	}
	if err := f.room(ctx, s); err != nil {
		return verify.Enrolment{}, err
	}
	var o offered
	if err := json.Unmarshal(offer.State, &o); err != nil {
		return verify.Enrolment{}, errors.New("yubikey: offer cannot be read")
	}
	// An offer of one person or page is worth nothing to another (case 21).
	if o.Owner != s.ID || o.Case != s.Case {
		return verify.Enrolment{}, verify.ErrWrong
	}
	imported, err := f.imported(ctx, typed.id)
	if err != nil {
		return verify.Enrolment{}, err
	}
	var secret []byte
	if f.client == nil {
		secret = []byte(imported.Secret.Reveal())
	}
	counter, err := f.count(ctx, typed, secret)
	if err != nil {
		return verify.Enrolment{}, err
	}
	switch _, taken, err := f.bound(ctx, typed); {
	case err != nil:
		return verify.Enrolment{}, err
	case taken:
		return verify.Enrolment{}, verify.ErrDuplicate
	}
	cred, err := f.credential(typed.id, imported)
	if err != nil {
		return verify.Enrolment{}, err
	}
	cred.Owner, cred.Counter, cred.Created = s.ID, counter, now
	return verify.Enrolment{Add: []verify.Credential{cred}}, nil
}

// imported is empty online for a key that nobody imported.
func (f *Factor) imported(ctx context.Context, id [6]byte) (Imported, error) {
	if f.keys == nil {
		return Imported{}, nil
	}
	found, err := f.keys.Find(ctx, id)
	switch {
	case errors.Is(err, verify.ErrNoCredential) && f.client == nil:
		return Imported{}, ErrUnknownKey
	case errors.Is(err, verify.ErrNoCredential):
		return Imported{}, nil
	case err != nil:
		return Imported{}, fmt.Errorf("yubikey: %w", err)
	case f.client == nil && found.Secret.Empty():
		return Imported{}, ErrBadSecret
	}
	return found, nil
}

// room says whether one more fits, and that there is somebody to have it.
func (f *Factor) room(ctx context.Context, s verify.Subject) error {
	if s.User == nil {
		return errors.New("yubikey: nobody to enrol")
	}
	have, err := f.vault.Credentials(ctx, s.ID, verify.YubiKey)
	if err != nil {
		return fmt.Errorf("yubikey: %w", err)
	}
	if len(have) >= f.max {
		return verify.ErrTooMany
	}
	return nil
}
