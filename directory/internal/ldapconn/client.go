package ldapconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// Client carries requests to the servers of one directory. It is safe for
// concurrent use.
type Client struct {
	cfg      Config
	tls      *tls.Config
	now      func() time.Time
	dialNet  func(ctx context.Context, network, addr string) (net.Conn, error)
	resolver Resolver
	closed   atomic.Bool
	roster
}

// Option changes what a Client is made with.
type Option func(*Client)

// WithClock replaces time.Now for everything but network deadlines.
func WithClock(now func() time.Time) Option { return func(c *Client) { c.now = now } }

// WithDialer replaces the network.
func WithDialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) Option {
	return func(c *Client) { c.dialNet = dial }
}

// WithResolver replaces the DNS that servers are looked up in.
func WithResolver(r Resolver) Option { return func(c *Client) { c.resolver = r } }

// limitPackets runs once because the limit is a variable of the BER package that
// every open connection reads.
var limitPackets = sync.OnceFunc(func() { ber.MaxPacketLengthBytes = maxPacket })

// New checks cfg and prepares everything; it dials nothing and looks nothing up, so
// that a program starts while its directory is down.
func New(cfg Config, opts ...Option) (*Client, error) {
	if faults := cfg.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if cfg.Password.Empty() {
		// RFC 4513 section 5.1.2: with an empty password the service account would
		// be nobody, and every bind a success.
		return nil, errors.New("bind_password: is empty or was not resolved")
	}
	base, err := cfg.tlsConfig()
	if err != nil {
		return nil, err
	}
	limitPackets()
	c := &Client{cfg: cfg, tls: base, now: time.Now, dialNet: dialer(), resolver: net.DefaultResolver}
	for _, o := range opts {
		o(c)
	}
	for _, raw := range cfg.Servers {
		e, err := parseServer(raw, cfg.StartTLS)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, c.server(e))
	}
	return c, nil
}

// server is a new one, that nothing is known of.
func (c *Client) server(e endpoint) *server {
	t := c.tls.Clone()
	t.ServerName = cmp.Or(c.cfg.ServerName, e.host)
	s := &server{endpoint: e, client: c, tls: t}
	s.service = newPool(c.cfg.ServiceConnections, s.dialService, c.now)
	s.users = newPool(c.cfg.UserBindConnections, s.dial, c.now)
	return s
}

// Close ends every idle connection; borrowed ones end when they come back.
func (c *Client) Close() {
	c.closed.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.servers {
		s.close()
	}
}

// Read runs fn, which must change nothing, on a service connection: to pin when
// it is up, else to the first server that is. fn may run again on another
// connection when one breaks under it, so it must begin afresh each time. A busy
// server counts as one that is down.
func (c *Client) Read(ctx context.Context, pin string, fn func(*Conn) error) error {
	servers, err := c.order(ctx, pin, false)
	if err != nil {
		return err
	}
	return c.each(ctx, servers, (*server).servicePool, fn, func(conn *Conn, err error) bool {
		return conn.broken != nil || isBusy(err)
	})
}

// Write runs fn on a service connection to pin when it can be reached. Another
// server is tried only while nothing that changes anything was sent, or when the
// server is read-only: it answered with a referral, which is followed nowhere, or fn
// returned ErrReadOnly. When a change was sent and no answer came the error is
// ErrUnavailable and ErrUncertain; where all that could be asked are read-only it is
// ErrUnavailable and ErrReadOnly, since a writable one may come back.
func (c *Client) Write(ctx context.Context, pin string, fn func(*Conn) error) error {
	servers, err := c.order(ctx, pin, true)
	if err != nil {
		return err
	}
	return c.each(ctx, servers, (*server).servicePool, func(conn *Conn) error {
		err := fn(conn)
		if Code(err) == ldap.LDAPResultReferral || errors.Is(err, ErrReadOnly) {
			return fmt.Errorf("%w: %s: %w: %w", directory.ErrUnavailable, conn.server, ErrReadOnly, err)
		}
		return err
	}, func(conn *Conn, err error) bool {
		return conn.broken != nil && !conn.wrote || errors.Is(err, ErrReadOnly)
	})
}

// ErrReadOnly is a server that takes no writes, such as a read-only domain controller.
var ErrReadOnly = errors.New("ldapconn: the server is read-only; a writable one is needed")

