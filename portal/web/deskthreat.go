package web

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/web/view"
)

// Switch is the threat level (desk.Switch).
type Switch interface {
	access.Threats
	Turn(ctx context.Context, w desk.Who, t desk.Turn) error
}

const threatPath = "/desk/threat"

// threatSpans are for how long the page offers to raise the level, beside until
// somebody lowers it.
var threatSpans = []time.Duration{time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// level reads how the threat level stands, for a page of the desk: who works there
// must know of it before they do anything.
func (s *Site) level(v *visit) error {
	t, err := s.Desk.Level.Threat(v.ctx())
	if err != nil {
		return &down{err}
	}
	if t.Raised(s.Now()) {
		v.threat = &view.Threat{Since: t.Since, Login: t.Login, Reason: t.Reason, Until: t.Until}
	}
	return nil
}

func (s *Site) deskThreat(v *visit, _ access.Principal) error {
	return v.page(fiber.StatusOK, s.threatPage(v, form{}))
}

func (s *Site) threatPage(v *visit, f form, faults ...view.Fault) *view.DeskThreat {
	page := &view.DeskThreat{Frame: v.frame(threatPath, faults...), Spans: threatSpans, Cause: f["cause"]}
	page.For, _ = spanOf(f["for"]) // what was no choice is not chosen again
	return page
}

// turnThreat raises or lowers the level.
func (s *Site) turnThreat(v *visit, f form, p access.Principal) error {
	span, err := spanOf(f["for"])
	if err == nil {
		err = s.Desk.Level.Turn(v.ctx(), v.at(p), desk.Turn{To: access.Level(f["level"]), Reason: f["cause"], For: span})
	}
	switch {
	case err == nil:
		return v.to(threatPath) // which says how it stands
	case errors.Is(err, desk.ErrStale):
		return s.stepUpFor(v, p, threatPath)
	}
	t := judge(err)
	if len(t.faults) == 0 || t.status >= fiber.StatusInternalServerError {
		return err
	}
	return v.page(t.status, s.threatPage(v, f, t.faults...))
}

func spanOf(hours string) (time.Duration, error) {
	if hours == "" || hours == "0" {
		return 0, nil
	}
	n, err := strconv.Atoi(hours)
	if span := time.Duration(n) * time.Hour; err == nil && slices.Contains(threatSpans, span) {
		return span, nil
	}
	return 0, &flow.Invalid{Code: "bad_choice"}
}
