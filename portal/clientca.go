package portal

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// devices lets kiosks show certificates of the authorities in file. The request names those
// authorities, so that a browser that has none of theirs goes on without a question; one
// that shows another, or one that has expired, gets no connection. Which device a
// certificate is of, and whether it still is one, is portal/kiosk's to say, at every
// request. base is the portal's own side of the handshake.
func devices(base *tls.Config, file string, now func() time.Time, log *slog.Logger) (*tls.Config, error) {
	w := &watched[*tls.Config]{what: "tls.client_ca", files: []string{file}, now: now, log: log, load: func() (*tls.Config, error) {
		pool, err := Authorities(file)
		asking := base.Clone()
		asking.ClientAuth, asking.ClientCAs = tls.VerifyClientCertIfGiven, pool
		return asking, err
	}}
	if err := w.first(); err != nil {
		return nil, fmt.Errorf("portal: tls.client_ca: %w", err)
	}
	// Not a pool that changes in place: crypto/tls also holds what resumes a session
	// against the pool of the day.
	asking := base.Clone()
	asking.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return w.get(), nil }
	return asking, nil
}

// Authorities are the certificates in a PEM file, each an authority's and nothing else.
func Authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		n++
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("%s: block %d is a %s, not a certificate", file, n, block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: block %d: %w", file, n, err)
		}
		if !c.BasicConstraintsValid || !c.IsCA {
			// A device's own would let in nothing, and nobody would know why.
			return nil, fmt.Errorf("%s: certificate %d (%s) is not an authority's", file, n, c.Subject)
		}
		pool.AddCert(c)
	}
	if n == 0 {
		return nil, errors.New(file + ": no certificate in it")
	}
	return pool, nil
}
