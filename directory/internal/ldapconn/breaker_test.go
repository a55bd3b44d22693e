package ldapconn

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// Who comes while a directory hangs hears so at once, one in a few seconds finds out
// whether it is back, and with the first answer everybody is served again.
func TestWhileADirectoryHangsOneWaitsForAll(t *testing.T) {
	a := newAuthority(t)
	var mu sync.Mutex
	hangs := true
	f := serve(t, a.issue(t, nil), func(_ *fake, _ net.Conn, op ber.Tag, _ int64, _ *ber.Packet) (bool, bool) {
		mu.Lock()
		defer mu.Unlock()
		return hangs && op == ldap.ApplicationSearchRequest, true
	})
	clock := time.Now()
	cfg := testConfig(a, f.addr())
	cfg.RequestTimeout = 200 * time.Millisecond
	c := newClient(t, cfg, WithClock(func() time.Time { return clock }))
	for range tolerated {
		if err := c.Read(t.Context(), "", look); !errors.Is(err, directory.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	asked := f.count(ldap.ApplicationSearchRequest)
	if asked != tolerated {
		t.Fatalf("asked %d times", asked)
	}
	for range 100 {
		for what, err := range map[string]error{"read": c.Read(t.Context(), "", look), "write": c.Write(t.Context(), f.addr(), change)} {
			if !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if _, err := c.Bind(t.Context(), "", "cn=user", directory.NewSecret("pw")); !errors.Is(err, directory.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if n := f.count(ldap.ApplicationSearchRequest) + f.count(ldap.ApplicationModifyRequest); n != asked {
		t.Errorf("while it was left alone it was asked %d times", n-asked)
	}
	clock = clock.Add(shutTime)
	if err := c.Read(t.Context(), "", look); !errors.Is(err, directory.ErrUnavailable) {
		t.Error(err)
	}
	if n := f.count(ldap.ApplicationSearchRequest); n != asked+1 {
		t.Errorf("after a while it was asked %d times", n-asked)
	}
	mu.Lock()
	hangs = false
	mu.Unlock()
	clock = clock.Add(shutTime)
	for range 10 {
		if err := c.Read(t.Context(), "", look); err != nil {
			t.Error(err)
		}
	}
}

// Some servers take their time over a wrong password. Whoever types many of them shuts
// nobody else out.
func TestSlowBindsShutNobodyOut(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), func(f *fake, _ net.Conn, op ber.Tag, _ int64, _ *ber.Packet) (bool, bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		return op == ldap.ApplicationBindRequest && f.log[len(f.log)-1].who != serviceDN, true
	})
	cfg := testConfig(a, f.addr())
	cfg.RequestTimeout = 200 * time.Millisecond
	c := newClient(t, cfg)
	for range 2 * tolerated {
		if _, err := c.Bind(t.Context(), "", "cn=user", directory.NewSecret("wrong")); !errors.Is(err, directory.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if err := c.Read(t.Context(), "", look); err != nil {
		t.Error(err)
	}
}

// A server that is left alone costs nobody a wait while another one answers.
func TestAServerThatIsLeftAloneIsNotAskedLastEither(t *testing.T) {
	a := newAuthority(t)
	bad, good := serve(t, a.issue(t, nil), nil), serve(t, a.issue(t, nil), nil)
	clock := time.Now()
	c := newClient(t, testConfig(a, bad.addr(), good.addr()), WithClock(func() time.Time { return clock }))
	bad.stop()
	for range tolerated {
		clock = clock.Add(backoffLimit)
		if err := c.Read(t.Context(), "", look); err != nil {
			t.Fatal(err)
		}
	}
	good.stop()
	err := c.Read(t.Context(), "", look)
	if !errors.Is(err, directory.ErrUnavailable) || strings.Contains(err.Error(), bad.addr()) {
		t.Error(err)
	}
}

// Silence on one connection says nothing good of the others that nobody used meanwhile.
func TestSilenceEndsWhatIsIdle(t *testing.T) {
	a := newAuthority(t)
	f := serve(t, a.issue(t, nil), nil)
	cfg := testConfig(a, f.addr())
	cfg.RequestTimeout = 200 * time.Millisecond
	c := newClient(t, cfg)
	both := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 2 { // at once, so that there are two
		wg.Go(func() {
			_ = c.Read(t.Context(), "", func(conn *Conn) error {
				if i == 0 {
					close(both)
				} else {
					<-both
				}
				return look(conn)
			})
		})
	}
	wg.Wait()
	f.answer = func(_ *fake, _ net.Conn, op ber.Tag, _ int64, _ *ber.Packet) (bool, bool) {
		return op == ldap.ApplicationSearchRequest, true
	}
	if err := c.Read(t.Context(), "", look); err == nil {
		t.Fatal("it was not silent")
	}
	if n := len(c.servers[0].service.idle); n != 0 {
		t.Errorf("%d idle connections are still trusted", n)
	}
}

// What was given up is not sent by the system later, when nobody waits for it any more.
func TestWhatWasGivenUpIsNotSentLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	// More than the line takes while nobody reads.
	m := &meter{Conn: nc}
	m.budget.Store(maxAnswer)
	_ = m.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := m.Write(make([]byte, 64<<20)); err == nil {
		t.Fatalf("the line took %d bytes", n)
	}
	m.abort()
	m.Close()
	_ = peer.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := io.Copy(io.Discard, peer); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes came, and then %v", n, err)
	}
}
