package kiosk

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"strconv"
	"time"

	"postern/portal/audit"
)

// Launched is what a signed address says; see LaunchURL.
type Launched struct {
	Device string
	At     string // Unix seconds by the device's clock
	Nonce  string
	MAC    string
	From   string
}

// An address opens the kiosk for launchLate after it was signed. A device's clock may
// be launchEarly ahead of ours.
const (
	launchLate  = 120 * time.Second
	launchEarly = 60 * time.Second
)

// ErrUsed: that address has opened the kiosk before.
var ErrUsed = errors.New("kiosk: that address was used before")

// Late is an address signed at another time than now. Either it was kept, or the
// device's clock is off by so much.
type Late struct{ Off time.Duration }

func (e *Late) Error() string { return "kiosk: signed " + e.Off.String() + " away from now" }

// Launch gives a screen that keeps nothing a pass, once for each address. Passes it got
// before end. ErrNone for an address that is not signed by a device in use.
func (s *Service) Launch(ctx context.Context, l Launched) (Device, error) {
	sum, err1 := base64.RawURLEncoding.Strict().DecodeString(l.MAC)
	nonce, err2 := base64.RawURLEncoding.Strict().DecodeString(l.Nonce)
	unix, err3 := strconv.ParseInt(l.At, 10, 64)
	if errors.Join(err1, err2, err3) != nil || len(nonce) != 16 || l.At != strconv.FormatInt(unix, 10) {
		return Device{}, ErrNone
	}
	d, err := s.Store.Kiosk(ctx, Index{ID: l.Device})
	if err != nil {
		return Device{}, err
	}
	at := time.Unix(unix, 0)
	if d.Way != Launch || !d.inUse() || !hmac.Equal(sum, LaunchMAC(d.Secret, s.Origin, d.ID, at, nonce)) {
		return Device{}, ErrNone
	}
	now := s.Now()
	if off := at.Sub(now); off > launchEarly || off < -launchLate {
		return d, &Late{off}
	}
	first, err := s.Spent.Once(ctx, "launch "+d.ID+" "+l.Nonce, func(ctx context.Context) error {
		d, err = s.Store.UpdateKiosk(ctx, d.ID, func(_ context.Context, d *Device) (Effects, error) {
			if !d.inUse() {
				return Effects{}, ErrNone
			}
			d.Pass, d.Renewed = d.Pass+1, now
			return Effects{Events: []audit.Event{s.event(*d, "kiosk.launched", audit.OK, l.From)}}, nil
		})
		return err
	})
	switch {
	case err != nil:
		return Device{}, err
	case !first:
		return Device{}, ErrUsed
	}
	return d, s.Sightings.SeenKiosk(ctx, d.ID, now, l.From)
}
