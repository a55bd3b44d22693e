package web

import (
	"context"
	"errors"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/portal/session"
	"postern/portal/web/view"
)

// Asking calls a technician to a screen (kiosk.Service).
type Asking interface {
	AskDesk(ctx context.Context, d kiosk.Device, lang, from string) (kiosk.Errand, error)
}

// ClaimingAt opens what a technician began for a screen (flow.Service).
type ClaimingAt interface {
	ClaimAt(ctx context.Context, id string, at access.Screen, address, lang string) (*flow.Case, error)
}

const kioskHelp = kioskHome + "/help"

// askDesk calls somebody. Whatever was going on at the screen ends: what follows is one with
// the help desk.
func (s *Site) askDesk(v *visit, _ form) error {
	if err := s.wipe(v); err != nil {
		return err
	}
	e, err := s.Kiosk.Asking.AskDesk(v.ctx(), v.device, v.lang, v.client.String())
	switch {
	case errors.Is(err, kiosk.ErrNone):
		return errPurpose
	case err != nil:
		return &down{err}
	}
	if err := v.anew(session.State{Errand: e.ID}); err != nil {
		return err
	}
	return v.to(kioskHelp)
}

// helpPage is the question whether to call, and then how the call stands.
func (s *Site) helpPage(v *visit) error {
	if !v.device.May(kiosk.Help) {
		return v.to(kioskHome)
	}
	e, c, err := s.called(v)
	if err != nil {
		return err
	}
	p := &view.KioskHelp{Frame: v.frame(kioskHelp), Step: "ask", Number: e.Number, Until: e.Expires, Helper: e.ByName}
	switch now := s.Now(); {
	case e.ID == "":
	case e.Ended:
		p.Step = "over"
	case c != nil && c.Claimed.IsZero() && c.Live(now) && !c.OnHold():
		p.Step = "ready"
	case c != nil && c.OnHold() && c.Live(now), e.Case == "" && e.By != "" && now.Before(e.Expires):
		p.Step = "taken"
	case e.By == "" && !e.Over(now):
		p.Step = "wait"
	default:
		p.Step = "over"
	}
	if p.Step != "ask" && p.Step != "over" {
		p.Kiosk.Idle = 300
	}
	return v.page(fiber.StatusOK, p)
}

// called is the call of this screen's session, and its case; nothing where there is none.
func (s *Site) called(v *visit) (e kiosk.Errand, c *flow.Case, err error) {
	was, err := v.known()
	if err != nil || was.Errand == "" {
		return e, nil, err
	}
	e, err = s.Kiosk.Errands.Errand(v.ctx(), was.Errand, v.device.Screen())
	switch {
	case errors.Is(err, kiosk.ErrNone), err == nil && e.Kind != kiosk.ToDesk:
		return kiosk.Errand{}, nil, nil
	case err != nil:
		return e, nil, &down{err}
	case e.Case == "":
		return e, nil, nil
	}
	if c, err = s.Flow.Load(v.ctx(), e.Case); err != nil {
		return e, nil, &down{err}
	}
	return e, c, nil
}

// goOn opens the technician's case at this screen.
func (s *Site) goOn(v *visit, _ form) error {
	e, c, err := s.called(v)
	if err != nil {
		return err
	}
	if c == nil || e.Ended {
		return flow.ErrConflict
	}
	if c, err = s.Kiosk.ClaimingAt.ClaimAt(v.ctx(), e.Case, v.device.Screen(), v.client.String(), v.lang); errors.Is(err, flow.ErrNoRequest) {
		return flow.ErrConflict
	} else if err != nil {
		return err
	}
	if err := s.enterKiosk(v, c); err != nil {
		return err
	}
	if err := v.anew(session.State{Case: c.ID, Purpose: c.Purpose}); err != nil {
		return err
	}
	return v.to(shared.path)
}

// endErrand ends what was asked of another screen, and what a technician has begun for it
// and nobody has opened: they would wait for somebody who has left. The errand is read when
// it is over, for nothing is begun in it from then on.
func (s *Site) endErrand(v *visit, id string) error {
	at := v.device.Screen()
	if err := s.Kiosk.Errands.EndErrand(v.ctx(), id, at); err != nil {
		return err
	}
	e, err := s.Kiosk.Errands.Errand(v.ctx(), id, at)
	if err == nil && e.Kind == kiosk.ToDesk && e.Case != "" {
		err = s.Kiosk.Leaving.Leave(v.ctx(), e.Case, at)
	}
	if errors.Is(err, kiosk.ErrNone) || errors.Is(err, flow.ErrNoCase) {
		return nil
	}
	return err
}

func (s *Site) helpRoutes() []route {
	return []route{
		{path: kioskHelp, page: s.there(s.helpPage), action: s.thereToo(s.askDesk)},
		{path: kioskHelp + "/open", action: s.thereToo(s.goOn)},
	}
}
