package ship

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gosyslog "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"

	"postern/portal/audit"
)

// authority makes a certificate for 127.0.0.1 that signs itself, and the file to trust.
func authority(t *testing.T) (pair tls.Certificate, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// receiver answers each connection with what handle does.
func receiver(t *testing.T, pair *tls.Certificate, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if pair != nil {
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*pair}})
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
			c.Close()
		}
	}()
	return l.Addr().String()
}

func sender(t *testing.T, c Syslog) *syslog {
	t.Helper()
	if faults := c.validate(); len(faults) > 0 {
		t.Fatal(faults)
	}
	s, err := newSyslog(c, "log", "v1")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// received are the texts that a strict receiver of RFC 5425 takes out of what send sends.
func received(t *testing.T, send func(*syslog) error, change ...func(*Syslog)) (texts []string) {
	t.Helper()
	pair, ca := authority(t)
	var faults []error
	done := make(chan struct{})
	address := receiver(t, &pair, func(c net.Conn) {
		defer close(done)
		octetcounting.NewParser(gosyslog.WithMaxMessageLength(8192), gosyslog.WithListener(func(r *gosyslog.Result) {
			if r.Error != nil {
				if r.Error != io.EOF {
					faults = append(faults, r.Error)
				}
				return
			}
			m := r.Message.(*rfc5424.SyslogMessage)
			if *m.Appname != "postern" || m.Hostname == nil || m.Timestamp == nil || *m.Facility != 10 {
				t.Errorf("%+v", m)
			}
			texts = append(texts, *m.Message)
		})).Parse(c)
	})
	c := Syslog{Address: address, TLS: true, CAFile: ca, Format: JSON, Facility: 10}
	for _, f := range change {
		f(&c)
	}
	if err := send(sender(t, c)); err != nil {
		t.Fatal(err)
	}
	<-done
	if len(faults) > 0 {
		t.Error(faults)
	}
	return texts
}

func TestAStrictReceiverTakesEveryMessage(t *testing.T) {
	nasty := entries(0, 3)
	nasty[1].Event.SubjectName = "al\nice\x1b[31m\u202e<13>1 - - - - - -\"]\\ | = ü"
	nasty[1].Event.Kind = "a kind that is longer than thirty-two characters, ünd worse"
	nasty[2].Event.Proof = json.RawMessage(`"` + strings.Repeat("p", 16<<10) + `"`)
	nasty[2].Event.Detail = map[string]string{}
	for _, k := range strings.Split("abcdefghijklmnopqrst", "") {
		nasty[2].Event.Detail[k] = strings.Repeat("d", 500)
	}
	texts := received(t, func(s *syslog) error { return s.Ship(t.Context(), nasty) })
	if len(texts) != 3 {
		t.Fatalf("%d messages", len(texts))
	}
	for i, text := range texts {
		var e entry
		var what audit.Event
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.Index != int64(i) || e.Hash != nasty[i].Hash.String() || e.Log != "log" {
			t.Fatalf("%s: %v", text, err)
		}
		if err := json.Unmarshal(e.Event, &what); err != nil || what.SubjectName != nasty[i].Event.SubjectName {
			t.Errorf("%s: %v", text, err)
		}
	}
	cef := received(t, func(s *syslog) error { return s.Ship(t.Context(), nasty) }, func(c *Syslog) { c.Format = CEF })
	if len(cef) != 3 || !strings.HasPrefix(cef[0], "CEF:0|Postern|Postern|v1|password.reset|password reset|3|rt=1772366400000 externalId=id outcome=ok ") {
		t.Fatalf("%q", cef)
	}
	if !strings.Contains(cef[1], `duser=al\\u000aice\\u001b[31m\\u202e<13>1 - - - - - -"]\\ | \= ü `) {
		t.Errorf("%s", cef[1])
	}
	if strings.Contains(cef[2], "dddd") || !strings.Contains(cef[2], "too long to send") {
		t.Errorf("%s", cef[2])
	}
}

// A batch counts as arrived when the receiver has read it to the end, and not when our
// own machine has taken it.
func TestABatchThatWasNotReadIsNotSent(t *testing.T) {
	pair, ca := authority(t)
	for what, handle := range map[string]func(net.Conn){
		"dies while reading":      func(c net.Conn) { io.ReadFull(c, make([]byte, 10)) },
		"dies before the end":     func(c net.Conn) { io.CopyN(io.Discard, c, 300); reset(c) },
		"takes it and says more":  func(c net.Conn) { io.Copy(io.Discard, c); c.Write([]byte("250 OK")) },
		"never closes":            func(c net.Conn) { io.Copy(io.Discard, c); time.Sleep(1500 * time.Millisecond) },
		"resets once it has read": func(c net.Conn) { io.Copy(io.Discard, c); reset(c) },
	} {
		t.Run(what, func(t *testing.T) {
			s := sender(t, Syslog{Address: receiver(t, &pair, handle), TLS: true, CAFile: ca, Format: JSON})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := s.Ship(ctx, entries(0, 200)); err == nil {
				t.Error("counted as sent")
			}
		})
	}
}

func reset(c net.Conn) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func TestSyslogGoesToNobodyElse(t *testing.T) {
	pair, _ := authority(t)
	_, other := authority(t)
	var got atomic.Int64
	address := receiver(t, &pair, func(c net.Conn) { n, _ := io.Copy(io.Discard, c); got.Add(n) })
	s := sender(t, Syslog{Address: address, TLS: true, CAFile: other, Format: JSON})
	if err := s.Ship(t.Context(), entries(0, 1)); err == nil || got.Load() > 0 {
		t.Errorf("%v, %d bytes", err, got.Load())
	}
	for _, bad := range []Syslog{{Address: "logs.example.org:601", Format: JSON}, {Address: "logs.example.org", TLS: true, Format: JSON},
		{Address: "127.0.0.1:1", Format: "xml"}, {Address: "127.0.0.1:1", Format: JSON, Facility: 24}, {Address: "127.0.0.1:1", Format: JSON, CertFile: "x"}} {
		if len(bad.validate()) == 0 {
			t.Errorf("%+v is accepted", bad)
		}
	}
	// To a relay on this machine, in the clear.
	done := make(chan string, 1)
	plain := receiver(t, nil, func(c net.Conn) { b, _ := io.ReadAll(c); done <- string(b) })
	if err := sender(t, Syslog{Address: plain, Format: JSON}).Witness(t.Context(), "text"); err != nil || !strings.Contains(<-done, `"checkpoint":"text"`) {
		t.Error(err)
	}
}
