package totp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"postern/directory"
	"postern/verify"
)

// Setup is what Offer shows, as JSON in Challenge.Public. It holds the secret:
// the page must not be stored, and there is no way to see it again afterwards.
type Setup struct {
	URI     string `json:"uri"`    // otpauth://totp/…, also a link on a phone
	Secret  string `json:"secret"` // base32 in groups of four, to type by hand
	Issuer  string `json:"issuer"`
	Account string `json:"account"`
	QR      QRCode `json:"qr"`
}

// offered is what the server remembers between Offer and Enrol.
type offered struct {
	Owner  directory.ID `json:"owner"`
	Case   string       `json:"case"`
	Secret []byte       `json:"secret"`
}

// Offer implements verify.Enroller. ErrTooMany when the person has as many apps
// as are allowed.
func (f *Factor) Offer(ctx context.Context, s verify.Subject) (verify.Challenge, error) {
	if err := f.room(ctx, s); err != nil {
		return verify.Challenge{}, err
	}
	secret := make([]byte, secretSize)
	if _, err := io.ReadFull(f.random, secret); err != nil {
		return verify.Challenge{}, fmt.Errorf("totp: no randomness: %w", err)
	}
	setup, err := f.setup(s.User, secret)
	if err != nil {
		return verify.Challenge{}, err
	}
	public, err := json.Marshal(setup)
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("totp: %w", err)
	}
	state, err := json.Marshal(offered{Owner: s.ID, Case: s.Case, Secret: secret})
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("totp: %w", err)
	}
	return verify.Challenge{Kind: verify.TOTP, State: state, Public: public, Expires: f.now().Add(offerLife)}, nil
}

// Enrol implements verify.Enroller. The code that proves the set-up is spent
// with it: the credential's counter starts at its step.
func (f *Factor) Enrol(ctx context.Context, s verify.Subject, offer verify.Challenge, answer []byte) (verify.Enrolment, error) {
	now := f.now()
	if !now.Before(offer.Expires) {
		return verify.Enrolment{}, verify.ErrExpired
	}
	if !wellFormed(answer) {
		return verify.Enrolment{}, verify.ErrWrong
	}
	if err := f.room(ctx, s); err != nil {
		return verify.Enrolment{}, err
	}
	var o offered
	if err := json.Unmarshal(offer.State, &o); err != nil {
		return verify.Enrolment{}, errors.New("totp: offer cannot be read")
	}
	// An offer of one person or page is worth nothing to another (case 21).
	if o.Owner != s.ID || o.Case != s.Case {
		return verify.Enrolment{}, verify.ErrWrong
	}
	for _, step := range steps(now) {
		right, err := matches(o.Secret, step, answer)
		if err != nil {
			return verify.Enrolment{}, err
		}
		if !right {
			continue
		}
		id, err := verify.NewID(f.random)
		if err != nil {
			return verify.Enrolment{}, err
		}
		return verify.Enrolment{Add: []verify.Credential{{
			ID: id, Owner: s.ID, Kind: verify.TOTP,
			Secret: o.Secret, Counter: step, Created: now,
		}}}, nil
	}
	return verify.Enrolment{}, verify.ErrWrong
}

// room says whether one more fits, and that there is somebody to have it.
func (f *Factor) room(ctx context.Context, s verify.Subject) error {
	if s.User == nil {
		return errors.New("totp: nobody to enrol")
	}
	have, err := f.vault.Credentials(ctx, s.ID, verify.TOTP)
	if err != nil {
		return fmt.Errorf("totp: %w", err)
	}
	if len(have) >= f.max {
		return verify.ErrTooMany
	}
	return nil
}

func (f *Factor) setup(u *directory.User, secret []byte) (Setup, error) {
	account := cmp.Or(clean(u.UPN), clean(u.Login), clean(u.Name), "account")
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: f.issuer, AccountName: account, Secret: secret,
		Period: period, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return Setup{}, errors.New("totp: cannot make the key's address")
	}
	qr, err := QR(key.URL())
	if err != nil {
		return Setup{}, err
	}
	return Setup{URI: key.URL(), Secret: grouped(encode(secret)), Issuer: f.issuer, Account: account, QR: qr}, nil
}

// clean makes one part of the label "issuer:account". A colon would move the
// border between the two, a slash would begin another path, and a control or format character can make an app
// show something else (case 86).
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == ':' || r == '/' || r == '%' || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	const limit = 64 // keeps the QR code small enough to be scanned from a screen
	if r := []rune(s); len(r) > limit {
		s = strings.TrimSpace(string(r[:limit]))
	}
	return s
}

// grouped puts a space after every four characters.
func grouped(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
