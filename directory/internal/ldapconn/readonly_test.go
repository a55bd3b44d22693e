package ldapconn

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// refers answers every change as a read-only domain controller does: with a referral
// (RFC 4511 section 4.1.10) to url.
func refers(url string) func(*fake, net.Conn, ber.Tag, int64, *ber.Packet) (bool, bool) {
	return func(_ *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
		if op != ldap.ApplicationModifyRequest {
			return false, true
		}
		p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
		r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationModifyResponse, nil, "")
		r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(ldap.LDAPResultReferral), ""))
		r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
		r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "0000202B: RefErr: DSID-0310082F, data 0, 1 access points", ""))
		to := ber.Encode(ber.ClassContext, ber.TypeConstructed, 3, nil, "")
		to.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, url, ""))
		r.AppendChild(to)
		p.AppendChild(r)
		_, _ = nc.Write(p.Bytes())
		return true, true
	}
}

func TestAWriteToAReadOnlyServerGoesToAWritableOneOnce(t *testing.T) {
	a := newAuthority(t)
	attacker := serve(t, a.issue(t, nil), nil)
	dropsWrites := func(_ *fake, _ net.Conn, op ber.Tag, _ int64, _ *ber.Packet) (bool, bool) {
		return op == ldap.ApplicationModifyRequest, false
	}
	for name, tt := range map[string]struct {
		writable func(*fake, net.Conn, ber.Tag, int64, *ber.Packet) (bool, bool)
		err      error
	}{"applies": {nil, nil}, "takes it and breaks": {dropsWrites, directory.ErrUncertain}} {
		t.Run(name, func(t *testing.T) {
			rodc, last := serve(t, a.issue(t, nil), refers("ldaps://"+attacker.addr()+"/cn=x")), serve(t, a.issue(t, nil), nil)
			writable := serve(t, a.issue(t, nil), tt.writable)
			var mu sync.Mutex
			dialled := map[string]bool{}
			c := newClient(t, testConfig(a, rodc.addr(), writable.addr(), last.addr()),
				WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
					mu.Lock()
					dialled[addr] = true
					mu.Unlock()
					return (&net.Dialer{}).DialContext(ctx, network, addr)
				}))
			if err := c.Write(t.Context(), rodc.addr(), change); !errors.Is(err, tt.err) {
				t.Error(err)
			}
			for f, want := range map[*fake]int{rodc: 1, writable: 1, last: 0, attacker: 0} {
				if n := f.count(ldap.ApplicationModifyRequest); n != want {
					t.Errorf("%s got %d changes, want %d", f.addr(), n, want)
				}
			}
			if len(dialled) != 2 || dialled[attacker.addr()] {
				t.Errorf("dialled %v", dialled)
			}
		})
	}
}

func TestWhereAllAreReadOnlyTheErrorSaysSo(t *testing.T) {
	a := newAuthority(t)
	one, other, gone := serve(t, a.issue(t, nil), refers("ldap://writable.example")), serve(t, a.issue(t, nil), nil), serve(t, a.issue(t, nil), nil)
	gone.stop()
	c := newClient(t, testConfig(a, one.addr(), other.addr(), gone.addr()))
	sent := map[string]bool{}
	err := c.Write(t.Context(), "", func(conn *Conn) error {
		if conn.Server() == other.addr() {
			return ErrReadOnly // known before anything is sent
		}
		sent[conn.Server()] = true
		return change(conn)
	})
	if !errors.Is(err, directory.ErrUnavailable) || !errors.Is(err, ErrReadOnly) || errors.Is(err, directory.ErrUncertain) {
		t.Fatal(err)
	}
	for _, want := range []string{one.addr() + ": ldapconn: the server is read-only", other.addr() + ": ldapconn: the server is read-only", gone.addr()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	if n := other.count(ldap.ApplicationModifyRequest); n != 0 {
		t.Errorf("%d changes were sent to a server known to be read-only", n)
	}
}
