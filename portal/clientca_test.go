package portal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postern/portal/kiosk"
)

// authority issues certificates of kiosks.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{t, key, cert}
}

func (a authority) file() string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a authority) issue(until time.Time) *tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// carded knows the device of one certificate.
type carded struct {
	screens
	leaf *x509.Certificate
}

func (c carded) ByCertificate(_ context.Context, leaf *x509.Certificate, _ string) (kiosk.Device, error) {
	if !leaf.Equal(c.leaf) {
		return kiosk.Device{}, kiosk.ErrNone
	}
	return kiosk.Device{ID: "K1", Name: "Ward 3", Way: kiosk.Certificate, Rights: kiosk.Rights(), Registered: time.Now()}, nil
}

func (carded) Enter(context.Context, kiosk.Device, string) (string, error) { return "", nil }

// A kiosk is known by the certificate of its connection: not by another's, not by one that
// is over, and never by a header (security case 111). Other browsers are not asked.
func TestAKioskIsKnownByItsCertificate(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	pool, files := makeCertificate(t, publicHost)
	mine := ours.issue(time.Now().Add(time.Hour))
	files.ClientCA = ours.file()
	h := open(t, kiosked, func(o *Options) {
		o.Config.TLS, o.Config.TrustedProxies = files, nil
		o.Web.Kiosk.Devices = carded{leaf: mine.Leaf}
	})
	get := func(c *tls.Certificate) (status int, err error) {
		conf := &tls.Config{RootCAs: pool}
		if c != nil {
			conf.Certificates = []tls.Certificate{*c}
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", h.addr)
		}}}
		defer client.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+publicHost+"/kiosk", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"X-Client-Cert", "X-SSL-Client-Cert", "X-Client-Verify", "X-Kiosk"} {
			req.Header.Set(name, "K1")
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if status, err := get(mine); status != 200 || err != nil {
		t.Errorf("its own certificate: %d, %v", status, err)
	}
	for name, c := range map[string]*tls.Certificate{"none": nil, "another device's": ours.issue(time.Now().Add(time.Hour))} {
		if status, err := get(c); status != 403 || err != nil {
			t.Errorf("%s: %d, %v", name, status, err)
		}
	}
	if status, err := get(ours.issue(time.Now().Add(-time.Hour))); err == nil {
		t.Errorf("one that is over: %d", status)
	}
	// Go's client shows no certificate that the server does not ask for; this one does.
	foreign := others.issue(time.Now().Add(time.Hour))
	conn, err := tls.Dial("tcp", h.addr, &tls.Config{RootCAs: pool, ServerName: publicHost, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return foreign, nil }})
	if err == nil {
		_, err = conn.Read(make([]byte, 1)) // in TLS 1.3 the server's no comes after the handshake
		conn.Close()
	}
	if err == nil || isTimeout(err) {
		t.Errorf("another authority's: %v", err)
	}
}
