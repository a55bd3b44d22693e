package web

import (
	"context"
	"errors"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/portal/policy"
	"postern/portal/session"
	"postern/portal/web/view"
	"postern/verify/totp"
)

// Errands are what a device asks of other screens (kiosk.Service).
type Errands interface {
	AskPhone(ctx context.Context, d kiosk.Device, purpose policy.Purpose, caseID, lang, from string) (kiosk.Errand, string, error)
	// Errand is one of that device's; kiosk.ErrNone.
	Errand(ctx context.Context, id string, at access.Screen) (kiosk.Errand, error)
	EndErrand(ctx context.Context, id string, at access.Screen) error
}

// Phones are the other side of it (kiosk.Service).
type Phones interface {
	Phone(ctx context.Context, code string) (kiosk.Errand, error)
	MatchPhone(ctx context.Context, code, number, from string) (kiosk.Errand, error)
	// Carried is the errand of a phone that has matched and not begun.
	Carried(ctx context.Context, id string) (kiosk.Errand, error)
	Begun(ctx context.Context, id, caseID string) error
}

// Carrying moves a case (flow.Service).
type Carrying interface {
	Carry(ctx context.Context, id string, at access.Screen, address, lang string) (*flow.Case, error)
}

const (
	phonePath  = "/phone/"
	kioskPhone = kioskHome + "/phone"
)

// askPhone shows the code a phone opens. The case at this screen, if there is one, is the
// phone's from now on: were it here too, whoever stays could go on with the proofs given
// there.
func (s *Site) askPhone(v *visit, f form) error {
	was, err := v.known()
	if err != nil {
		return err
	}
	purpose, begun := policy.Purpose(f["purpose"]), ""
	if was.Case != "" {
		c, err := s.Flow.Load(v.ctx(), was.Case)
		switch {
		case err != nil:
			return err
		case c.Portable(s.Now()):
			purpose, begun = c.Purpose, c.ID
		case c.Live(s.Now()):
			return flow.ErrConflict
		}
	}
	if !s.serves(purpose) {
		return errPurpose
	}
	e, code, err := s.Kiosk.Errands.AskPhone(v.ctx(), v.device, purpose, begun, v.lang, v.client.String())
	switch {
	case errors.Is(err, kiosk.ErrNone):
		return errPurpose
	case err != nil:
		return &down{err}
	}
	if err := v.anew(session.State{Errand: e.ID, Code: code}); err != nil {
		return err
	}
	return v.to(kioskPhone)
}

// phoneState is the page of it.
func (s *Site) phoneState(v *visit) error {
	was, err := v.known()
	if err != nil {
		return err
	}
	e, err := s.Kiosk.Errands.Errand(v.ctx(), was.Errand, v.device.Screen())
	switch {
	case errors.Is(err, kiosk.ErrNone), err == nil && e.Kind != kiosk.ToPhone:
		return v.to(kioskHome)
	case err != nil:
		return &down{err}
	}
	return s.phonePage(v, e, was.Code)
}

// phonePage is what the screen shows meanwhile: how far it is, and what came of it. It
// does not say who it is, nor which proofs they give.
func (s *Site) phonePage(v *visit, e kiosk.Errand, code string) error {
	p := &view.KioskPhone{Frame: v.frame(kioskPhone), Purpose: e.Purpose, Number: e.Number, Until: e.Expires, Step: "wait"}
	p.Kiosk.Idle = 300
	now := s.Now()
	switch {
	case e.Case != "" && !e.Matched.IsZero():
		c, err := s.Flow.Load(v.ctx(), e.Case)
		if err != nil {
			return &down{err}
		}
		p.Step = phoneStep(c.Next(now))
	case !e.Matched.IsZero():
		p.Step = "you"
	case e.Over(now):
		p.Step = "over"
	case code != "":
		qr, err := totp.QR(s.origin + phonePath + code)
		if err != nil {
			return err
		}
		p.QR, p.Link = qr, s.origin+phonePath+code
	}
	if p.Step == "done" || p.Step == "over" || p.Step == "refused" {
		p.Kiosk.Idle = 30
	}
	return v.page(fiber.StatusOK, p)
}

// phoneStep is as much as a screen in a lobby says of a case.
func phoneStep(step flow.Step) string {
	switch step {
	case flow.StepNewPassword, flow.StepApplying:
		return "password"
	case flow.StepDone:
		return "done"
	case flow.StepRefused, flow.StepExpired:
		return "refused"
	}
	return "proof"
}

