// Package passkeytest is a software authenticator for tests: it makes passkeys
// and signs with them (ES256), as a browser and a device would together, and
// lies on request. It also holds an in-memory keeper of user handles and the
// suite a real one must pass.
//
// It uses nothing of the library it tests, and is never part of the program.
package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Flags of authenticator data (WebAuthn L3 section 6.1).
const (
	UserPresent    byte = 1 << 0
	UserVerified   byte = 1 << 2
	BackupEligible byte = 1 << 3
	BackedUp       byte = 1 << 4
	attested       byte = 1 << 6
)

// What an authenticator can answer instead of a credential.
var (
	ErrExcluded = errors.New("passkeytest: holds a credential of the exclude list")
	ErrNone     = errors.New("passkeytest: holds no credential for that site")
)

// Passkey is one credential as its device holds it.
type Passkey struct {
	ID         []byte
	UserHandle []byte
	RPID       string
	Count      uint32 // signatures made; stays 0 when Counts is false
	Counts     bool
	// Backup is the BE and BS flags it was made with, and says of itself.
	Backup byte
	key    *ecdsa.PrivateKey
}

// Authenticator is a device and the browser in front of it. Safe for
// concurrent use.
type Authenticator struct {
	Origin string // of the page that asks, e.g. "https://portal.example"
	// Counts says whether new passkeys keep a signature count; synced ones do not.
	Counts bool

	mu   sync.Mutex
	keys []*Passkey
}

// New returns an empty authenticator on a page of that origin.
func New(origin string) *Authenticator { return &Authenticator{Origin: origin, Counts: true} }

// Ceremony is everything that is said and signed; a Knob may change it before.
type Ceremony struct {
	Type        string // "webauthn.create" or "webauthn.get"
	Challenge   string // base64url
	Origin      string
	CrossOrigin bool
	TopOrigin   string
	RPID        string
	Flags       byte
	Count       uint32
	UserHandle  []byte
	// ReportedID is the credential id beside the signed data.
	ReportedID []byte
	Attachment string // "platform" or "cross-platform"
	Transports []string
	// Discoverable is reported as credProps.rk at creation.
	Discoverable bool
	// Extensions are further client extension results.
	Extensions map[string]any
	// AAGUID is the model, and Attest makes the statement about the new credential;
	// nil: none, and zeros. The browser drops both unless it was asked for "direct".
	AAGUID [16]byte
	Attest Statement
	// Forge spoils the signature.
	Forge bool
	// Padding makes the client data that much longer.
	Padding int
	// Client rewrites the client data of a get before it is signed; nil: as it is.
	Client func([]byte) []byte
}

// Knob changes one ceremony.
type Knob func(*Ceremony)

// Passkeys lists what the device holds, oldest first.
func (a *Authenticator) Passkeys() []*Passkey {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.keys)
}

type descriptor struct {
	ID string `json:"id"`
}

