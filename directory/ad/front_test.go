package ad_test

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory/directorytest"
)

// front stands before a port of a domain controller and counts. A read-only one gives
// changes a referral, and its rootDSE says what it is where it tells.
type front struct {
	dc              *directorytest.DC
	behind          string // ldaps://
	readOnly, tells bool
	holds           string // which domain the rootDSE says, where it tells
	l               net.Listener

	mu                       sync.Mutex
	changes, searches, reads int // reads are of one entry by GUID
}

func before(t *testing.T, dc *directorytest.DC, f *front) *front {
	t.Helper()
	cert, key, err := dc.CA.Issue(time.Now().Add(time.Hour), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	f.dc = dc
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

func (f *front) addr() string { return f.l.Addr().String() }

func (f *front) carry(client net.Conn) {
	defer client.Close()
	behind, err := tls.Dial("tcp", strings.TrimPrefix(f.behind, "ldaps://"), f.dc.TLS())
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
		root := op.Tag == ldap.ApplicationSearchRequest && len(op.Children[0].ByteValue) == 0 && op.Children[1].Value == int64(ldap.ScopeBaseObject)
		f.mu.Lock()
		switch {
		case op.Tag == ldap.ApplicationModifyRequest:
			f.changes++
		case op.Tag == ldap.ApplicationSearchRequest:
			f.searches++
			if strings.HasPrefix(string(op.Children[0].ByteValue), "<GUID=") {
				f.reads++
			}
		}
		f.mu.Unlock()
		switch {
		case op.Tag == ldap.ApplicationModifyRequest && f.readOnly:
			answer(client, id, ldap.ApplicationModifyResponse, ldap.LDAPResultReferral)
		case root && f.tells:
			entry(client, id, map[string][]string{"supportedCapabilities": {"1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1920"},
				"currentTime": {time.Now().UTC().Format("20060102150405.0Z")}, "defaultNamingContext": {cmp.Or(f.holds, f.dc.BaseDN)}})
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

func (f *front) counts() (changes, searches, reads int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes, f.searches, f.reads
}
