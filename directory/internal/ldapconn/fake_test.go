package ldapconn

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// authority signs the certificates of one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue signs a certificate for 127.0.0.1, as change alters it.
func (a *authority) issue(t *testing.T, change func(*x509.Certificate)) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// seen is one request a fake server got.
type seen struct {
	conn int
	op   ber.Tag
	who  string // of a bind
}

// fake is an LDAP server that answers success to everything, unless answer says
// otherwise: it gets each request and writes what it likes; false ends the connection.
type fake struct {
	l      net.Listener
	answer func(f *fake, nc net.Conn, op ber.Tag, id int64, req *ber.Packet) (handled, keep bool)

	mu    sync.Mutex
	log   []seen
	pages map[net.Conn]*ldap.ControlPaging // of the request being answered, where it has one
	conns []net.Conn
	wg    sync.WaitGroup
}

// serve starts a fake; tc nil is a server without TLS.
func serve(t *testing.T, tc *tls.Config, answer func(*fake, net.Conn, ber.Tag, int64, *ber.Packet) (bool, bool)) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{l: l, answer: answer, pages: map[net.Conn]*ldap.ControlPaging{}}
	f.wg.Go(func() {
		for n := 0; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if tc != nil {
				nc = tls.Server(nc, tc)
			}
			f.mu.Lock()
			f.conns = append(f.conns, nc)
			f.mu.Unlock()
			f.wg.Go(func() { f.talk(nc, n) })
		}
	})
	t.Cleanup(f.stop)
	return f
}

func (f *fake) stop() {
	f.l.Close()
	f.drop()
	f.wg.Wait()
}

// drop ends every connection.
func (f *fake) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.Close()
	}
}

func (f *fake) addr() string { return f.l.Addr().String() }

func (f *fake) talk(nc net.Conn, n int) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	for {
		p, err := ber.ReadPacket(r)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, op := p.Children[0].Value.(int64), p.Children[1]
		s := seen{conn: n, op: op.Tag}
		if op.Tag == ldap.ApplicationBindRequest {
			s.who, _ = op.Children[1].Value.(string)
		}
		f.mu.Lock()
		f.log = append(f.log, s)
		f.pages[nc] = pagingOf(p)
		f.mu.Unlock()
		if f.answer != nil {
			if handled, keep := f.answer(f, nc, op.Tag, id, op); handled {
				if !keep {
					return
				}
				continue
			}
		}
		if op.Tag == ldap.ApplicationUnbindRequest {
			return
		}
		reply(nc, id, op.Tag, ldap.LDAPResultSuccess, "")
	}
}

// pagingOf is the paging control of a message, or nil.
func pagingOf(message *ber.Packet) *ldap.ControlPaging {
	if len(message.Children) < 3 {
		return nil
	}
	for _, child := range message.Children[2].Children {
		if c, err := ldap.DecodeControl(child); err == nil {
			if paging, ok := c.(*ldap.ControlPaging); ok {
				return paging
			}
		}
	}
	return nil
}

func (f *fake) count(op ber.Tag) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.log {
		if s.op == op {
			n++
		}
	}
	return n
}

// reply writes the result that belongs to a request.
func reply(nc net.Conn, id int64, op ber.Tag, code int64, text string) {
	answers := map[ber.Tag]ber.Tag{
		ldap.ApplicationBindRequest: ldap.ApplicationBindResponse, ldap.ApplicationSearchRequest: ldap.ApplicationSearchResultDone,
		ldap.ApplicationModifyRequest: ldap.ApplicationModifyResponse, ldap.ApplicationExtendedRequest: ldap.ApplicationExtendedResponse,
	}
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, answers[op], nil, "")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, ""))
	p.AppendChild(r)
	_, _ = nc.Write(p.Bytes())
}

const serviceDN, servicePW = "cn=svc", "canary-service-password"

func testConfig(a *authority, addrs ...string) Config {
	cfg := DefaultConfig()
	for _, addr := range addrs {
		cfg.Servers = append(cfg.Servers, "ldaps://"+addr)
	}
	cfg.CAFile = a.file
	cfg.BindDN, cfg.Password = serviceDN, directory.NewSecret(servicePW)
	return cfg
}

func newClient(t *testing.T, cfg Config, opts ...Option) *Client {
	t.Helper()
	c, err := New(cfg, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// look and change are the smallest read and write.
func look(c *Conn) error {
	_, err := c.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", nil, nil))
	return err
}

func change(c *Conn) error {
	m := ldap.NewModifyRequest("cn=x", nil)
	m.Replace("a", []string{"b"})
	return c.Modify(m)
}
