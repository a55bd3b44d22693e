package kiosk

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"postern/portal/audit"
)

// challengeLife is how long a device may take to sign.
const challengeLife = 2 * time.Minute

// ErrProof: what the device signed is not what it was asked to, or not by its key.
// ErrStale: another renewal of the same device was faster. ErrCopied: the key is in two
// devices; it has just been revoked.
var (
	ErrProof  = errors.New("kiosk: not signed by that device")
	ErrStale  = errors.New("kiosk: a later renewal has overtaken this one")
	ErrCopied = errors.New("kiosk: the device's key was copied")
)

// Challenge is something fresh to sign. It is kept nowhere; it says when it was made,
// by this server's clock, so that the device's own does not matter.
func (s *Service) Challenge() (string, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(s.Rand, b[8:]); err != nil {
		return "", err
	}
	binary.BigEndian.PutUint64(b, uint64(s.Now().UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(b, mac(s.challenges, string(b))[:16]...)), nil
}

// made is when a challenge of ours was made; ErrProof for any other, and for one too old.
func (s *Service) made(challenge string) (time.Time, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	if err != nil || len(b) != 32 || !hmac.Equal(b[16:], mac(s.challenges, string(b[:16]))[:16]) {
		return time.Time{}, ErrProof
	}
	at := time.UnixMicro(int64(binary.BigEndian.Uint64(b)))
	if age := s.Now().Sub(at); age < -overlap || age > challengeLife {
		return time.Time{}, ErrProof
	}
	return at, nil
}

// Enrolment is what a device sends to be registered. Signature is over EnrolText.
type Enrolment struct {
	Code      string // as typed
	Public    []byte // SubjectPublicKeyInfo, DER
	Challenge string
	Signature []byte // r and s, 32 bytes each, as WebCrypto has them
	From      string
}

// EnrolText is what a device signs to be registered at origin.
func EnrolText(origin, challenge string) string {
	return "postern kiosk register v1\n" + origin + "\n" + challenge
}

// RenewText is what it signs to renew its pass.
func RenewText(origin, print string, counter int64, challenge string) string {
	return "postern kiosk renew v1\n" + origin + "\n" + print + "\n" + strconv.FormatInt(counter, 10) + "\n" + challenge
}

// Enrol gives a device the rights that a code was made for, and spends the code.
// ErrNone when it opens nothing.
func (s *Service) Enrol(ctx context.Context, e Enrolment) (Device, error) {
	key, err := publicKey(e.Public)
	if err != nil {
		return Device{}, err
	}
	if _, err := s.made(e.Challenge); err != nil {
		return Device{}, err
	}
	if !signed(key, EnrolText(s.Origin, e.Challenge), e.Signature) {
		return Device{}, ErrProof
	}
	hash := codeHash(s.Key, e.Code)
	found, err := s.Store.Kiosk(ctx, Index{Code: hash})
	if err != nil {
		return Device{}, err
	}
	now := s.Now()
	return s.Store.UpdateKiosk(ctx, found.ID, func(_ context.Context, d *Device) (Effects, error) {
		if d.Code != hash || d.Way != Key || !now.Before(d.Until) || !d.Revoked.IsZero() {
			return Effects{}, ErrNone
		}
		d.Public, d.Print, d.Counter = e.Public, printOf(e.Public), 0
		d.Code, d.Until, d.Registered = "", time.Time{}, now
		d.Pass, d.Renewed = d.Pass+1, now
		return Effects{Events: []audit.Event{s.event(*d, "kiosk.enrolled", audit.OK, e.From)}, Messages: s.alarm(*d, "enrolled", e.From)}, nil
	})
}

// Renewal is what a device sends for a new pass. Signature is over RenewText.
type Renewal struct {
	Print     string // SHA-256 of its public key, hex
	Counter   int64  // higher than ever before
	Challenge string
	Signature []byte
	From      string
}

// Renew gives a device its next pass; those before are worth nothing then.
//
// A counter that does not rise means that two devices hold the key, whoever copied it:
// the device is revoked and the operators hear of it. Only a counter signed after the
// last renewal says so. One signed before was overtaken on the way, as when a page is
// left while it renews.
func (s *Service) Renew(ctx context.Context, r Renewal) (Device, error) {
	made, err := s.made(r.Challenge)
	if err != nil {
		return Device{}, err
	}
	found, err := s.Store.Kiosk(ctx, Index{Print: r.Print})
	if err != nil {
		return Device{}, err
	}
	key, err := publicKey(found.Public)
	if err != nil || found.Way != Key || !signed(key, RenewText(s.Origin, r.Print, r.Counter, r.Challenge), r.Signature) {
		return Device{}, ErrProof
	}
	now, twice := s.Now(), false
	d, err := s.Store.UpdateKiosk(ctx, found.ID, func(_ context.Context, d *Device) (Effects, error) {
		twice = false
		switch {
		case d.Print != r.Print || !d.inUse():
			return Effects{}, ErrNone
		case r.Counter > d.Counter:
			d.Counter, d.Pass, d.Renewed = r.Counter, d.Pass+1, now
			return Effects{}, nil
		case !made.After(d.Renewed):
			return Effects{}, ErrStale
		}
		twice = true
		d.Revoked, d.RevokedBy, d.Why, d.Code = now, "postern", copied, ""
		return Effects{Events: []audit.Event{s.event(*d, "kiosk."+copied, audit.Refused, r.From)}, Messages: s.alarm(*d, copied, r.From)}, nil
	})
	if err == nil && twice {
		err = ErrCopied
	}
	return d, err
}

// ByCertificate returns the device that shows leaf. The TLS layer has checked that the
// peer holds its key, and who issued it.
func (s *Service) ByCertificate(ctx context.Context, leaf *x509.Certificate, from string) (Device, error) {
	d, err := s.Store.Kiosk(ctx, Index{Print: printOf(leaf.RawSubjectPublicKeyInfo)})
	if err != nil {
		return Device{}, err
	}
	if d.Way != Certificate || !d.inUse() {
		return Device{}, ErrNone
	}
	return d, s.see(ctx, d, from)
}

// publicKey takes P-256 and nothing else.
func publicKey(spki []byte) (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	key, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, ErrProof
	}
	return key, nil
}

// signed checks an ECDSA signature in the form of IEEE P1363, which is what WebCrypto
// makes (W3C Web Cryptography API, section 23.7.1).
func signed(key *ecdsa.PublicKey, text string, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	sum := sha256.Sum256([]byte(text))
	return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

func printOf(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// codeHash is how a one-time code is kept. People type it with and without the dash,
// and in small letters.
func codeHash(key []byte, code string) string {
	plain := strings.NewReplacer("-", "", " ", "").Replace(strings.ToUpper(strings.TrimSpace(code)))
	return hex.EncodeToString(mac(key, "kiosk code\x00"+plain))
}
