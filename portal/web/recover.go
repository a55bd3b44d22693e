package web

import (
	"errors"
	"slices"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/portal/policy"
	"postern/portal/session"
	"postern/portal/web/view"
	"postern/verify"
)

// door is where a case lives: below which path, and for which purposes. One
// door's cases are not shown at the other.
type door struct {
	path     string
	home     string // where one is without a case
	at       access.Door
	purposes []policy.Purpose
}

var (
	recovery = door{"/recover", "/", access.Web, []policy.Purpose{policy.Reset, policy.Unlock, policy.Change, policy.Assist}}
	signin   = door{"/signin", "/", access.Web, []policy.Purpose{policy.SignIn, policy.StepUp}}
)

var (
	errPurpose  = &errForm{"no such purpose here"}
	errMismatch = errors.New("web: the two passwords differ")
	// errBadPasskey is a new passkey whose statement did not verify.
	errBadPasskey = errors.New("web: that passkey could not be set up")
)

// start opens a case and gives the browser a new identity to hold it.
func (s *Site) start(d door) func(*visit, form) error {
	return func(v *visit, f form) error {
		r, keep, err := s.request(v, d, f)
		if err != nil {
			return s.refill(v, d, r, f, err)
		}
		before, err := v.known()
		if err != nil {
			return err
		}
		back := ""
		if d.path == signin.path {
			back = before.Back
		}
		c, err := s.begin(v, r, keep, back)
		if c == nil {
			return s.refill(v, d, r, f, err)
		}
		return s.next(v, d, c, err)
	}
}

// begin starts a case under a new identity. With a case the error is a *flow.Wrong
// or nil; without one nothing was begun.
func (s *Site) begin(v *visit, r flow.StartRequest, keep access.Principal, back string) (*flow.Case, error) {
	token, err := newToken(s.Rand)
	if err != nil {
		return nil, err
	}
	if r.Hold, err = hold(token); err != nil {
		return nil, err
	}
	c, wrong := s.Flow.Start(v.ctx(), r)
	if c == nil || wrong != nil && !errors.As(wrong, new(*flow.Wrong)) {
		return nil, wrong
	}
	if err := s.enterKiosk(v, c); err != nil {
		return nil, err
	}
	if err := v.become(token, session.State{Case: c.ID, Purpose: c.Purpose, Principal: keep, Back: back}); err != nil {
		return nil, err
	}
	return c, wrong
}

// request is what the form asks the core for, and who stays signed in
// meanwhile: somebody proving themselves afresh; anybody else starts over.
func (s *Site) request(v *visit, d door, f form) (r flow.StartRequest, keep access.Principal, err error) {
	r = flow.StartRequest{Purpose: policy.Purpose(f["purpose"]), Door: d.at, At: v.device.Screen(), Current: f.secret("current"),
		Address: v.client.String(), Lang: v.lang}
	if _, said := f["purpose"]; !said && d.path == signin.path {
		r.Purpose = policy.SignIn
	}
	if r.Login, err = s.login(f); err != nil {
		return r, keep, err
	}
	nameless := f["factor"] == string(verify.Passkey) && r.Login == "" && r.Current.Empty()
	switch {
	case !slices.Contains(d.purposes, r.Purpose), r.Purpose == policy.Assist, // that one a technician begins
		!s.serves(r.Purpose), d.at == access.Kiosk && !v.device.May(kiosk.Right(r.Purpose)):
		return r, keep, errPurpose
	case f["factor"] != "" && !nameless:
		return r, keep, &errForm{"only a passkey signs in without a name"}
	case !r.Current.Empty() && r.Purpose != policy.Change && r.Purpose != policy.SignIn:
		return r, keep, &errForm{"current belongs to a change or a sign-in"}
	case r.Purpose == policy.StepUp:
		keep, _, err = v.principal()
		r.By, r.Login = keep, ""
		return r, keep, err
	case r.Login == "" && !nameless:
		// Signing in without a name takes the button: an empty field is a slip.
		return r, keep, &flow.Invalid{Field: "login", Code: "required"}
	}
	return r, keep, nil
}

