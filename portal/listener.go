package portal

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	// maxConns is how many connections are served at once.
	maxConns = 4096
	// maxConnsPerPeer is how many of them one address (for IPv6 one /64) may
	// hold, so that a single machine cannot take all of them by sitting idle.
	maxConnsPerPeer = 1024
)

// listener counts and bounds connections before anything is read from them.
// What is too many is closed, which costs nothing; fasthttp's own answer would
// be written without our headers.
type listener struct {
	net.Listener
	perPeer int
	log     *slog.Logger

	closed func() error // closes Listener, once

	mu    sync.Mutex
	open  map[*conn]struct{}
	peers map[netip.Addr]int
}

func newListener(ln net.Listener, perPeer int, log *slog.Logger) *listener {
	return &listener{Listener: ln, perPeer: perPeer, log: log, closed: sync.OnceValue(ln.Close), open: map[*conn]struct{}{}, peers: map[netip.Addr]int{}}
}

// Accept outlives what passes: a connection that was gone before it was
// accepted, and running out of file descriptors.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			if admitted := l.admit(c); admitted != nil {
				return admitted, nil
			}
			c.Close()
		case errors.Is(err, syscall.ECONNABORTED):
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			l.log.Error("no more connections can be taken", "cause", err.Error())
			time.Sleep(50 * time.Millisecond) // until others are closed
		default:
			return nil, err
		}
	}
}

// Close takes no more connections. It may be called again: fasthttp closes what
// it serves, and a server that is stopped before it served has to close it itself.
func (l *listener) Close() error { return l.closed() }

func (l *listener) admit(c net.Conn) *conn {
	a := peerOf(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxConns || l.peers[a] >= l.perPeer {
		return nil
	}
	admitted := &conn{Conn: c, from: l, peer: a}
	l.open[admitted] = struct{}{}
	l.peers[a]++
	return admitted
}

func peerOf(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	a := ap.Addr().Unmap().WithZone("")
	if a.Is6() {
		p, _ := a.Prefix(64)
		return p.Addr()
	}
	return a
}

// closeAll ends what is still open.
func (l *listener) closeAll() {
	l.mu.Lock()
	var open []*conn
	for c := range l.open {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// conn gives its place back when it is closed.
type conn struct {
	net.Conn
	from *listener
	peer netip.Addr
	once sync.Once
}

func (c *conn) Close() error {
	c.once.Do(func() {
		c.from.mu.Lock()
		defer c.from.mu.Unlock()
		delete(c.from.open, c)
		if c.from.peers[c.peer]--; c.from.peers[c.peer] <= 0 {
			delete(c.from.peers, c.peer)
		}
	})
	return c.Conn.Close()
}
