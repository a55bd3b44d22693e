package ldapconn

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// security case 60
func TestUserBindsAndServiceRequestsNeverShareAConnection(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), nil)
	c := newClient(t, testConfig(a, f.addr()))
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if _, err := c.Bind(t.Context(), "", "cn=user", directory.NewSecret("pw")); err != nil {
				t.Error(err)
			}
			if err := c.Read(t.Context(), "", look); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	type use struct{ user, service, other int }
	uses := map[int]*use{}
	for _, s := range f.log {
		u := uses[s.conn]
		if u == nil {
			u = &use{}
			uses[s.conn] = u
		}
		switch {
		case s.op == ldap.ApplicationBindRequest && s.who == serviceDN:
			u.service++
		case s.op == ldap.ApplicationBindRequest:
			u.user++
		default:
			u.other++
		}
	}
	for n, u := range uses {
		if u.user > 0 && u.service+u.other > 0 || u.user == 0 && u.service != 1 {
			t.Errorf("connection %d carried %+v", n, *u)
		}
	}
	if len(uses) > 32 {
		t.Errorf("%d connections for two pools of 16", len(uses))
	}
}

func TestReadsGoElsewhereWhenAServerIsDown(t *testing.T) {
	a := newAuthority(t)
	down, up := serve(t, a.issue(t, nil), nil), serve(t, a.issue(t, nil), nil)
	clock := time.Now()
	dials := map[string]int{}
	c := newClient(t, testConfig(a, down.addr(), up.addr()), WithClock(func() time.Time { return clock }),
		WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials[addr]++
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}))
	var at string
	where := func(conn *Conn) error { at = conn.Server(); return look(conn) }
	read := func(pin string) string {
		t.Helper()
		if err := c.Read(t.Context(), pin, where); err != nil {
			t.Fatal(err)
		}
		return at
	}
	if read("") != down.addr() || read(up.addr()) != up.addr() {
		t.Error("the first server, or the pinned one, was not preferred")
	}
	down.stop()
	if read("") != up.addr() || read(down.addr()) != up.addr() {
		t.Error("a read did not go elsewhere")
	}
	before := dials[down.addr()]
	for range 5 {
		read("")
	}
	if dials[down.addr()] != before {
		t.Error("a server known to be down was dialled again at once")
	}
	clock = clock.Add(time.Minute)
	read("")
	if dials[down.addr()] != before+1 {
		t.Errorf("after a minute it was dialled %d times more", dials[down.addr()]-before)
	}
}

// security case 71 and section 1.10: a write that was sent is never repeated.
func TestASentWriteIsNeverRepeated(t *testing.T) {
	a := newAuthority(t)
	applyThenDrop := func(f *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
		return op == ldap.ApplicationModifyRequest || op == ldap.ApplicationExtendedRequest, false
	}
	for _, warm := range []bool{false, true} {
		first, second := serve(t, a.issue(t, nil), applyThenDrop), serve(t, a.issue(t, nil), nil)
		c := newClient(t, testConfig(a, first.addr(), second.addr()))
		if warm {
			if err := c.Read(t.Context(), first.addr(), look); err != nil {
				t.Fatal(err)
			}
		}
		err := c.Write(t.Context(), first.addr(), change)
		if !errors.Is(err, directory.ErrUncertain) || !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("warm %v: %v", warm, err)
		}
		err = c.Write(t.Context(), first.addr(), func(conn *Conn) error {
			return conn.Extended(ldap.NewExtendedRequest("1.2.3", nil))
		})
		if !errors.Is(err, directory.ErrUncertain) {
			t.Errorf("warm %v: %v", warm, err)
		}
		if n := first.count(ldap.ApplicationModifyRequest); n != 1 {
			t.Errorf("the write arrived %d times", n)
		}
		if n := second.count(ldap.ApplicationModifyRequest) + second.count(ldap.ApplicationExtendedRequest); n != 0 {
			t.Errorf("the write went to the other server %d times too", n)
		}
	}
}

// security case 71
func TestAWriteThatWasNotSentMayGoElsewhere(t *testing.T) {
	a := newAuthority(t)
	readOnly := func(_ *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
		if op != ldap.ApplicationModifyRequest {
			return false, true
		}
		reply(nc, id, op, ldap.LDAPResultReferral, "ldap://attacker.example")
		return true, true
	}
	dropsReads := func(_ *fake, _ net.Conn, op ber.Tag, _ int64, _ *ber.Packet) (bool, bool) {
		return op == ldap.ApplicationSearchRequest, false
	}
	for name, first := range map[string]*fake{
		"cannot be dialled":         func() *fake { f := serve(t, a.issue(t, nil), nil); f.stop(); return f }(),
		"is read-only":              serve(t, a.issue(t, nil), readOnly),
		"breaks before the write":   serve(t, a.issue(t, nil), dropsReads),
		"has another's certificate": serve(t, newAuthority(t).issue(t, nil), nil),
	} {
		t.Run(name, func(t *testing.T) {
			second := serve(t, a.issue(t, nil), nil)
			c := newClient(t, testConfig(a, first.addr(), second.addr()))
			err := c.Write(t.Context(), first.addr(), func(conn *Conn) error {
				if err := look(conn); err != nil {
					return err
				}
				return change(conn)
			})
			if err != nil || second.count(ldap.ApplicationModifyRequest) != 1 {
				t.Errorf("%v, %d writes", err, second.count(ldap.ApplicationModifyRequest))
			}
		})
	}
}

