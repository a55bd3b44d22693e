package desk

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/kiosk"
)

// Registry manages shared screens (kiosk.Registry).
type Registry interface {
	Register(ctx context.Context, by audit.Event, n kiosk.Draft) (d kiosk.Device, secret string, err error)
	Reissue(ctx context.Context, by audit.Event, id string) (d kiosk.Device, secret string, err error)
	Rename(ctx context.Context, by audit.Event, id, name, site string) (kiosk.Device, error)
	Revoke(ctx context.Context, by audit.Event, id, why string) (kiosk.Device, error)
}

// Kiosks are the shared screens, for operators with a fresh proof of what they hold. To
// everybody else there are none: ErrUnknown. *kiosk.Invalid says what is wrong.
type Kiosks struct {
	Registry Registry
	All      func(ctx context.Context) ([]kiosk.Device, error)
	Roles    Roles
	Now      func() time.Time
}

// List is every device, revoked ones too.
func (k Kiosks) List(ctx context.Context, w Who) ([]kiosk.Device, error) {
	if !slices.Contains(k.Roles.Of(w.Principal.User), access.Operator) || w.Principal.ID == "" {
		return nil, ErrUnknown
	}
	all, err := k.All(ctx)
	return all, unavailable(err)
}

// Register makes a device; secret is what it needs, and is nowhere else.
func (k Kiosks) Register(ctx context.Context, w Who, n kiosk.Draft) (d kiosk.Device, secret string, err error) {
	by, err := k.operator(w)
	if err != nil {
		return kiosk.Device{}, "", err
	}
	d, secret, err = k.Registry.Register(ctx, by, n)
	return d, secret, kioskError(err)
}

// Reissue makes a new code or launch key; what the device had is worth nothing then.
func (k Kiosks) Reissue(ctx context.Context, w Who, id string) (d kiosk.Device, secret string, err error) {
	by, err := k.operator(w)
	if err != nil {
		return kiosk.Device{}, "", err
	}
	d, secret, err = k.Registry.Reissue(ctx, by, id)
	return d, secret, kioskError(err)
}

// Rename gives it another name and site.
func (k Kiosks) Rename(ctx context.Context, w Who, id, name, site string) error {
	by, err := k.operator(w)
	if err == nil {
		_, err = k.Registry.Rename(ctx, by, id, name, site)
	}
	return kioskError(err)
}

// Revoke ends it for good.
func (k Kiosks) Revoke(ctx context.Context, w Who, id string) error {
	by, err := k.operator(w)
	if err == nil {
		_, err = k.Registry.Revoke(ctx, by, id, "")
	}
	return kioskError(err)
}

// operator is who acts, as the record has it; ErrStale where the proof is too old.
func (k Kiosks) operator(w Who) (audit.Event, error) {
	p := w.Principal
	switch {
	case p.ID == "" || !slices.Contains(k.Roles.Of(p.User), access.Operator):
		return audit.Event{}, ErrUnknown
	case !p.Bound() || !p.Fresh(k.Now(), fresh):
		return audit.Event{}, ErrStale
	}
	return audit.Event{Actor: p.ID, ActorName: p.User.Login, Door: string(access.Desk), Address: w.Address}, nil
}

func kioskError(err error) error {
	switch {
	case errors.Is(err, kiosk.ErrNone):
		return ErrUnknown
	case err == nil, errors.Is(err, ErrUnknown), errors.Is(err, ErrStale), errors.As(err, new(*kiosk.Invalid)):
		return err
	}
	return unavailable(err)
}
