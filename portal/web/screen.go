package web

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/portal/policy"
	"postern/portal/session"
	"postern/portal/web/view"
	"postern/static"
)

// Devices say which registered device a request comes from; kiosk.ErrNone: none.
type Devices interface {
	Open(ctx context.Context, pass, from string) (kiosk.Device, error)
	ByCertificate(ctx context.Context, leaf *x509.Certificate, from string) (kiosk.Device, error)
	// Pass is what its cookie holds now; empty where it shows a certificate.
	Pass(d kiosk.Device) string
	// Enter notes the case that is at d now, and returns the one that was.
	Enter(ctx context.Context, d kiosk.Device, id string) (before string, err error)
}

// Leaving ends cases at shared screens (flow.Service).
type Leaving interface {
	Leave(ctx context.Context, id string, at access.Screen) error
}

// Kiosk is what the pages of shared screens are made with.
type Kiosk struct {
	Devices  Devices
	Doors    Doors
	Errands  Errands
	Phones   Phones
	Leaving  Leaving
	Carrying Carrying

	Asking     Asking
	ClaimingAt ClaimingAt
}

const (
	kioskHome   = "/kiosk"
	kioskCookie = "__Host-kiosk"
)

// device finds out at which registered device the request was made: by the certificate
// of the connection, or by the pass in the cookie. What a header says of it is nothing.
// It comes before the limits, which go by it; a forged pass costs no look into the store.
func (s *Site) device(c *fiber.Ctx) error {
	if s.Kiosk == nil || strings.HasPrefix(c.Path(), static.Prefix) {
		return c.Next()
	}
	v := visitOf(c)
	d, err := s.shown(v)
	switch {
	case errors.Is(err, kiosk.ErrNone):
	case err != nil:
		return &down{err}
	default:
		v.device = d
	}
	return c.Next()
}

func (s *Site) shown(v *visit) (kiosk.Device, error) {
	if tls := v.Context().TLSConnectionState(); tls != nil && len(tls.PeerCertificates) > 0 {
		d, err := s.Kiosk.Devices.ByCertificate(v.ctx(), tls.PeerCertificates[0], v.client.String())
		if !errors.Is(err, kiosk.ErrNone) {
			return d, err
		}
	}
	pass := oneCookie(&v.Request().Header, kioskCookie)
	if pass == "" {
		return kiosk.Device{}, kiosk.ErrNone
	}
	v.kiosk = true
	return s.Kiosk.Devices.Open(v.ctx(), pass, v.client.String())
}

// keptIn sends a shared screen back to its own pages, whatever address somebody found a
// way to type there: what is begun elsewhere would be left for the next person.
func (s *Site) keptIn(c *fiber.Ctx) error {
	v := visitOf(c)
	if v.device.ID == "" && !v.kiosk || !leaves(c.Path()) {
		return c.Next()
	}
	return v.to(kioskHome)
}

// leaves reports whether a path leads away from the kiosk's own pages.
func leaves(path string) bool {
	return path != kioskHome && !slices.ContainsFunc([]string{kioskHome + "/", static.Prefix, "/demo", "/healthz", "/readyz"}, func(p string) bool { return strings.HasPrefix(path, p) })
}

// shared is the door of registered devices.
var shared = door{path: kioskHome + "/case", home: kioskHome, at: access.Kiosk, purposes: []policy.Purpose{policy.Reset, policy.Unlock, policy.Change, policy.Assist}}

func (s *Site) kioskRoutes() []route {
	list := []route{
		{path: kioskHome, page: s.kioskStart},
		{path: kioskHome + "/register", page: s.kioskForm, action: s.kioskEnrol, fields: []field{fieldCode, fieldPublic, fieldChal, fieldAnswer}},
		{path: kioskHome + "/challenge", page: s.kioskChallenge},
		{path: kioskHome + "/pass", action: s.kioskRenew, fields: []field{fieldPrint, fieldCounter, fieldChal, fieldAnswer}},
		{path: kioskHome + "/launch", page: s.kioskLaunch},
		{path: kioskHome + "/here", page: s.there(s.kioskHere)},

		{path: shared.path, page: s.there(s.dispatch(shared))},
		{path: shared.path + "/start", action: s.thereToo(s.start(shared)), fields: s.naming(fieldPurpose, fieldLogin, fieldCurrent)},
		{path: shared.path + "/choose", action: s.thereToo(s.choose(shared)), fields: []field{fieldFactor, fieldWhy}},
		{path: shared.path + "/answer", action: s.thereToo(s.answer(shared)), fields: []field{fieldAnswer}},
		{path: shared.path + "/password", action: s.thereToo(s.password(shared)), fields: []field{fieldPassword, fieldConfirm, fieldAlso}},
		{path: shared.path + "/cancel", action: s.thereToo(s.cancel(shared))},
	}
	for _, p := range []policy.Purpose{policy.Reset, policy.Unlock, policy.Change} {
		list = append(list, route{path: kioskHome + "/" + string(p), page: s.there(s.kioskPurpose(p))})
	}
	return append(append(list, s.phoneRoutes()...), s.helpRoutes()...)
}

