package directory

import (
	"log/slog"
	"unicode/utf8"
)

// Secret is a password on its way. Every ordinary way of printing it gives
// "[redacted]"; only Reveal gives the bytes.
type Secret struct{ s string }

// NewSecret keeps the exact bytes: nothing is trimmed, cut or normalised.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns the exact text. Call it only where it goes on the wire.
func (s Secret) Reveal() string { return s.s }

// Empty reports whether there is nothing in it. An empty password must never
// reach a bind: RFC 4513 section 5.1.2 makes it an anonymous success.
func (s Secret) Empty() bool { return s.s == "" }

// Len is the length in code points (NIST SP 800-63B-4 section 3.1.1.2 counts so).
func (s Secret) Len() int { return utf8.RuneCountInString(s.s) }

const redacted = "[redacted]"

func (Secret) String() string               { return redacted }
func (Secret) GoString() string             { return redacted }
func (Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
