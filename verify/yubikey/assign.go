package yubikey

import (
	"context"
	"errors"
	"fmt"

	"postern/verify"
)

// ParseID reads a public id: 12 small letters of modhex, and nothing around them.
// It returns 6 bytes, a credential's handle.
func ParseID(text string) ([]byte, error) {
	id, ok := typedID(text)
	if !ok {
		return nil, errors.New("the public id is not 12 modhex letters")
	}
	return id[:], nil
}

// Assign makes the credential that binds the key with this public id (ParseID) to
// somebody, without a touch of it; Owner and Created are the caller's. It asks no
// server. ErrUnknownKey offline.
//
// No password of the key is spent with it: offline one that it typed somewhere
// before is good until a newer one was used. Servers remember theirs.
func (f *Factor) Assign(ctx context.Context, publicID []byte) (verify.Credential, error) {
	if len(publicID) != idLetters/2 {
		return verify.Credential{}, errors.New("yubikey: that is not a public id")
	}
	id := [6]byte(publicID)
	imported, err := f.imported(ctx, id)
	if err != nil {
		return verify.Credential{}, err
	}
	return f.credential(id, imported)
}

// credential is a key's, but for its owner and its time.
func (f *Factor) credential(id [6]byte, imported Imported) (verify.Credential, error) {
	random, err := verify.NewID(f.random)
	if err != nil {
		return verify.Credential{}, err
	}
	c := verify.Credential{ID: random, Kind: verify.YubiKey, Name: name(id, imported.Serial), Handle: id[:]}
	if f.client == nil {
		c.Secret = []byte(imported.Secret.Reveal())
	}
	return c, nil
}

// name is what a new key is called until its owner says better: by the number
// printed on it, where that is known.
func name(id [6]byte, serial uint32) string {
	if serial == 0 {
		serial = serialOf(id)
	}
	if serial == 0 {
		return "YubiKey " + spell(id)
	}
	return fmt.Sprintf("YubiKey %d", serial)
}

// spell writes a public id in modhex.
func spell(id [6]byte) string {
	text := make([]byte, 0, idLetters)
	for _, b := range id {
		text = append(text, modhex[b>>4], modhex[b&15])
	}
	return string(text)
}
