package web

import (
	"errors"
	"regexp"

	"github.com/gofiber/fiber/v2"

	"postern/portal/flow"
	"postern/portal/limit"
	"postern/portal/session"
	"postern/portal/web/view"
)

// codePattern is how codes are written in addresses.
var codePattern = regexp.MustCompile(`^[2-9A-Z]{3}-[2-9A-Z]{3}-[2-9A-Z]{3}$`)

// claimForm takes the code a technician read out. A link in a mail fills it in.
func (s *Site) claimForm(v *visit) error {
	code := v.Params("code")
	if code != "" && !codePattern.MatchString(code) {
		return fiber.ErrNotFound
	}
	return v.page(fiber.StatusOK, &view.Link{Frame: v.frame("/link"), Typed: code})
}

// claim puts the case of a code into this browser, in place of whatever it was in.
// Codes are tried by address, as often as cases are begun from one: an office behind
// one address calls too, and of 44 bits a hundred tries find nothing.
func (s *Site) claim(v *visit, f form) error {
	err := s.Limits.Take(v.ctx(), limit.Start, "link\x00"+limit.AddressKey(v.client))
	if err == nil {
		err = s.claimHere(v, f["code"])
	} else if !errors.As(err, new(*limit.Exceeded)) {
		err = &down{err}
	}
	if err == nil {
		return v.to(recovery.path)
	}
	if errors.Is(err, flow.ErrNoRequest) {
		err = &flow.Invalid{Field: "code", Code: "wrong_link"}
	}
	t := judge(err)
	if len(t.faults) == 0 {
		return err
	}
	s.tell(v, t, err)
	return v.page(t.status, &view.Link{Frame: v.frame("/link", t.faults...), Typed: f["code"]})
}

func (s *Site) claimHere(v *visit, code string) error {
	c, err := s.Flow.Claim(v.ctx(), code, v.client.String(), v.lang)
	if err != nil {
		return err
	}
	return v.anew(session.State{Case: c.ID, Purpose: c.Purpose})
}
