package embedded

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

type authority struct {
	cert *x509.Certificate
	pem  []byte
}

// certificate makes an authority and a server certificate under it. Both keys
// live in memory alone and are new with every start, so there is nothing on disk
// that could vouch for another server later.
func (s *Server) certificate(host string) (*authority, *tls.Config, error) {
	fail := func(err error) (*authority, *tls.Config, error) {
		return nil, nil, fmt.Errorf("embedded: certificate: %w", err)
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), s.cfg.Rand)
	if err != nil {
		return fail(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), s.cfg.Rand)
	if err != nil {
		return fail(err)
	}
	// The certificate's validity is checked against the real clock by whoever
	// connects, whatever clock the accounts run on.
	from := time.Now().Add(-time.Hour)
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Postern demo directory authority"}, NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Postern demo directory"}, NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hostsOf(host) {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	for _, c := range []*x509.Certificate{ca, leaf} {
		if c.SerialNumber, err = serial(s.cfg.Rand); err != nil {
			return fail(err)
		}
	}
	caDER, err := x509.CreateCertificate(s.cfg.Rand, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return fail(err)
	}
	der, err := x509.CreateCertificate(s.cfg.Rand, leaf, ca, key.Public(), caKey)
	if err != nil {
		return fail(err)
	}
	cert, err := x509.ParseCertificate(caDER)
	if err != nil {
		return fail(err)
	}
	a := &authority{cert: cert, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})}
	return a, &tls.Config{
		MinVersion: tls.VersionTLS12, GetConfigForClient: s.track,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, nil
}

func serial(random io.Reader) (*big.Int, error) {
	b := make([]byte, 15)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	b[0] |= 1 // not zero
	return new(big.Int).SetBytes(b), nil
}