// refill shows the start form again with what was typed, but never a secret.
func (s *Site) refill(v *visit, d door, r flow.StartRequest, f form, err error) error {
	t := judge(err)
	if len(t.faults) == 0 || t.status == fiber.StatusConflict || r.Purpose == policy.StepUp {
		return err
	}
	s.tell(v, t, err)
	if r.Purpose == policy.SignIn {
		return v.page(t.status, &view.SignIn{Frame: v.frame(signin.path, t.faults...), Login: f["login"], Asked: s.Passwords, Picker: s.picker(f)})
	}
	here := recovery.path
	if d.at == access.Kiosk {
		here = kioskHome
	}
	return v.page(t.status, &view.StartForm{Frame: v.frame(here+"/"+string(r.Purpose), t.faults...), Base: d.path, Purpose: r.Purpose, Login: f["login"], Picker: s.picker(f)})
}

func (s *Site) choose(d door) func(*visit, form) error {
	return func(v *visit, f form) error {
		id, err := v.caseAt(d)
		if err != nil {
			return err
		}
		kind := verify.Kind(f["factor"])
		if kind.Class() == "" {
			return &errForm{"no such factor"}
		}
		why := f["why"]
		if why != "" && !slices.Contains(verify.Whys(), why) {
			return &errForm{"no such reason"}
		}
		c, err := s.Flow.Choose(v.ctx(), id, kind, why)
		return s.next(v, d, c, err)
	}
}

func (s *Site) answer(d door) func(*visit, form) error {
	return func(v *visit, f form) error {
		id, err := v.caseAt(d)
		if err != nil {
			return err
		}
		key, err := hold(v.token)
		if err != nil {
			return err
		}
		c, err := s.Flow.Prove(v.ctx(), id, []byte(f["answer"]), key)
		return s.next(v, d, c, err)
	}
}

func (s *Site) password(d door) func(*visit, form) error {
	return func(v *visit, f form) error {
		id, err := v.caseAt(d)
		if err != nil {
			return err
		}
		key, err := hold(v.token)
		if err != nil {
			return err
		}
		if f["password"] != f["confirm"] {
			c, err := s.Flow.Load(v.ctx(), id)
			if err == nil && s.asksPassword(c) {
				err = errMismatch
			} else if err == nil {
				err = flow.ErrConflict
			}
			return s.next(v, d, c, err)
		}
		finish := s.Flow.Finish
		if f["also"] != "" {
			finish = s.Flow.FinishAll
		}
		c, err := finish(v.ctx(), id, f.secret("password"), key)
		return s.next(v, d, c, err)
	}
}

// cancel gives a case up, or leaves one that is over.
func (s *Site) cancel(d door) func(*visit, form) error {
	return func(v *visit, _ form) error {
		id, err := v.caseAt(d)
		if err != nil {
			return err
		}
		if err := s.Flow.Cancel(v.ctx(), id); err != nil && !errors.Is(err, flow.ErrNoCase) {
			c, lerr := s.Flow.Load(v.ctx(), id)
			if lerr != nil || c.Live(s.Now()) {
				return s.next(v, d, c, errors.Join(err, lerr))
			}
		}
		keep := v.session.Principal
		if err := v.anew(session.State{Principal: keep}); err != nil {
			return err
		}
		if keep.ID != "" {
			return v.to("/me")
		}
		return v.to(d.home)
	}
}

// caseAt is the case this browser is in, at this door.
func (v *visit) caseAt(d door) (string, error) {
	s, err := v.known()
	if err == nil && (s.Case == "" || !slices.Contains(d.purposes, s.Purpose)) {
		err = flow.ErrNoCase
	}
	return s.Case, err
}
