package kiosk

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"sync"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/portal/notify"
)

const origin = "https://id.example.org"

// shelf is a store in memory.
type shelf struct {
	mu       sync.Mutex
	devices  map[string]Device
	errands  map[string]Errand
	spent    map[string]bool
	events   []audit.Event
	messages []notify.Message
	down     error
}

func (s *shelf) keep(e Effects) {
	s.events, s.messages = append(s.events, e.Events...), append(s.messages, e.Messages...)
}

func (s *shelf) AddKiosk(_ context.Context, d Device, e Effects) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices[d.ID] = d
	s.keep(e)
	return s.down
}

func (s *shelf) Kiosk(_ context.Context, by Index) (Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		if by.ID != "" && d.ID == by.ID || by.Print != "" && d.Print == by.Print || by.Code != "" && d.Code == by.Code {
			return d, s.down
		}
	}
	if s.down != nil {
		return Device{}, s.down
	}
	return Device{}, ErrNone
}

func (s *shelf) Kiosks(context.Context) (list []Device, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		list = append(list, d)
	}
	return list, s.down
}

func (s *shelf) UpdateKiosk(ctx context.Context, id string, change func(context.Context, *Device) (Effects, error)) (Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, there := s.devices[id]
	if !there {
		return d, ErrNone
	}
	e, err := change(ctx, &d)
	if err != nil || s.down != nil {
		return d, err
	}
	s.devices[id] = d
	s.keep(e)
	return d, nil
}

func (s *shelf) SeenKiosk(_ context.Context, id string, at time.Time, from string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[id]
	d.Seen, d.From = at, from
	s.devices[id] = d
	return s.down
}

func (s *shelf) Once(ctx context.Context, mark string, work func(context.Context) error) (bool, error) {
	if s.spent[mark] {
		return false, nil
	}
	if err := work(ctx); err != nil {
		return false, err
	}
	s.spent[mark] = true
	return true, nil
}

func (s *shelf) AddErrand(_ context.Context, e Errand, f Effects) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errands[e.ID] = e
	s.keep(f)
	return s.down
}

func (s *shelf) Errand(_ context.Context, id, code string) (Errand, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.errands {
		if id != "" && e.ID == id || code != "" && e.Code == code {
			return e, s.down
		}
	}
	return Errand{}, ErrNone
}

func (s *shelf) OpenErrands(_ context.Context, kind ErrandKind, now time.Time) (list []Errand, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.errands {
		if e.Kind == kind && !e.Ended && now.Before(e.Expires) {
			list = append(list, e)
		}
	}
	return list, s.down
}

func (s *shelf) UpdateErrand(ctx context.Context, id string, change func(context.Context, *Errand) (Effects, error)) (Errand, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, there := s.errands[id]
	if !there {
		return e, ErrNone
	}
	f, err := change(ctx, &e)
	if err = cmp.Or(err, s.down); err != nil {
		return e, err
	}
	s.errands[id] = e
	s.keep(f)
	return e, nil
}

func (s *shelf) has(kind string) bool {
	for _, e := range s.events {
		if e.Kind == kind {
			return true
		}
	}
	return false
}

// rig is a service with a clock that the test moves.
type rig struct {
	*Service
	t     *testing.T
	shelf *shelf
	clock time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, clock: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC), shelf: &shelf{devices: map[string]Device{}, errands: map[string]Errand{}, spent: map[string]bool{}}}
	s, err := New(Options{Store: r.shelf, Errands: r.shelf, Spent: r.shelf, Sightings: r.shelf, Key: make([]byte, 32), Origin: origin, Alerts: []string{"security@example.org"}, Lang: "en",
		Now: func() time.Time { return r.clock }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.Service = s
	return r
}

// add registers a device that waits for its code.
func (r *rig) add(id, code string) {
	r.shelf.devices[id] = Device{ID: id, Name: "Ward 3", Site: "North", Way: Key, Rights: Rights(), Code: codeHash(r.Key, code), Until: r.clock.Add(24 * time.Hour)}
}

// screen is a device's browser: it has a key, and counts.
type screen struct {
	*rig
	key     *ecdsa.PrivateKey
	spki    []byte
	counter int64
}

func (r *rig) screen() *screen {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		r.t.Fatal(err)
	}
	return &screen{rig: r, key: key, spki: spki}
}

func (s *screen) sign(text string) []byte {
	s.t.Helper()
	sum := sha256.Sum256([]byte(text))
	a, b, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		s.t.Fatal(err)
	}
	out := make([]byte, 64)
	a.FillBytes(out[:32])
	b.FillBytes(out[32:])
	return out
}

func (s *screen) challenge() string {
	s.t.Helper()
	c, err := s.Challenge()
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *screen) enrol(code string) (Device, error) {
	c := s.challenge()
	return s.Enrol(s.t.Context(), Enrolment{Code: code, Public: s.spki, Challenge: c, Signature: s.sign(EnrolText(origin, c)), From: "10.0.0.9"})
}

func (s *screen) renewal() Renewal {
	s.counter++
	c := s.challenge()
	print := printOf(s.spki)
	return Renewal{Print: print, Counter: s.counter, Challenge: c, Signature: s.sign(RenewText(origin, print, s.counter, c)), From: "10.0.0.9"}
}

func (s *screen) renew() (Device, error) { return s.Renew(s.t.Context(), s.renewal()) }

func (r *rig) opens(pass string) bool {
	_, err := r.Open(r.t.Context(), pass, "10.0.0.9")
	return err == nil
}
