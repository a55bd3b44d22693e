// Package limittest starts Redis servers for tests. It is never linked into the program.
package limittest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Server is a private Redis on loopback.
type Server struct {
	Addr string // host:port
	t    testing.TB
	cmd  *exec.Cmd
}

// URL is its address for a configuration.
func (s *Server) URL() string { return "redis://" + s.Addr + "/0" }

// Redis starts one until the test ends. Where there is none it skips the test, or fails
// it when CI is set; under -short it always skips.
func Redis(t testing.TB) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no services")
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: ln.Addr().String(), t: t}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.Start()
	return s
}

// Start starts it, empty, at the same address, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.Addr)
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.t.TempDir())
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if said, err := s.say("PING"); err == nil && strings.HasPrefix(said, "+PONG") {
			return
		}
	}
	s.t.Fatal("limittest: redis-server does not come up")
}

// Kill ends it at once.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Say sends a command and returns what Redis says, as it is on the wire.
func (s *Server) Say(command string) string {
	s.t.Helper()
	said, err := s.say(command)
	if err != nil {
		s.t.Fatal(err)
	}
	return said
}

func (s *Server) say(command string) (string, error) {
	c, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "%s\r\nQUIT\r\n", command); err != nil {
		return "", err
	}
	var all strings.Builder
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			return all.String(), nil
		}
	}
}
