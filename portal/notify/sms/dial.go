package sms

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"postern/portal/notify"
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// guard says which addresses may be connected to. It is asked with the address
// itself, after the name was resolved and right before the connection: a name
// that means something else each time gets nowhere (security case 115).
type guard struct {
	local   bool // this machine and nothing else
	private bool // private networks as well as the internet
}

// Addresses that are nobody's gateway: what they answer to is the machine's own
// cloud, or they hide another address inside.
var (
	never = prefixes(
		"0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "169.254.0.0/16", // RFC 6890
		"168.63.129.16/32",   // Azure's agent
		"100.100.100.200/32", // Alibaba's metadata
		"192.0.0.192/32",     // Oracle's metadata, of old
		"::/128", "ff00::/8", "fe80::/10", "fec0::/10",
		"fd00:ec2::/32",      // Amazon's metadata, time and names
		"fd20:ce::254/128",   // Google's metadata
		"::/96", "2001::/32", // IPv4-compatible, Teredo
		"2002::/16", "64:ff9b:1::/48", // 6to4, local NAT64
	)
	private = prefixes(
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", // RFC 1918, 6598, 4193
		"192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", // RFC 6890
	)
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func in(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// addressError names an address the guard refused.
type addressError struct{ addr netip.Addr }

func (e *addressError) Error() string {
	return e.addr.String() + " is not an address a gateway may have"
}

func (g guard) allow(a netip.Addr) error {
	refused := &addressError{a}
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) { // RFC 6052: the address is the last 4 bytes
		b := a.As16()
		if a = netip.AddrFrom4([4]byte(b[12:])); a.IsLoopback() {
			return refused
		}
	}
	switch {
	case a.IsLoopback():
		if g.local {
			return nil
		}
		return refused
	case g.local, in(never, a), in(private, a) && !g.private:
		return refused
	}
	return nil
}

func (g guard) control(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err != nil {
		return errors.New("not an address")
	}
	return g.allow(a.Addr())
}

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
	g := guard{local: e.local, private: c.AllowPrivate}
	k := &asker{host: e.host, encrypted: e.encrypted, timeout: c.Timeout,
		tls:    &tls.Config{ServerName: e.name, RootCAs: pool, MinVersion: tls.VersionTLS12},
		dialer: &net.Dialer{Control: g.control, Resolver: resolver}}
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
	var address *addressError
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
