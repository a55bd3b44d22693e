package flow

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"io"

	"postern/directory"
)

// seal keeps the proven current password for the true change at the end of the
// case. The key is the browser's (hold): neither the database nor the server's
// own keys open it.
func (s *Service) seal(c *Case, hold, pw []byte) ([]byte, error) {
	g, err := holdAEAD(hold)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, g.NonceSize())
	if _, err := io.ReadFull(s.Rand, nonce); err != nil {
		return nil, err
	}
	return g.Seal(nonce, nonce, pw, []byte("held\x00"+c.ID)), nil
}

func (s *Service) unseal(c *Case, hold []byte) (directory.Secret, error) {
	g, err := holdAEAD(hold)
	if err != nil {
		return directory.Secret{}, err
	}
	if len(c.Held) < g.NonceSize() {
		return directory.Secret{}, errors.New("flow: no current password is held")
	}
	pw, err := g.Open(nil, c.Held[:g.NonceSize()], c.Held[g.NonceSize():], []byte("held\x00"+c.ID))
	if err != nil {
		return directory.Secret{}, errors.New("flow: the held password does not open with this browser's key")
	}
	return directory.NewSecret(string(pw)), nil
}

func holdAEAD(hold []byte) (cipher.AEAD, error) {
	if len(hold) != 32 {
		return nil, errors.New("flow: the browser's key is not 32 bytes")
	}
	b, err := aes.NewCipher(hold)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}
