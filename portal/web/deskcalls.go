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
	HangUp(ctx context.Context, w desk.Who, id string) error
}

// ringing are the calls of the board: those to take, and those this technician has taken.
// There are none for who does not help.
func (s *Site) ringing(v *visit, p access.Principal) (calls, mine []view.Ringing, err error) {
	if !v.has(helpers) {
		return nil, nil, nil
	}
	list, err := s.Desk.Help.Ringing(v.ctx(), v.at(p))
	for _, e := range list {
		row := view.Ringing{ID: e.ID, Name: e.Screen.Name, Site: e.Screen.Site, Since: e.Created, Lang: e.Lang}
		if e.By == "" {
			calls = append(calls, row)
		} else {
			mine = append(mine, row)
		}
	}
	return calls, mine, err
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
	case errors.As(err, &wrong) && wrong.Left > 0:
		return s.board(v, p, fiber.StatusUnprocessableEntity, view.Fault{Code: "wrong_number", Left: wrong.Left})
	case wrong != nil, errors.Is(err, desk.ErrUnknown):
		return s.board(v, p, fiber.StatusConflict, view.Fault{Code: "desk_call_over"})
	}
	return err
}

// hangUp ends a call that was taken, with nothing done.
func (s *Site) hangUp(v *visit, _ form, p access.Principal) error {
	err := s.Desk.Help.HangUp(v.ctx(), v.at(p), v.Params("id"))
	if err == nil || errors.Is(err, desk.ErrUnknown) { // over is what it was to be
		return v.to("/desk")
	}
	return err
}
