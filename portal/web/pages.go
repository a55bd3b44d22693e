package web

import (
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"

	"postern/portal/policy"
	"postern/portal/web/view"
	"postern/static"
)

func (s *Site) home(v *visit) error {
	return v.page(fiber.StatusOK, &view.Start{Frame: v.frame(""), Offers: s.Purposes})
}

// serves says whether some directory can do what is asked. A reset each can.
func (s *Site) serves(p policy.Purpose) bool {
	return p != policy.Unlock && p != policy.Change || slices.Contains(s.Purposes, p)
}

func (s *Site) startForm(purpose policy.Purpose) func(*visit) error {
	return func(v *visit) error {
		if !s.serves(purpose) {
			return v.to("/")
		}
		return v.page(fiber.StatusOK, &view.StartForm{Frame: v.frame(""), Base: recovery.path, Purpose: purpose, Picker: s.picker(nil)})
	}
}

func (s *Site) help(v *visit) error {
	topic := v.Params("topic")
	if !slices.Contains(view.Topics(), topic) {
		return fiber.ErrNotFound
	}
	return v.page(fiber.StatusOK, &view.Help{Frame: v.frame(""), Topic: topic})
}

// static serves what was read at the start; a request can name nothing else.
func (s *Site) static(c *fiber.Ctx) error {
	f, ok := s.Static.Get(c.Path())
	if !ok {
		return fiber.ErrNotFound
	}
	c.Set(fiber.HeaderCacheControl, static.CacheControl)
	c.Set(fiber.HeaderVary, fiber.HeaderAcceptEncoding)
	c.Set(fiber.HeaderETag, f.ETag)
	c.Set(fiber.HeaderContentType, f.Type)
	if string(c.Request().Header.Peek(fiber.HeaderIfNoneMatch)) == f.ETag {
		return c.SendStatus(fiber.StatusNotModified)
	}
	if f.Gzip != nil && c.Request().Header.HasAcceptEncoding("gzip") {
		c.Set(fiber.HeaderContentEncoding, "gzip")
		return c.Send(f.Gzip)
	}
	return c.Send(f.Body)
}

// healthz: the process answers.
func (s *Site) healthz(c *fiber.Ctx) error { return c.SendString("ok\n") }

// readyz: the store can be used, without which every request is refused.
func (s *Site) readyz(c *fiber.Ctx) error {
	if err := s.Ready(c.UserContext()); err != nil {
		s.Log.WarnContext(c.UserContext(), "not ready", "cause", err.Error())
		return c.Status(fiber.StatusServiceUnavailable).SendString("not ready\n")
	}
	return c.SendString("ok\n")
}

func (s *Site) demo(v *visit) error {
	p, err := s.Demo.Page(v.ctx())
	if err != nil {
		return err
	}
	p.Frame = v.frame("")
	return v.page(fiber.StatusOK, p)
}

// demoKiosk makes this browser the demo's shared screen, and demoLeave a browser again.
func (s *Site) demoKiosk(v *visit) error {
	to, err := s.Demo.Launch(v.ctx())
	if err != nil {
		return err
	}
	return v.to(to)
}

func (s *Site) demoLeave(v *visit) error {
	v.dropCookie(kioskCookie)
	return v.to("/")
}

// message is one line of /demo/inbox.json.
type message struct {
	At      time.Time `json:"at"`
	Channel string    `json:"channel"`
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
}

func (s *Site) inbox(v *visit) error {
	inbox, err := s.Demo.Inbox(v.ctx())
	if err != nil {
		return err
	}
	list := make([]message, 0, len(inbox))
	for _, m := range inbox {
		list = append(list, message{m.At, m.Channel, m.To, m.Subject, m.Text})
	}
	return v.JSON(list)
}
