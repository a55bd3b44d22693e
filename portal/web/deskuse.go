package web

import (
	"encoding/base64"
	"io"

	"github.com/gofiber/fiber/v2"
)

// pollField marks an address that a page asks for by itself, while nobody may be
// sitting before it. Every page of the desk that refreshes has it: see the test of
// the templates.
const pollField = "poll"

// polls reports whether the request is one that no person made.
func (v *visit) polls() bool { return v.Method() == fiber.MethodGet && v.Query(pollField) != "" }

// useDesk notes a use of the desk by the person. Neither a page that refreshes itself
// nor another site's link keeps a desk open that its technician has left.
func (s *Site) useDesk(v *visit) error {
	if v.polls() || v.sentHere() {
		return nil
	}
	if err := s.Sessions.UseDesk(v.ctx(), v.token); err != nil {
		return &down{err}
	}
	return nil
}

// once is what a form carries so that it acts once, however often it is sent.
func (v *visit) once() (string, error) {
	b := make([]byte, 16)
	_, err := io.ReadFull(v.site.Rand, b)
	return base64.RawURLEncoding.EncodeToString(b), err
}
