package smtp

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a mail server that does what a test tells it to.
type server struct {
	port     int
	ca       string // PEM file
	implicit bool
	noTLS    bool // does not offer STARTTLS: what a stripped connection looks like
	auth     bool
	rcpt     string // answer to RCPT TO; empty: yes
	data     string // answer after DATA
	rude     bool   // hangs up once it has taken a message
	silent   bool   // never says a word

	cfg *tls.Config
	mu  sync.Mutex
	got []received
	log []string // commands, in order
}

type received struct {
	from string
	to   []string
	data string
	tls  bool
}

func start(t *testing.T, s *server) *server {
	t.Helper()
	s.cfg, s.ca = certificate(t, "127.0.0.1")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = ln.Addr().(*net.TCPAddr).Port
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Go(func() { defer c.Close(); s.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return s
}

func (s *server) serve(c net.Conn) {
	secure := s.implicit
	if secure {
		c = tls.Server(c, s.cfg)
	}
	r := bufio.NewReader(c)
	say := func(lines ...string) {
		for _, l := range lines {
			c.Write([]byte(l + "\r\n"))
		}
	}
	if s.silent {
		r.ReadString('\n')
		return
	}
	say("220 test ESMTP")
	var m received
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.log = append(s.log, line)
		s.mu.Unlock()
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			say("250-test", "250-8BITMIME", "250-ENHANCEDSTATUSCODES")
			if !secure && !s.noTLS {
				say("250-STARTTLS")
			}
			if s.auth {
				say("250-AUTH PLAIN")
			}
			say("250 SIZE 1000000")
		case "STARTTLS":
			say("220 go")
			c = tls.Server(c, s.cfg)
			r, secure = bufio.NewReader(c), true
		case "AUTH":
			want := "PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00portal\x00open sesame"))
			if rest == want {
				say("235 2.7.0 welcome")
			} else {
				say("535 5.7.8 no")
			}
		case "MAIL":
			m = received{from: rest, tls: secure}
			say("250 2.1.0 ok")
		case "RCPT":
			m.to = append(m.to, rest)
			say(or(s.rcpt, "250 2.1.5 ok"))
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if l == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(l, ".")) // RFC 5321 section 4.5.2
			}
			m.data = b.String()
			if s.data == "" {
				s.mu.Lock()
				s.got = append(s.got, m)
				s.mu.Unlock()
			}
			say(or(s.data, "250 2.0.0 taken"))
			if s.rude {
				return
			}
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 2.0.0 ok")
		}
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (s *server) messages() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.got...)
}

func (s *server) commands() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.log, "\n")
}

// certificate makes one for an address, and the file of who signed it.
func certificate(t *testing.T, ip string) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.ParseIP(ip)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}
