package portal

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/portal/kiosk"
)

// issuer is an authority that gives certificates to devices.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T, name string) *issuer {
	t.Helper()
	i := &issuer{t: t}
	i.cert, i.key = i.make(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return i
}

// make signs what is asked for; an issuer without a certificate signs its own.
func (i *issuer) make(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, by := i.cert, i.key
	if parent == nil {
		parent, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		i.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	return made, key
}

// device is a certificate with its key, as a browser has it.
func (i *issuer) device(name string, change ...func(*x509.Certificate)) *tls.Certificate {
	c := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature}
	for _, f := range change {
		f(c)
	}
	made, key := i.make(c)
	return &tls.Certificate{Certificate: [][]byte{made.Raw}, PrivateKey: key}
}

func (i *issuer) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

// shown notes which certificates the pages see.
type shown struct {
	screens
	mu    sync.Mutex
	names []string
}

func (s *shown) ByCertificate(_ context.Context, leaf *x509.Certificate, _ string) (kiosk.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, leaf.Subject.CommonName)
	return kiosk.Device{}, kiosk.ErrNone
}

func (s *shown) taken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.names, " ")
	s.names = nil
	return all
}

// mutual is a portal that asks for certificates.
type mutual struct {
	*house
	shown *shown
	roots *x509.CertPool
	file  string // tls.client_ca
}

func openMutual(t *testing.T, ca *issuer) *mutual {
	t.Helper()
	m := &mutual{shown: &shown{}, file: filepath.Join(t.TempDir(), "ca.pem")}
	if err := os.WriteFile(m.file, ca.pem(), 0o600); err != nil {
		t.Fatal(err)
	}
	var files TLS
	m.roots, files = makeCertificate(t, publicHost)
	files.ClientCA = m.file
	m.house = open(t, kiosked, func(o *Options) {
		o.Config.TrustedProxies, o.Config.TLS = nil, files
		o.Web.Kiosk.Devices = m.shown
	})
	return m
}

// browser is a client with its own certificates; get asks over a new connection.
type browser struct {
	m      *mutual
	config *tls.Config
}

func (m *mutual) browser(device *tls.Certificate) browser {
	c := &tls.Config{RootCAs: m.roots, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if device != nil {
		// As an attacker does: shown whatever the server has asked for.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return device, nil }
	}
	return browser{m, c}
}

func (b browser) get(headers ...string) (status int, resumed bool, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: b.config,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", b.m.addr)
		}}}
	r, err := http.NewRequest(http.MethodGet, "https://"+publicHost+"/", nil)
	if err != nil {
		return 0, false, err
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.TLS.DidResume, err
}

// A device is known by what it proved in the handshake, and by nothing that is written
// into a request (security case 111).
func TestOnlyAProvenCertificateReachesThePages(t *testing.T) {
	t.Parallel()
	ca, other := newIssuer(t, "Kiosks"), newIssuer(t, "Kiosks")
	m := openMutual(t, ca)

	ward := ca.device("ward-3")
	if status, _, err := m.browser(ward).get(); err != nil || status != 200 || m.shown.taken() != "ward-3" {
		t.Errorf("a device's own: %d %v", status, err)
	}
	// People's browsers have none, and are told whose are wanted, so that they ask nobody.
	var wanted int
	person := m.browser(nil)
	person.config.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		wanted = len(r.AcceptableCAs)
		return &tls.Certificate{}, nil
	}
	for _, headers := range [][]string{nil, {"X-Client-Cert", url.PathEscape(string(ca.pem()))}, {"X-SSL-Client-Verify", "SUCCESS", "X-SSL-Client-S-DN", "CN=ward-3"},
		{"X-Forwarded-Client-Cert", "Subject=\"CN=ward-3\"", "Client-Cert", ":AAAA:"}} {
		if status, _, err := person.get(headers...); err != nil || status != 200 {
			t.Errorf("%v: %d %v", headers, status, err)
		}
		if seen := m.shown.taken(); seen != "" {
			t.Errorf("%v makes it %s", headers, seen)
		}
	}
	if wanted != 1 {
		t.Errorf("browsers are told of %d authorities", wanted)
	}

	stolen := *ward
	stolen.PrivateKey = other.key
	for name, c := range map[string]*tls.Certificate{
		"by another authority of the same name": other.device("ward-3"),
		"by itself":                             (&issuer{t: t}).device("ward-3"),
		"over": ca.device("ward-3", func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}),
		"not begun": ca.device("ward-3", func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
		}),
		"a server's":      ca.device("ward-3", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
		"without its key": &stolen,
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			b := m.browser(c)
			b.config.MaxVersion = version
			if status, _, err := b.get(); err == nil {
				t.Errorf("%s, %s: %d", name, tls.VersionName(version), status)
			}
		}
	}
	if seen := m.shown.taken(); seen != "" {
		t.Errorf("the pages saw %s", seen)
	}
}

// Another authority is taken up within a minute. What was issued by the old one is then
// worth nothing, on a resumed connection too; a broken file changes nothing.
func TestAnAuthorityIsReplaced(t *testing.T) {
	t.Parallel()
	before, after := newIssuer(t, "Kiosks 1"), newIssuer(t, "Kiosks 2")
	m := openMutual(t, before)
	put := func(text []byte, age time.Duration) {
		t.Helper()
		at := time.Now().Add(-age) // as a file that is put back is older
		if err := os.WriteFile(m.file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(m.file, at, at); err != nil {
			t.Fatal(err)
		}
		m.pass(2 * time.Minute)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		old, young := m.browser(before.device("old")), m.browser(after.device("young"))
		old.config.MaxVersion = version
		if _, _, err := old.get(); err != nil {
			t.Fatal(err)
		}
		if _, resumed, err := old.get(); err != nil || !resumed {
			t.Fatalf("not resumed: %v", err)
		}
		put([]byte("nonsense"), time.Hour)
		if _, _, err := old.get(); err != nil {
			t.Errorf("a broken file: %v", err)
		}
		if !strings.Contains(m.log.String(), "tls.client_ca cannot be read") {
			t.Error("nobody hears of the broken file")
		}
		m.shown.taken()
		put(after.pem(), 48*time.Hour)
		if status, resumed, err := old.get(); err == nil {
			t.Errorf("%s: the old authority still counts: %d, resumed %t", tls.VersionName(version), status, resumed)
		}
		if status, _, err := young.get(); err != nil || status != 200 || m.shown.taken() != "young" {
			t.Errorf("%s: the new one does not count: %v", tls.VersionName(version), err)
		}
		put(before.pem(), time.Hour)
	}
}

// A file that could let nobody in, or that holds a key, keeps the portal from starting.
func TestAuthoritiesAreAuthorities(t *testing.T) {
	t.Parallel()
	ca := newIssuer(t, "Kiosks")
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.device("ward-3").Certificate[0]})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"one":            {ca.pem(), ""},
		"two":            {append(ca.pem(), newIssuer(t, "More").pem()...), ""},
		"a device's own": {append(ca.pem(), leaf...), "certificate 2 (CN=ward-3) is not an authority's"},
		"a key":          {append(ca.pem(), key...), "block 2 is a PRIVATE KEY"},
		"nothing":        {[]byte("\n"), "no certificate"},
		"no certificate": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "block 1: "},
	} {
		file := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(file, c.text, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := devices(&tls.Config{}, file, time.Now, nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := devices(&tls.Config{}, "/none", time.Now, nil); err == nil {
		t.Error("a missing file was taken")
	}
}
