package passkey

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern/verify"
)

var _ verify.Signer = (*Factor)(nil)

// AskSignature implements verify.Signer. Public is {"publicKey": …}, the options
// of navigator.credentials.get, with digest as the challenge and s's credentials
// that may sign by name. s must be signed in: the names tell them nothing new,
// and they keep the browser from offering a key whose answer would be refused.
func (f *Factor) AskSignature(ctx context.Context, s verify.Subject, digest []byte, rule verify.SignRule) (verify.Challenge, error) {
	if s.User == nil {
		return verify.Challenge{}, errors.New("passkey: nobody to sign")
	}
	if err := checkDigest(digest); err != nil {
		return verify.Challenge{}, err
	}
	have, err := f.vault.Credentials(ctx, s.ID, verify.Passkey)
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("passkey: %w", err)
	}
	var may []webauthn.Credential
	for _, c := range have {
		r, err := record(c)
		if err != nil {
			return verify.Challenge{}, err
		}
		if maySign(rule, c, r) {
			may = append(may, r)
		}
	}
	if len(may) == 0 {
		return verify.Challenge{}, verify.ErrNoCredential
	}
	options, _, err := f.web.BeginLogin(person{credentials: may},
		webauthn.WithChallenge(digest),
		webauthn.WithUserVerification(protocol.VerificationRequired),
	)
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("passkey: ask: %w", err)
	}
	c, err := f.open(options, asked{})
	c.State = nil
	return c, err
}

// CheckSignature implements verify.Signer (WebAuthn L3 section 7.2, with the
// credentials of AskSignature allowed). Errors are those of Check; what it
// returns passes VerifySignature. Only authenticators that keep a count notice
// the same answer twice.
func (f *Factor) CheckSignature(ctx context.Context, s verify.Subject, digest []byte, rule verify.SignRule, answer []byte) (verify.Signature, error) {
	if err := checkDigest(digest); err != nil {
		return verify.Signature{}, err
	}
	parsed, err := parseAny(answer)
	if err != nil {
		return verify.Signature{}, err
	}
	held, err := f.vault.ByHandle(ctx, verify.Passkey, parsed.RawID)
	if err != nil {
		return verify.Signature{}, nobody(err)
	}
	if s.User == nil || held.Owner != s.ID {
		return verify.Signature{}, refused(errors.New("it is another person's"))
	}
	record, err := record(held)
	if err != nil {
		return verify.Signature{}, err
	}
	// Whoever answers chooses the credential, whatever was asked.
	if !maySign(rule, held, record) {
		return verify.Signature{}, refused(errors.New("this credential may not sign it"))
	}
	now := parsed.Response.AuthenticatorData.Flags
	if rule.DeviceBound && !deviceBound(record, now) {
		return verify.Signature{}, refused(errors.New("it may be copied off its device"))
	}
	if parsed.Response.CollectedClientData.Origin != f.origin {
		return verify.Signature{}, refused(errors.New("origin is not ours, byte for byte"))
	}
	handle, err := f.handles.Handle(ctx, s.ID)
	if err != nil {
		return verify.Signature{}, fmt.Errorf("passkey: %w", err)
	}
	// Without Expires: nothing remembers when it was asked. How long a statement
	// may be signed is for its keeper to say.
	seen, err := f.web.ValidateLogin(person{handle: handle, credentials: []webauthn.Credential{record}}, webauthn.SessionData{
		Challenge: base64.RawURLEncoding.EncodeToString(digest), UserID: handle, AllowedCredentialIDs: [][]byte{record.ID},
		UserVerification: protocol.VerificationRequired,
	}, parsed)
	if err != nil {
		return verify.Signature{}, refused(err)
	}
	raw := parsed.Raw.AssertionResponse
	sig := verify.Signature{
		Credential: held.ID, CredentialID: record.ID, PublicKey: record.PublicKey, RPID: f.web.Config.RPID, Origin: f.origin,
		Authenticator: raw.AuthenticatorData, ClientData: raw.ClientDataJSON, Signature: raw.Signature,
	}
	// What is kept must convince somebody who has nothing else.
	if err := VerifySignature(sig, digest); err != nil {
		return verify.Signature{}, err
	}
	if seen.Authenticator.CloneWarning {
		return verify.Signature{}, ErrCloned
	}
	switch err := f.vault.Spend(ctx, held, int64(seen.Authenticator.SignCount)); {
	case errors.Is(err, verify.ErrReplayed):
		return verify.Signature{}, ErrCloned
	case err != nil:
		return verify.Signature{}, nobody(err) // removed a moment ago, or a fault
	}
	return sig, nil
}

// maySign says whether a credential, as it was enrolled, keeps the rule.
func maySign(rule verify.SignRule, c verify.Credential, r webauthn.Credential) bool {
	// Not a moment later: who steals a session must not sign with a key added in it.
	if !rule.Before.IsZero() && !c.Created.Before(rule.Before) {
		return false
	}
	return !rule.DeviceBound || deviceBound(r, 0)
}

// deviceBound says whether a key cannot leave its device: by what was recorded
// when it was enrolled and by what its answer says now (WebAuthn L3 section 6.1.3).
func deviceBound(r webauthn.Credential, now protocol.AuthenticatorFlags) bool {
	return !r.Flags.BackupEligible && !r.Flags.BackupState && !now.HasBackupEligible() && !now.HasBackupState()
}

func checkDigest(digest []byte) error {
	if len(digest) != sha256.Size {
		return fmt.Errorf("passkey: a digest of %d bytes is no SHA-256", len(digest))
	}
	return nil
}
