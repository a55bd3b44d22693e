// Package sms sends rendered messages as SMS, one number at a time, through an
// HTTP gateway that the configuration describes or through Twilio.
//
// It knows which numbers may be written to, what a text costs, and which
// addresses may be connected to. It decides nothing about who gets what, never
// cuts a text, never follows a redirect, and keeps what a server answers out of
// every error, for it may repeat the code. It logs nothing.
package sms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"postern/portal/notify"
)

// maxWait bounds what a server may ask for: a mistaken year would end all codes.
const maxWait = 2 * time.Minute

// Transport sends by one provider. It is safe for concurrent use.
type Transport struct {
	numbers Numbers
	carrier carrier
	asker   *asker
	now     func() time.Time
	until   atomic.Int64 // nothing is sent before it; Unix nanoseconds
}

var _ notify.Transport = (*Transport)(nil)

// carrier asks a provider to send, and understands its answer.
type carrier interface {
	carry(ctx context.Context, id, to, text string) (answer, error)
	taken(answer) error
}

// New dials nothing.
func New(c Config, now func() time.Time) (*Transport, error) {
	return open(c, now, net.DefaultResolver)
}

func open(c Config, now func() time.Time, resolver *net.Resolver) (*Transport, error) {
	if !c.On() {
		return nil, errors.New("sms: no provider")
	}
	if faults := c.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	numbers, err := NewNumbers(c.Region, c.Countries)
	if err != nil {
		return nil, err
	}
	address := c.Gateway.URL
	if c.Provider == ByTwilio {
		address = c.Twilio.URL
	}
	e, err := parseEndpoint(address)
	if err != nil {
		return nil, err
	}
	k, err := newAsker(c, e, resolver)
	if err != nil {
		return nil, err
	}
	t := &Transport{numbers: numbers, asker: k, now: now}
	if c.Provider == ByTwilio {
		t.carrier, err = newTwilio(c.Twilio, e, k)
	} else {
		t.carrier, err = newGateway(c.Gateway, e, k)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Numbers are those this transport writes to.
func (t *Transport) Numbers() Numbers { return t.numbers }

// Throttled is the error while the server wants to be left alone. Nothing was
// sent, and nothing will be before Until.
type Throttled struct{ Until time.Time }

func (e *Throttled) Error() string {
	return "sms: the server wants no more until " + e.Until.UTC().Format(time.RFC3339)
}

var errUnclear = errors.New("sms: the server did not say that it took the message")

// Send sends r.Text to one number, which may be written in any way that
// Numbers.Normalize reads. The id is the same at every attempt, so that a
// gateway that is shown it can drop the second one. What trying again cannot
// change is notify.Permanent: a number or a text that cannot be, and a status of
// 4xx except 408 and 429. After 429 the error is *Throttled, for as long as
// Retry-After says, 2 minutes at most.
func (t *Transport) Send(ctx context.Context, id, to string, r notify.Rendered) error {
	number, err := t.numbers.Normalize(to)
	if err != nil {
		return notify.Permanent{Err: err}
	}
	text, err := tidy(r.Text)
	if err != nil {
		return notify.Permanent{Err: err}
	}
	if id == "" {
		return notify.Permanent{Err: errors.New("sms: a message without an id")}
	}
	if !idPattern.MatchString(id) {
		h := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(h[:16])
	}
	if until := time.Unix(0, t.until.Load()); t.now().Before(until) {
		return &Throttled{until}
	}
	a, err := t.carrier.carry(ctx, id, number, text)
	if err != nil {
		return err
	}
	status := fmt.Sprintf("status %d", a.status)
	if a.code != 0 {
		status += fmt.Sprintf(" (Twilio error %d)", a.code)
	}
	switch s := a.status; {
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable && a.retryAfter != "":
		return t.wait(a.retryAfter)
	case s >= 400 && s < 500 && s != http.StatusRequestTimeout:
		return notify.Permanent{Err: errors.New("sms: refused with " + status)}
	case s >= 300 && s < 400:
		return errors.New("sms: " + status + ", a redirect, which is never followed")
	case s < 200 || s > 299:
		return errors.New("sms: " + status)
	}
	return t.carrier.taken(a)
}

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// wait is Retry-After (RFC 9110 section 10.2.3): seconds, or a date.
func (t *Transport) wait(after string) error {
	now := t.now()
	d := 10 * time.Second
	if n, err := strconv.Atoi(strings.TrimSpace(after)); err == nil {
		// Compared before it is multiplied, which could overflow.
		d = time.Duration(min(max(n, 0), int(maxWait/time.Second))) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		d = at.Sub(now)
	}
	until := now.Add(min(max(d, time.Second), maxWait))
	t.until.Store(until.UnixNano())
	return &Throttled{until}
}

// Check connects and agrees on TLS. It sends nothing, and so cannot tell
// whether the provider would let us in.
func (t *Transport) Check(ctx context.Context) error { return t.asker.check(ctx) }
