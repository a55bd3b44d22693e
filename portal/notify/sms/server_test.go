package sms

import (
	"context"
	"encoding/binary"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"postern/directory"
	"postern/portal/notify"
)

const (
	number   = "+491701234567"
	secret   = "k3y-that-nobody-may-see"
	code     = "7KQM-2XWD"
	jsonBody = `{"to":{{json .To}},"message":{{json .Text}},"ref":{{json .ID}}}`
)

var hello = notify.Rendered{Text: code + " ist Ihr Code für Größe & Co."}

// server is a gateway that does what a test tells it to.
type server struct {
	*httptest.Server
	ca string // PEM file

	mu   sync.Mutex
	got  []request
	conn int
}

type request struct {
	method, uri, body string
	header            http.Header
}

func serve(t *testing.T, encrypted bool, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		s.got = append(s.got, request{r.Method, r.RequestURI, string(b), r.Header})
		s.mu.Unlock()
		answer(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that tests break
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			s.conn++
			s.mu.Unlock()
		}
	}
	if encrypted {
		s.StartTLS()
		s.ca = filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(s.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func (s *server) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// config of a gateway with a secret in a header and a marker of success.
func config(s *server) Config {
	c := DefaultConfig()
	c.Provider, c.Region, c.CAFile, c.Timeout = ByGateway, "DE", s.ca, 5*time.Second
	c.Gateway.URL, c.Gateway.Body = s.URL+"/send?account=7", jsonBody
	c.Gateway.Headers = []Header{{Name: "Authorization", Value: "Bearer ", Secret: "env:X", Resolved: directory.NewSecret(secret)}}
	c.Gateway.IdempotencyHeader = "Idempotency-Key"
	c.Gateway.Success = Success{Status: []int{200}, JSON: "messages.0.state", Equals: []string{"queued", "sent"}}
	return c
}

func transport(t *testing.T, c Config) *Transport {
	t.Helper()
	tr, err := New(c, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

const yes = `{"messages":[{"state":"queued"}]}`

// quiet fails when an error holds what nobody may read in a log.
func quiet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, s := range []string{code, code[:4], number, number[3:], secret, "account=7", "Größe"} {
		if strings.Contains(err.Error(), s) {
			t.Errorf("the error holds %q: %v", s, err)
		}
	}
}

// names is a resolver that gives every name the address that is in it now. It
// needs no network.
type names struct{ atomic.Value }

func name(address string) *names {
	n := &names{}
	n.set(address)
	return n
}

func (n *names) set(address string) { n.Store(netip.MustParseAddr(address)) }

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.answer(theirs)
		return ours, nil
	}}
}

// answer speaks DNS over a stream (RFC 1035 section 4.2.2). What goes wrong
// here is an error of the look-up, in the test.
func (n *names) answer(c net.Conn) {
	defer c.Close()
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	question := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, question); err != nil {
		return
	}
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q, a := m.Questions[0], n.Load().(netip.Addr)
	head := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}
	switch {
	case q.Type == dnsmessage.TypeA && a.Is4():
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AResource{A: a.As4()}}}
	case q.Type == dnsmessage.TypeAAAA && a.Is6():
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
	}
	out, err := m.Pack()
	if err != nil {
		return
	}
	_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
}
