package web

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"postern/directory"
	"postern/portal/limit"
	"postern/static"
)

// requestTime is how long one request may take in all. It is above the
// directory's own deadlines, so that those are the ones that strike.
const requestTime = 8 * time.Second

// requestID names the request for the log and for the person who reports a
// fault. A name the client brings is never taken over.
func (s *Site) requestID(c *fiber.Ctx) error {
	b := make([]byte, 12)
	if _, err := io.ReadFull(s.Rand, b); err != nil {
		return err
	}
	v := &visit{Ctx: c, site: s, id: base64.RawURLEncoding.EncodeToString(b), began: s.Now()}
	c.Locals(visitKey{}, v)
	c.Set("X-Request-Id", v.id)
	err := c.Next()
	if err != nil {
		// Answer here, so that what is observed below is what is sent.
		err = s.Fault(c, err)
	}
	s.observe(v)
	return err
}

// observe tells the log and the metrics of one request. It names the route's
// pattern, never the address that was typed: that may hold a token.
func (s *Site) observe(v *visit) {
	took := s.Now().Sub(v.began)
	pattern, status := v.Route().Path, v.Response().StatusCode()
	if s.Observe != nil {
		s.Observe(v.Method(), pattern, status, took)
	}
	s.Log.DebugContext(v.UserContext(), "request", "request", v.id, "method", v.Method(), "route", pattern,
		"status", status, "took", took, "client", v.client.String())
}

// recovered turns a panic into a plain page. Only errors of the runtime are
// logged with their text: any other value might be made of what was sent.
func (s *Site) recovered(c *fiber.Ctx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			what := fmt.Sprintf("%T", r)
			if e, ok := r.(interface {
				error
				RuntimeError()
			}); ok {
				what = e.Error()
			}
			s.Log.ErrorContext(c.UserContext(), "panic", "request", visitOf(c).id, "panic", what, "stack", string(debug.Stack()))
			if s.Panicked != nil {
				s.Panicked("request")
			}
			err = errPanic
		}
	}()
	return c.Next()
}

var errPanic = errors.New("web: a handler panicked")

// deadline gives every service the same end.
func (s *Site) deadline(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(directory.Hurry(context.Background()), requestTime)
	defer cancel()
	c.SetUserContext(ctx)
	return c.Next()
}

// clientAddress finds out who is asking; limits and the audit log go by it.
func (s *Site) clientAddress(c *fiber.Ctx) error {
	addr, believed := s.proxies.client(c)
	if !believed {
		s.noAddress.Do(func() {
			s.Log.Warn("a trusted proxy does not send one valid X-Real-IP: everybody behind it shares one limit", "proxy", addr.String())
		})
	}
	visitOf(c).client = addr
	return c.Next()
}

// exactHost serves the configured name alone, in the Host header and in an
// absolute request target. What a request calls us never reaches a link.
func (s *Site) exactHost(c *fiber.Ctx) error {
	if string(c.Request().URI().Host()) != s.host || !equalFold(c.Request().Header.Host(), s.host) {
		return fiber.NewError(fiber.StatusMisdirectedRequest)
	}
	return c.Next()
}

// bodyRules: one kind of body, on POST alone, never compressed (65 KB unpack
// to 67 MB). Nothing of a POST is in its address.
func (s *Site) bodyRules(c *fiber.Ctx) error {
	h := &c.Request().Header
	if len(h.Peek(fiber.HeaderContentEncoding)) > 0 {
		return fiber.ErrUnsupportedMediaType
	}
	if c.Method() != fiber.MethodPost {
		if len(c.BodyRaw()) > 0 {
			return &errForm{"a body on " + c.Method()}
		}
		return c.Next()
	}
	if !formType(string(h.ContentType())) {
		return fiber.ErrUnsupportedMediaType
	}
	if len(c.Request().URI().QueryString()) > 0 {
		return &errForm{"a query on POST"}
	}
	return c.Next()
}

// addressLimit stands before all work. Files cost nothing and are not counted;
// a limiter that cannot answer is a no.
func (s *Site) addressLimit(c *fiber.Ctx) error {
	name := limit.Page
	if c.Method() == fiber.MethodPost {
		name = limit.Address
	} else if strings.HasPrefix(c.Path(), static.Prefix) {
		return c.Next()
	}
	v := visitOf(c)
	key := limit.AddressKey(v.client)
	if v.device.ID != "" {
		key = limit.ScreenKey(v.device.ID) // of its own, in a building that shares one address
	}
	err := s.Limits.Take(c.UserContext(), name, key)
	if err == nil {
		return c.Next()
	}
	if over := (*limit.Exceeded)(nil); errors.As(err, &over) {
		return err
	}
	return &down{err}
}

// browser reads who the browser says it is and which language it wants. The
// session's row is read when a page asks for it, and not before.
func (s *Site) browser(c *fiber.Ctx) error {
	v := visitOf(c)
	if t := oneCookie(&c.Request().Header, sessionCookie); validToken(t) {
		v.token = t
	}
	v.lang = s.language(c)
	if asked := c.Request().URI().QueryArgs().Peek("lang"); len(asked) > 0 && string(asked) == v.lang {
		v.setCookie(langCookie, v.lang)
	}
	return c.Next()
}

func (s *Site) language(c *fiber.Ctx) string {
	return s.Languages.Choose(string(c.Request().URI().QueryArgs().Peek("lang")),
		oneCookie(&c.Request().Header, langCookie), string(c.Request().Header.Peek(fiber.HeaderAcceptLanguage)))
}

// sameOrigin refuses what another site made the browser send. Browsers say
// where a request comes from in Sec-Fetch-Site, older ones in Origin; what
// says neither still needs the form's token, as everything does.
func (s *Site) sameOrigin(c *fiber.Ctx) error {
	if c.Method() != fiber.MethodPost {
		return c.Next()
	}
	h := &c.Request().Header
	for _, site := range h.PeekAll("Sec-Fetch-Site") {
		if v := string(site); v != "same-origin" && v != "none" {
			return errCrossSite
		}
	}
	for _, origin := range h.PeekAll(fiber.HeaderOrigin) {
		if string(origin) != s.origin {
			return errCrossSite
		}
	}
	return c.Next()
}

var (
	errCrossSite = errors.New("web: the request was made by another site")
	errToken     = errors.New("web: the form's token is missing or not this session's")
)

// oneCookie returns the cookie of that name, or nothing when there are two:
// one of them is then not ours.
func oneCookie(h *fasthttp.RequestHeader, name string) string {
	value, n := "", 0
	for k, v := range h.Cookies() {
		if string(k) == name {
			value, n = string(v), n+1
		}
	}
	if n != 1 {
		return ""
	}
	return value
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
