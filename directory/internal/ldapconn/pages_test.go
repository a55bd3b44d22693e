package ldapconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// paged answers searches for dc=x with total entries in pages, each on the
// connection the page before came on; before may end the connection or answer
// something else instead of the page that begins at from.
func paged(total int, before func(nc net.Conn, id int64, from int) (handled, keep bool)) func(*fake, net.Conn, ber.Tag, int64, *ber.Packet) (bool, bool) {
	cookies := map[net.Conn]string{}
	return func(f *fake, nc net.Conn, op ber.Tag, id int64, req *ber.Packet) (bool, bool) {
		if op != ldap.ApplicationSearchRequest || req.Children[0].Data.String() != "dc=x" {
			return false, true
		}
		var size, from int
		var cookie string
		f.mu.Lock()
		known := cookies[nc]
		if c := f.pages[nc]; c != nil {
			size, cookie = int(c.PagingSize), string(c.Cookie)
		}
		f.mu.Unlock()
		if cookie != known {
			reply(nc, id, op, ldap.LDAPResultUnwillingToPerform, "not my cookie")
			return true, true
		}
		from, _ = strconv.Atoi(cookie)
		if before != nil {
			if handled, keep := before(nc, id, from); handled {
				return true, keep
			}
		}
		to, next := total, ""
		if size > 0 && from+size < total {
			to, next = from+size, strconv.Itoa(from+size)
		}
		f.mu.Lock()
		cookies[nc] = next
		f.mu.Unlock()
		for i := from; i < to; i++ {
			entry(nc, id, fmt.Sprintf("cn=%d,dc=x", i))
		}
		done(nc, id, next, size > 0)
		return true, true
	}
}

func message(id int64, op *ber.Packet) *ber.Packet {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(op)
	return p
}

func entry(nc net.Conn, id int64, dn string) {
	e := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	e.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, ""))
	e.AppendChild(ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, ""))
	_, _ = nc.Write(message(id, e).Bytes())
}

func done(nc net.Conn, id int64, cookie string, withControl bool) {
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultDone, nil, "")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(0), ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	p := message(id, r)
	if withControl {
		controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		c := ldap.NewControlPaging(0)
		c.SetCookie([]byte(cookie))
		controls.AppendChild(c.Encode())
		p.AppendChild(controls)
	}
	_, _ = nc.Write(p.Bytes())
}

func everything() *ldap.SearchRequest {
	return ldap.NewSearchRequest("dc=x", ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{"1.1"}, nil)
}

// collect lists through c and returns the names it was given.
func collect(ctx context.Context, c *Client, size int) ([]string, error) {
	var got []string
	err := c.Pages(ctx, everything(), size, func(e *ldap.Entry) error {
		got = append(got, e.DN)
		return nil
	})
	return got, err
}

func TestPagesGiveEveryEntryOnce(t *testing.T) {
	a := newAuthority(t)
	for _, tt := range []struct{ total, size, searches int }{{0, 3, 1}, {1, 3, 1}, {3, 3, 1}, {4, 3, 2}, {10, 3, 4}, {12, 3, 4}} {
		f := serve(t, a.issue(t, nil), paged(tt.total, nil))
		c := newClient(t, testConfig(a, f.addr()))
		got, err := collect(t.Context(), c, tt.size)
		slices.Sort(got)
		if err != nil || len(got) != tt.total || len(slices.Compact(got)) != tt.total || f.count(ldap.ApplicationSearchRequest) != tt.searches {
			t.Errorf("%+v: %d entries in %d searches, %v", tt, len(got), f.count(ldap.ApplicationSearchRequest), err)
		}
	}
}