// there serves registered devices alone. All others get the page that says so, and that
// renews the pass of a device whose key is still in this browser.
func (s *Site) there(page func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if v.device.ID == "" {
			return s.shut(v, "")
		}
		return page(v)
	}
}

func (s *Site) thereToo(action func(*visit, form) error) func(*visit, form) error {
	return func(v *visit, f form) error {
		if v.device.ID == "" {
			return s.shut(v, "")
		}
		return action(v, f)
	}
}

func (s *Site) shut(v *visit, reason string) error {
	// A browser that is no kiosk any more must not be kept in one (keptIn).
	v.dropCookie(kioskCookie)
	return v.page(fiber.StatusForbidden, &view.KioskShut{Frame: v.frame(kioskHome), Reason: reason})
}

// enterKiosk notes that a case begins at the device it begins at, in place of whatever
// is left there. Else who could not clear the screen would leave it to the next person.
func (s *Site) enterKiosk(v *visit, c *flow.Case) error {
	if v.device.ID == "" {
		return nil
	}
	before, err := s.Kiosk.Devices.Enter(v.ctx(), v.device, c.ID)
	if err == nil && before != "" {
		err = s.Kiosk.Leaving.Leave(v.ctx(), before, v.device.Screen())
	}
	if err != nil && !errors.Is(err, flow.ErrNoCase) {
		return &down{err}
	}
	return nil
}

// screen is what the pages of the device are written with; nil elsewhere.
func (v *visit) screen() *view.Kiosk {
	d := v.device
	if d.ID == "" {
		return nil
	}
	k := &view.Kiosk{Name: d.Name, Site: d.Site, Now: v.site.Now(), Idle: 60, Keyboard: string(d.Keyboard)}
	if d.Way == kiosk.Key {
		k.Renew = int(max(0, kiosk.RenewAfter-k.Now.Sub(d.Renewed)).Seconds()) + 1
	}
	return k
}

// kioskStart is the first page. To come here is to be done: whatever the one before left
// ends now, on the server, and the browser is told to forget it.
func (s *Site) kioskStart(v *visit) error {
	if v.device.ID == "" {
		return s.shut(v, "")
	}
	if err := s.wipe(v); err != nil {
		return err
	}
	if len(v.Request().URI().QueryArgs().Peek("lang")) == 0 {
		v.dropCookie(langCookie)
		v.lang = s.Languages.Choose("", "", string(v.Request().Header.Peek(fiber.HeaderAcceptLanguage)))
	}
	var offers []policy.Purpose
	for _, p := range []policy.Purpose{policy.Reset, policy.Unlock, policy.Change} {
		if s.serves(p) && v.device.May(kiosk.Right(p)) {
			offers = append(offers, p)
		}
	}
	return v.page(fiber.StatusOK, &view.KioskStart{Frame: v.frame(kioskHome), Offers: offers, Help: v.device.May(kiosk.Help)})
}

// wipe ends what is left of the last person: their case, the session, and what the
// browser keeps. It is no POST, for it must also work from a page that nobody
// touches and that has no script; it takes away and gives nothing.
func (s *Site) wipe(v *visit) error {
	was, err := v.known()
	if err != nil {
		return err
	}
	before, err := s.Kiosk.Devices.Enter(v.ctx(), v.device, "")
	if err != nil {
		return &down{err}
	}
	for _, id := range slices.Compact([]string{before, was.Case}) {
		if id == "" {
			continue
		}
		if err := s.Kiosk.Leaving.Leave(v.ctx(), id, v.device.Screen()); err != nil && !errors.Is(err, flow.ErrNoCase) {
			return &down{err}
		}
	}
	if was.Errand != "" {
		if err := s.endErrand(v, was.Errand); err != nil {
			return &down{err}
		}
	}
	if was.Case == "" && was.Errand == "" && before == "" {
		return nil
	}
	// Not "storage": that is where the device's own key is. Nothing else is put there.
	v.Set("Clear-Site-Data", `"cache"`)
	return v.anew(session.State{})
}

// kioskHere is asked by a page that somebody is typing on: their session goes on.
func (s *Site) kioskHere(v *visit) error {
	if _, err := v.known(); err != nil {
		return err
	}
	return v.SendStatus(fiber.StatusNoContent)
}

func (s *Site) kioskPurpose(p policy.Purpose) func(*visit) error {
	return func(v *visit) error {
		if !s.serves(p) || !v.device.May(kiosk.Right(p)) {
			return v.to(kioskHome)
		}
		return v.page(fiber.StatusOK, &view.StartForm{Frame: v.frame(kioskHome + "/" + string(p)), Base: shared.path, Purpose: p, Picker: s.picker(nil)})
	}
}
