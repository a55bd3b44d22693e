package web

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"postern/portal/kiosk"
	"postern/portal/limit"
	"postern/portal/web/view"
)

// Doors are how a device comes to its pass (kiosk.Service).
type Doors interface {
	Challenge() (string, error)
	Enrol(ctx context.Context, e kiosk.Enrolment) (kiosk.Device, error)
	Renew(ctx context.Context, r kiosk.Renewal) (kiosk.Device, error)
	Launch(ctx context.Context, l kiosk.Launched) (kiosk.Device, error)
}

// kioskForm takes the one-time code that an operator made. The page's script makes the
// key; what it sends is worth nothing without the code.
func (s *Site) kioskForm(v *visit) error { return s.kioskAsk(v, "") }

func (s *Site) kioskAsk(v *visit, typed string, faults ...view.Fault) error {
	challenge, err := s.Kiosk.Doors.Challenge()
	if err != nil {
		return err
	}
	status := fiber.StatusOK
	if len(faults) > 0 {
		status = fiber.StatusUnprocessableEntity
	}
	return v.page(status, &view.KioskRegister{Frame: v.frame(kioskHome+"/register", faults...), Origin: s.origin, Challenge: challenge, Typed: typed})
}

// kioskEnrol registers the device that has the code. Codes are tried by address.
func (s *Site) kioskEnrol(v *visit, f form) error {
	if err := s.tryByAddress(v, "kiosk"); err != nil {
		return err
	}
	public, err := base64.RawURLEncoding.Strict().DecodeString(f["public"])
	if err != nil || len(public) == 0 {
		return s.kioskAsk(v, f["code"], view.Fault{Field: "code", Code: "kiosk_no_key"})
	}
	d, err := s.Kiosk.Doors.Enrol(v.ctx(), kiosk.Enrolment{Code: f["code"], Public: public, Challenge: f["challenge"], Signature: signature(f), From: v.client.String()})
	switch {
	case errors.Is(err, kiosk.ErrNone), errors.Is(err, kiosk.ErrProof), errors.Is(err, kiosk.ErrTaken):
		return s.kioskAsk(v, f["code"], view.Fault{Field: "code", Code: "kiosk_code"})
	case err != nil:
		return &down{err}
	}
	v.setCookie(kioskCookie, s.Kiosk.Devices.Pass(d))
	return v.to(kioskHome)
}

// tryByAddress counts a try at something that is known by its secret alone.
func (s *Site) tryByAddress(v *visit, what string) error {
	err := s.Limits.Take(v.ctx(), limit.Start, what+"\x00"+limit.AddressKey(v.client))
	if err == nil || errors.As(err, new(*limit.Exceeded)) {
		return err
	}
	return &down{err}
}

func signature(f form) []byte {
	b, err := base64.RawURLEncoding.Strict().DecodeString(f["answer"])
	if err != nil {
		return nil
	}
	return b
}

func (s *Site) kioskChallenge(v *visit) error {
	challenge, err := s.Kiosk.Doors.Challenge()
	if err != nil {
		return err
	}
	return v.JSON(map[string]string{"challenge": challenge, "origin": s.origin})
}

// kioskRenew gives a device its next pass. Its page asks by itself.
func (s *Site) kioskRenew(v *visit, f form) error {
	counter, err := strconv.ParseInt(f["counter"], 10, 64)
	if err != nil {
		return &errForm{"counter is no number"}
	}
	d, err := s.Kiosk.Doors.Renew(v.ctx(), kiosk.Renewal{Print: f["print"], Counter: counter, Challenge: f["challenge"], Signature: signature(f), From: v.client.String()})
	switch {
	case errors.Is(err, kiosk.ErrStale):
		return v.SendStatus(fiber.StatusConflict)
	case errors.Is(err, kiosk.ErrNone), errors.Is(err, kiosk.ErrProof), errors.Is(err, kiosk.ErrCopied):
		v.dropCookie(kioskCookie)
		return v.SendStatus(fiber.StatusForbidden)
	case err != nil:
		return &down{err}
	}
	v.setCookie(kioskCookie, s.Kiosk.Devices.Pass(d))
	return v.SendStatus(fiber.StatusNoContent)
}

// kioskLaunch opens the kiosk at a screen that keeps nothing, by an address it signed.
// A link cannot post; so this is the one GET that acts, once for each address.
func (s *Site) kioskLaunch(v *visit) error {
	if v.Method() != fiber.MethodGet {
		return v.SendStatus(fiber.StatusNoContent)
	}
	q := v.Request().URI().QueryArgs()
	said := func(name string) string { return string(q.Peek(name)) }
	d, err := s.Kiosk.Doors.Launch(v.ctx(), kiosk.Launched{Device: said("d"), At: said("t"), Nonce: said("n"), MAC: said("s"), From: v.client.String()})
	late := (*kiosk.Late)(nil)
	switch {
	case errors.As(err, &late):
		s.Log.WarnContext(v.ctx(), "a kiosk's launch address was signed at another time", "kiosk", d.Screen().Label(), "off", late.Off.String())
		return s.shut(v, "late")
	case errors.Is(err, kiosk.ErrUsed):
		return s.shut(v, "used")
	case errors.Is(err, kiosk.ErrNone):
		return s.shut(v, "launch")
	case err != nil:
		return &down{err}
	}
	v.setCookie(kioskCookie, s.Kiosk.Devices.Pass(d))
	return v.to(kioskHome)
}
