package ldapconn

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// selfIssued is a certificate for 127.0.0.1 that nobody signed but itself.
func selfIssued(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "dc1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// hangsAfterAccept holds every connection and says nothing.
func hangsAfterAccept(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestExamineNamesTheCureOfABadServerInTime(t *testing.T) {
	a := newAuthority(t)
	silentAt := func(silent ber.Tag) func(*fake, net.Conn, ber.Tag, int64, *ber.Packet) (bool, bool) {
		return func(_ *fake, _ net.Conn, op ber.Tag, _ int64, _ *ber.Packet) (bool, bool) { return op == silent, true }
	}
	flood := func(_ *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
		if op != ldap.ApplicationSearchRequest {
			return false, true
		}
		p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
		e := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
		e.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "cn="+strings.Repeat("x", 1<<19), ""))
		e.AppendChild(ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, ""))
		p.AppendChild(e)
		b := p.Bytes()
		for {
			if _, err := nc.Write(b); err != nil {
				return true, false
			}
		}
	}
	ends := func(_ *fake, _ net.Conn, op ber.Tag, _ int64, _ *ber.Packet) (bool, bool) {
		return op == ldap.ApplicationSearchRequest, false
	}
	old := a.issue(t, nil)
	old.MaxVersion = tls.VersionTLS11
	expired := a.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	other := a.issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"dc9.corp.example"} })
	for name, tt := range map[string]struct {
		addr        string
		check, what string
		mend        string
	}{
		"hangs after accept":    {hangsAfterAccept(t), "reach", "TLS", "dial_timeout"},
		"hangs at the bind":     {serve(t, a.issue(t, nil), silentAt(ldap.ApplicationBindRequest)).addr(), "answers", "i/o timeout", "request_timeout"},
		"hangs at a search":     {serve(t, a.issue(t, nil), silentAt(ldap.ApplicationSearchRequest)).addr(), "answers", "i/o timeout", "request_timeout"},
		"floods an answer":      {serve(t, a.issue(t, nil), flood).addr(), "answers", "too large", "16 MiB"},
		"ends the connection":   {serve(t, a.issue(t, nil), ends).addr(), "answers", "", "log of the server"},
		"offers TLS 1.1 alone":  {serve(t, old, nil).addr(), "tls", "protocol version", `reg add "HKLM\SYSTEM`},
		"expired":               {serve(t, expired, nil).addr(), "tls", "until 20", "renew the server's certificate"},
		"self-signed":           {serve(t, selfIssued(t), nil).addr(), "tls", "self-signed", "openssl x509 > directory-ca.pem"},
		"another's name":        {serve(t, other, nil).addr(), "tls", "dc9.corp.example", "for dc9.corp.example and not for 127.0.0.1: use that name in servers, or set server_name"},
		"another authority":     {serve(t, newAuthority(t).issue(t, nil), nil).addr(), "tls", `by "test"`, "set ca_file"},
		"no TLS":                {says(t, "220 mail.example ESMTP\r\n"), "tls", "", "another port, 636"},
		"nobody there":          {"127.0.0.1:1", "reach", "refused", "firewall"},
		"ends at the handshake": {says(t, ""), "tls", "", "no certificate for server authentication"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(a, tt.addr)
			cfg.DialTimeout, cfg.RequestTimeout = 300*time.Millisecond, 300*time.Millisecond
			if name == "floods an answer" {
				cfg.RequestTimeout = 10 * time.Second
			}
			c := newClient(t, cfg)
			began := time.Now()
			found := c.Examine(t.Context(), func(conn *Conn) []directory.Finding { _ = look(conn); return nil })
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			var worst *directory.Finding
			for i, f := range found {
				if f.Severity == directory.Failure {
					worst = &found[i]
				}
			}
			if worst == nil || worst.Check != tt.check || worst.Why == "" || !strings.Contains(worst.What, tt.what) || !strings.Contains(worst.Mend, tt.mend) {
				t.Errorf("%+v", found)
			}
			for _, f := range found {
				if strings.Contains(f.What+f.Mend, servicePW) {
					t.Error("the password is in a finding")
				}
			}
		})
	}
}

// says greets everybody in the clear and ends the connection.
func says(t *testing.T, greeting string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte(greeting))
			_, _ = c.Read(make([]byte, 1024))
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestExamineDescribesTheChain(t *testing.T) {
	a := newAuthority(t)
	good := a.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"dc1.corp.example"} })
	c := newClient(t, testConfig(a, serve(t, good, nil).addr()))
	found := c.Examine(t.Context(), func(*Conn) []directory.Finding { return nil })
	for _, f := range found {
		if f.Check != "tls" {
			continue
		}
		// The authority of the test lives an hour: its end is told, and not the leaf's alone.
		for _, want := range []string{"TLS 1.3", "dc1.corp.example, 127.0.0.1", `by "test"`, "valid for 0 more days"} {
			if !strings.Contains(f.What, want) {
				t.Errorf("%q is not in %q", want, f.What)
			}
		}
		if f.Severity != directory.Warning || f.Mend == "" {
			t.Errorf("%+v", f)
		}
	}
	if found[0].Check != "reach" || found[0].Severity != directory.OK {
		t.Errorf("%+v", found[0])
	}
	long := a.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(90 * 24 * time.Hour) })
	c = newClient(t, testConfig(a, serve(t, long, nil).addr()))
	for _, f := range c.Examine(t.Context(), func(*Conn) []directory.Finding { return nil }) {
		if f.Check == "tls" && !strings.Contains(f.Mend, `authority "test"`) {
			t.Errorf("an authority that ends first: %+v", f)
		}
	}
}
