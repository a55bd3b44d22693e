package portal

import (
	"context"
	"crypto/x509"

	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/portal/policy"
	"postern/portal/web"
)

// kiosked gives a house shared screens, none of which is registered.
func kiosked(o *Options) {
	k := screens{}
	o.Web.Kiosk = &web.Kiosk{Devices: k, Doors: k, Errands: k, Phones: k, Leaving: k, Carrying: k, Asking: k, ClaimingAt: k}
}

// screens knows no device and no errand.
type screens struct{}

func (screens) Open(context.Context, string, string) (kiosk.Device, error) {
	return kiosk.Device{}, kiosk.ErrNone
}

func (screens) ByCertificate(context.Context, *x509.Certificate, string) (kiosk.Device, error) {
	return kiosk.Device{}, kiosk.ErrNone
}

func (screens) Pass(kiosk.Device) string { return "" }

func (screens) Enter(context.Context, kiosk.Device, string) (string, error) {
	return "", kiosk.ErrNone
}

func (screens) Challenge() (string, error) { return "AAAA", nil }

func (screens) Enrol(context.Context, kiosk.Enrolment) (kiosk.Device, error) {
	return kiosk.Device{}, kiosk.ErrNone
}

func (screens) Renew(context.Context, kiosk.Renewal) (kiosk.Device, error) {
	return kiosk.Device{}, kiosk.ErrNone
}

func (screens) Launch(context.Context, kiosk.Launched) (kiosk.Device, error) {
	return kiosk.Device{}, kiosk.ErrNone
}

func (screens) AskPhone(context.Context, kiosk.Device, policy.Purpose, string, string, string) (kiosk.Errand, string, error) {
	return kiosk.Errand{}, "", kiosk.ErrNone
}

func (screens) Errand(context.Context, string, access.Screen) (kiosk.Errand, error) {
	return kiosk.Errand{}, kiosk.ErrNone
}

func (screens) EndErrand(context.Context, string, access.Screen) error { return nil }

func (screens) Phone(context.Context, string) (kiosk.Errand, error) {
	return kiosk.Errand{}, kiosk.ErrNone
}

func (screens) MatchPhone(context.Context, string, string, string) (kiosk.Errand, error) {
	return kiosk.Errand{}, kiosk.ErrNone
}

func (screens) Carried(context.Context, string) (kiosk.Errand, error) {
	return kiosk.Errand{}, kiosk.ErrNone
}

func (screens) Begun(context.Context, string, string) error { return kiosk.ErrNone }

func (screens) Leave(context.Context, string, access.Screen) error { return nil }

func (screens) Carry(context.Context, string, access.Screen, string, string) (*flow.Case, error) {
	return nil, flow.ErrNoRequest
}

func (screens) AskDesk(context.Context, kiosk.Device, string, string) (kiosk.Errand, error) {
	return kiosk.Errand{}, kiosk.ErrNone
}

func (screens) ClaimAt(context.Context, string, access.Screen, string, string) (*flow.Case, error) {
	return nil, flow.ErrNoRequest
}
