package kiosk

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"
)

// minRSA is the shortest RSA key of a device, in bits (NIST SP 800-131A section 3).
const minRSA = 2048

// certified is the public key of a device's own certificate, the first in text; *Invalid.
// A device is known by its key: a certificate renewed with it is the same device. Who
// may issue certificates at all is the TLS layer's to check.
func certified(text []byte, now time.Time) ([]byte, error) {
	no := func(code string) ([]byte, error) { return nil, &Invalid{"certificate", code} }
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return no("kiosk_cert")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return no("kiosk_cert")
	}
	usable := len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
	switch {
	case c.IsCA:
		// Whoever holds it makes others: it is no device's.
		return no("kiosk_cert_ca")
	case !now.Before(c.NotAfter):
		return no("kiosk_cert_over")
	case !usable:
		return no("kiosk_cert_use")
	case !strong(c.PublicKey):
		return no("kiosk_cert_weak")
	}
	return c.RawSubjectPublicKeyInfo, nil
}

func strong(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSA
	case *ecdsa.PublicKey:
		return k.Curve.Params().BitSize >= 256
	case ed25519.PublicKey:
		return true
	}
	return false
}
