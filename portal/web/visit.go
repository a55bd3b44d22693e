package web

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/kiosk"
	"postern/portal/session"
	"postern/portal/web/view"
)

// visit is one request and what the middleware found out about it.
type visit struct {
	*fiber.Ctx
	site   *Site
	id     string
	began  time.Time
	client netip.Addr
	token  string // the browser's cookie, well-formed or empty
	lang   string

	read    bool // whether the session's row was read
	session session.State
	roles   []access.Role // of who is signed in, once own has read them
	threat  *view.Threat  // at the desk: that the level is raised; nil: it is not

	device kiosk.Device // the registered device it was made at; zero: none
	kiosk  bool         // a pass came with it, though it may be worth nothing
}

type visitKey struct{}

// visitOf returns the request's visit; nil where fasthttp failed before any
// middleware ran.
func visitOf(c *fiber.Ctx) *visit {
	v, _ := c.Locals(visitKey{}).(*visit)
	return v
}

func (v *visit) ctx() context.Context { return v.UserContext() }

// down is a part that could not be asked. Whatever it was asked, the answer is no.
type down struct{ cause error }

func (e *down) Error() string { return "web: unavailable: " + e.cause.Error() }
func (e *down) Unwrap() error { return e.cause }

// known returns what the store has about this browser, once a request; the
// zero State for a stranger.
func (v *visit) known() (session.State, error) {
	if v.read || v.token == "" {
		return v.session, nil
	}
	find := v.site.Sessions.Find
	if v.polls() {
		find = v.site.Sessions.Peek
	}
	s, err := find(v.ctx(), v.token)
	switch {
	case errors.Is(err, session.ErrNone):
	case err != nil:
		return session.State{}, &down{err}
	case s.Screen.ID != v.device.ID:
		// A session of a shared screen is worth nothing elsewhere, and one that was begun
		// in the same browser before is nobody's at the screen.
	default:
		v.session = s
	}
	v.read = true
	return v.session, nil
}

// become gives the browser a new identity with what s says, and ends the one
// it had. An identity is never taken over from what the browser brought
// (security case 33). token comes from newToken.
func (v *visit) become(token string, s session.State) error {
	s.Screen = v.device.Screen()
	s.Principal.User.Groups = nil // every act reads them again, and there may be hundreds
	if err := v.site.Sessions.Replace(v.ctx(), v.token, token, s); err != nil {
		return &down{err}
	}
	v.setToken(token)
	v.session, v.read = s, true
	return nil
}

// anew is become with a token of its own, for who need not know it beforehand.
func (v *visit) anew(s session.State) error {
	token, err := newToken(v.site.Rand)
	if err != nil {
		return err
	}
	return v.become(token, s)
}

func (v *visit) setToken(token string) {
	v.token = token
	v.setCookie(sessionCookie, token)
}

// principal returns who is signed in.
func (v *visit) principal() (access.Principal, bool, error) {
	s, err := v.known()
	return s.Principal, s.Principal.ID != "", err
}

// who is principal as enrol wants to know them.
func (v *visit) who(p access.Principal) enrol.Who {
	return enrol.Who{Principal: p, Session: v.site.Sessions.Hash(v.token), Address: v.client.String(), Lang: v.lang}
}

// frame is what every page carries. A browser without a cookie gets a random
// one: it costs no row, and binds the form's token to this browser.
func (v *visit) frame(here string, faults ...view.Fault) view.Frame {
	if v.token == "" {
		token, err := newToken(v.site.Rand)
		if err != nil {
			panic("web: no randomness: " + err.Error()) // nothing safe can be sent without it
		}
		v.setToken(token)
		v.read = true
	}
	token, err := v.site.tokens.make(v.token)
	if err != nil {
		panic("web: no randomness: " + err.Error())
	}
	return view.Frame{CSRF: token, Here: here, Faults: faults, Person: v.session.Principal.User.Login, Desk: v.rooms(), Threat: v.threat, Kiosk: v.screen()}
}

// page sends p. Nothing is sent half: the renderer writes all or nothing.
func (v *visit) page(status int, p view.Page) error {
	v.Status(status)
	v.Response().ResetBody()
	v.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return v.site.Renderer.Page(v.Response().BodyWriter(), v.lang, p)
}

// to sends the browser to another page of ours, with GET. path is a constant
// of this package, never anything that was sent.
func (v *visit) to(path string) error { return v.Redirect(path, fiber.StatusSeeOther) }

// secret takes a field of a form out of reach of every printer.
func (f form) secret(name string) directory.Secret { return directory.NewSecret(f[name]) }
