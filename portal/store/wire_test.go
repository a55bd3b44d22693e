package store_test

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/portal/store/storetest"
)

// wire is a line to PostgreSQL that can be cut, and held.
type wire struct {
	ln     net.Listener
	socket string
	mu     sync.Mutex
	open   map[net.Conn]bool
	held   atomic.Bool
}

func newWire(t *testing.T, socket string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{ln: ln, socket: socket, open: map[net.Conn]bool{}}
	t.Cleanup(func() { ln.Close(); w.cut() })
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", socket)
			if err != nil {
				near.Close()
				continue
			}
			w.mu.Lock()
			w.open[near], w.open[far] = true, true
			w.mu.Unlock()
			go w.carry(far, near)
			go w.carry(near, far)
		}
	}()
	return w
}

// carry bytes; while the line is held they wait, as in a network that is cut in two.
func (w *wire) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for w.held.Load() {
			time.Sleep(time.Millisecond) // the network's own clock
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends every connection: what was on its way may have arrived or not.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		c.Close()
	}
	clear(w.open)
}

// through gives the same database over a wire.
func through(t *testing.T, p storetest.Place) (storetest.Place, *wire) {
	t.Helper()
	u, err := url.Parse(p.Config.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t, filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"))
	p.Config.Postgres = fmt.Sprintf("postgres://postgres@%s%s?sslmode=disable", w.ln.Addr(), u.Path)
	return p, w
}
