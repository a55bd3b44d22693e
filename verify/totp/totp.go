// Package totp is the time-based one-time password of an authenticator app
// (RFC 6238) as a factor: HMAC-SHA-1, 30 seconds, 6 digits, the only settings
// every app understands.
//
// The verifier is its own. The otp library only turns a secret and a time into
// a code, because its Validate accepts an empty secret, accepts the same code
// again and again, trims what was typed, and takes the step ahead.
//
// It never counts wrong answers (portal/flow) and never stores anything itself.
package totp

import (
	"context"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"postern/verify"
)

const (
	period     = 30 // seconds, RFC 6238 section 5.2
	secretSize = 20 // bytes: 160 bits, RFC 4226 section 4 R6
	// life of an open question: as long as a case lives, for the code itself is
	// what runs out.
	life = 15 * time.Minute
	// offerLife is how long somebody may take to set up an app.
	offerLife = 15 * time.Minute
)

// ErrBadSecret is a stored secret that is empty or too short. It is a fault to
// raise an alarm about, never a wrong answer: an empty key makes codes that
// anybody can compute.
var ErrBadSecret = errors.New("totp: stored secret is empty or shorter than 160 bits")

// Config of the factor.
type Config struct {
	// Issuer is what the app shows above the account; empty: the brand's name,
	// which the program puts in.
	Issuer string `yaml:"issuer"`
	// Max is how many apps one person may have.
	Max int `yaml:"max"`
}

// DefaultConfig is what holds when nothing is said.
func DefaultConfig() Config { return Config{Max: 5} }

// Factor implements verify.Factor and verify.Enroller.
type Factor struct {
	issuer string
	max    int
	vault  verify.Vault
	now    func() time.Time
	random io.Reader
	// dummy is what the codes of people without an app are compared with, so
	// that they cost what everybody's cost.
	dummy []byte
}

var _ verify.Enroller = (*Factor)(nil)

// New returns the factor; an error says what is wrong with the settings.
func New(cfg Config, vault verify.Vault, now func() time.Time, random io.Reader) (*Factor, error) {
	issuer := clean(cfg.Issuer)
	if issuer == "" {
		return nil, errors.New("totp: issuer: must not be empty")
	}
	if cfg.Max < 1 || cfg.Max > 20 {
		return nil, fmt.Errorf("totp: max: %d is not between 1 and 20", cfg.Max)
	}
	dummy := make([]byte, secretSize)
	if _, err := io.ReadFull(random, dummy); err != nil {
		return nil, fmt.Errorf("totp: no randomness: %w", err)
	}
	return &Factor{issuer: issuer, max: cfg.Max, vault: vault, now: now, random: random, dummy: dummy}, nil
}

// Kind implements verify.Factor.
func (f *Factor) Kind() verify.Kind { return verify.TOTP }

// Begin implements verify.Factor. The question is the same for everybody.
func (f *Factor) Begin(context.Context, verify.Subject) (verify.Challenge, error) {
	return verify.Challenge{Kind: verify.TOTP, Expires: f.now().Add(life)}, nil
}

// Check implements verify.Factor. It takes the current step and the one before,
// none ahead. A step is spent in the vault before the answer counts (RFC 6238
// section 5.2: the second attempt MUST NOT be accepted). A secret that is no
// secret is ErrBadSecret.
func (f *Factor) Check(ctx context.Context, s verify.Subject, c verify.Challenge, answer []byte) (verify.Evidence, error) {
	now := f.now()
	if !now.Before(c.Expires) {
		return verify.Evidence{}, verify.ErrExpired
	}
	// Strictly, and before anything else: a replay cache beside a lenient parser
	// is CVE-2025-6014, where "123456 " was not "123456".
	if !wellFormed(answer) {
		return verify.Evidence{}, verify.ErrWrong
	}
	credentials, err := f.vault.Credentials(ctx, s.ID, verify.TOTP)
	if err != nil {
		return verify.Evidence{}, fmt.Errorf("totp: %w", err)
	}
	for _, held := range credentials {
		if len(held.Secret) < secretSize {
			return verify.Evidence{}, fmt.Errorf("%w (credential %s)", ErrBadSecret, held.ID)
		}
	}
	known := s.User != nil && len(credentials) > 0
	if !known {
		credentials = []verify.Credential{{Secret: f.dummy}}
	}
	replayed := false
	for _, step := range steps(now) {
		for _, held := range credentials {
			right, err := matches(held.Secret, step, answer)
			if err != nil {
				return verify.Evidence{}, err
			}
			if !right || !known {
				continue
			}
			if step <= held.Counter {
				replayed = true
				continue
			}
			if err := f.vault.Spend(ctx, held, step); err != nil {
				return verify.Evidence{}, fmt.Errorf("totp: %w", err)
			}
			return verify.Evidence{Credential: held.ID, Since: held.Created}, nil
		}
	}
	if replayed {
		return verify.Evidence{}, verify.ErrReplayed
	}
	return verify.Evidence{}, verify.ErrWrong
}

// Code is what an app with this secret shows at t. It is for tests and for the
// demo's page; a check never leaves the factor.
func Code(secret []byte, t time.Time) (string, error) {
	if len(secret) < secretSize {
		return "", ErrBadSecret
	}
	code, err := totp.GenerateCodeCustom(encode(secret), t, totp.ValidateOpts{
		Period: period, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		// Not the library's error: it could quote the secret.
		return "", ErrBadSecret
	}
	return code, nil
}

// Step is the RFC 6238 time step of t: what a credential's Counter holds.
func Step(t time.Time) int64 { return t.Unix() / period }

// steps are the steps whose code is taken at now, newest first.
func steps(now time.Time) []int64 {
	current := Step(now)
	return []int64{current, current - 1}
}

func matches(secret []byte, step int64, answer []byte) (bool, error) {
	code, err := Code(secret, time.Unix(step*period, 0))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare([]byte(code), answer) == 1, nil
}

// wellFormed is ^[0-9]{6}$ over bytes: no spaces, no digits of other scripts.
func wellFormed(answer []byte) bool {
	if len(answer) != 6 {
		return false
	}
	for _, b := range answer {
		if b < '0' || b > '9' {
			return false
		}
	}
	return true
}

func encode(secret []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
}
