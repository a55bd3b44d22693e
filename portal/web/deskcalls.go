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

// Screens are the calls of shared screens (desk.Service).
type Screens interface {
	Ringing(ctx context.Context, w desk.Who) ([]kiosk.Errand, error)
	Answer(ctx context.Context, w desk.Who, id, number string) error
	Calling(ctx context.Context, w desk.Who) (kiosk.Errand, error)
}

// ringing are the rows of the board; none for who does not help.
func (s *Site) ringing(v *visit, p access.Principal) (rows []view.Ringing, err error) {
	if !v.has(helpers) {
		return nil, nil
	}
	list, err := s.Desk.Help.Ringing(v.ctx(), v.at(p))
	for _, e := range list {
		rows = append(rows, view.Ringing{ID: e.ID, Name: e.Screen.Name, Site: e.Screen.Site, Since: e.Created, Lang: e.Lang})
	}
	return rows, err
}

// answerCall takes a call by the number that the person tells.
func (s *Site) answerCall(v *visit, f form, p access.Principal) error {
	err := s.Desk.Help.Answer(v.ctx(), v.at(p), v.Params("id"), f["number"])
	wrong := (*kiosk.WrongNumber)(nil)
	switch {
	case err == nil:
		return v.to("/desk/people")
	case errors.Is(err, desk.ErrStale):
		return s.stepUpFor(v, p, "/desk")
	case errors.As(err, &wrong):
		return s.board(v, p, fiber.StatusUnprocessableEntity, view.Fault{Code: "wrong_number", Left: wrong.Left})
	case errors.Is(err, desk.ErrUnknown):
		return s.board(v, p, fiber.StatusConflict, view.Fault{Code: "desk_call_over"})
	}
	return err
}

// calling is the screen that waits for this technician's case, as the form has it.
func (s *Site) calling(v *visit, p access.Principal) (view.Ringing, error) {
	e, err := s.Desk.Help.Calling(v.ctx(), v.at(p))
	return view.Ringing{ID: e.ID, Name: e.Screen.Name, Site: e.Screen.Site}, err
}
