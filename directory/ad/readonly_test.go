package ad_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/directorytest"
)

// readOnlyDC stands before a domain controller and answers as a read-only one: its
// rootDSE says so where it tells at all, and changes get a referral.
type readOnlyDC struct {
	dc    *directorytest.DC
	tells bool
	l     net.Listener

	mu      sync.Mutex
	changes int
	reads   int // base searches by GUID
}

func beforeDC(t *testing.T, dc *directorytest.DC, tells bool) *readOnlyDC {
	t.Helper()
	cert, key, err := dc.CA.Issue(time.Now().Add(time.Hour), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	f := &readOnlyDC{dc: dc, tells: tells}
	if f.l, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := f.l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.carry(nc) })
		}
	})
	// The last clean-up: the directories that keep connections are closed before.
	t.Cleanup(func() { f.l.Close(); wg.Wait() })
	return f
}

func (f *readOnlyDC) addr() string { return f.l.Addr().String() }

func (f *readOnlyDC) carry(client net.Conn) {
	defer client.Close()
	behind, err := tls.Dial("tcp", strings.TrimPrefix(f.dc.URL, "ldaps://"), f.dc.TLS())
	if err != nil {
		return
	}
	defer behind.Close()
	go func() { _, _ = io.Copy(client, behind); client.Close() }()
	r := bufio.NewReader(client)
	for {
		p, err := ber.ReadPacket(r)
		if err != nil {
			return
		}
		id, op := p.Children[0].Value.(int64), p.Children[1]
		base := op.Tag == ldap.ApplicationSearchRequest && op.Children[0].ByteValue != nil && len(op.Children[0].ByteValue) == 0
		f.mu.Lock()
		if op.Tag == ldap.ApplicationSearchRequest && strings.HasPrefix(string(op.Children[0].ByteValue), "<GUID=") {
			f.reads++
		}
		if op.Tag == ldap.ApplicationModifyRequest {
			f.changes++
		}
		f.mu.Unlock()
		switch {
		case op.Tag == ldap.ApplicationModifyRequest:
			answer(client, id, ldap.ApplicationModifyResponse, ldap.LDAPResultReferral)
		case base && f.tells:
			entry(client, id, map[string][]string{"supportedCapabilities": {"1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1920"},
				"currentTime": {time.Now().UTC().Format("20060102150405.0Z")}, "defaultNamingContext": {f.dc.BaseDN}})
			answer(client, id, ldap.ApplicationSearchResultDone, ldap.LDAPResultSuccess)
		default:
			if _, err := behind.Write(p.Bytes()); err != nil {
				return
			}
		}
	}
}

func message(id int64, op *ber.Packet) []byte {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p.Bytes()
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func answer(to net.Conn, id int64, op ber.Tag, code int64) {
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, op, nil, "")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	r.AppendChild(text(""))
	r.AppendChild(text(""))
	if code == ldap.LDAPResultReferral {
		urls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 3, nil, "")
		urls.AppendChild(text("ldaps://attacker.example/DC=postern,DC=test"))
		r.AppendChild(urls)
	}
	_, _ = to.Write(message(id, r))
}

func entry(to net.Conn, id int64, attributes map[string][]string) {
	e := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	e.AppendChild(text(""))
	all := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for name, values := range attributes {
		one := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		one.AppendChild(text(name))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range values {
			set.AppendChild(text(v))
		}
		one.AppendChild(set)
		all.AppendChild(one)
	}
	e.AppendChild(all)
	_, _ = to.Write(message(id, e))
}

func (f *readOnlyDC) counts() (changes, reads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes, f.reads
}

// A case that began at a branch's read-only domain controller is written at another
// one, and read there from then on.
func TestACaseOfAReadOnlyDomainControllerIsWrittenAtAWritableOne(t *testing.T) {
	dc := directorytest.Samba(t)
	for name, tells := range map[string]bool{"says it is": true, "does not say": false} {
		t.Run(name, func(t *testing.T) {
			branch := beforeDC(t, dc, tells)
			cfg := config(dc)
			cfg.Servers = []string{"ldaps://" + branch.addr(), dc.URL}
			d := open(t, cfg)
			u := find(t, d, "user6")
			if u.Server != branch.addr() {
				t.Fatalf("found on %s", u.Server)
			}
			pw := "Written-Elsewhere-" + map[bool]string{true: "1", false: "2"}[tells]
			if err := d.SetPassword(t.Context(), u, secret(pw)); err != nil {
				t.Fatal(err)
			}
			if err := dc.Bind(u.DN, pw); err != nil {
				t.Error(err)
			}
			// A password that a read-only server must not know is not sent to it.
			if n, _ := branch.counts(); tells && n != 0 || n > 1 {
				t.Errorf("%d changes were sent to it", n)
			}
			_, before := branch.counts()
			again, err := d.Read(t.Context(), u)
			if err != nil || "ldaps://"+again.Server != dc.URL {
				t.Errorf("read again on %s, %v", again.Server, err)
			}
			if err := d.Authenticate(t.Context(), u, secret(pw)); err != nil {
				t.Error(err)
			}
			if err := d.Unlock(t.Context(), u); err != nil {
				t.Error(err)
			}
			if _, n := branch.counts(); n != before {
				t.Errorf("%d reads went back to it", n-before)
			}
			// Somebody who was not written to is still read where the case began.
			other := find(t, d, "user7")
			if other, err = d.Read(t.Context(), other); err != nil || other.Server != branch.addr() {
				t.Errorf("another person is read on %s, %v", other.Server, err)
			}
		})
	}
	t.Run("alone", func(t *testing.T) {
		branch := beforeDC(t, dc, true)
		cfg := config(dc)
		cfg.Servers = []string{"ldaps://" + branch.addr()}
		d := open(t, cfg)
		u := find(t, d, "user8")
		err := d.SetPassword(t.Context(), u, secret("Goes-Nowhere-At-All-1"))
		if !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%v", err)
		}
		found := d.Examine(t.Context())
		if !slices.ContainsFunc(found, func(f directory.Finding) bool {
			return f.Check == "writable" && f.Severity == directory.Warning && strings.Contains(f.What, branch.addr()) && strings.Contains(f.Mend, "/writable")
		}) {
			t.Errorf("the doctor does not say that nothing can be written: %+v", found)
		}
		cfg.Servers = append(cfg.Servers, dc.URL)
		if !slices.ContainsFunc(open(t, cfg).Examine(t.Context()), func(f directory.Finding) bool {
			return f.Check == "writable" && f.Severity == directory.OK && strings.Contains(f.What, branch.addr()+" is a read-only domain controller")
		}) {
			t.Error("the doctor does not say which is read-only")
		}
	})
}