// Create answers navigator.credentials.create: options is {"publicKey": …}, the
// result a PublicKeyCredential as JSON.
func (a *Authenticator) Create(options []byte, knobs ...Knob) ([]byte, error) {
	var o struct {
		PublicKey struct {
			RP          struct{ ID string }
			User        struct{ ID string }
			Challenge   string
			Attestation string
			Exclude     []descriptor `json:"excludeCredentials"`
		}
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("passkeytest: options: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, held := range a.keys {
		for _, d := range o.PublicKey.Exclude {
			if held.RPID == o.PublicKey.RP.ID && d.ID == b64(held.ID) {
				return nil, ErrExcluded
			}
		}
	}
	handle, err := base64.RawURLEncoding.DecodeString(o.PublicKey.User.ID)
	if err != nil {
		return nil, fmt.Errorf("passkeytest: user id: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	made := &Passkey{ID: make([]byte, 32), UserHandle: handle, RPID: o.PublicKey.RP.ID, Counts: a.Counts, key: key}
	if _, err := rand.Read(made.ID); err != nil {
		return nil, err
	}
	c := Ceremony{
		Type: "webauthn.create", Challenge: o.PublicKey.Challenge, Origin: a.Origin, RPID: made.RPID,
		Flags: UserPresent | UserVerified, ReportedID: made.ID,
		Attachment: "platform", Transports: []string{"internal"}, Discoverable: true,
	}
	for _, knob := range knobs {
		knob(&c)
	}
	client, err := c.clientData()
	if err != nil {
		return nil, err
	}
	cose, err := coseKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	data := c.authData(c.Flags | attested)
	if o.PublicKey.Attestation != "direct" || c.Attest == nil {
		// What browsers do for attestation "none" (WebAuthn L3 section 5.1.3).
		c.AAGUID, c.Attest = [16]byte{}, nil
	}
	data = append(data, c.AAGUID[:]...)
	data = append(data, byte(len(made.ID)>>8), byte(len(made.ID)))
	data = append(data, made.ID...)
	data = append(data, cose...)
	format, statement := "none", cborHead(nil, 5, 0)
	if c.Attest != nil {
		format = "packed"
		hash := sha256.Sum256(client)
		digest := sha256.Sum256(append(slices.Clone(data), hash[:]...))
		if c.Forge {
			digest[0] ^= 1
		}
		if statement, err = c.Attest(key, digest[:]); err != nil {
			return nil, err
		}
	}
	object := cborText(cborText(cborHead(nil, 5, 3), "fmt"), format)
	object = append(cborText(object, "attStmt"), statement...)
	object = cborBytes(cborText(object, "authData"), data)
	extensions := map[string]any{"credProps": map[string]any{"rk": c.Discoverable}}
	for name, value := range c.Extensions {
		extensions[name] = value
	}
	made.Backup = c.Flags & (BackupEligible | BackedUp)
	a.keys = append(a.keys, made)
	return c.credential(extensions, map[string]any{"clientDataJSON": b64(client), "attestationObject": b64(object), "transports": c.Transports})
}

// Get answers navigator.credentials.get with the newest passkey for the site, of
// those allowed when some are named.
func (a *Authenticator) Get(options []byte, knobs ...Knob) ([]byte, error) {
	var o struct {
		PublicKey struct {
			RPID  string       `json:"rpId"`
			Allow []descriptor `json:"allowCredentials"`
		}
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("passkeytest: options: %w", err)
	}
	keys := a.Passkeys()
	for _, held := range slices.Backward(keys) {
		if held.RPID == o.PublicKey.RPID && (len(o.PublicKey.Allow) == 0 || slices.Contains(o.PublicKey.Allow, descriptor{ID: b64(held.ID)})) {
			return a.GetWith(held, options, knobs...)
		}
	}
	return nil, ErrNone
}

// GetWith answers with one particular passkey, whatever was asked.
func (a *Authenticator) GetWith(held *Passkey, options []byte, knobs ...Knob) ([]byte, error) {
	var o struct {
		PublicKey struct{ Challenge string }
	}
	if err := json.Unmarshal(options, &o); err != nil {
		return nil, fmt.Errorf("passkeytest: options: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if held.Counts {
		held.Count++
	}
	c := Ceremony{
		Type: "webauthn.get", Challenge: o.PublicKey.Challenge, Origin: a.Origin, RPID: held.RPID,
		Flags: UserPresent | UserVerified | held.Backup, Count: held.Count, UserHandle: held.UserHandle, ReportedID: held.ID, Attachment: "platform",
	}
	for _, knob := range knobs {
		knob(&c)
	}
	client, err := c.clientData()
	if err != nil {
		return nil, err
	}
	if c.Client != nil {
		client = c.Client(client)
	}
	data := c.authData(c.Flags)
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(append(slices.Clone(data), hash[:]...))
	if c.Forge {
		digest[0] ^= 1
	}
	signature, err := ecdsa.SignASN1(rand.Reader, held.key, digest[:])
	if err != nil {
		return nil, err
	}
	response := map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature)}
	if c.UserHandle != nil {
		response["userHandle"] = b64(c.UserHandle)
	}
	extensions := map[string]any{}
	for name, value := range c.Extensions {
		extensions[name] = value
	}
	return c.credential(extensions, response)
}

func (c *Ceremony) clientData() ([]byte, error) {
	data := map[string]any{"type": c.Type, "challenge": c.Challenge, "origin": c.Origin, "crossOrigin": c.CrossOrigin}
	if c.TopOrigin != "" {
		data["topOrigin"] = c.TopOrigin
	}
	if c.Padding > 0 {
		data["padding"] = string(slices.Repeat([]byte{'x'}, c.Padding))
	}
	return json.Marshal(data)
}

func (c *Ceremony) credential(extensions, response map[string]any) ([]byte, error) {
	return json.Marshal(map[string]any{
		"id": b64(c.ReportedID), "rawId": b64(c.ReportedID), "type": "public-key", "authenticatorAttachment": c.Attachment,
		"clientExtensionResults": extensions, "response": response,
	})
}

// authData is the fixed part of authenticator data (WebAuthn L3 section 6.1).
func (c *Ceremony) authData(flags byte) []byte {
	hash := sha256.Sum256([]byte(c.RPID))
	return append(hash[:], flags, byte(c.Count>>24), byte(c.Count>>16), byte(c.Count>>8), byte(c.Count))
}

// coseKey is a P-256 key as RFC 9053 section 7.1 has it: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
func coseKey(key *ecdsa.PublicKey) ([]byte, error) {
	point, err := key.Bytes() // 4, x, y
	if err != nil {
		return nil, err
	}
	b := append(cborHead(nil, 5, 5), 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21)
	b = append(cborBytes(b, point[1:33]), 0x22)
	return cborBytes(b, point[33:]), nil
}

// cborHead appends the head of one CBOR item (RFC 8949 section 3).
func cborHead(b []byte, major byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, major<<5|byte(n))
	case n < 256:
		return append(b, major<<5|24, byte(n))
	}
	return append(b, major<<5|25, byte(n>>8), byte(n))
}

func cborText(b []byte, s string) []byte  { return append(cborHead(b, 3, len(s)), s...) }
func cborBytes(b []byte, s []byte) []byte { return append(cborHead(b, 2, len(s)), s...) }
func b64(b []byte) string                 { return base64.RawURLEncoding.EncodeToString(b) }
