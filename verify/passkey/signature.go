package passkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"postern/verify"
)

// What a signature may hold, in bytes. An RSA key of 8192 bits has 1040.
const (
	maxKey          = 2 << 10
	maxRPID         = 253
	maxCredentialID = 1023 // WebAuthn L3 section 4, "credential ID"
)

// Algorithms that enrolment asks for. Never RS1, which the library verifies too:
// who can make SHA-1 collide signs two statements at once.
var algorithms = []webauthncose.COSEAlgorithmIdentifier{
	webauthncose.AlgES256, webauthncose.AlgES384, webauthncose.AlgES512, webauthncose.AlgEdDSA,
	webauthncose.AlgRS256, webauthncose.AlgRS384, webauthncose.AlgRS512,
	webauthncose.AlgPS256, webauthncose.AlgPS384, webauthncose.AlgPS512,
}

// Fingerprint is the SHA-256 of a public key, a COSE_Key, as hex.
func Fingerprint(coseKey []byte) string {
	sum := sha256.Sum256(coseKey)
	return hex.EncodeToString(sum[:])
}

// VerifySignature checks, with nothing but the signature itself, that the holder
// of sig.PublicKey, verified by their device, signed digest, a SHA-256, on the
// page sig.Origin of sig.RPID (WebAuthn L3 section 7.2 steps 11 to 21). Any other
// is verify.ErrWrong, wrapped.
//
// It does not say whose key that is: compare Fingerprint with the record of its
// enrolment, and RPID and Origin with the portal's. Credential and CredentialID
// are labels that no signature covers.
func VerifySignature(sig verify.Signature, digest []byte) error {
	if err := checkDigest(digest); err != nil {
		return err
	}
	if len(sig.PublicKey) > maxKey || len(sig.RPID) == 0 || len(sig.RPID) > maxRPID || len(sig.CredentialID) == 0 || len(sig.CredentialID) > maxCredentialID ||
		len(sig.Authenticator)+len(sig.ClientData)+len(sig.Signature) > maxAnswer {
		return refused(errors.New("of no legal length"))
	}
	client, err := readClientData(sig.ClientData)
	if err != nil {
		return refused(err)
	}
	switch {
	case client.Type != string(protocol.AssertCeremony):
		return refused(errors.New("not made by navigator.credentials.get"))
	case client.Challenge != base64.RawURLEncoding.EncodeToString(digest):
		return refused(errors.New("it is over something else"))
	case sig.Origin == "" || client.Origin != sig.Origin:
		return refused(errors.New("made on another page"))
	}
	// What no browser does, a program that holds a key can write.
	if _, host, err := parseOrigin(sig.Origin); err != nil || !mayClaim(host, sig.RPID) {
		return refused(errors.New("made for a relying party that its page is not of"))
	}
	if err := checkAuthenticator(sig.Authenticator, sig.RPID); err != nil {
		return refused(err)
	}
	key, err := publicKey(sig.PublicKey)
	if err != nil {
		return refused(err)
	}
	hash := sha256.Sum256(sig.ClientData)
	if ok, err := webauthncose.VerifySignature(key, slices.Concat(sig.Authenticator, hash[:]), sig.Signature); err != nil || !ok {
		return refused(errors.New("the signature is not by that key"))
	}
	return nil
}

// checkAuthenticator reads the authenticator data (WebAuthn L3 section 6.1).
func checkAuthenticator(b []byte, rpID string) error {
	var data protocol.AuthenticatorData
	if err := data.Unmarshal(b); err != nil {
		return err
	}
	hash := sha256.Sum256([]byte(rpID))
	switch {
	case !bytes.Equal(data.RPIDHash, hash[:]):
		return errors.New("made for another relying party")
	case !data.Flags.HasUserPresent() || !data.Flags.HasUserVerified():
		return errors.New("the user was not verified")
	case data.Flags.HasAttestedCredentialData():
		return errors.New("attested data is of enrolments alone")
	case data.Flags.HasBackupState() && !data.Flags.HasBackupEligible():
		return errors.New("backed up and not eligible")
	}
	return nil
}

func publicKey(cose []byte) (any, error) {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return nil, errors.New("no public key")
	}
	var algorithm int64
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		algorithm = k.Algorithm
	case webauthncose.OKPPublicKeyData:
		algorithm = k.Algorithm
	case webauthncose.RSAPublicKeyData:
		if len(bytes.TrimLeft(k.Modulus, "\x00")) < 256 {
			return nil, errors.New("an RSA key of less than 2048 bits")
		}
		algorithm = k.Algorithm
	}
	if !slices.Contains(algorithms, webauthncose.COSEAlgorithmIdentifier(algorithm)) {
		return nil, errors.New("a public key of no allowed algorithm")
	}
	return key, nil
}

type clientData struct{ Type, Challenge, Origin string }

// readClientData reads client data (WebAuthn L3 section 5.8.1) as every other
// reader must: who writes their own could name two challenges, of which one
// reader takes the last, another the first or the one in capitals, and so have
// signed both.
func readClientData(b []byte) (c clientData, err error) {
	if !utf8.Valid(b) || !json.Valid(b) || b[0] != '{' {
		return c, errors.New("client data is not one JSON object")
	}
	texts := map[string]*string{"type": &c.Type, "challenge": &c.Challenge, "origin": &c.Origin}
	seen := map[string]bool{}
	members := json.NewDecoder(bytes.NewReader(b))
	if _, err := members.Token(); err != nil {
		return c, err
	}
	for members.More() {
		token, err := members.Token()
		if err != nil {
			return c, err
		}
		name, _ := token.(string)
		if seen[name] || misspelt(name) {
			return c, errors.New("client data says something twice")
		}
		seen[name] = true
		var value json.RawMessage
		if err := members.Decode(&value); err != nil {
			return c, err
		}
		switch text := texts[name]; {
		case text != nil:
			if err := json.Unmarshal(value, text); err != nil {
				return c, errors.New("client data has a member of another type")
			}
		case name == "crossOrigin" && string(value) != "false", name == "topOrigin":
			return c, errors.New("made in another site's frame")
		}
	}
	return c, nil
}

// misspelt says whether a reader that ignores case would take name for another.
func misspelt(name string) bool {
	return slices.ContainsFunc([]string{"type", "challenge", "origin", "crossOrigin", "topOrigin"}, func(known string) bool {
		return name != known && strings.EqualFold(name, known)
	})
}
