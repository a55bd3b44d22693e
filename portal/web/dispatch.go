package web

import (
	"errors"
	"slices"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/portal/session"
	"postern/portal/web/view"
	"postern/verify"
)

// dispatch is the one page of a door: it shows what the row says, whatever
// brought the browser here (back, reload, a second tab).
func (s *Site) dispatch(d door) func(*visit) error {
	return func(v *visit) error {
		c, err := s.here(v, d)
		if errors.Is(err, flow.ErrNoCase) {
			return s.nowhere(v, d)
		}
		if err != nil {
			return err
		}
		p, err := s.casePage(v, d, c)
		if err != nil {
			return err
		}
		return v.page(fiber.StatusOK, p)
	}
}

// here reads the case this browser is in at this door. A sign-in that is over
// is none: its page would stand in the way of the next one.
func (s *Site) here(v *visit, d door) (*flow.Case, error) {
	id, err := v.caseAt(d)
	if err != nil {
		return nil, err
	}
	c, err := s.Flow.Load(v.ctx(), id)
	switch {
	case errors.Is(err, flow.ErrNoCase):
		return nil, err
	case err != nil:
		return nil, &down{err} // a case that cannot be read is a store that cannot be asked
	case d.path == signin.path && !c.Live(s.Now()):
		return nil, flow.ErrNoCase
	}
	return c, nil
}

// nowhere is a door without a case, or with a sign-in that is over.
func (s *Site) nowhere(v *visit, d door) error {
	if d.path != signin.path {
		return v.to(d.home)
	}
	if _, in, err := v.principal(); err != nil {
		return err
	} else if in {
		return v.to("/me")
	}
	return v.page(fiber.StatusOK, &view.SignIn{Frame: v.frame(""), Asked: s.Passwords, Picker: s.picker(nil)})
}

// next goes on from what a POST made of a case: to its page by GET, or, when
// something was wrong, straight to the page that says so.
func (s *Site) next(v *visit, d door, c *flow.Case, err error) error {
	if err == nil {
		if d.path == signin.path && c.Next(s.Now()) == flow.StepDone {
			return s.enter(v, c)
		}
		return v.to(d.path)
	}
	t := judge(err)
	if len(t.faults) == 0 {
		return err
	}
	if c == nil || errors.Is(err, flow.ErrConflict) {
		// What the service saw may be old by now.
		id := v.session.Case
		fresh, lerr := s.Flow.Load(v.ctx(), id)
		if lerr != nil {
			return err
		}
		c = fresh
	}
	if weak := (*flow.Weak)(nil); errors.As(err, &weak) {
		t.faults = problems(weak, c.Person)
	}
	if errors.Is(err, directory.ErrUnavailable) && c.Next(s.Now()) == flow.StepNewPassword {
		return err // that page needs its rules, for which nobody is to wait once more
	}
	s.place(c, t.faults)
	p, perr := s.casePage(v, d, c, t.faults...)
	if perr != nil {
		return err
	}
	s.tell(v, t, err)
	return v.page(t.status, p)
}

// place moves a fault to the top of the page when the field it belongs to is
// not on the page that comes next: a spent passkey challenge leads back to the
// choice, a last wrong answer to the end.
func (s *Site) place(c *flow.Case, faults []view.Fault) {
	step := c.Next(s.Now())
	for i := range faults {
		switch f := faults[i].Field; {
		case step == flow.StepAnswer && f == "answer" && !nameless(c), s.asksPassword(c) && (f == "password" || f == "confirm"):
		default:
			faults[i].Field = ""
		}
	}
}

// nameless is a sign-in by a passkey that will say itself whose it is.
func nameless(c *flow.Case) bool { return c.Purpose == policy.SignIn && c.Key == "" }

// enter signs somebody in, under a new identity. It is called for the one
// answer that completed the case and never when a finished case is only read.
func (s *Site) enter(v *visit, c *flow.Case) error {
	now, to := s.Now(), "/me"
	if c.Person == nil || c.Outcome.Status != flow.Applied {
		return flow.ErrConflict
	}
	p := access.Principal{ID: c.Person.ID, User: *c.Person, Door: access.Web, SignedIn: now, Proven: now, By: c.Kinds()}
	if c.Purpose == policy.StepUp {
		if v.session.Principal.ID != p.ID {
			return flow.ErrConflict
		}
		// Where to come back to is a constant, never part of an address.
		p.SignedIn, to = v.session.Principal.SignedIn, "/me/factors"
	}
	if v.session.Back != "" {
		to = v.session.Back
	}
	if err := v.anew(session.State{Principal: p}); err != nil {
		return err
	}
	return v.to(to)
}