// Bind checks one password on a connection of the user pool, and returns the
// response controls with both answers, yes and no. A password that is empty, blank
// or holds a NUL is ErrWrongPassword and never reaches the wire.
//
// A bind that broke is tried again only where nothing was sent: each one that
// arrives may count towards a lockout.
func (c *Client) Bind(ctx context.Context, pin, dn string, pw directory.Secret, controls ...ldap.Control) ([]ldap.Control, error) {
	if dn == "" || strings.TrimSpace(pw.Reveal()) == "" || strings.Contains(pw.Reveal(), "\x00") {
		// RFC 4513 section 5.1.2, and servers that end the text at a NUL.
		return nil, directory.ErrWrongPassword
	}
	servers, err := c.order(ctx, pin, false)
	if err != nil {
		return nil, err
	}
	var out []ldap.Control
	var before int64
	err = c.each(ctx, servers, (*server).userPool, func(conn *Conn) error {
		before = conn.link.raw.written.Load()
		res, err := conn.bind(dn, pw, controls)
		if res != nil {
			out = res.Controls
		}
		return err
	}, func(conn *Conn, err error) bool {
		return isBusy(err) || conn.broken != nil && conn.link.raw.written.Load() == before
	})
	return out, err
}

func (s *server) servicePool() *pool { return s.service }
func (s *server) userPool() *pool    { return s.users }

// isBusy: busy and unavailable say that the server did not do it and another may.
func isBusy(err error) bool {
	code := Code(err)
	return code == ldap.LDAPResultBusy || code == ldap.LDAPResultUnavailable
}

// each runs fn on one server after another while again says so.
func (c *Client) each(ctx context.Context, servers []*server, of func(*server) *pool, fn func(*Conn) error,
	again func(*Conn, error) bool) error {
	var faults []error
	for _, s := range servers {
		err, more := c.on(ctx, s, of(s), fn, again)
		if !more {
			return err
		}
		faults = append(faults, err)
		if over(ctx) {
			break
		}
	}
	err := errors.Join(faults...)
	if !errors.Is(err, directory.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	return err
}

// on runs fn on one server, twice when a kept connection turned out to be dead.
func (c *Client) on(ctx context.Context, s *server, p *pool, fn func(*Conn) error,
	again func(*Conn, error) bool) (err error, more bool) {
	s.trying()
	begun := time.Now()
	for fresh := false; ; fresh = true {
		if c.closed.Load() {
			return fmt.Errorf("%w: %w", directory.ErrUnavailable, errClosed), false
		}
		l, reused, err := p.get(ctx, fresh)
		if err != nil {
			if itsFault(ctx, begun) {
				s.failed(p)
			}
			return err, true
		}
		conn, err := c.lend(ctx, s, p, l, fn)
		more := again(conn, err)
		switch {
		case conn.broken == nil:
			s.worked()
			return err, more
		case errors.Is(conn.broken, os.ErrDeadlineExceeded):
			p.forget()
			if itsFault(ctx, begun) {
				s.failed(p)
			}
		case more && reused && !over(ctx):
			continue
		case itsFault(ctx, begun):
			s.failed(p)
		}
		if conn.wrote {
			err = fmt.Errorf("%w: %w: %w", directory.ErrUnavailable, directory.ErrUncertain, conn.broken)
		}
		return err, more
	}
}

// itsFault tells a server that failed from a caller who gave up. A caller's
// deadline after a good while is the server's fault too, else one that hangs
// would be asked first for ever.
func itsFault(ctx context.Context, begun time.Time) bool {
	return !over(ctx) || !errors.Is(ctx.Err(), context.Canceled) && time.Since(begun) >= hangs
}

// over reports whether the caller's time is up. Network deadlines fire a little
// before the context's own timer, so ctx.Err alone comes too late.
func over(ctx context.Context) bool {
	d, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(d)
}

// hangs is how long a server may take before it counts as one that hangs.
const hangs = time.Second

// lend gives the connection back even when fn panics: a lost slot is never found again.
func (c *Client) lend(ctx context.Context, s *server, p *pool, l *link, fn func(*Conn) error) (conn *Conn, err error) {
	conn = &Conn{ctx: ctx, link: l, server: s.addr, timeout: c.cfg.RequestTimeout}
	healthy := false
	defer func() { p.put(l, healthy) }()
	err = fn(conn)
	healthy = conn.broken == nil && !conn.retire
	return conn, err
}

// order is pin first, then the servers that are up, then the others: one that
// failed a moment ago is still better than giving up, unless it has for a while. insist
// keeps pin in front even when it was down: what was read there a moment ago is written
// there. A pin that is in the list no more counts as one that is down.
func (c *Client) order(ctx context.Context, pin string, insist bool) ([]*server, error) {
	servers, err := c.current(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*server, 0, len(servers))
	var down []*server
	put := func(s *server) {
		if s.shut() {
			return
		}
		if s.up() || insist && s.addr == pin {
			out = append(out, s)
		} else {
			down = append(down, s)
		}
	}
	for _, s := range servers {
		if s.addr == pin {
			put(s)
		}
	}
	for _, s := range servers {
		if s.addr != pin {
			put(s)
		}
	}
	if out = append(out, down...); len(out) == 0 {
		return nil, fmt.Errorf("%w: %w", directory.ErrUnavailable, errLeftAlone)
	}
	return out, nil
}

var errLeftAlone = errors.New("ldapconn: no server answered of late; one question in a few seconds finds out whether one is back")
