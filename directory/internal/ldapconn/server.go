package ldapconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

const (
	// idleLimit is below the idle time-outs of Active Directory (900 s) and of
	// most firewalls, which forget a flow without telling either end.
	idleLimit = 4 * time.Minute
	// backoffLimit bounds how long a server that failed is asked last, after the others.
	backoffLimit = 30 * time.Second
	// A server that failed the service account tolerated times in a row is not asked at all
	// for shutTime after the last of them; then one caller finds out whether it is back. So
	// who comes while a directory hangs hears so at once. Binds of people do not count: a
	// server may be slow on purpose with a wrong password, and whoever types three of them
	// must not shut everybody out.
	tolerated = 3
	shutTime  = 3 * time.Second
	// refusalLimit bounds how long the service account is not tried after its
	// password was refused.
	refusalLimit = 5 * time.Minute
)

// server is one endpoint, its health and its two pools.
type server struct {
	endpoint
	client  *Client
	tls     *tls.Config
	service *pool
	users   *pool

	mu        sync.Mutex
	failures  int
	downUntil time.Time
	silences  int // of failures, those that count for shut
	shutUntil time.Time
	// A refused bind of the service account, and when it may be tried again:
	// trying it at every request would lock the account.
	refused      error
	refusals     int
	refusedUntil time.Time
}

func (s *server) close() {
	s.service.close()
	s.users.close()
}

// well reports whether it answered when it was asked last.
func (s *server) well() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures == 0
}

// up reports whether the server is worth asking first.
func (s *server) up() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures == 0 || !s.client.now().Before(s.downUntil)
}

// shut reports whether the server is not even to be asked.
func (s *server) shut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silences >= tolerated && s.client.now().Before(s.shutUntil)
}

// trying is called before a server is used. When it was down, one caller finds
// out whether it is back while the others go elsewhere.
func (s *server) trying() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures > 0 {
		s.downUntil = s.client.now().Add(s.client.cfg.DialTimeout)
		s.shutUntil = s.client.now().Add(shutTime)
	}
}

func (s *server) failed(p *pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := min(time.Second<<min(s.failures, 10), backoffLimit)
	s.failures++
	s.downUntil = s.client.now().Add(wait)
	if p != s.users {
		s.silences++
		s.shutUntil = s.client.now().Add(shutTime)
	}
}

func (s *server) worked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures, s.silences = 0, 0
}

// dial opens one connection with TLS and nobody bound.
func (s *server) dial(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, s.client.cfg.DialTimeout)
	defer cancel()
	nc, err := s.client.dialNet(ctx, "tcp", s.addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", directory.ErrUnavailable, s.addr, err)
	}
	raw := &meter{Conn: nc}
	raw.budget.Store(maxAnswer)
	if d, ok := ctx.Deadline(); ok {
		raw.SetDeadline(d)
	}
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	l, err := s.secure(ctx, raw)
	if !stop() && err == nil {
		err = context.Cause(ctx)
		l.kill()
	}
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("%w: %s: %w", directory.ErrUnavailable, s.addr, err)
	}
	raw.SetDeadline(time.Time{})
	return l, nil
}

// secure puts TLS on raw. There is no way back to plaintext: a server that
// refuses StartTLS, or somebody in between who strips it, ends the connection.
func (s *server) secure(ctx context.Context, raw *meter) (*link, error) {
	if s.startTLS {
		l := &link{ldap: ldap.NewConn(raw, false), raw: raw}
		l.ldap.Start()
		if err := l.ldap.StartTLS(s.tls); err != nil {
			l.kill()
			return nil, fmt.Errorf("StartTLS: %w", err)
		}
		return l, nil
	}
	tc := tls.Client(raw, s.tls)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS: %w", err)
	}
	l := &link{ldap: ldap.NewConn(tc, true), raw: raw}
	l.ldap.Start()
	return l, nil
}

// dialService opens one connection bound as the service account.
func (s *server) dialService(ctx context.Context) (*link, error) {
	if err := s.stillRefused(); err != nil {
		return nil, err
	}
	l, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &Conn{ctx: ctx, link: l, server: s.addr, timeout: s.client.cfg.RequestTimeout}
	_, err = c.bind(s.client.cfg.BindDN, s.client.cfg.Password, nil)
	if err == nil && !c.retire {
		s.bindAnswer(nil)
		return l, nil
	}
	l.kill()
	if e, ok := Answer(err); ok {
		err = fmt.Errorf("%w: %s: the service account's bind was refused: %w", directory.ErrUnavailable, s.addr, err)
		if e.ResultCode == ldap.LDAPResultInvalidCredentials {
			s.bindAnswer(err)
		}
	} else if err == nil {
		err = fmt.Errorf("%w: %s: %w", directory.ErrUnavailable, s.addr, context.DeadlineExceeded)
	}
	return nil, err
}

func (s *server) stillRefused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client.now().Before(s.refusedUntil) {
		return s.refused
	}
	return nil
}

func (s *server) bindAnswer(refused error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = refused
	if refused == nil {
		s.refusals, s.refusedUntil = 0, time.Time{}
		return
	}
	s.refusedUntil = s.client.now().Add(min(backoffLimit<<min(s.refusals, 8), refusalLimit))
	s.refusals++
}

// pool keeps connections of one kind to one server, newest first.
type pool struct {
	slots chan struct{}
	open  func(context.Context) (*link, error)
	now   func() time.Time

	mu     sync.Mutex
	idle   []*link
	closed bool
}

func newPool(size int, open func(context.Context) (*link, error), now func() time.Time) *pool {
	return &pool{slots: make(chan struct{}, size), open: open, now: now}
}

// get borrows a connection; fresh asks for a new one, whatever is idle.
func (p *pool) get(ctx context.Context, fresh bool) (l *link, reused bool, err error) {
	select {
	case p.slots <- struct{}{}:
	default:
		select {
		case p.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, false, fmt.Errorf("%w: waiting for a connection: %w", directory.ErrUnavailable, ctx.Err())
		}
	}
	if !fresh {
		if l := p.pop(); l != nil {
			return l, true, nil
		}
	}
	if l, err = p.open(ctx); err != nil {
		<-p.slots
		return nil, false, err
	}
	return l, false, nil
}

func (p *pool) pop() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.idle) > 0 {
		l := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		// The reader notices at once when the server closes; such a connection is
		// replaced before anything is sent on it.
		if !l.ldap.IsClosing() && p.now().Sub(l.idleSince) < idleLimit {
			return l
		}
		go l.kill()
	}
	return nil
}

// put gives a connection back; a dead one only frees its slot.
func (p *pool) put(l *link, healthy bool) {
	defer func() { <-p.slots }()
	if !healthy {
		l.kill()
		return
	}
	l.idleSince = p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		go l.kill()
		return
	}
	p.idle = append(p.idle, l)
	// The oldest are at the front; a burst's connections go when they are not needed.
	for old := p.idle[0]; old != l && (old.ldap.IsClosing() || p.now().Sub(old.idleSince) >= idleLimit); old = p.idle[0] {
		p.idle = p.idle[1:]
		go old.kill()
	}
}

// forget ends what is idle: where one connection brought no answer, what became of the
// others while nobody used them is unknown too.
func (p *pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.idle {
		go l.kill()
	}
	p.idle = nil
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range p.idle {
		l.kill()
	}
	p.idle = nil
}

// dialer is the network as net.Dialer gives it, with keep-alives that find a
// vanished server in about a minute.
func dialer() func(context.Context, string, string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3,
	}}
	return d.DialContext
}

var errClosed = errors.New("ldapconn: closed")
