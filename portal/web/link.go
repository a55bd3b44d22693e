package web

import (
	"errors"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/web/view"
)

// link shows what a link in a mail is for. Opening it does nothing: mail scanners
// open everything.
func (s *Site) link(v *visit) error {
	token := v.Params("token")
	o, err := s.Enrol.Open(v.ctx(), token)
	if err != nil {
		return err
	}
	if o.Invited {
		return v.page(fiber.StatusOK, &view.Welcome{Frame: v.frame(""), Token: token, Given: o.Given})
	}
	return v.page(fiber.StatusOK, &view.Snooze{Frame: v.frame(""), Token: token, Until: o.Until})
}

// follow does what the link is for.
func (s *Site) follow(v *visit, f form) error {
	token := v.Params("token")
	o, err := s.Enrol.Open(v.ctx(), token)
	if err != nil {
		return err
	}
	_, typed := f["current"]
	switch {
	case o.Invited != typed:
		return &errForm{"not the form of this link"}
	case o.Invited:
		return s.welcome(v, f, o)
	}
	until, err := s.Enrol.Snooze(v.ctx(), token, v.client.String())
	if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, &view.Snooze{Frame: v.frame("/signin"), Until: until, Done: true})
}

// welcome is a first sign-in by an invitation. Whoever was signed in here is not
// any more, as after any sign-in.
func (s *Site) welcome(v *visit, f form, o enrol.Opened) error {
	r := flow.StartRequest{Purpose: policy.SignIn, Door: access.Web, Invite: v.Params("token"), Current: f.secret("current"), Address: v.client.String(), Lang: v.lang}
	c, err := s.begin(v, r, access.Principal{}, "/me/factors")
	if c != nil {
		return s.next(v, signin, c, err)
	}
	t := judge(err)
	if len(t.faults) == 0 || t.status == fiber.StatusConflict || errors.Is(err, flow.ErrNoInvite) {
		return err
	}
	s.tell(v, t, err)
	return v.page(t.status, &view.Welcome{Frame: v.frame("/link/"+r.Invite, t.faults...), Token: r.Invite, Given: o.Given})
}
