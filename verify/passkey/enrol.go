package passkey

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern/verify"
)

// Offer implements verify.Enroller. Public is {"publicKey": …}, the options of
// navigator.credentials.create. ErrTooMany when the person has all they may have.
func (f *Factor) Offer(ctx context.Context, s verify.Subject) (verify.Challenge, error) {
	who, err := f.person(ctx, s)
	if err != nil {
		return verify.Challenge{}, err
	}
	challenge, err := f.challenge()
	if err != nil {
		return verify.Challenge{}, err
	}
	options, session, err := f.web.BeginRegistration(who,
		func(o *protocol.PublicKeyCredentialCreationOptions) error { o.Challenge = challenge; return nil },
		webauthn.WithAuthenticatorSelection(selection()),
		webauthn.WithConveyancePreference(f.makers.preference()),
		webauthn.WithExclusions(webauthn.Credentials(who.credentials).CredentialDescriptors()),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()),
	)
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("passkey: offer: %w", err)
	}
	options.Response.Hints = f.makers.hints(*s.User)
	return f.open(options, asked{Case: s.Case, Owner: s.ID, Session: *session})
}

// Enrol implements verify.Enroller. ErrDuplicate when the credential's id is
// enrolled already, whoever has it; ErrNotAllowed when the policy for new
// passkeys (Config.Attestation, Config.DeviceBound, Config.DeviceBoundGroups)
// refuses a good answer. Groups are those of s.User, which should be freshly read.
func (f *Factor) Enrol(ctx context.Context, s verify.Subject, offer verify.Challenge, answer []byte) (verify.Enrolment, error) {
	session, err := f.session(s, offer, s.ID)
	if err != nil {
		return verify.Enrolment{}, err
	}
	if len(answer) > maxAnswer {
		return verify.Enrolment{}, refused(errors.New("longer than 64 KiB"))
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return verify.Enrolment{}, refused(err)
	}
	if parsed.Response.CollectedClientData.Origin != f.origin {
		return verify.Enrolment{}, refused(errors.New("origin is not ours, byte for byte"))
	}
	who, err := f.person(ctx, s)
	if err != nil {
		return verify.Enrolment{}, err
	}
	made, err := f.web.CreateCredential(who, session, parsed)
	if err != nil {
		return verify.Enrolment{}, refused(err)
	}
	// Some old keys say "done" without keeping the credential on the device; with
	// an empty list of allowed credentials such a key could never be found again.
	if rk := made.Extensions.RK; rk != nil && !*rk {
		return verify.Enrolment{}, refused(errors.New("not discoverable"))
	}
	if err := f.makers.allow(ctx, *s.User, made, parsed); err != nil {
		return verify.Enrolment{}, err
	}
	switch _, err := f.vault.ByHandle(ctx, verify.Passkey, made.ID); {
	case err == nil:
		return verify.Enrolment{}, verify.ErrDuplicate
	case !errors.Is(err, verify.ErrNoCredential):
		return verify.Enrolment{}, fmt.Errorf("passkey: %w", err)
	}
	count := made.Authenticator.SignCount
	public, err := json.Marshal(made)
	if err != nil {
		return verify.Enrolment{}, fmt.Errorf("passkey: %w", err)
	}
	id, err := verify.NewID(f.random)
	if err != nil {
		return verify.Enrolment{}, err
	}
	return verify.Enrolment{Add: []verify.Credential{{
		ID: id, Owner: s.ID, Kind: verify.Passkey, Handle: made.ID, Public: public, Counter: int64(count), Created: f.now(),
		Print: Fingerprint(made.PublicKey),
	}}}, nil
}

// person reads what the library wants to know, and says whether one more fits.
func (f *Factor) person(ctx context.Context, s verify.Subject) (person, error) {
	if s.User == nil {
		return person{}, errors.New("passkey: nobody to enrol")
	}
	have, err := f.vault.Credentials(ctx, s.ID, verify.Passkey)
	if err != nil {
		return person{}, fmt.Errorf("passkey: %w", err)
	}
	if len(have) >= f.max {
		return person{}, verify.ErrTooMany
	}
	handle, err := f.handles.Handle(ctx, s.ID)
	if err != nil {
		return person{}, fmt.Errorf("passkey: %w", err)
	}
	if len(handle) < 16 || len(handle) > 64 {
		return person{}, errors.New("passkey: user handle of no legal length")
	}
	name := cmp.Or(s.User.UPN, s.User.Login)
	who := person{handle: handle, name: name, shown: cmp.Or(s.User.Name, name)}
	for _, c := range have {
		r, err := record(c)
		if err != nil {
			return person{}, err
		}
		who.credentials = append(who.credentials, r)
	}
	return who, nil
}
