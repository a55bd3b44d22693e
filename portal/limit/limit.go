// Package limit is the one table of named limits: how often an address, an
// account or a destination may ask for something in a while. It counts before
// the work is done, and an error is a no.
//
// It never decides whether an answer is right, and it is not the last line: the
// durable counters of wrong answers are portal/flow's. Its windows are fixed,
// so that at the edge of two windows twice the limit may pass in a moment.
package limit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"sync"
	"time"

	"github.com/ulule/limiter/v3"
)

// Name of a limit: its key in the configuration and its label in the metrics.
type Name string

const (
	Address      Name = "address"
	Page         Name = "page"
	Start        Name = "start"
	StartAccount Name = "start_account"
	Answer       Name = "answer"
	Send         Name = "send"
	SendDay      Name = "send_day"
	Destination  Name = "destination"
	SendGlobal   Name = "send_global"
	Ask          Name = "ask"
	Asked        Name = "asked"
	Accounts     Name = "accounts"
	Failures     Name = "failures"
	DeskSearch   Name = "desk_search"
	Pass         Name = "pass"
	Method       Name = "method"
)

// pair counts the failures of one address on one account; it is no limit.
const pair Name = "pair"

// Exceeded says that a limit is reached, and how long it holds.
type Exceeded struct {
	Name  Name
	Retry time.Duration // rounded up to whole seconds, at least one
}

func (e *Exceeded) Error() string { return fmt.Sprintf("limit: %s, again in %s", e.Name, e.Retry) }

// Store keeps counters. Get counts one and returns the state afterwards, in one
// step: a check before the count lets every parallel request through (security
// case 9). Peek counts nothing. The stores of ulule/limiter are Stores.
type Store interface {
	Get(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error)
	Peek(ctx context.Context, key string, rate limiter.Rate) (limiter.Context, error)
}

// Alarm is something operators should look at.
type Alarm struct {
	Name    Name   // Accounts or Failures
	Address string // whose failures, for Accounts
}

// Options are the parts of a Limiter.
type Options struct {
	Config Config
	// Key makes the stored keys unreadable and of one length. At least 32 bytes,
	// the same on every node that shares a store.
	Key   []byte
	Store Store
	Now   func() time.Time
	// Alarm is called once each time a tripwire is crossed; Hit each time a
	// limit says no. Both may be nil; neither may wait.
	Alarm func(Alarm)
	Hit   func(Name)
}

// Limiter is safe for concurrent use, and on several nodes as far as its store is.
type Limiter struct {
	o     Options
	rates map[Name]limiter.Rate
	macs  sync.Pool
}

// New checks that nothing is missing.
func New(o Options) (*Limiter, error) {
	if faults := o.Config.Validate(); len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if len(o.Key) < 32 || o.Store == nil || o.Now == nil {
		return nil, errors.New("limit: needs a key of at least 32 bytes, a store and a clock")
	}
	l := &Limiter{o: o, rates: map[Name]limiter.Rate{}}
	for _, e := range o.Config.table() {
		l.rates[e.name] = limiter.Rate{Limit: e.rate.Limit, Period: e.rate.Period}
	}
	l.rates[pair] = limiter.Rate{Limit: 1, Period: o.Config.Accounts.Period}
	l.macs.New = func() any { return hmac.New(sha256.New, o.Key) }
	return l, nil
}

// Take counts one for key and returns *Exceeded when that is one too many. Any
// other error means that it could not be counted, which is a no as well. For
// Address and Start key is an AddressKey, and an address that crossed the
// tripwire is refused with them.
func (l *Limiter) Take(ctx context.Context, name Name, key string) error {
	if name == Address || name == Start {
		tripped, err := l.o.Store.Peek(ctx, l.key(Accounts, key), l.rates[Accounts])
		if err != nil {
			return fmt.Errorf("limit: %s: %w", Accounts, err)
		}
		if tripped.Reached {
			return l.exceeded(Accounts, tripped)
		}
	}
	got, err := l.count(ctx, name, key)
	if err != nil {
		return err
	}
	if got.Reached {
		return l.exceeded(name, got)
	}
	return nil
}

// Failed notes a wrong answer from an address (an AddressKey) on an account. It
// returns *Exceeded when that address has by now failed on too many different
// accounts: one guess each on a thousand accounts stays below every other limit
// (security case 13).
func (l *Limiter) Failed(ctx context.Context, address, account string) error {
	all, err := l.count(ctx, Failures, "")
	if err != nil {
		return err
	}
	if all.Reached {
		l.alarmOnce(ctx, Alarm{Name: Failures}, "")
	}
	first, err := l.count(ctx, pair, Key(address, account))
	if err != nil {
		return err
	}
	if first.Reached {
		return nil // not a new account for this address
	}
	got, err := l.count(ctx, Accounts, address)
	if err != nil {
		return err
	}
	if got.Reached {
		l.alarmOnce(ctx, Alarm{Name: Accounts, Address: address}, address)
		return l.exceeded(Accounts, got)
	}
	return nil
}

// alarmOnce calls once per period and key; when the store cannot say, once more.
func (l *Limiter) alarmOnce(ctx context.Context, a Alarm, key string) {
	if l.o.Alarm == nil {
		return
	}
	rate := limiter.Rate{Limit: 1, Period: l.rates[a.Name].Period}
	got, err := l.o.Store.Get(ctx, l.key("alarm_"+a.Name, key), rate)
	if err != nil || !got.Reached {
		l.o.Alarm(a)
	}
}

func (l *Limiter) count(ctx context.Context, name Name, key string) (limiter.Context, error) {
	rate, ok := l.rates[name]
	if !ok {
		return limiter.Context{}, fmt.Errorf("limit: there is no limit %q", name)
	}
	got, err := l.o.Store.Get(ctx, l.key(name, key), rate)
	if err != nil {
		return got, fmt.Errorf("limit: %s: %w", name, err)
	}
	return got, nil
}

func (l *Limiter) exceeded(name Name, got limiter.Context) *Exceeded {
	if l.o.Hit != nil {
		l.o.Hit(name)
	}
	left := time.Unix(got.Reset, 0).Sub(l.o.Now())
	return &Exceeded{Name: name, Retry: max(time.Second, left.Truncate(time.Second)+time.Second)}
}

// key of a counter: the name in clear, so that a store can be read by people,
// and a MAC of the rest, so that it says nothing of anybody and its length does
// not grow with what was sent.
func (l *Limiter) key(name Name, key string) string {
	m := l.macs.Get().(hash.Hash)
	defer l.macs.Put(m)
	m.Reset()
	var buf [128]byte
	m.Write(framed(framed(buf[:0], string(name)), key))
	var sum [sha256.Size]byte
	b := append(buf[:0], name...)
	b = append(b, ':')
	return string(base64.RawURLEncoding.AppendEncode(b, m.Sum(sum[:0])[:16]))
}

// framed puts the length before the text, so that no two lists of parts run
// together to the same bytes.
func framed(b []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
}

// Key joins parts so that ("ab", "c") and ("a", "bc") differ.
func Key(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = framed(b, p)
	}
	return string(b)
}

// ScreenKey is what a registered device counts as, in place of its address.
func ScreenKey(id string) string { return "screen " + id }

// AddressKey is what an address counts as: itself for IPv4, its /64 for IPv6,
// because one line at home has 2^64 addresses. Addresses that are none at all
// count as one.
func AddressKey(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if !a.IsValid() {
		return "none"
	}
	if a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64) // an IPv6 address has one
	return p.String()
}
