package web

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
)

// tokens makes and checks the hidden field of every form. It keeps nothing: a
// token is a salted MAC over the browser's cookie, so it dies when the session
// gets a new identity, and an anonymous visitor costs no storage.
type tokens struct {
	key  []byte
	rand io.Reader
}

const (
	saltLen = 12
	macLen  = 20
)

// newTokens derives the key from the installation's secret, so that a token is
// good on every node and worth nothing for any other use of that secret.
func newTokens(secret []byte, rand io.Reader) (tokens, error) {
	if len(secret) < 32 {
		return tokens{}, errors.New("web: the secret for form tokens needs at least 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "postern web csrf", 32)
	return tokens{key: key, rand: rand}, err
}

// make returns a token for the browser that holds cookie. The salt makes every
// page's token look different, so that compressed pages do not leak it (BREACH).
func (t tokens) make(cookie string) (string, error) {
	b := make([]byte, saltLen, saltLen+macLen)
	if _, err := io.ReadFull(t.rand, b); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(append(b, t.mac(b, cookie)...)), nil
}

// check reports whether token was made for the browser that holds cookie.
func (t tokens) check(token, cookie string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != saltLen+macLen || cookie == "" {
		return false
	}
	return hmac.Equal(b[saltLen:], t.mac(b[:saltLen], cookie))
}

func (t tokens) mac(salt []byte, cookie string) []byte {
	m := hmac.New(sha256.New, t.key)
	m.Write(salt)
	m.Write([]byte(cookie))
	return m.Sum(nil)[:macLen]
}

// hold derives from the cookie a key that only this browser can bring back. The
// store keeps a hash of the cookie, from which the key does not follow.
func hold(cookie string) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(cookie), nil, "postern hold", 32)
}
