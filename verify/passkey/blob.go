package passkey

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// maxBlob bounds the metadata file, in bytes; FIDO's is below 10 MiB.
const maxBlob = 64 << 20

// blobHost is whom FIDO's signing certificate is made out to. Its root signs for
// half the web: without the name, any site's certificate could sign metadata.
const blobHost = "mds.fidoalliance.org"

// MetadataState is what a check of the installation wants to know.
type MetadataState struct {
	Number     int       // of the BLOB; FIDO counts up
	Models     int       // with an AAGUID
	Unread     int       // entries this version cannot read; their models are unknown
	NextUpdate time.Time // when FIDO promised the next one at latest
	// Overdue says that NextUpdate is past. It is a warning and no fault: a portal
	// without internet goes on, blind to what was revoked since.
	Overdue bool
}

// CheckMetadata reads and verifies the metadata file; ok is false when the
// configuration names none.
func (c Config) CheckMetadata(now time.Time) (state MetadataState, ok bool, err error) {
	if c.Metadata == "" {
		return MetadataState{}, false, nil
	}
	b, err := (&blobFile{path: c.Metadata, root: c.MetadataRoot, now: func() time.Time { return now }}).current()
	if err != nil {
		return MetadataState{}, true, fmt.Errorf("passkey: %w", err)
	}
	// The promise is a date; it is broken when that day is over.
	overdue := !now.Before(b.next.AddDate(0, 0, 1))
	return MetadataState{Number: b.number, Models: len(b.models), Unread: b.unread, NextUpdate: b.next, Overdue: overdue}, true, nil
}

// blob is a verified metadata BLOB.
type blob struct {
	number, unread int
	next           time.Time
	models         map[uuid.UUID]*metadata.Entry
}

// blobFile reads the file again when it was replaced. Safe for concurrent use.
type blobFile struct {
	path, root string
	now        func() time.Time

	mu   sync.Mutex
	seen os.FileInfo
	held *blob
}

// current returns what the file holds now. A replacement that does not verify,
// or is older than what was held, is an error and not a reason to go on with the
// old one: whoever can write there could hide a revocation.
func (f *blobFile) current() (*blob, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	defer file.Close() //nolint:errcheck // nothing was written
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if f.seen != nil && os.SameFile(f.seen, info) && f.seen.Size() == info.Size() && f.seen.ModTime().Equal(info.ModTime()) {
		return f.held, nil
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxBlob+1))
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if len(raw) > maxBlob {
		return nil, errors.New("metadata: longer than 64 MiB")
	}
	root, host, err := f.anchor()
	if err != nil {
		return nil, err
	}
	b, err := openBlob(raw, root, host, f.now())
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if f.held != nil && b.number < f.held.number {
		return nil, fmt.Errorf("metadata: number %d is older than %d, which was here before", b.number, f.held.number)
	}
	f.seen, f.held = info, b
	return b, nil
}

func (f *blobFile) anchor() (root *x509.Certificate, host string, err error) {
	if f.root == "" {
		der, err := base64.StdEncoding.DecodeString(metadata.ProductionMDSRoot)
		if err != nil {
			return nil, "", fmt.Errorf("metadata_root: %w", err)
		}
		root, err = x509.ParseCertificate(der)
		return root, blobHost, err
	}
	text, err := os.ReadFile(f.root)
	if err != nil {
		return nil, "", fmt.Errorf("metadata_root: %w", err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, "", errors.New("metadata_root: must hold one certificate as PEM")
	}
	if root, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, "", fmt.Errorf("metadata_root: %w", err)
	}
	return root, "", nil
}

// payload is the BLOB as signed (FIDO MDS 3.1 section 3.1.6). Entries are read
// one by one, so that one of a newer kind does not cost the others.
type payload struct {
	jwt.RegisteredClaims
	Number     int               `json:"no"`
	NextUpdate string            `json:"nextUpdate"`
	Entries    []json.RawMessage `json:"entries"`
}

// openBlob verifies and reads a BLOB. The signature is not checked by the
// library's decoder, because that asks the certificates' revocation servers over
// the network; the entries are read by the library.
func openBlob(raw []byte, root *x509.Certificate, host string, now time.Time) (*blob, error) {
	var p payload
	var next time.Time
	// No HMAC and no "none": the key is a certificate's.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(strings.TrimSpace(string(raw)), &p, func(t *jwt.Token) (any, error) {
		var err error
		if next, err = time.Parse(time.DateOnly, p.NextUpdate); err != nil {
			return nil, errors.New("nextUpdate is not a date")
		}
		at := now
		// An old BLOB's signer may have expired since. It was good when the BLOB was
		// to be replaced, and an overdue BLOB is a warning only.
		if next.Before(at) {
			at = next
		}
		return signer(t.Header, root, host, at)
	})
	if err != nil {
		return nil, fmt.Errorf("is not a BLOB signed for us: %w", err)
	}
	b := &blob{number: p.Number, next: next, models: make(map[uuid.UUID]*metadata.Entry, len(p.Entries))}
	for _, one := range p.Entries {
		var text metadata.EntryJSON
		if err := json.Unmarshal(one, &text); err != nil {
			b.unread++
			continue
		}
		entry, err := text.Parse()
		if err != nil {
			b.unread++
			continue
		}
		if entry.AaGUID == uuid.Nil {
			continue // UAF and U2F: no passkeys
		}
		if b.models[entry.AaGUID] != nil {
			return nil, fmt.Errorf("names %s twice", entry.AaGUID)
		}
		b.models[entry.AaGUID] = &entry
	}
	if len(b.models) == 0 {
		return nil, errors.New("names no model of passkey device")
	}
	return b, nil
}

// signer is the key of the certificate in the header, once it leads to the root.
func signer(header map[string]any, root *x509.Certificate, host string, at time.Time) (any, error) {
	list, _ := header["x5c"].([]any)
	if len(list) == 0 || len(list) > 10 {
		return nil, errors.New("no chain of certificates")
	}
	var chain []*x509.Certificate
	for _, one := range list {
		text, _ := one.(string)
		der, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("a certificate that cannot be read")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, errors.New("a certificate that cannot be read")
		}
		chain = append(chain, cert)
	}
	options := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), DNSName: host,
		CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	options.Roots.AddCert(root)
	for _, cert := range chain[1:] {
		options.Intermediates.AddCert(cert)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return nil, err
	}
	return chain[0].PublicKey, nil
}
