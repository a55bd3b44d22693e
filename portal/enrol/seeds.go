package enrol

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"postern/verify"
)

const (
	maxSeed     = 64 // bytes: a longer HMAC-SHA-1 key is hashed first (RFC 2104), and some apps do not
	maxSeedText = 128
)

// unpadded is RFC 4648 base32 as authenticator apps write it.
var unpadded = base32.StdEncoding.WithPadding(base32.NoPadding)

// Apps are authenticator apps, each told by its secret: base32 in either case, with
// or without padding, and nothing else.
func Apps() Sort {
	return Sort{Kind: verify.TOTP, Thing: "app", Mark: "secret", Column: "secret", Parse: readSecret}
}

// readSecret is strict: what two programs read differently would be a seed whose
// codes are never right. Errors are not the decoder's, which could quote it.
func readSecret(text string) ([]byte, error) {
	errBad := errors.New("the secret is not base32")
	if len(text) > maxSeedText {
		return nil, errors.New("the secret is too long")
	}
	body := strings.TrimRight(text, "=")
	if pad := len(text) - len(body); pad > 0 && (len(text)%8 != 0 || pad >= 8) {
		return nil, errBad
	}
	body = strings.ToUpper(body)
	secret, err := unpadded.DecodeString(body)
	// Written back it must be the same: the decoder passes over line ends, lost
	// characters and bits that belong to no byte.
	if err != nil || unpadded.EncodeToString(secret) != body {
		return nil, errBad
	}
	switch {
	case len(secret) == 0:
		return nil, errors.New("there is no secret")
	case len(secret) > maxSeed:
		return nil, fmt.Errorf("the secret is longer than %d bytes", maxSeed)
	case len(bytes.Trim(secret, string(secret[:1]))) == 0 || string(secret) == "12345678901234567890":
		return nil, errors.New("the secret is one that everybody tries") // the second: RFC 6238 appendix B
	}
	return secret, nil
}
