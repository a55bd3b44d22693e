package web

import (
	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/web/view"
)

// report shows what the button of a notice would do. Opening it does nothing.
func (s *Site) report(v *visit) error {
	r, err := s.Enrol.Report(v.ctx(), v.Params("token"))
	if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, &view.NotMe{Frame: v.frame(""), Token: v.Params("token"), Login: r.Login})
}

// notMe is the button: no sign-in is needed to stop recovery, and none is left.
func (s *Site) notMe(v *visit, _ form) error {
	if err := s.Enrol.NotMe(v.ctx(), v.Params("token"), v.client.String(), v.lang); err != nil {
		return err
	}
	return v.page(fiber.StatusOK, &view.NotMe{Frame: v.frame("/"), Done: true})
}

// notMine is the same button on one's own page.
func (s *Site) notMine(v *visit, _ form, p access.Principal) error {
	if err := s.Enrol.NotMine(v.ctx(), v.who(p)); err != nil {
		return s.factorFault(v, p, err)
	}
	return v.page(fiber.StatusOK, &view.NotMe{Frame: v.frame("/"), Done: true})
}
