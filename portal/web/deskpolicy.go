package web

import (
	"errors"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/web/view"
)

// deskPolicy explains one person, or lists the plans where no login was given.
func (s *Site) deskPolicy(v *visit, p access.Principal) error {
	page, err := askPolicy(v)
	switch {
	case err != nil:
	case page.Login == "":
		page.Chapters = s.Desk.Policy.Chapters(page.Door, page.Purpose)
	case !v.sentHere():
		err = s.explain(v, p, page)
	}
	if err == nil {
		return v.page(fiber.StatusOK, page)
	}
	return v.asksWrong(page, &page.Faults, err)
}

// askPolicy reads the query as strictly as a form.
func askPolicy(v *visit) (*view.DeskPolicy, error) {
	page := &view.DeskPolicy{Frame: v.frame("/desk/policy"), Purpose: policy.Reset, Door: access.Web, Purposes: policy.Purposes(), Doors: access.Doors()}
	q, err := decode(v.Request().URI().QueryString(), maybe(fieldLogin), maybe(fieldPurpose), maybe(fieldDoor), maybe(fieldLang))
	if err != nil {
		return page, err
	}
	page.Login = strings.TrimSpace(q["login"])
	if purpose, said := q["purpose"]; said {
		if !slices.Contains(page.Purposes, policy.Purpose(purpose)) {
			return page, &flow.Invalid{Field: "purpose", Code: "bad_choice"}
		}
		page.Purpose = policy.Purpose(purpose)
	}
	if door, said := q["door"]; said {
		if !slices.Contains(page.Doors, access.Door(door)) {
			return page, &flow.Invalid{Field: "door", Code: "bad_choice"}
		}
		page.Door = access.Door(door)
	}
	return page, nil
}

// explain fills in what the policy means for the person, once it is recorded who
// looked: how somebody gets into their account is their own affair.
func (s *Site) explain(v *visit, p access.Principal, page *view.DeskPolicy) error {
	e, err := s.Desk.People.Explain(v.ctx(), page.Login, page.Door, page.Purpose)
	if errors.Is(err, directory.ErrNotFound) {
		return &flow.Invalid{Field: "login", Code: "nobody"}
	}
	if err != nil {
		return err
	}
	if err := s.note(v, p, audit.Event{Kind: audit.PolicyExplained, Subject: e.User.ID, SubjectName: e.User.Login, Purpose: string(page.Purpose),
		Detail: map[string]string{"door": string(page.Door)}}); err != nil {
		return err
	}
	page.Who = &view.Explained{Login: e.User.Login, Name: e.User.Name, Means: e.Means, Verdict: e.Verdict}
	return nil
}
