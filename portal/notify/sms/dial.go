package sms

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"postern/portal/notify"
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// asker asks one server, one connection for each question.
type asker struct {
	host      string // and port
	encrypted bool
	tls       *tls.Config
	dialer    *net.Dialer
	transport *http.Transport
	timeout   time.Duration
}

func newAsker(c Config, e endpoint, resolver *net.Resolver) (*asker, error) {
	pool, err := notify.Authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	g := notify.Guard{Local: e.local, Private: c.AllowPrivate}
	k := &asker{host: e.host, encrypted: e.encrypted, timeout: c.Timeout,
		tls:    &tls.Config{ServerName: e.name, RootCAs: pool, MinVersion: tls.VersionTLS12},
		dialer: &net.Dialer{Control: g.Control, Resolver: resolver}}
	k.transport = &http.Transport{
		// No proxy from the environment: it would be connected to in the
		// gateway's place, and the guard would ask about the wrong address.
		DialContext: k.dialer.DialContext, TLSClientConfig: k.tls,
		// A connection that is used again may be broken, and the transport then
		// asks once more by itself: another SMS.
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 32 << 10,
	}
	return k, nil
}

// answer of a server. It may repeat what was sent to it, a code: it is looked
// at, and goes into no error and no log.
type answer struct {
	status     int
	retryAfter string
	body       []byte
	cut        bool // there was more
	// What Twilio's library reads in the body.
	taken bool
	code  int // of an error, 0 for none
}

// ask makes one round trip. Not http.Client: that one follows redirects, and
// its errors hold the URL, with the code in it when the method is GET.
func (k *asker) ask(ctx context.Context, r *http.Request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	resp, err := k.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return answer{}, explain(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, explain(ctx, err)
	}
	a := answer{status: resp.StatusCode, retryAfter: resp.Header.Get("Retry-After"), body: body}
	if len(body) > maxAnswer {
		a.body, a.cut = body[:maxAnswer], true
	}
	return a, nil
}

// check connects and agrees on TLS, and says nothing.
func (k *asker) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	var conn net.Conn
	var err error
	if k.encrypted {
		conn, err = (&tls.Dialer{NetDialer: k.dialer, Config: k.tls}).DialContext(ctx, "tcp", k.host)
	} else {
		conn, err = k.dialer.DialContext(ctx, "tcp", k.host)
	}
	if err != nil {
		return explain(ctx, err)
	}
	return conn.Close()
}

// explain keeps what is known to hold nothing the server chose. net/http quotes
// a malformed answer, and that may be the code.
func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("sms: no answer in time: %w", ctx.Err())
	}
	var address *notify.AddressError
	if errors.As(err, &address) {
		return fmt.Errorf("sms: %w", address)
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return fmt.Errorf("sms: %w", certificate)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Errorf("sms: %w", dns)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return fmt.Errorf("sms: %w", op)
	}
	if strings.HasPrefix(err.Error(), "tls: ") || errors.As(err, new(tls.RecordHeaderError)) {
		return errors.New("sms: the server and we could not agree on TLS")
	}
	return errors.New("sms: the answer could not be read")
}
