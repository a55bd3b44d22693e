// Package passkey is a discoverable WebAuthn credential with user verification
// as a factor: a passkey or a security key, phishing-resistant, sufficient alone.
//
// It is the only home of go-webauthn. The library parses and verifies (WebAuthn
// Level 3 sections 7.1 and 7.2); this package decides what is asked for, that
// one origin is ours, whose credential it was, and that a signature count goes
// forward. The question is the same for everybody, known or not: an empty list
// of allowed credentials.
//
// It never stores anything itself. That a challenge is answered once is the
// core's work: it drops the open challenge with the answer.
package passkey

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"postern/directory"
	"postern/verify"
)

// maxAnswer bounds what is parsed, in bytes (case 81).
const maxAnswer = 64 << 10

// ErrCloned is a signature count that did not go forward: two devices hold the
// key, or the same answer came twice. It is worth an alarm.
var ErrCloned = fmt.Errorf("passkey: signature count did not go forward: %w", verify.ErrReplayed)

// Handles gives every person a random user handle (WebAuthn L3 section 5.4.3:
// 64 random bytes, never a name).
type Handles interface {
	// Handle returns the person's handle and makes it when there is none: always
	// the same one, also when asked for twice at once.
	Handle(ctx context.Context, owner directory.ID) ([]byte, error)
	// Owner is whose handle it is; verify.ErrNoCredential when nobody's.
	Owner(ctx context.Context, handle []byte) (directory.ID, error)
}

// Factor implements verify.Factor, verify.Enroller, verify.Discoverer and
// verify.Signer.
type Factor struct {
	web     *webauthn.WebAuthn
	makers  *makers
	origin  string
	timeout time.Duration
	max     int
	vault   verify.Vault
	handles Handles
	now     func() time.Time
	random  io.Reader
}

var (
	_ verify.Enroller   = (*Factor)(nil)
	_ verify.Discoverer = (*Factor)(nil)
)

// Kind implements verify.Factor.
func (f *Factor) Kind() verify.Kind { return verify.Passkey }

// asked is what the server remembers of a question.
type asked struct {
	Case    string               `json:"case"`
	Owner   directory.ID         `json:"owner,omitempty"` // of an offer; a question is open to anybody
	Session webauthn.SessionData `json:"session"`
}

// Begin implements verify.Factor. Public is {"publicKey": …}, the options of
// navigator.credentials.get, with no credential named: who has passkeys, and
// which, cannot be read from it (case 4).
func (f *Factor) Begin(_ context.Context, s verify.Subject) (verify.Challenge, error) {
	challenge, err := f.challenge()
	if err != nil {
		return verify.Challenge{}, err
	}
	options, session, err := f.web.BeginDiscoverableLogin(
		webauthn.WithChallenge(challenge),
		// Said here and not only in the configuration: the library checks the UV
		// flag only when this ceremony asked for it (case 77).
		webauthn.WithUserVerification(protocol.VerificationRequired),
	)
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("passkey: begin: %w", err)
	}
	return f.open(options, asked{Case: s.Case, Session: *session})
}

// Check implements verify.Factor. The answer is the PublicKeyCredential as JSON,
// at most 64 KiB. It counts only for the person it is about: the user handle,
// the stored credential and Subject.ID must name the same one (case 79).
func (f *Factor) Check(ctx context.Context, s verify.Subject, c verify.Challenge, answer []byte) (verify.Evidence, error) {
	session, err := f.session(s, c, "")
	if err != nil {
		return verify.Evidence{}, err
	}
	parsed, err := parse(answer)
	if err != nil {
		return verify.Evidence{}, err
	}
	held, err := f.vault.ByHandle(ctx, verify.Passkey, parsed.RawID)
	if err != nil {
		return verify.Evidence{}, nobody(err)
	}
	owner, err := f.handles.Owner(ctx, parsed.Response.UserHandle)
	if err != nil {
		return verify.Evidence{}, nobody(err)
	}
	record, err := record(held)
	if err != nil {
		return verify.Evidence{}, err
	}
	if parsed.Response.CollectedClientData.Origin != f.origin {
		return verify.Evidence{}, refused(errors.New("origin is not ours, byte for byte"))
	}
	_, seen, err := f.web.ValidatePasskeyLogin(func(_, handle []byte) (webauthn.User, error) {
		return person{handle: handle, credentials: []webauthn.Credential{record}}, nil
	}, session, parsed)
	if err != nil {
		return verify.Evidence{}, refused(err)
	}
	// Last, so that somebody else's good signature costs what one's own does.
	if s.User == nil || owner != s.ID || held.Owner != s.ID {
		return verify.Evidence{}, refused(errors.New("it is another person's"))
	}
	if seen.Authenticator.CloneWarning {
		return verify.Evidence{}, ErrCloned
	}
	switch err := f.vault.Spend(ctx, held, int64(seen.Authenticator.SignCount)); {
	case errors.Is(err, verify.ErrReplayed):
		return verify.Evidence{}, ErrCloned
	case err != nil:
		return verify.Evidence{}, nobody(err) // removed a moment ago, or a fault
	}
	return verify.Evidence{Credential: held.ID, Since: held.Created,
		DeviceBound: deviceBound(record, parsed.Response.AuthenticatorData.Flags)}, nil
}

