package kiosk

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"postern/portal/audit"
	"postern/portal/notify"
)

// Spent are things that are good once.
type Spent interface {
	// Once spends mark and does work with it, in one transaction; false: it was spent
	// before, and nothing was done.
	Once(ctx context.Context, mark string, work func(context.Context) error) (bool, error)
}

// Sightings note when a device was seen, only forward.
type Sightings interface {
	SeenKiosk(ctx context.Context, id string, at time.Time, from string) error
}

// Options are the parts of a Service. All are required but Alerts.
type Options struct {
	Store     Store
	Errands   Errands
	Spent     Spent
	Sightings Sightings
	// Key is not known outside, and the same on every node: passes and the hashes of
	// codes are made with it. 32 bytes or more.
	Key    []byte
	Origin string   // scheme and host of the portal: what a device signs is good there alone
	Alerts []string // mail addresses that hear of a copied device
	Lang   string   // they are written in
	Now    func() time.Time
	Rand   io.Reader
	Log    *slog.Logger
}

// Service knows devices. It is safe for concurrent use, on several nodes.
type Service struct {
	Options
	passes     []byte
	challenges []byte
}

// New checks that nothing is missing.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Errands == nil || o.Spent == nil || o.Sightings == nil || len(o.Key) < 32 || o.Origin == "" || o.Now == nil || o.Rand == nil || o.Log == nil {
		return nil, errors.New("kiosk: a part is missing")
	}
	s := &Service{Options: o}
	for name, key := range map[string]*[]byte{"pass": &s.passes, "challenge": &s.challenges} {
		k, err := hkdf.Key(sha256.New, o.Key, nil, "postern kiosk "+name, 32)
		if err != nil {
			return nil, err
		}
		*key = k
	}
	return s, nil
}

// How long passes last. That of a device with a key is renewed every few minutes, so
// that one carried off is soon worth nothing; a launched screen has no more than one.
const (
	keyLife    = 15 * time.Minute
	launchLife = 20 * time.Minute
	// overlap is for requests that were under way when a pass was renewed.
	overlap = 15 * time.Second
	// RenewAfter is how old the pass of a device with a key gets before its page
	// renews it.
	RenewAfter = 5 * time.Minute
	// sightEvery bounds how often a mere look at a page writes to the store.
	sightEvery = 10 * time.Second
)

// Pass is what the cookie of d holds now: the device's id, the number of the pass and
// its end, under a MAC, so that a forged one costs no look into the store. Empty for a
// device that shows a certificate.
func (s *Service) Pass(d Device) string {
	life := keyLife
	switch d.Way {
	case Certificate:
		return ""
	case Launch:
		life = launchLife
	}
	text := d.ID + "." + strconv.FormatInt(d.Pass, 10) + "." + strconv.FormatInt(d.Renewed.Add(life).Unix(), 10)
	return text + "." + base64.RawURLEncoding.EncodeToString(mac(s.passes, text))
}

// Open returns the device that pass was given to. ErrNone for everything that is not
// the newest pass of a device in use: forged, over, renewed elsewhere, revoked.
func (s *Service) Open(ctx context.Context, pass, from string) (Device, error) {
	cut := strings.LastIndexByte(pass, '.')
	if cut < 0 {
		return Device{}, ErrNone
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(pass[cut+1:])
	parts := strings.Split(pass[:cut], ".")
	if err != nil || len(parts) != 3 || !hmac.Equal(sum, mac(s.passes, pass[:cut])) {
		return Device{}, ErrNone
	}
	number, err1 := strconv.ParseInt(parts[1], 10, 64)
	end, err2 := strconv.ParseInt(parts[2], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return Device{}, ErrNone
	}
	now := s.Now()
	if !now.Before(time.Unix(end, 0)) {
		return Device{}, ErrNone
	}
	d, err := s.Store.Kiosk(ctx, Index{ID: parts[0]})
	if err != nil {
		return Device{}, err
	}
	current := number == d.Pass || number == d.Pass-1 && now.Sub(d.Renewed) < overlap
	if !current || !d.inUse() || d.Way == Certificate {
		return Device{}, ErrNone
	}
	return d, s.see(ctx, d, from)
}

func (d Device) inUse() bool { return d.Revoked.IsZero() && !d.Registered.IsZero() }

// see notes that a device is there.
func (s *Service) see(ctx context.Context, d Device, from string) error {
	if now := s.Now(); now.Sub(d.Seen) >= sightEvery || d.From != from {
		return s.Sightings.SeenKiosk(ctx, d.ID, now, from)
	}
	return nil
}

// Enter notes the case that begins at d, or that there is none any more, and returns
// the one that was there before: a device has one at most.
func (s *Service) Enter(ctx context.Context, d Device, id string) (before string, err error) {
	if d.Case == id {
		return "", nil
	}
	_, err = s.Store.UpdateKiosk(ctx, d.ID, func(_ context.Context, d *Device) (Effects, error) {
		before, d.Case = d.Case, id
		return Effects{}, nil
	})
	if before == id {
		before = ""
	}
	return before, err
}

// event is about a device, by itself.
func (s *Service) event(d Device, kind string, o audit.Outcome, from string) audit.Event {
	return audit.Event{At: s.Now(), Kind: kind, Door: "kiosk", Address: from, Outcome: o, ActorName: d.Screen().Label(),
		Detail: map[string]string{"device": d.ID, "kiosk": d.Screen().Label()}}
}

// copied is what was found out of a device of which there are two.
const copied = "copied"

// alarm is mail to the operators.
func (s *Service) alarm(d Device, what, from string) []notify.Message {
	if len(s.Alerts) == 0 {
		return nil
	}
	template := "kiosk_changed"
	if what == copied {
		template = "kiosk_copied"
	}
	return []notify.Message{{Channel: notify.Mail, To: s.Alerts, Template: template, Lang: s.Lang, Args: map[string]string{
		"screen": d.Screen().Label(), "what": "kiosk." + what, "address": from, "door": "kiosk", "at": s.Now().UTC().Format(time.RFC3339)}}}
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	io.WriteString(m, text)
	return m.Sum(nil)
}
