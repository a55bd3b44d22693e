package web

import (
	"context"
	"errors"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/web/view"
)

// Doctor examines what the portal stands on (*desk.Doctor).
type Doctor interface {
	Last(w desk.Who) (desk.Examined, error)
	Start(ctx context.Context, w desk.Who) error
}

const doctorPath = "/desk/doctor"

// deskDoctor shows the last examination. It never examines: that asks other servers,
// and a request must not wait for them.
func (s *Site) deskDoctor(v *visit, p access.Principal) error {
	e, err := s.Desk.Doctor.Last(v.at(p))
	if err != nil {
		return err
	}
	page := &view.DeskDoctor{Frame: v.frame(doctorPath), At: e.At, Running: e.Running, Since: e.Since, Failed: e.Failed, Still: v.Query("refresh") == "off"}
	for _, severity := range []directory.Severity{directory.Failure, directory.Warning, directory.OK} {
		g := view.FindingGroup{Severity: severity.String()}
		for _, f := range e.Findings {
			if f.Severity == severity {
				g.Findings = append(g.Findings, view.Finding{Check: f.Check, What: f.What, Why: f.Why, Mend: f.Mend})
			}
		}
		if len(g.Findings) > 0 {
			page.Groups = append(page.Groups, g)
		}
	}
	return v.page(fiber.StatusOK, page)
}

// examine asks for a new one. Two who press at once get the same.
func (s *Site) examine(v *visit, _ form, p access.Principal) error {
	if err := s.Desk.Doctor.Start(v.ctx(), v.at(p)); err != nil && !errors.Is(err, desk.ErrExamining) {
		return err
	}
	return v.to(doctorPath)
}