// phone is what the code in the picture opens, on any browser. It shows which screen asks
// and changes nothing: phones look at links before they open them.
func (s *Site) phone(v *visit) error {
	e, err := s.Kiosk.Phones.Phone(v.ctx(), v.Params("code"))
	if err != nil {
		return noErrand(err)
	}
	return v.page(fiber.StatusOK, &view.Phone{Frame: v.frame(phonePath + v.Params("code")), Code: v.Params("code"), Name: e.Screen.Name, Site: e.Screen.Site})
}

func noErrand(err error) error {
	if errors.Is(err, kiosk.ErrNone) {
		return flow.ErrNoRequest
	}
	return &down{err}
}

// matchPhone takes the number, and gives this browser the case, or the form to begin it.
func (s *Site) matchPhone(v *visit, f form) error {
	if err := s.tryByAddress(v, "phone"); err != nil {
		return err
	}
	code := v.Params("code")
	e, err := s.Kiosk.Phones.MatchPhone(v.ctx(), code, f["number"], v.client.String())
	if wrong := (*kiosk.WrongNumber)(nil); errors.As(err, &wrong) {
		if wrong.Left == 0 {
			return flow.ErrNoRequest
		}
		return v.page(fiber.StatusUnprocessableEntity, &view.Phone{Frame: v.frame(phonePath+code, view.Fault{Field: "number", Code: "wrong_number", Left: wrong.Left}),
			Code: code, Name: e.Screen.Name, Site: e.Screen.Site})
	}
	if err != nil {
		return noErrand(err)
	}
	next, to := session.State{Errand: e.ID}, "/phone"
	if e.Case != "" {
		c, err := s.Kiosk.Carrying.Carry(v.ctx(), e.Case, e.Screen, v.client.String(), v.lang)
		if err != nil {
			return err
		}
		next, to = session.State{Case: c.ID, Purpose: c.Purpose}, recovery.path
	}
	if err := v.anew(next); err != nil {
		return err
	}
	return v.to(to)
}

// phoneForm asks, on the phone, who it is.
func (s *Site) phoneForm(v *visit) error {
	e, err := s.carried(v)
	if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, &view.StartForm{Frame: v.frame("/phone"), Base: "/phone", Purpose: e.Purpose, Picker: s.picker(nil)})
}

func (s *Site) carried(v *visit) (kiosk.Errand, error) {
	was, err := v.known()
	if err != nil {
		return kiosk.Errand{}, err
	}
	if was.Errand == "" {
		return kiosk.Errand{}, flow.ErrNoRequest
	}
	e, err := s.Kiosk.Phones.Carried(v.ctx(), was.Errand)
	if err != nil {
		return e, noErrand(err)
	}
	return e, nil
}

// phoneStart begins the case on the phone, as one of the screen it stands before.
func (s *Site) phoneStart(v *visit, f form) error {
	e, err := s.carried(v)
	if err != nil {
		return err
	}
	login, err := s.login(f)
	if err != nil {
		return err
	}
	r := flow.StartRequest{Purpose: e.Purpose, Door: access.Kiosk, At: e.Screen, Carried: true, Login: login, Current: f.secret("current"), Address: v.client.String(), Lang: v.lang}
	switch {
	case f["purpose"] != string(e.Purpose), !r.Current.Empty() && r.Purpose != policy.Change:
		return errPurpose
	case r.Login == "":
		err = &flow.Invalid{Field: "login", Code: "required"}
	default:
		var c *flow.Case
		if c, err = s.begin(v, r, access.Principal{}, ""); c != nil {
			if berr := s.Kiosk.Phones.Begun(v.ctx(), e.ID, c.ID); berr != nil {
				return noErrand(berr)
			}
			return s.next(v, recovery, c, err)
		}
	}
	t := judge(err)
	if len(t.faults) == 0 || t.status == fiber.StatusConflict {
		return err
	}
	s.tell(v, t, err)
	return v.page(t.status, &view.StartForm{Frame: v.frame("/phone", t.faults...), Base: "/phone", Purpose: r.Purpose, Login: f["login"], Picker: s.picker(f)})
}

func (s *Site) phoneRoutes() []route {
	return []route{
		{path: kioskPhone, page: s.there(s.phoneState), action: s.thereToo(s.askPhone), fields: []field{maybe(fieldPurpose)}},
		{path: "/phone", page: s.phoneForm},
		{path: "/phone/start", action: s.phoneStart, fields: s.naming(fieldPurpose, fieldLogin, fieldCurrent)}, // before the next, which it looks like
		{path: phonePath + ":code", page: s.phone, action: s.matchPhone, fields: []field{fieldNumber}},
	}
}
