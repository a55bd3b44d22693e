package embedded

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
)

// rounds is low on purpose: these are sample accounts, and a demo that answers
// slowly shows the wrong thing. Each hash records its own.
const rounds = 4096

// hash is one remembered password: PBKDF2-HMAC-SHA256 over its exact bytes.
type hash struct {
	Rounds int    `json:"rounds"`
	Salt   []byte `json:"salt"`
	Sum    []byte `json:"sum"`
}

func newHash(password string, random io.Reader) (hash, error) {
	h := hash{Rounds: rounds, Salt: make([]byte, 16)}
	if _, err := io.ReadFull(random, h.Salt); err != nil {
		return hash{}, fmt.Errorf("embedded: random: %w", err)
	}
	var err error
	h.Sum, err = pbkdf2.Key(sha256.New, password, h.Salt, h.Rounds, sha256.Size)
	return h, err
}

// is reports whether password made h. A damaged hash fits nothing.
func (h hash) is(password string) bool {
	if h.Rounds < 1 || len(h.Sum) != sha256.Size {
		return false
	}
	sum, err := pbkdf2.Key(sha256.New, password, h.Salt, h.Rounds, sha256.Size)
	return err == nil && subtle.ConstantTimeCompare(sum, h.Sum) == 1
}
