package web

import (
	"context"
	"errors"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/kiosk"
	"postern/portal/web/view"
)

// KioskList shows and makes shared screens (desk.Kiosks).
type KioskList interface {
	List(ctx context.Context, w desk.Who) ([]kiosk.Device, error)
	Register(ctx context.Context, w desk.Who, n kiosk.Draft) (d kiosk.Device, secret string, err error)
}

// KioskActs change one (desk.Kiosks).
type KioskActs interface {
	Reissue(ctx context.Context, w desk.Who, id string) (d kiosk.Device, secret string, err error)
	Rename(ctx context.Context, w desk.Who, id, name, site string) error
	Revoke(ctx context.Context, w desk.Who, id string) error
}

// Kiosks is all of that.
type Kiosks interface {
	KioskList
	KioskActs
}

const kiosksPath = "/desk/kiosks"

var (
	fieldSite   = field{name: "site", max: 256}
	fieldWay    = field{name: "way", max: 16}
	fieldRights = []field{{name: "allow_reset", max: 2, optional: true}, {name: "allow_unlock", max: 2, optional: true}, {name: "allow_change", max: 2, optional: true}, {name: "allow_help", max: 2, optional: true}}
)

func (s *Site) deskKioskRoutes() []route {
	register := append([]field{fieldName, fieldSite, fieldWay}, fieldRights...)
	return []route{
		{path: kiosksPath, page: s.desk(operator, s.deskKiosks), action: s.desked(operator, s.registerKiosk), fields: register},
		{path: kiosksPath + "/:id", page: s.desk(operator, s.deskKiosk)},
		{path: kiosksPath + "/:id/rename", action: s.desked(operator, s.renameKiosk), fields: []field{fieldName, fieldSite}},
		{path: kiosksPath + "/:id/code", action: s.desked(operator, s.kioskCode)},
		{path: kiosksPath + "/:id/revoke", action: s.desked(operator, s.revokeKiosk)},
	}
}

func (s *Site) deskKiosks(v *visit, p access.Principal) error {
	return s.kiosksPage(v, p, fiber.StatusOK, kiosk.Draft{Way: kiosk.Key, Rights: kiosk.Rights()})
}

func (s *Site) kiosksPage(v *visit, p access.Principal, status int, n kiosk.Draft, faults ...view.Fault) error {
	list, err := s.Desk.Kiosks.List(v.ctx(), v.at(p))
	if err != nil {
		return err
	}
	page := &view.DeskKiosks{Frame: v.frame(kiosksPath, faults...), Name: n.Name, Site: n.Site, Way: string(n.Way)}
	for _, r := range kiosk.Rights() {
		on := false
		for _, have := range n.Rights {
			on = on || have == r
		}
		page.Rights = append(page.Rights, view.KioskRight{Right: string(r), On: on})
	}
	for _, d := range list {
		page.Kiosks = append(page.Kiosks, s.kioskRow(d))
	}
	return v.page(status, page)
}

func (s *Site) kioskRow(d kiosk.Device) view.KioskRow {
	row := view.KioskRow{ID: d.ID, Name: d.Name, Site: d.Site, Way: string(d.Way), State: string(d.State(s.Now())), Until: d.Until, Seen: d.Seen, From: d.From, Shut: !d.Revoked.IsZero()}
	for _, r := range d.Rights {
		row.Rights = append(row.Rights, string(r))
	}
	return row
}

// registerKiosk shows what the device needs in the answer itself, once.
func (s *Site) registerKiosk(v *visit, f form, p access.Principal) error {
	n := kiosk.Draft{Name: f["name"], Site: f["site"], Way: kiosk.Way(f["way"]), Keyboard: kiosk.Auto}
	for _, r := range kiosk.Rights() {
		if f["allow_"+string(r)] == "on" {
			n.Rights = append(n.Rights, r)
		}
	}
	if n.Way == kiosk.Certificate {
		return &errForm{"certificates are registered from the command line"}
	}
	d, secret, err := s.Desk.Kiosks.Register(v.ctx(), v.at(p), n)
	if invalid := (*kiosk.Invalid)(nil); errors.As(err, &invalid) {
		return s.kiosksPage(v, p, fiber.StatusUnprocessableEntity, n, view.Fault{Field: invalid.Field, Code: invalid.Code})
	}
	return s.giveKiosk(v, p, d, secret, err)
}

func (s *Site) giveKiosk(v *visit, p access.Principal, d kiosk.Device, secret string, err error) error {
	if err != nil {
		return s.kioskNo(v, p, err)
	}
	return v.page(fiber.StatusOK, &view.DeskKioskGiven{Frame: v.frame(kiosksPath), Row: s.kioskRow(d), Secret: secret, Register: s.origin + kioskHome + "/register"})
}

// kioskNo leads to a new proof, or is the error itself.
func (s *Site) kioskNo(v *visit, p access.Principal, err error) error {
	if errors.Is(err, desk.ErrStale) {
		return s.stepUpFor(v, p, kiosksPath)
	}
	return err
}

// deskKiosk is where one is renamed, given a new code or revoked.
func (s *Site) deskKiosk(v *visit, p access.Principal) error { return s.kioskPage(v, p) }

func (s *Site) kioskPage(v *visit, p access.Principal, faults ...view.Fault) error {
	list, err := s.Desk.Kiosks.List(v.ctx(), v.at(p))
	if err != nil {
		return err
	}
	for _, d := range list {
		if d.ID != v.Params("id") || !d.Revoked.IsZero() {
			continue
		}
		status := fiber.StatusOK
		if len(faults) > 0 {
			status = fiber.StatusUnprocessableEntity
		}
		return v.page(status, &view.DeskKiosk{Frame: v.frame(kiosksPath+"/"+d.ID, faults...), Row: s.kioskRow(d)})
	}
	return fiber.ErrNotFound
}

func (s *Site) renameKiosk(v *visit, f form, p access.Principal) error {
	err := s.Desk.Kiosks.Rename(v.ctx(), v.at(p), v.Params("id"), f["name"], f["site"])
	if invalid := (*kiosk.Invalid)(nil); errors.As(err, &invalid) {
		return s.kioskPage(v, p, view.Fault{Field: invalid.Field, Code: invalid.Code})
	}
	if err != nil {
		return s.kioskNo(v, p, err)
	}
	return v.to(kiosksPath)
}

func (s *Site) kioskCode(v *visit, _ form, p access.Principal) error {
	d, secret, err := s.Desk.Kiosks.Reissue(v.ctx(), v.at(p), v.Params("id"))
	if invalid := (*kiosk.Invalid)(nil); errors.As(err, &invalid) {
		return s.kioskPage(v, p, view.Fault{Code: invalid.Code})
	}
	return s.giveKiosk(v, p, d, secret, err)
}

func (s *Site) revokeKiosk(v *visit, _ form, p access.Principal) error {
	err := s.Desk.Kiosks.Revoke(v.ctx(), v.at(p), v.Params("id"))
	if errors.As(err, new(*kiosk.Invalid)) {
		err = nil // it is so already
	}
	if err != nil {
		return s.kioskNo(v, p, err)
	}
	return v.to(kiosksPath)
}
