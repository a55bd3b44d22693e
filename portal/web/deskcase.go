package web

import (
	"errors"
	"regexp"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/web/view"
	"postern/verify"
)

// caseIDs are what flow makes. Anything else is no case.
var caseIDs = regexp.MustCompile(`^[0-9A-Z]{32}$`)

func casePath(id string) string { return "/desk/cases/" + id }

// deskCase shows how a case stands to who began it, from the row.
func (s *Site) deskCase(v *visit, p access.Principal) error {
	id := v.Params("id")
	if !caseIDs.MatchString(id) {
		return desk.ErrUnknown
	}
	page, err := s.deskCasePage(v, p, id)
	if errors.Is(err, desk.ErrUnknown) {
		return s.deskHold(v, p, id)
	} else if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, page)
}

func (s *Site) deskCasePage(v *visit, p access.Principal, id string, faults ...view.Fault) (*view.DeskCase, error) {
	c, err := s.Desk.Help.Case(v.ctx(), v.at(p), id)
	if err != nil {
		return nil, err
	}
	once, err := v.once()
	if err != nil {
		return nil, err
	}
	page := &view.DeskCase{Once: once, Frame: v.frame(casePath(c.ID), faults...), ID: c.ID, Whom: string(c.Key), Login: c.Named, Purpose: c.Purpose, Cause: c.Cause,
		Ticket: c.Ticket, Stage: stage(c, c.Next(s.Now())), Code: c.Code, Link: s.origin + "/link", Proofs: c.Kinds(), Until: c.Expires, Reason: string(c.Why()), Receipt: c.Outcome.Receipt,
		Still: v.Query("refresh") == "off"}
	page.Screen = c.At.Label()
	if c.Person != nil {
		page.Name = c.Person.Name
	}
	if c.OnHold() {
		page.Hold, page.Denied = c.Hold.Reasons, c.Hold.Refused
		if page.Stage == "held" {
			page.Until = c.Hold.Since.Add(flow.HoldLife)
		}
	} else if c.Hold != nil {
		page.Second = c.Hold.SecondName
	}
	if page.Stage == "code" {
		page.Hear = c.Hearable()
	}
	can, err := s.Desk.Help.Choices(v.ctx(), c)
	page.Did = lines(can.Did)
	page.Acts, page.Frozen, page.Heard, page.Codes, page.Bare = can.Until, can.Frozen, can.Heard, can.Codes, can.Bare
	for _, m := range can.Lost {
		page.Lost = append(page.Lost, view.Method{ID: m.ID, Kind: m.Kind, Name: m.Name, Created: m.Created, Used: m.Used})
	}
	if page.Stage == "done" && err == nil {
		page.After = s.after(v, p, c)
	}
	page.Evidence = !running(page.Stage)
	return page, err
}

// running stages are followed by others.
func running(stage string) bool { return stage != "done" && stage != "refused" && stage != "expired" }

// stage is a step as the technician sees it: they prove nothing themselves.
func stage(c *flow.Case, step flow.Step) string {
	switch step {
	case flow.StepChoose, flow.StepAnswer:
		if c.OnHold() {
			return "held"
		}
		if c.Claimed.IsZero() {
			return "code"
		}
		return "proving"
	case flow.StepWait:
		if c.Open.Kind == verify.Handover {
			return "match"
		}
		return "approval"
	case flow.StepNewPassword:
		return "password"
	}
	return string(step)
}

// match takes what the caller read out. That it fitted, the page shows.
func (s *Site) match(v *visit, f form, p access.Principal) error {
	return s.inCase(v, p, "number", func(id string) error {
		_, err := s.Desk.Help.Match(v.ctx(), v.at(p), id, f["number"], f["once"])
		return err
	})
}

// heard takes a code that the caller read out. The route is there only where some
// plan allows it.
func (s *Site) heard(v *visit, f form, p access.Principal) error {
	return s.inCase(v, p, "answer", func(id string) error {
		_, err := s.Desk.Help.Hear(v.ctx(), v.at(p), id, verify.Kind(f["factor"]), []byte(f["answer"]))
		return err
	})
}

func (s *Site) act(v *visit, f form, p access.Principal) error {
	return s.inCase(v, p, "", func(id string) error {
		return s.Desk.Help.Do(v.ctx(), v.at(p), id, desk.Act(f["act"]), f["which"], f["once"])
	})
}

func (s *Site) cancelCase(v *visit, _ form, p access.Principal) error {
	return s.inCase(v, p, "", func(id string) error { return s.Desk.Help.Cancel(v.ctx(), v.at(p), id) })
}

// inCase does something in a case and goes back to its page, which says how it
// stands; what was wrong is said at field, or above everything.
func (s *Site) inCase(v *visit, p access.Principal, field string, do func(id string) error) error {
	id := v.Params("id")
	if !caseIDs.MatchString(id) {
		return desk.ErrUnknown
	}
	err := do(id)
	switch {
	case err == nil:
		return v.to(casePath(id))
	case errors.Is(err, desk.ErrStale), errors.Is(err, flow.ErrWeak):
		return s.stepUpFor(v, p, casePath(id))
	}
	t := judge(err)
	if len(t.faults) == 0 || t.status >= fiber.StatusInternalServerError {
		return err
	}
	page, perr := s.deskCasePage(v, p, id)
	if perr != nil {
		return perr
	}
	for i := range t.faults {
		t.faults[i].Field = ""
		if page.Stage == "match" || len(page.Hear) > 0 {
			t.faults[i].Field = field
		}
	}
	page.Faults = t.faults
	s.tell(v, t, err)
	return v.page(t.status, page)
}