// casePage is the one switch from a step to its page.
func (s *Site) casePage(v *visit, d door, c *flow.Case, faults ...view.Fault) (view.Page, error) {
	f := v.frame(d.path, faults...)
	switch step := c.Next(s.Now()); step {
	case flow.StepChoose:
		return s.choosePage(v, d, c, f)
	case flow.StepAnswer:
		return s.answerPage(v, d, c, f)
	case flow.StepWait:
		sheet, err := c.Sheet()
		return &view.Wait{Frame: f, Base: d.path, Purpose: c.Purpose, Who: sheet.Who, Number: sheet.Number, Since: sheet.Asked, Until: c.Open.Expires,
			Still: v.Query("refresh") == "off", Phone: c.Open.Kind == verify.Handover, Ticket: c.Ticket}, err
	case flow.StepNewPassword:
		return s.passwordPage(v, d, c, f)
	case flow.StepApplying:
		return &view.Applying{Frame: f, Base: d.path, Purpose: c.Purpose}, nil
	case flow.StepDone:
		also, err := s.also(v, c, d)
		return donePage(c, f, also), err
	case flow.StepRefused:
		also, err := s.also(v, c, d)
		return &view.Refused{Frame: f, Purpose: c.Purpose, Reason: string(c.Why()), Proven: c.Proven(), Receipt: receipt(c), Note: c.Note, Also: also}, err
	case flow.StepExpired:
		return &view.Expired{Frame: f, Purpose: c.Purpose, Life: c.Plan.Life}, nil
	default:
		return nil, errors.New("web: no page for step " + string(step))
	}
}

func (s *Site) choosePage(v *visit, d door, c *flow.Case, f view.Frame) (view.Page, error) {
	if nameless(c) {
		return &view.SignIn{Frame: f, Asked: s.Passwords, Picker: s.picker(nil)}, nil // its one challenge is spent: the button begins anew
	}
	options, alone, err := s.options(v, c)
	if err != nil {
		return nil, err
	}
	// With the number alone left, a list of what is not it is noise on the telephone.
	options = slices.DeleteFunc(options, func(o view.Option) bool { return o.Reason == "needs_number" })
	p := &view.Choose{Frame: f, Base: d.path, Purpose: c.Purpose, Options: options, Alone: alone, Settles: c.Settles(), Helped: c.Door == access.Desk, Vouched: c.Plan.Vouched}
	classes := map[verify.Class]bool{}
	for _, proof := range c.Proofs {
		p.Proven = append(p.Proven, view.Proven{Kind: proof.Kind, At: proof.At})
		classes[proof.Kind.Class()] = true
	}
	p.Need = max(1, c.Plan.Gates-len(classes))
	return p, nil
}

func (s *Site) answerPage(v *visit, d door, c *flow.Case, f view.Frame) (view.Page, error) {
	if nameless(c) {
		return &view.SignIn{Frame: f, Options: string(c.Open.Public), Asked: s.Passwords, Picker: s.picker(nil)}, nil
	}
	options, _, err := s.options(v, c)
	if err != nil {
		return nil, err
	}
	p := &view.Answer{Frame: f, Base: d.path, Purpose: c.Purpose, Kind: c.Open.Kind}
	switch c.Open.Kind {
	case verify.Passkey:
		p.Options = string(c.Open.Public)
	case verify.Email, verify.SMS:
		p.Until = c.Open.Expires
	}
	p.Others = slices.DeleteFunc(options, func(o view.Option) bool { return o.Reason != "" || o.Kind == c.Open.Kind })
	return p, nil
}

func (s *Site) options(v *visit, c *flow.Case) (list []view.Option, alone bool, err error) {
	options, err := s.Flow.Options(v.ctx(), c)
	for _, o := range options {
		list = append(list, view.Option{Kind: o.Kind, Reason: o.Reason})
		alone = alone || o.Alone && o.Reason == ""
	}
	return list, alone, err
}

func donePage(c *flow.Case, f view.Frame, also view.Also) view.Page {
	p := &view.Done{Frame: f, Also: also, Purpose: c.Purpose, At: c.Outcome.At, Unlocked: c.Outcome.Unlocked, StillLocked: c.Outcome.StillLocked, SessionsEnded: c.Outcome.SessionsEnded, SessionsLeft: c.Outcome.SessionsLeft,
		ChangeAgain: c.Outcome.ChangeAgain, Unconfirmed: c.Outcome.Unconfirmed, SignedOut: c.Purpose != policy.Unlock && c.Purpose != policy.Assist,
		Proofs: c.Kinds(), Receipt: receipt(c), AddPasskey: c.Purpose != policy.Assist && !slices.Contains(c.Kinds(), verify.Passkey)}
	if c.Person != nil {
		p.Login = c.Person.Login
		for _, m := range c.Person.Mail {
			p.Notified = append(p.Notified, mask(m))
		}
	}
	return p
}

// receipt is a short code to quote at the help desk. Every case has one, a
// decoy's too; the case's id gives nothing to whoever knows it.
func receipt(c *flow.Case) string {
	if c.Outcome.Receipt != "" || len(c.ID) < 8 {
		return c.Outcome.Receipt
	}
	return "P-" + c.ID[:4] + "-" + c.ID[4:8]
}
