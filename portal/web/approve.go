package web

import (
	"errors"
	"slices"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/session"
	"postern/portal/web/view"
	"postern/verify"
)

// asked is the page of one who is asked to vouch. Whoever is not signed in as
// them sees the same page for every token there could be (security case 94).
func (s *Site) asked(v *visit) error {
	p, in, err := s.voter(v)
	if err != nil {
		return err
	}
	token := v.Params("token")
	if !validToken(token) {
		return flow.ErrNoRequest
	}
	if !in {
		return v.page(fiber.StatusOK, &view.ApproveFirst{Frame: v.frame(""), Token: token})
	}
	r, err := s.Flow.Request(v.ctx(), token, p)
	return s.askedPage(v, p, token, r, err, fiber.StatusOK)
}

// voter is who is signed in, as the directory has them now. A session that must
// end is nobody's.
func (s *Site) voter(v *visit) (p access.Principal, in bool, err error) {
	p, in, err = v.principal()
	if err != nil || !in {
		return p, false, err
	}
	p.User, err = s.Enrol.Still(v.ctx(), v.who(p))
	if errors.Is(err, enrol.ErrEnded) {
		return access.Principal{}, false, nil
	}
	return p, err == nil, err
}

// askedPage is what a request looks like now, or why it cannot be answered.
func (s *Site) askedPage(v *visit, p access.Principal, token string, r flow.Request, err error, status int, faults ...view.Fault) error {
	var unfit *flow.Unfit
	here := "/approve/" + token
	switch {
	case errors.Is(err, flow.ErrWeak):
		return v.page(fiber.StatusOK, &view.ApproveFirst{Frame: v.frame(here), Token: token, Weak: true})
	case errors.As(err, &unfit):
		return v.page(fiber.StatusOK, &view.ApproveUnfit{Frame: v.frame(here), Reason: unfit.Reason})
	case err != nil:
		return err
	}
	c := r.Case
	page := &view.Approve{Frame: v.frame(here, faults...), Token: token, Name: c.Person.Name, Login: c.Person.Login, Purpose: c.Purpose,
		Asked: c.Created, Door: string(c.Door), Screen: c.At.Label(), Address: c.Address, Why: c.Said, Proofs: own(c.Kinds()), Passkey: string(r.Ballot.Passkey), TOTP: r.Ballot.TOTP,
		Open: r.Open, Mine: r.Mine, Vouched: r.Vouched, Declined: c.Closed == flow.ReasonDeclined, Until: c.Expires}
	if r.Open {
		page.Until = c.Open.Expires
	}
	if c.Door == access.Desk {
		page.Helper = c.By.User.Name // whom the approver may ask, and doubt
	}
	return v.page(status, page)
}

// own are the proofs the person gave themselves.
func own(kinds []verify.Kind) []verify.Kind {
	return slices.DeleteFunc(kinds, func(k verify.Kind) bool { return k == verify.Approval })
}

// decide takes a yes or a no. Without a decision it leads whoever is not signed
// in well enough to where they can be, and back.
func (s *Site) decide(v *visit, f form) error {
	token := v.Params("token")
	p, in, err := s.voter(v)
	if err != nil {
		return err
	}
	if !in {
		return s.signInFor(v, token)
	}
	a := flow.Answer{Token: token, By: p, Address: v.client.String(), Number: f["number"], Kind: verify.Kind(f["factor"]), Proof: []byte(f["answer"]), Note: f["note"]}
	switch f["decision"] {
	case "":
		if _, err := s.Flow.Request(v.ctx(), token, p); errors.Is(err, flow.ErrWeak) {
			return s.stepUpFor(v, p, "/approve/"+token)
		}
		return v.to("/approve/" + token)
	case "yes":
		_, err = s.Flow.Vouch(v.ctx(), a)
	case "no", "alarm":
		a.Alarm = f["decision"] == "alarm"
		_, err = s.Flow.Decline(v.ctx(), a)
	default:
		return &errForm{"no such decision"}
	}
	if err == nil || errors.Is(err, flow.ErrConflict) {
		return v.to("/approve/" + token) // which says how it stands
	}
	return s.decisionFault(v, p, token, err)
}

// decisionFault shows the request again with what was wrong with an answer.
func (s *Site) decisionFault(v *visit, p access.Principal, token string, err error) error {
	t := judge(err)
	if len(t.faults) == 0 || t.status == fiber.StatusConflict || errors.Is(err, flow.ErrWeak) || errors.As(err, new(*flow.Unfit)) {
		return s.askedPage(v, p, token, flow.Request{}, err, t.status)
	}
	for i := range t.faults {
		if t.faults[i].Code == "wrong_number" {
			t.faults[i].Field = "number"
		}
	}
	s.tell(v, t, err)
	r, rerr := s.Flow.Request(v.ctx(), token, p)
	return s.askedPage(v, p, token, r, rerr, t.status, t.faults...)
}

// signInFor remembers the link in the browser's session and goes to sign in. Only
// a token of the right form is kept, so that the way back leads nowhere else.
func (s *Site) signInFor(v *visit, link string) error {
	if !validToken(link) {
		return flow.ErrNoRequest
	}
	if err := v.anew(session.State{Back: "/approve/" + link}); err != nil {
		return err
	}
	return v.to(signin.path)
}
