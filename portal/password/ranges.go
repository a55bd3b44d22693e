package password

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// patience for one question, waiting for a turn included. A person waits.
	patience = 2 * time.Second
	// asking is how many questions are under way at once.
	asking = 8
	// maxRange bounds an answer, in bytes. The longest are below 100 KiB.
	maxRange = 1 << 20
	// known is a word that every list of leaked passwords holds.
	known = "password"
)

var (
	errResting = errors.New("it failed before and is left alone for some seconds")
	errBusy    = errors.New("too many are asking")
	errRange   = errors.New("a line of the answer is not SUFFIX:COUNT")
)

// ranges is a service with the range API of Pwned Passwords
// (haveibeenpwned.com/API/v3, "Searching by range"): it is told the first five
// digits of a SHA-1, which hundreds of leaked passwords share, and answers with
// the other 35 of each. It is safe for concurrent use.
//
// Errors hold nothing of the question, nor anything the service chose.
type ranges struct {
	address, host string
	// over is used as it is, without http.Client: a redirect would send the digits
	// to whoever it names, and an error of http.Client quotes them.
	over    http.RoundTripper
	least   uint64
	turns   chan struct{}
	breaker breaker
	now     func() time.Time
	blind   atomic.Bool // it could not be asked the last time
}

// openRanges takes settings without faults, and asks nothing.
func openRanges(c Config) (*ranges, error) {
	u, err := c.service()
	if err != nil {
		return nil, fmt.Errorf("breached_url: %w", err)
	}
	pool, err := authorities(c.BreachedCAFile)
	if err != nil {
		return nil, fmt.Errorf("breached_ca_file: %w", err)
	}
	dialer := &net.Dialer{Timeout: patience}
	over := &http.Transport{
		// Whoever has no other way out than a proxy sets it in the environment. It
		// learns the service's name and nothing else.
		Proxy:       http.ProxyFromEnvironment,
		DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		// A connection goes on being made when nobody waits for it any more.
		TLSHandshakeTimeout: patience, ResponseHeaderTimeout: patience, IdleConnTimeout: time.Minute,
		// A small compressed answer could become a large one.
		DisableCompression: true, MaxResponseHeaderBytes: 16 << 10, MaxConnsPerHost: asking, MaxIdleConnsPerHost: 2,
	}
	if u.Scheme == "http" {
		// In the clear the digits must not leave this machine, whatever the name
		// localhost is made to mean.
		over.Proxy, dialer.Control = nil, onlyHere
	}
	now := c.Now
	if now == nil {
		now = time.Now
	}
	return &ranges{address: c.BreachedURL, host: u.Host, over: over, least: uint64(max(c.BreachedCount, 1)), turns: make(chan struct{}, asking), now: now}, nil
}

func onlyHere(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().Unmap().IsLoopback() {
		return errors.New("that is not this machine, and the address is not https")
	}
	return nil
}

// has reports whether pw is on the list, often enough to count. It takes two
// seconds at most, and no time while the service is known to be down.
func (r *ranges) has(pw string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// A turn that came too late to get an answer would count as the service's failure.
	turn := time.NewTimer(patience / 2)
	defer turn.Stop()
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-turn.C:
		return false, errBusy
	}
	if !r.breaker.enter(r.now()) {
		return false, errResting
	}
	well := false
	defer func() { r.breaker.leave(well, r.now()) }()
	count, err := r.count(ctx, pw)
	well = err == nil
	return well && count >= r.least, err
}

// count asks how often pw leaked.
func (r *ranges) count(ctx context.Context, pw string) (uint64, error) {
	hash := strings.ToUpper(hex.EncodeToString(sha1List.sum(pw)))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.address+hash[:prefixLen], nil)
	if err != nil {
		return 0, errors.New("no request can be made of the address")
	}
	// The length of an answer would tell on the way which digits were asked for.
	req.Header.Set("Add-Padding", "true")
	req.Header.Set("User-Agent", "postern") // without one the service says 403
	resp, err := r.over.RoundTrip(req)
	if err != nil {
		return 0, explain(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("HTTP status %d", resp.StatusCode)
	case resp.Header.Get("Content-Encoding") != "":
		return 0, errors.New("the answer is compressed, which nobody asked for")
	case resp.ProtoMajor == 1 && resp.ContentLength < 0 && !slices.Contains(resp.TransferEncoding, "chunked"):
		// What is missing at its end would pass as not leaked.
		return 0, errors.New("the answer does not say where it ends")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRange+1))
	if err != nil {
		return 0, explain(ctx, err)
	}
	if len(body) > maxRange {
		return 0, errors.New("the answer is too long")
	}
	return rangeCount(body, []byte(hash[prefixLen:]))
}

// rangeCount looks for a suffix, in capitals, in an answer. Padding has the count
// 0 and stands anywhere, so that nothing is said of the order. An answer without
// any line is none: every range has some.
func rangeCount(body, suffix []byte) (count uint64, err error) {
	for line := range bytes.SplitSeq(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		hash, n, err := parseLine(line)
		if err != nil || len(hash) != len(suffix) || line[len(line)-1] < '0' || line[len(line)-1] > '9' {
			return 0, errRange
		}
		if compare(hash, suffix) == 0 {
			count = max(count, n)
		}
	}
	return count, nil
}

// explain keeps what is known to hold nothing the service chose: net/http quotes
// a malformed answer.
func explain(ctx context.Context, err error) error {
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case ctx.Err() != nil:
		return errors.New("no answer in time")
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &op):
		return op
	case strings.HasPrefix(err.Error(), "tls: "), errors.As(err, new(tls.RecordHeaderError)):
		return errors.New("the service and we could not agree on TLS")
	}
	return errors.New("the answer could not be read")
}

// ProbeBreached asks BreachedURL about a word that everybody knows. An answer
// without it is an error too: that is no list of leaked passwords. nil when there
// is no such service.
func (c Config) ProbeBreached(ctx context.Context) error {
	if c.BreachedURL == "" {
		return nil
	}
	r, err := openRanges(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	switch n, err := r.count(ctx, known); {
	case err != nil:
		return fmt.Errorf("%s: %w", r.host, err)
	case n == 0:
		return fmt.Errorf("%s: does not know the word %q, which every list of leaked passwords holds", r.host, known)
	}
	return nil
}
