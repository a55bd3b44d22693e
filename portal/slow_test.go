package portal

import (
	"io"
	"net"
	"testing"
	"time"
)

// Security case 119: a peer cannot hold more than its share, and one that says
// nothing, or dribbles, is dropped.
func TestSlowAndIdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	h := build(t)
	s := h.server.app.Server()
	if s.ReadTimeout != 10*time.Second || s.WriteTimeout != 30*time.Second || s.IdleTimeout != 60*time.Second || s.Concurrency != maxConns {
		t.Errorf("timeouts are %v %v %v, concurrency %d", s.ReadTimeout, s.WriteTimeout, s.IdleTimeout, s.Concurrency)
	}
	h.server.ln.perPeer = 8
	h.run()
	var held []net.Conn
	refused := 0
	for range 24 {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		io.WriteString(c, "GET / HTTP/1.1\r\nX-Slow: ")
	}
	for _, c := range held {
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
			refused++
		}
	}
	if refused != 16 {
		t.Errorf("%d of 24 were closed, want 16", refused)
	}
	for _, c := range held {
		c.Close()
	}
	waitFor(t, func() bool {
		h.server.ln.mu.Lock()
		defer h.server.ln.mu.Unlock()
		return len(h.server.ln.open) == 0 && len(h.server.ln.peers) == 0
	})
	h.tab().get("/").want(t, 200, "Start")
}

func TestSlowHeadersAndBodiesAreCutOff(t *testing.T) {
	t.Parallel()
	h := build(t)
	h.server.app.Server().ReadTimeout = 150 * time.Millisecond
	h.run()
	for name, request := range map[string]string{
		"nothing":      "",
		"half a line":  "GET / HT",
		"half headers": "GET / HTTP/1.1\r\nHost: " + publicHost + "\r\nX-A: ",
		"half a body":  "POST /recover/start HTTP/1.1\r\nHost: " + publicHost + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\ncsrf=",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, request)
			c.SetReadDeadline(time.Now().Add(5 * time.Second))
			all, err := io.ReadAll(c)
			if err != nil {
				t.Fatalf("still open: %v", err)
			}
			for _, status := range statuses(t, string(all)) {
				if status < 400 {
					t.Errorf("answered %d", status)
				}
			}
		})
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

// waitFor polls what another goroutine does; there is nothing to wait on.
func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ready(); {
		if time.Now().After(end) {
			t.Fatal("it never happened")
		}
		time.Sleep(time.Millisecond)
	}
}
