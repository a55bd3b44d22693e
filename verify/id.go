package verify

import (
	"encoding/hex"
	"fmt"
	"io"
)

// NewID makes the id of a credential: 128 random bits in hex, derived from
// nothing (ASVS 5.0 section 11.5.1).
func NewID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("verify: no randomness: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
