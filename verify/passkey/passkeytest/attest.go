package passkeytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

// Statement makes a packed attestation statement (WebAuthn L3 section 8.2), as
// CBOR, with the credential's key over the digest of what is attested.
type Statement func(credential *ecdsa.PrivateKey, digest []byte) ([]byte, error)

// Synced makes a credential that can be copied off its device, and was.
func Synced(c *Ceremony) { c.Flags |= BackupEligible | BackedUp }

// Bound denies that the credential can be copied, also when it can.
func Bound(c *Ceremony) { c.Flags &^= BackupEligible | BackedUp }

// Nameless leaves the user handle out, as a device may that was told which
// credential to use (WebAuthn L3 section 7.2 step 6).
func Nameless(c *Ceremony) { c.UserHandle = nil }

// Over signs another challenge than the one that was asked.
func Over(challenge []byte) Knob { return func(c *Ceremony) { c.Challenge = b64(challenge) } }

// SelfAttested claims a model and signs for it with the credential itself.
func SelfAttested(model [16]byte) Knob {
	return func(c *Ceremony) {
		c.AAGUID = model
		c.Attest = func(credential *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
			return packed(credential, digest, nil)
		}
	}
}

// Maker is a maker of devices: a root certificate and what is signed under it.
type Maker struct {
	Root *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewMaker returns a maker with a new root, good from two days ago for four days.
func NewMaker(name string) (*Maker, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{name}, Country: []string{"DE"}},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	if root, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return &Maker{Root: root, key: key}, nil
}

// Attested claims a model and signs for it under the maker's root; the
// certificate names the model certified (section 8.2.1), which should be the same.
func (m *Maker) Attested(model, certified [16]byte) Knob {
	return func(c *Ceremony) {
		c.AAGUID = model
		c.Attest = func(_ *ecdsa.PrivateKey, digest []byte) ([]byte, error) {
			value, err := asn1.Marshal(certified[:])
			if err != nil {
				return nil, err
			}
			key, der, err := m.issue(&x509.Certificate{
				Subject: pkix.Name{Country: []string{"DE"}, Organization: []string{"Maker"},
					OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Batch 1"},
				ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: value}},
			})
			if err != nil {
				return nil, err
			}
			return packed(key, digest, der)
		}
	}
}

func (m *Maker) issue(leaf *x509.Certificate) (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	leaf.SerialNumber, leaf.BasicConstraintsValid = big.NewInt(2), true
	leaf.NotBefore, leaf.NotAfter = m.Root.NotBefore, m.Root.NotAfter
	der, err := x509.CreateCertificate(rand.Reader, leaf, m.Root, &key.PublicKey, m.key)
	return key, der, err
}

// packed is {"alg": -7, "sig": …, "x5c": [der]}, without x5c when der is nil.
func packed(key *ecdsa.PrivateKey, digest, der []byte) ([]byte, error) {
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil {
		return nil, err
	}
	n := 2
	if der != nil {
		n = 3
	}
	b := append(cborText(cborHead(nil, 5, n), "alg"), 0x26)
	b = cborBytes(cborText(b, "sig"), sig)
	if der != nil {
		b = cborBytes(cborHead(cborText(b, "x5c"), 4, 1), der)
	}
	return b, nil
}

// Model is one entry of a metadata BLOB.
type Model struct {
	AAGUID   [16]byte
	Root     *x509.Certificate
	Statuses []string // oldest first, all in effect
}

// UUID writes an AAGUID as metadata has it.
func UUID(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Blob is a metadata BLOB (FIDO MDS 3.1 section 3.1.6) signed under the
// maker's root by a certificate made out to host.
func (m *Maker) Blob(host string, number int, next time.Time, models ...Model) ([]byte, error) {
	entries := []any{}
	for _, model := range models {
		reports := []any{}
		for _, status := range model.Statuses {
			reports = append(reports, map[string]any{"status": status, "effectiveDate": "2024-01-01"})
		}
		entries = append(entries, map[string]any{
			"aaguid": UUID(model.AAGUID), "timeOfLastStatusChange": "2024-01-01", "statusReports": reports,
			"metadataStatement": map[string]any{
				"aaguid": UUID(model.AAGUID), "description": "A test device", "protocolFamily": "fido2", "schema": 3,
				"attestationTypes":            []string{"basic_full", "basic_surrogate"},
				"attestationRootCertificates": []string{base64.StdEncoding.EncodeToString(model.Root.Raw)},
			},
		})
	}
	key, der, err := m.issue(&x509.Certificate{Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}})
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(map[string]any{"alg": "ES256", "typ": "JWT", "x5c": []string{base64.StdEncoding.EncodeToString(der)}})
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"legalHeader": "test", "no": number, "nextUpdate": next.Format(time.DateOnly), "entries": entries})
	if err != nil {
		return nil, err
	}
	text := b64(header) + "." + b64(body)
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return []byte(text + "." + b64(sig)), nil
}