// A server that knows no pages gives everything at once, or says that it does not.
func TestAServerWithoutPagesGivesAllOrAnError(t *testing.T) {
	a := newAuthority(t)
	all := serve(t, a.issue(t, nil), func(f *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
		if op != ldap.ApplicationSearchRequest {
			return false, true
		}
		for i := range 5 {
			entry(nc, id, fmt.Sprintf("cn=%d,dc=x", i))
		}
		done(nc, id, "", false)
		return true, true
	})
	if got, err := collect(t.Context(), newClient(t, testConfig(a, all.addr())), 3); err != nil || len(got) != 5 {
		t.Errorf("%v, %v", got, err)
	}
	for _, code := range []int64{ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultTimeLimitExceeded, ldap.LDAPResultReferral} {
		f := serve(t, a.issue(t, nil), paged(9, func(nc net.Conn, id int64, from int) (bool, bool) {
			if from < 6 {
				return false, true
			}
			entry(nc, id, "cn=6,dc=x")
			reply(nc, id, ldap.ApplicationSearchRequest, code, "")
			return true, true
		}))
		if got, err := collect(t.Context(), newClient(t, testConfig(a, f.addr())), 3); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrNotFound) || len(got) != 6 {
			t.Errorf("result %d: %v, %v", code, got, err)
		}
	}
}

func TestAListThatBreaksOffIsNoList(t *testing.T) {
	a := newAuthority(t)
	breaks := func(at int) *fake {
		return serve(t, a.issue(t, nil), paged(9, func(_ net.Conn, _ int64, from int) (bool, bool) { return from == at, false }))
	}
	whole := serve(t, a.issue(t, nil), paged(9, nil))
	// Nothing was handed out: another server may begin.
	if got, err := collect(t.Context(), newClient(t, testConfig(a, breaks(0).addr(), whole.addr())), 3); err != nil || len(got) != 9 {
		t.Errorf("broken before the first page: %v, %v", got, err)
	}
	before := whole.count(ldap.ApplicationSearchRequest)
	got, err := collect(t.Context(), newClient(t, testConfig(a, breaks(3).addr(), whole.addr())), 3)
	if !errors.Is(err, directory.ErrUnavailable) || len(got) != 3 {
		t.Errorf("broken after the first page: %v, %v", got, err)
	}
	if n := whole.count(ldap.ApplicationSearchRequest); n != before {
		t.Error("another server began at the beginning, after some had been handed out")
	}
}

func TestTheFirstErrorOfEachEndsTheListAndComesBack(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), paged(9, nil))
	c := newClient(t, testConfig(a, f.addr()))
	// An error that looks like a server's answer is not taken for one.
	stop := ldap.NewError(ldap.LDAPResultBusy, errors.New("enough"))
	n := 0
	err := c.Pages(t.Context(), everything(), 3, func(*ldap.Entry) error {
		if n++; n == 4 {
			return stop
		}
		return nil
	})
	if err != error(stop) || n != 4 || f.count(ldap.ApplicationSearchRequest) != 2 {
		t.Errorf("%v after %d", err, n)
	}
}

func TestAListEndsWithItsContext(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), paged(9, nil))
	c := newClient(t, testConfig(a, f.addr()))
	for _, after := range []int{0, 1, 3, 9} {
		ctx, cancel := context.WithCancel(t.Context())
		if after == 0 {
			cancel()
		}
		n := 0
		err := c.Pages(ctx, everything(), 3, func(*ldap.Entry) error {
			if n++; n == after {
				cancel()
			}
			return nil
		})
		cancel()
		if after == 9 {
			// Everything had been handed out by then.
			if err != nil || n != 9 {
				t.Errorf("cancelled after the last: %v, %d", err, n)
			}
			continue
		}
		if !errors.Is(err, directory.ErrUnavailable) || n != after {
			t.Errorf("cancelled after %d: %v, %d", after, err, n)
		}
	}
}

// With one connection in the pool a listing that held it would wait for its own reader.
func TestEachMayReadWhileTheListIsOpen(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), paged(7, nil))
	cfg := testConfig(a, f.addr())
	cfg.ServiceConnections = 1
	c := newClient(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range 3 {
		n := 0
		err := c.Pages(ctx, everything(), 2, func(*ldap.Entry) error {
			n++
			return c.Read(ctx, "", look)
		})
		if err != nil || n != 7 {
			t.Fatalf("%v after %d", err, n)
		}
	}
	// Each listing's connection ends with it, and the pool's one is kept.
	f.mu.Lock()
	n := len(f.conns)
	f.mu.Unlock()
	if n != 4 {
		t.Errorf("%d connections for three listings and their reader", n)
	}
}