func TestAReferralEverywhereIsUnavailable(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), func(_ *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
		if op != ldap.ApplicationModifyRequest {
			return false, true
		}
		reply(nc, id, op, ldap.LDAPResultReferral, "")
		return true, true
	})
	err := newClient(t, testConfig(a, f.addr())).Write(t.Context(), "", change)
	if !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) {
		t.Error(err)
	}
}

func TestASilentServerIsGivenUp(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), func(_ *fake, _ net.Conn, op ber.Tag, _ int64, _ *ber.Packet) (bool, bool) {
		return op == ldap.ApplicationSearchRequest || op == ldap.ApplicationModifyRequest, true
	})
	cfg := testConfig(a, f.addr())
	cfg.RequestTimeout = 100 * time.Millisecond
	c := newClient(t, cfg)
	if err := c.Read(t.Context(), "", look); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) {
		t.Error(err)
	}
	if err := c.Write(t.Context(), "", change); !errors.Is(err, directory.ErrUncertain) {
		t.Error(err)
	}
	// The caller's deadline is shorter than the configured one.
	cfg.RequestTimeout = time.Hour
	c = newClient(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.Write(ctx, "", change); !errors.Is(err, directory.ErrUncertain) {
		t.Error(err)
	}
}

// A server that accepts and then says nothing must not be asked first by
// everybody whose own deadline is shorter than the configured one.
func TestAHangingServerIsLeftAlone(t *testing.T) {
	a := newAuthority(t)
	hanging := serve(t, a.issue(t, nil), func(_ *fake, _ net.Conn, op ber.Tag, _ int64, _ *ber.Packet) (bool, bool) {
		return op == ldap.ApplicationSearchRequest, true
	})
	c := newClient(t, testConfig(a, hanging.addr(), serve(t, a.issue(t, nil), nil).addr()))
	ctx, cancel := context.WithTimeout(t.Context(), hangs+100*time.Millisecond)
	defer cancel()
	if err := c.Read(ctx, "", look); !errors.Is(err, directory.ErrUnavailable) {
		t.Fatal(err)
	}
	if err := c.Read(t.Context(), "", look); err != nil || hanging.count(ldap.ApplicationSearchRequest) != 1 {
		t.Errorf("%v, asked %d times", err, hanging.count(ldap.ApplicationSearchRequest))
	}
}

func TestAClosedIdleConnectionIsReplacedUnseen(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), nil)
	c := newClient(t, testConfig(a, f.addr()))
	if err := c.Read(t.Context(), "", look); err != nil {
		t.Fatal(err)
	}
	idle := c.servers[0].service.idle[0]
	f.drop()
	for !idle.ldap.IsClosing() {
		if t.Context().Err() != nil {
			t.Fatal("the reader never noticed")
		}
	}
	if err := c.Write(t.Context(), "", change); err != nil {
		t.Error(err)
	}
	if n := f.count(ldap.ApplicationModifyRequest); n != 1 {
		t.Errorf("%d writes", n)
	}
}

// security case 61: a 100 MB value, and an answer without end.
func TestAnswersAreBounded(t *testing.T) {
	a := newAuthority(t)
	big := func(_ *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
		if op != ldap.ApplicationSearchRequest {
			return false, true
		}
		_, _ = nc.Write([]byte{0x30, 0x84, 0x06, 0x40, 0, 0, 0x02, 0x01, byte(id)}) // 100 MiB follow, it says
		return true, true
	}
	endless := func(_ *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
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
	for name, answer := range map[string]func(*fake, net.Conn, ber.Tag, int64, *ber.Packet) (bool, bool){"big": big, "endless": endless} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, a.issue(t, nil), answer)
			if err := newClient(t, testConfig(a, f.addr())).Read(t.Context(), "", look); !errors.Is(err, directory.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
}

func TestARefusedServiceAccountIsNotTriedAgainAtOnceNorTakenForThePerson(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), func(_ *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
		if op != ldap.ApplicationBindRequest {
			return false, true
		}
		reply(nc, id, op, ldap.LDAPResultInvalidCredentials, "AcceptSecurityContext error, data 52e, v1db1")
		return true, true
	})
	clock := time.Now()
	c := newClient(t, testConfig(a, f.addr()), WithClock(func() time.Time { return clock }))
	for range 10 {
		err := c.Write(t.Context(), "", change)
		if _, answered := Answer(err); answered || !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) {
			t.Fatalf("got %v", err)
		}
		if strings.Contains(err.Error(), servicePW) {
			t.Fatal("the password is in the error")
		}
	}
	if n := f.count(ldap.ApplicationBindRequest); n != 1 {
		t.Errorf("%d binds", n)
	}
	clock = clock.Add(time.Minute)
	_ = c.Write(t.Context(), "", change)
	if n := f.count(ldap.ApplicationBindRequest); n != 2 {
		t.Errorf("%d binds after a minute", n)
	}
}

func TestAPanicDoesNotLoseAConnection(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), nil)
	cfg := testConfig(a, f.addr())
	cfg.ServiceConnections = 1
	c := newClient(t, cfg)
	func() {
		defer func() { _ = recover() }()
		_ = c.Read(t.Context(), "", func(*Conn) error { panic("boom") })
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Read(ctx, "", look); err != nil {
		t.Error(err)
	}
}

func TestAClosedClientIsUnavailable(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), nil)
	c := newClient(t, testConfig(a, f.addr()))
	c.Close()
	if err := c.Read(t.Context(), "", look); !errors.Is(err, directory.ErrUnavailable) {
		t.Error(err)
	}
}
