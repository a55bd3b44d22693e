// Package loopback makes the certificates of servers that run on this machine for
// a demo or a test, and are trusted by nobody else.
package loopback

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

// Certificate makes an authority and a server certificate under it, for the hosts
// (names and addresses) given. Both keys live in memory alone and are new with every
// call, so there is nothing on disk that could vouch for another server later.
// name is what both are called.
func Certificate(random io.Reader, name string, hosts ...string) (server tls.Certificate, authority *x509.Certificate, pemCA []byte, err error) {
	fail := func(err error) (tls.Certificate, *x509.Certificate, []byte, error) {
		return tls.Certificate{}, nil, nil, fmt.Errorf("certificate of %s: %w", name, err)
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return fail(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return fail(err)
	}
	// Its validity is checked against the real clock by whoever connects, whatever
	// clock the server runs on.
	from := time.Now().Add(-time.Hour)
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: name + " authority"}, NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, h)
		}
	}
	for _, c := range []*x509.Certificate{ca, leaf} {
		if c.SerialNumber, err = serial(random); err != nil {
			return fail(err)
		}
	}
	caDER, err := x509.CreateCertificate(random, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return fail(err)
	}
	der, err := x509.CreateCertificate(random, leaf, ca, key.Public(), caKey)
	if err != nil {
		return fail(err)
	}
	if authority, err = x509.ParseCertificate(caDER); err != nil {
		return fail(err)
	}
	pemCA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, authority, pemCA, nil
}

func serial(random io.Reader) (*big.Int, error) {
	b := make([]byte, 15)
	if _, err := io.ReadFull(random, b); err != nil {
		return nil, err
	}
	b[0] |= 1 // not zero
	return new(big.Int).SetBytes(b), nil
}