// Discover implements verify.Discoverer: the owner of the user handle in the
// answer. It looks at no signature and proves nothing.
func (f *Factor) Discover(ctx context.Context, c verify.Challenge, answer []byte) (directory.ID, error) {
	if !f.now().Before(c.Expires) {
		return "", verify.ErrExpired
	}
	parsed, err := parse(answer)
	if err != nil {
		return "", err
	}
	owner, err := f.handles.Owner(ctx, parsed.Response.UserHandle)
	if err != nil {
		return "", nobody(err)
	}
	return owner, nil
}

// open makes the challenge of a question or an offer.
func (f *Factor) open(options any, a asked) (verify.Challenge, error) {
	public, err := json.Marshal(options)
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("passkey: %w", err)
	}
	state, err := json.Marshal(a)
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("passkey: %w", err)
	}
	return verify.Challenge{Kind: verify.Passkey, State: state, Public: public, Expires: f.now().Add(f.timeout)}, nil
}

// session reads a challenge back and checks that it is this case's and in time.
func (f *Factor) session(s verify.Subject, c verify.Challenge, owner directory.ID) (webauthn.SessionData, error) {
	if !f.now().Before(c.Expires) {
		return webauthn.SessionData{}, verify.ErrExpired
	}
	var a asked
	if err := json.Unmarshal(c.State, &a); err != nil || a.Session.Challenge == "" {
		return webauthn.SessionData{}, errors.New("passkey: challenge cannot be read")
	}
	if a.Case != s.Case || a.Owner != owner {
		return webauthn.SessionData{}, verify.ErrWrong
	}
	return a.Session, nil
}

func (f *Factor) challenge() ([]byte, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(f.random, b); err != nil {
		return nil, fmt.Errorf("passkey: no randomness: %w", err)
	}
	return b, nil
}

// parse reads the answer to a question that named no credential: only the user
// handle says whose it is, so it must be there (WebAuthn L3 section 7.2 step 6).
func parse(answer []byte) (*protocol.ParsedCredentialAssertionData, error) {
	parsed, err := parseAny(answer)
	if err == nil && len(parsed.Response.UserHandle) == 0 {
		return nil, refused(errors.New("user handle of no legal length"))
	}
	return parsed, err
}

func parseAny(answer []byte) (*protocol.ParsedCredentialAssertionData, error) {
	if len(answer) > maxAnswer {
		return nil, refused(errors.New("longer than 64 KiB"))
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, refused(err)
	}
	if len(parsed.Response.UserHandle) > 64 {
		return nil, refused(errors.New("user handle of no legal length"))
	}
	return parsed, nil
}

// record is the stored credential; the counter that counts is the vault's.
func record(c verify.Credential) (webauthn.Credential, error) {
	var r webauthn.Credential
	if err := json.Unmarshal(c.Public, &r); err != nil || !bytes.Equal(r.ID, c.Handle) || len(r.PublicKey) == 0 || c.Counter < 0 || c.Counter > math.MaxUint32 {
		return webauthn.Credential{}, fmt.Errorf("passkey: credential %s cannot be read", c.ID)
	}
	r.Authenticator.SignCount, r.Authenticator.CloneWarning = uint32(c.Counter), false
	return r, nil
}

// refused makes a wrong answer of the library's error and keeps its short
// reason for the log. The long one quotes what was sent and is dropped.
func refused(err error) error {
	var detail *protocol.Error
	if errors.As(err, &detail) {
		return fmt.Errorf("%w: %s", verify.ErrWrong, detail.Details)
	}
	return fmt.Errorf("%w: %w", verify.ErrWrong, err)
}

// nobody makes a wrong answer of "no such credential", and of nothing else.
func nobody(err error) error {
	if errors.Is(err, verify.ErrNoCredential) {
		return refused(errors.New("no such credential"))
	}
	return fmt.Errorf("passkey: %w", err)
}

// person is what the library wants to know of one.
type person struct {
	handle      []byte
	name, shown string
	credentials []webauthn.Credential
}

func (p person) WebAuthnID() []byte                         { return p.handle }
func (p person) WebAuthnName() string                       { return p.name }
func (p person) WebAuthnDisplayName() string                { return p.shown }
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.credentials }
