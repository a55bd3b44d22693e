// Package smtp sends rendered messages by mail, over TLS, one recipient at a
// time. It decides nothing about who gets what, and it never logs a message.
package smtp

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/wneessen/go-mail"

	"postern/portal/notify"
)

// Transport sends through one server. It is safe for concurrent use.
type Transport struct {
	cfg    Config
	domain string
	tls    *tls.Config
	now    func() time.Time
}

var _ notify.Transport = (*Transport)(nil)

// New dials nothing.
func New(c Config, now func() time.Time) (*Transport, error) {
	if faults := c.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if c.Username != "" && c.Secret.Empty() {
		return nil, errors.New("smtp: the password was not resolved")
	}
	pool, err := notify.Authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(c.From, "@")
	return &Transport{cfg: c, domain: domain, now: now,
		tls: &tls.Config{ServerName: c.Host, RootCAs: pool, MinVersion: tls.VersionTLS12}}, nil
}

// Send delivers r to one address. A message is sent with the same Message-ID
// every time it is tried, so that a copy sent after an answer was lost can be
// recognised. What trying again cannot change is notify.Permanent.
func (t *Transport) Send(ctx context.Context, id, to string, r notify.Rendered) error {
	msg, err := t.message(id, to, r)
	if err != nil {
		return notify.Permanent{Err: err}
	}
	client, err := t.client(ctx)
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, msg)
	if msg.IsDelivered() {
		// The server took it; what went wrong afterwards, while saying good-bye,
		// must not send it twice.
		return nil
	}
	return classify(err)
}

// Seen is what Check met.
type Seen struct {
	TLS    string    // its version; empty where there is none, on this machine
	Ends   time.Time // when the server's certificate ends
	SignIn bool      // the server took the user name and password
}

// Check connects, agrees on TLS and signs in, and sends nothing.
func (t *Transport) Check(ctx context.Context) (Seen, error) {
	client, err := t.client(ctx)
	if err != nil {
		return Seen{}, err
	}
	line, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return Seen{}, fmt.Errorf("smtp: %w", err)
	}
	s := Seen{SignIn: t.cfg.Username != ""}
	if state, ok := line.TLSConnectionState(); ok {
		s.TLS = tls.VersionName(state.Version)
		if len(state.PeerCertificates) > 0 {
			s.Ends = state.PeerCertificates[0].NotAfter
		}
	}
	return s, client.CloseWithSMTPClient(line)
}

// client is made anew for every message: its deadlines are this message's.
func (t *Transport) client(ctx context.Context) (*mail.Client, error) {
	left := t.cfg.Timeout
	if d, ok := ctx.Deadline(); ok {
		left = min(left, d.Sub(t.now()))
	}
	if err := ctx.Err(); err != nil || left <= 0 {
		return nil, fmt.Errorf("smtp: %w", errors.Join(err, context.DeadlineExceeded))
	}
	opts := []mail.Option{
		mail.WithPort(t.cfg.port()), mail.WithTimeout(left), mail.WithTLSConfig(t.tls.Clone()),
		// The machine's own name is nobody's business outside.
		mail.WithHELO(t.domain),
	}
	switch t.cfg.TLS {
	case StartTLS:
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory))
	case Implicit:
		opts = append(opts, mail.WithSSL())
	case None:
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS), mail.WithDialContextFunc(dialLoopback))
	}
	if t.cfg.Username != "" {
		opts = append(opts, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(t.cfg.Username), mail.WithPassword(t.cfg.Secret.Reveal()))
	}
	client, err := mail.NewClient(t.cfg.Host, opts...)
	if err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	return client, nil
}

// dialLoopback refuses whatever localhost resolves to beside this machine.
func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().Unmap().IsLoopback() {
			return errors.New("smtp: not on this machine, and without tls")
		}
		return nil
	}}
	return d.DialContext(ctx, network, addr)
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (t *Transport) message(id, to string, r notify.Rendered) (*mail.Msg, error) {
	to, err := address(to)
	if err != nil {
		return nil, fmt.Errorf("smtp: the recipient %w", err)
	}
	if id == "" {
		return nil, errors.New("smtp: a message without an id")
	}
	if !idPattern.MatchString(id) {
		h := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(h[:16])
	}
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.FromFormat(t.cfg.FromName, t.cfg.From); err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	if err := m.To(to); err != nil {
		return nil, fmt.Errorf("smtp: %w", err)
	}
	m.SetMessageIDWithValue(id + "@" + t.domain)
	m.SetDateWithValue(t.now())
	m.Subject(oneLine(r.Subject))
	// RFC 3834 section 5: no machine shall answer this one.
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader("X-Auto-Response-Suppress", "All")
	if r.Lang != "" && langPattern.MatchString(r.Lang) {
		m.SetGenHeader("Content-Language", r.Lang)
	}
	m.SetBodyString(mail.TypeTextPlain, r.Text)
	if r.HTML != "" {
		m.AddAlternativeString(mail.TypeTextHTML, r.HTML)
	}
	return m, nil
}

var langPattern = regexp.MustCompile(`^[A-Za-z0-9-]{1,35}$`)

// oneLine: a subject made of somebody's display name must not begin a header.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if control(r) {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200])
	}
	return strings.TrimSpace(s)
}

// classify tells what is final (RFC 5321 section 4.2.1: 5yz) from what may pass.
// The server's own refusal of our sign-in or TLS is for the operator to mend,
// and the message can wait for that.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var sent *mail.SendError
	if errors.As(err, &sent) && !sent.IsTemp() && sent.ErrorCode() >= 500 {
		switch sent.Reason {
		case mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose:
			return notify.Permanent{Err: fmt.Errorf("smtp: %w", err)}
		}
	}
	return fmt.Errorf("smtp: %w", err)
}
