package web

import (
	"encoding/base64"
	"io"
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/session"
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

// deskPage is the page of the desk that a path of its lies at, to come back to after a
// proof. Nothing of the path is in it but an id of exactly our form, so that it leads
// to no other page whatever was sent.
func deskPage(path string) string {
	path, err := url.PathUnescape(path)
	if err != nil {
		return "/desk"
	}
	if rest, ok := strings.CutPrefix(path, "/desk/cases/"); ok {
		if id, _, _ := strings.Cut(rest, "/"); caseIDs.MatchString(id) {
			return casePath(strings.Clone(id)) // the path is fasthttp's own buffer
		}
	}
	if rest, ok := strings.CutPrefix(path, "/desk/people/"); ok {
		if id, _, _ := strings.Cut(rest, "/"); idPattern.MatchString(id) {
			return personPath(directory.ID(strings.Clone(id)))
		}
	}
	for _, page := range []string{"/desk/people", "/desk/policy", "/desk/coverage", doctorPath} {
		if path == page {
			return page
		}
	}
	return "/desk"
}

// prove begins the proof that opens the desk again, and leads back to where somebody
// was.
func (s *Site) prove(v *visit, f form, p access.Principal) error {
	if !v.has(everyone) {
		return fiber.ErrNotFound
	}
	at := deskPage(f["at"])
	if !v.session.DeskOver(s.Now()) {
		return s.stepUpFor(v, p, at)
	}
	if err := v.anew(session.State{Back: at}); err != nil {
		return err
	}
	return v.to(signin.path)
}
