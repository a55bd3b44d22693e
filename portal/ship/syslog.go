package ship

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"postern/portal/audit"
	"postern/portal/notify"
)

// syslogMost is how long a message may be that every receiver takes (RFC 5425 section
// 4.3.1), less what stands before it.
const syslogMost = 8192 - 256

// syslog sends to one receiver, a connection for each batch. Syslog has no receipts. What
// a receiver does have is the end of a connection: when we say that we are done it reads
// what is left and closes its side as well (RFC 5425 section 4.4). Only then has the
// batch arrived; a connection that ends otherwise means that all of it is sent again.
type syslog struct {
	Syslog
	log, version, host string
	tls                *tls.Config
}

func newSyslog(c Syslog, log, version string) (*syslog, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	s := &syslog{Syslog: c, log: log, version: version, host: printable(host, 255)}
	if !c.TLS {
		return s, nil
	}
	pool, err := notify.Authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	name, _, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, err
	}
	s.tls = &tls.Config{ServerName: name, RootCAs: pool, MinVersion: tls.VersionTLS12}
	if c.CertFile != "" {
		// Read at every connection: certificates are renewed.
		s.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
			return &pair, err
		}
	}
	return s, nil
}

func (s *syslog) Ship(ctx context.Context, entries []audit.Filed) error {
	messages := make([]string, 0, len(entries))
	for _, e := range entries {
		text, err := shortened(e, syslogMost, s.text)
		if err != nil {
			return err
		}
		m, err := s.message(e.Event.At, severityOf(e.Event), e.Event.Kind, string(text))
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	return s.send(ctx, messages)
}

func (s *syslog) text(f audit.Filed) ([]byte, error) {
	if s.Format == CEF {
		return asCEF(s.log, s.version, f)
	}
	return lineOf(s.log, f)
}

func (s *syslog) Witness(ctx context.Context, signed string) error {
	text, err := lineOfCheckpoint(s.log, signed)
	if err != nil {
		return err
	}
	m, err := s.message(time.Now(), 5, "checkpoint", string(text))
	if err != nil {
		return err
	}
	return s.send(ctx, []string{m})
}

// severityOf an event (RFC 5424 section 6.2.1).
func severityOf(e audit.Event) int {
	switch {
	case e.Kind == "account.frozen":
		return 1 // alert
	case e.Outcome == audit.Unknown:
		return 3 // error
	case e.Outcome == audit.Refused, e.Outcome == audit.Failed:
		return 4 // warning
	}
	return 6 // informational
}

func (s *syslog) message(at time.Time, severity int, kind, text string) (string, error) {
	m := new(rfc5424.SyslogMessage)
	m.SetPriority(uint8(8*s.Facility + severity)).SetVersion(1).SetTimestamp(at.UTC().Format(rfc5424.RFC3339MICRO)).
		SetHostname(s.host).SetAppname("postern").SetProcID(strconv.Itoa(os.Getpid())).SetMsgID(printable(kind, 32)).SetMessage(text)
	if !m.Valid() {
		return "", fmt.Errorf("ship: %s makes no syslog message", kind)
	}
	return m.String()
}

// printable is a field of the header: PRINTUSASCII, at most so long.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// closer of one side of a connection: *net.TCPConn and *tls.Conn.
type halfCloser interface{ CloseWrite() error }

func (s *syslog) send(ctx context.Context, messages []string) (err error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return err
	}
	defer func() { conn.Close() }()
	if d, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(d); err != nil {
			return err
		}
	}
	raw := conn
	if s.tls != nil {
		secure := tls.Client(conn, s.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
		conn = secure
	}
	over := make(chan error, 1) // once: how the receiver's side ended
	go func() {
		switch n, err := conn.Read(make([]byte, 1)); {
		case n > 0:
			over <- errors.New("the receiver answers, which no syslog receiver does")
		case errors.Is(err, io.EOF):
			over <- nil
		default:
			over <- err
		}
	}()
	out := bufio.NewWriter(conn)
	for _, m := range messages {
		// RFC 5425 section 4.3: the length, a space, the message.
		if _, err := fmt.Fprintf(out, "%d %s", len(m), m); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	select {
	case err := <-over:
		return errors.Join(errors.New("the receiver closed before it had everything"), err)
	default:
	}
	if err := conn.(halfCloser).CloseWrite(); err != nil {
		return err
	}
	err = <-over
	if err == nil && s.tls != nil {
		// It said that it closes. Had it left anything unread its machine would say so
		// now, with a reset.
		if _, err = raw.Read(make([]byte, 1)); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("the receiver did not say that it has everything: %w", err)
	}
	return nil
}
