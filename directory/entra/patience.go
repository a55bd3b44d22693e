package entra

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"postern/directory"
)

const (
	maxAnswer = 8 << 20 // bytes; a full page of users is a tenth of it
	maxTries  = 3
	// longestWait bounds one wait for a throttle, and how long the throttle is
	// believed: a Retry-After of a week must not switch the portal off for a week.
	longestWait  = 5 * time.Minute
	firstBackoff = 250 * time.Millisecond
	// maxPolls bounds how often a long-running operation is asked about.
	maxPolls = 20
)

// patience carries requests to Graph: it waits where Graph asks for it and the
// caller's time allows, repeats what may be repeated, follows a long-running
// operation to its end, and lets nothing through that is not an answer of Graph.
//
// "Microsoft Graph throttling guidance": wait for Retry-After, then try again; while
// one application is throttled more requests make it last longer. So a throttle holds
// for all of them: what cannot wait fails at once and is not sent.
type patience struct {
	base http.RoundTripper
	host string // of Graph: nothing else is ever asked
	now  func() time.Time
	wait func(context.Context, time.Duration) error

	mu        sync.Mutex
	throttled time.Time // until when
}

// newTransport is TLS with verified names, and nobody else's proxy settings than the
// environment's.
func newTransport(ca *x509.CertPool, timeout time.Duration) *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca}, ForceAttemptHTTP2: true,
		TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 8,
		MaxConnsPerHost: 32, MaxResponseHeaderBytes: 64 << 10,
	}
}

// sleep waits for d, or less when ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RoundTrip implements http.RoundTripper. A nil error is an answer that Graph gave:
// JSON or nothing, whole. Errors are directory.ErrUnavailable, with ErrUncertain
// inside when something that changes anything was sent.
func (p *patience) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != p.host || r.URL.Scheme != "https" {
		return nil, fmt.Errorf("%w: Graph leads to another address, %s", directory.ErrUnavailable, r.URL.Host)
	}
	var body []byte
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
		}
		body = b
	}
	for try := 1; ; try++ {
		if err := p.turn(r.Context()); err != nil {
			return nil, err
		}
		resp, err := p.once(r, body)
		if r.Method != http.MethodGet || try == maxTries || !p.again(resp, err) {
			return resp, err
		}
		if err := p.pause(r.Context(), try, resp); err != nil {
			return nil, err
		}
	}
}

// again reports whether the same question may have an answer a little later.
func (p *patience) again(resp *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// pause waits before the next try; a throttle is waited for by turn.
func (p *patience) pause(ctx context.Context, try int, resp *http.Response) error {
	if resp != nil && resp.Header.Get("Retry-After") != "" {
		return nil
	}
	return p.hold(ctx, firstBackoff<<(try-1), "its last answer was an error")
}

// turn waits for the end of a throttle.
func (p *patience) turn(ctx context.Context) error {
	p.mu.Lock()
	d := p.throttled.Sub(p.now())
	p.mu.Unlock()
	if d <= 0 {
		return nil
	}
	return p.hold(ctx, d, "it throttles")
}

// hold waits for d, or fails at once where the caller has less time than that.
func (p *patience) hold(ctx context.Context, d time.Duration, why string) error {
	if end, bounded := ctx.Deadline(); bounded && time.Until(end) <= d {
		return fmt.Errorf("%w: Graph is to be left alone for %s: %s", directory.ErrUnavailable, d.Round(time.Second), why)
	}
	if err := p.wait(ctx, d); err != nil {
		return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
	}
	return nil
}

// retryAfter reads the header as RFC 9110 section 10.2.3 has it.
func (p *patience) retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	d := time.Second
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		d = time.Duration(n) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(p.now())
	}
	return min(max(d, 0), longestWait)
}

// once sends the request and reads the whole answer.
func (p *patience) once(r *http.Request, body []byte) (*http.Response, error) {
	resp, err := p.send(r, body)
	if err != nil {
		return nil, uncertain(r.Method, err)
	}
	if d := p.retryAfter(resp.Header); d > 0 && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		p.mu.Lock()
		if until := p.now().Add(d); until.After(p.throttled) {
			p.throttled = until
		}
		p.mu.Unlock()
	}
	if resp.StatusCode == http.StatusAccepted && r.Method != http.MethodGet {
		return p.follow(r, resp)
	}
	return resp, nil
}

func (p *patience) send(r *http.Request, body []byte) (*http.Response, error) {
	out := r.Clone(r.Context())
	if body != nil {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	resp, err := p.base.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	resp.Body.Close()
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxAnswer:
		return nil, errors.New("the answer is too long")
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, fmt.Errorf("status %d leads elsewhere", resp.StatusCode)
	case len(data) > 0 && !wellFormed(resp.Header, data):
		if resp.StatusCode < 400 {
			return nil, fmt.Errorf("status %d without JSON: something else than Graph answered", resp.StatusCode)
		}
		data = nil // the status alone counts
		resp.Header.Del("Content-Type")
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return resp, nil
}

func wellFormed(h http.Header, data []byte) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	// Everything Graph answers is an object; the SDK takes a list for an empty one.
	return err == nil && kind == "application/json" && data[0] == '{' && json.Valid(data)
}

// uncertain is err of a request that may have arrived.
func uncertain(method string, err error) error {
	if method == http.MethodGet {
		return fmt.Errorf("%w: Graph: %w", directory.ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w: Graph: %w", directory.ErrUnavailable, directory.ErrUncertain, err)
}

// follow asks about a long-running operation until it has ended. Nothing but
// "succeeded" is success ("Long-running operation", Microsoft Graph passwordless API).
func (p *patience) follow(r *http.Request, first *http.Response) (*http.Response, error) {
	at, err := r.URL.Parse(first.Header.Get("Location"))
	if err != nil || first.Header.Get("Location") == "" || at.Host != p.host || at.Scheme != "https" {
		return nil, uncertain(r.Method, errors.New("taken as an operation that cannot be followed"))
	}
	every := max(p.retryAfter(first.Header), time.Second)
	for range maxPolls {
		if err := p.hold(r.Context(), every, "an operation runs"); err != nil {
			return nil, uncertain(r.Method, err)
		}
		status, resp, err := p.poll(r, at)
		switch {
		case err != nil:
			return nil, uncertain(r.Method, err)
		case status == "succeeded":
			return resp, nil
		case status == "failed":
			resp.StatusCode = http.StatusBadRequest
			return resp, nil
		}
		every = max(p.retryAfter(resp.Header), time.Second)
	}
	return nil, uncertain(r.Method, errors.New("an operation does not end"))
}

func (p *patience) poll(r *http.Request, at *url.URL) (string, *http.Response, error) {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, at.String(), nil)
	if err != nil {
		return "", nil, err
	}
	ask.Header.Set("Authorization", r.Header.Get("Authorization"))
	ask.Header.Set("Accept", "application/json")
	resp, err := p.send(ask, nil)
	if err != nil {
		return "", nil, err
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", nil, err
	}
	var operation struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal(data, &operation); err != nil {
		return "", nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return operation.Status, resp, nil
}
