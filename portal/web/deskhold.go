package web

import (
	"errors"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/web/view"
)

// deskHold shows a case that waits to who may say yes or no to it.
func (s *Site) deskHold(v *visit, p access.Principal, id string, faults ...view.Fault) error {
	if v.sentHere() {
		return v.to("/desk") // looking writes a record: see sentHere
	}
	c, err := s.Desk.Help.Held(v.ctx(), v.at(p), id)
	if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, &view.DeskHold{Frame: v.frame(casePath(c.ID), faults...), Waiting: waiting(c), ID: c.ID, Whom: string(c.Key), Purpose: c.Purpose,
		Cause: c.Cause, Ticket: c.Ticket, Proofs: c.Kinds()})
}

func waiting(c *flow.Case) view.Waiting {
	w := view.Waiting{ID: c.ID, Login: c.Named, Technician: c.By.User.Name, Reasons: c.Hold.Reasons, Since: c.Hold.Since}
	if w.Technician == "" {
		w.Technician = c.By.User.Login
	}
	if c.Person != nil {
		w.Name = c.Person.Name
	}
	return w
}

// waitings are what waits for p, for the first page of the desk.
func (s *Site) waitings(v *visit, p access.Principal) (list []view.Waiting, err error) {
	if !v.has(helpers) {
		return nil, nil
	}
	cases, err := s.Desk.Help.Waiting(v.ctx(), v.at(p))
	for _, c := range cases {
		list = append(list, waiting(c))
	}
	return list, err
}

// second takes the yes or no of a second technician, and goes back to the desk.
func (s *Site) second(v *visit, f form, p access.Principal) error {
	id := v.Params("id")
	if !caseIDs.MatchString(id) {
		return desk.ErrUnknown
	}
	var err error
	switch f["decision"] {
	case "yes":
		err = s.Desk.Help.Agree(v.ctx(), v.at(p), id)
	case "no":
		err = s.Desk.Help.Disagree(v.ctx(), v.at(p), id)
	default:
		err = &flow.Invalid{Field: "decision", Code: "bad_choice"}
	}
	switch {
	case err == nil:
		return v.to("/desk")
	case errors.Is(err, desk.ErrStale), errors.Is(err, flow.ErrWeak):
		return s.stepUpFor(v, p, casePath(id)) // their own touch, for this
	}
	return err
}
