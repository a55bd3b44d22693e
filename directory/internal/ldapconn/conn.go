package ldapconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

const (
	// maxPacket bounds one LDAP message, maxAnswer all messages of one answer: a
	// server that sends more is cut off instead of filling the memory.
	maxPacket = 1 << 20
	maxAnswer = 16 << 20
)

var errTooLarge = errors.New("ldapconn: the answer is too large")

// meter counts what goes over one network connection, beneath TLS.
type meter struct {
	net.Conn
	written atomic.Int64
	budget  atomic.Int64
}

func (m *meter) Write(p []byte) (int, error) {
	// Counted before: a partial write that then fails was still sent.
	m.written.Add(int64(len(p)))
	return m.Conn.Write(p)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if m.budget.Add(-int64(n)) < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// abort has the system forget what it still holds to be sent, when the connection is
// closed: a write that was given up must not arrive when the line is whole again.
func (m *meter) abort() {
	if c, ok := m.Conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
}

// link is one connection to one server.
type link struct {
	ldap      *ldap.Conn
	raw       *meter
	idleSince time.Time // zero until it was used once
}

// kill ends the connection. The network side goes first, so that neither a
// blocked write nor a late one can outlive this call.
func (l *link) kill() {
	l.raw.Close()
	l.ldap.Close()
}

// Conn is a borrowed connection. It belongs to the function it was handed to and
// must not be kept.
type Conn struct {
	ctx     context.Context
	link    *link
	server  string
	timeout time.Duration
	wrote   bool  // a Modify or extended request left this machine
	broken  error // set once; the link is dead from then on
	retire  bool  // healthy, but its deadline may still fire
}

// Server is the host:port at the other end.
func (c *Conn) Server() string { return c.server }

// Search runs one search. Referrals and continuation references are not followed.
// When the size limit is exceeded it returns what came together with the error.
func (c *Conn) Search(req *ldap.SearchRequest) (*ldap.SearchResult, error) {
	var res *ldap.SearchResult
	err := c.do(c.timeout, func() (err error) {
		res, err = c.link.ldap.Search(req)
		return err
	})
	return res, err
}

// Modify runs one modification.
func (c *Conn) Modify(req *ldap.ModifyRequest) error {
	return c.write(func() error { return c.link.ldap.Modify(req) })
}

// Extended runs one extended request that changes something.
func (c *Conn) Extended(req *ldap.ExtendedRequest) error {
	return c.write(func() error {
		_, err := c.link.ldap.Extended(req)
		return err
	})
}

// WhoAmI is RFC 4532: the identity the server gave this connection.
func (c *Conn) WhoAmI() (string, error) {
	var id string
	err := c.do(c.timeout, func() error {
		res, err := c.link.ldap.WhoAmI(nil)
		if err == nil {
			id = res.AuthzID
		}
		return err
	})
	return id, err
}

func (c *Conn) bind(dn string, pw directory.Secret, controls []ldap.Control) (*ldap.SimpleBindResult, error) {
	var res *ldap.SimpleBindResult
	err := c.do(c.timeout, func() (err error) {
		res, err = c.link.ldap.SimpleBind(ldap.NewSimpleBindRequest(dn, pw.Reveal(), controls))
		return err
	})
	return res, err
}

func (c *Conn) write(op func() error) error {
	before := c.link.raw.written.Load()
	err := c.do(max(c.timeout, writeTime), op)
	if c.link.raw.written.Load() != before {
		c.wrote = true
	}
	return err
}

// do runs one request under a deadline that bounds sending too, which go-ldap's
// own timeout does not.
func (c *Conn) do(timeout time.Duration, op func() error) error {
	if c.broken != nil {
		return c.broken
	}
	if err := c.ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	deadline := time.Now().Add(timeout)
	if d, ok := c.ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	raw := c.link.raw
	raw.budget.Store(maxAnswer)
	raw.SetDeadline(deadline)
	stop := context.AfterFunc(c.ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	err := op()
	late := time.Until(deadline) < 50*time.Millisecond // the network's own clock may be ahead
	if !stop() || late {
		// The deadline has fired or is about to: its effect must not reach the next user.
		c.retire = true
	} else {
		raw.SetDeadline(time.Time{})
	}
	if _, answered := Answer(err); err == nil || answered {
		return err
	}
	// go-ldap passes on that the connection ended, and not why.
	switch {
	case raw.budget.Load() < 0:
		err = fmt.Errorf("%w: %w", errTooLarge, err)
	case late:
		err = fmt.Errorf("%w: %w", os.ErrDeadlineExceeded, err)
	}
	c.link.raw.abort()
	c.link.kill()
	c.broken = fmt.Errorf("%w: %s: %w", directory.ErrUnavailable, c.server, err)
	return c.broken
}

// Answer returns the server's own result when err is one. Everything else (a
// connection that broke, a reply that cannot be read) is not an answer; nor is
// what is already known as ErrUnavailable: a refused service account must never
// be read as the person's wrong password.
func Answer(err error) (*ldap.Error, bool) {
	var e *ldap.Error
	// go-ldap numbers its own faults from 200.
	if errors.Is(err, directory.ErrUnavailable) || !errors.As(err, &e) || e.ResultCode >= ldap.ErrorNetwork {
		return nil, false
	}
	return e, true
}

// Code is the result code of the server's answer, or -1 when there was none.
func Code(err error) int {
	if e, ok := Answer(err); ok {
		return int(e.ResultCode)
	}
	return -1
}

// Wrap turns what the dialects have no better reading of into the room's errors.
// An error that already is one stays as it is.
func Wrap(err error) error {
	e, answered := Answer(err)
	if !answered {
		return err
	}
	switch e.ResultCode {
	case ldap.LDAPResultNoSuchObject:
		return fmt.Errorf("%w: %w", directory.ErrNotFound, err)
	case ldap.LDAPResultInsufficientAccessRights:
		return fmt.Errorf("%w: %w", directory.ErrDenied, err)
	}
	return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
}
