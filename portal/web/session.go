package web

import (
	"context"
	"encoding/base64"
	"io"

	"github.com/valyala/fasthttp"

	"postern/portal/session"
)

// Sessions keep what is known of a browser by a hash of its token, and end it
// when it was idle or lived too long. See session.Manager.
type Sessions interface {
	// Find returns session.ErrNone when there is none.
	Find(ctx context.Context, token string) (session.State, error)
	// Peek is Find for what no person asked for: it does not count as a use.
	Peek(ctx context.Context, token string) (session.State, error)
	// UseDesk notes that the person used the desk.
	UseDesk(ctx context.Context, token string) error
	// Replace ends the session of old, if there is one, and stores s under the
	// token next, in one step. The zero State is not stored.
	Replace(ctx context.Context, old, next string, s session.State) error
	// Hash names a session where its token must not be known.
	Hash(token string) string
}

const (
	sessionCookie = "__Host-postern"
	langCookie    = "__Host-lang"
	tokenBytes    = 32
)

// newToken makes a browser's identity: 256 random bits.
func newToken(rand io.Reader) (string, error) {
	b := make([]byte, tokenBytes)
	_, err := io.ReadFull(rand, b)
	return base64.RawURLEncoding.EncodeToString(b), err
}

func validToken(t string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(t)
	return err == nil && len(b) == tokenBytes
}

// setCookie sets a cookie that only this host gets back, only over TLS (or on
// localhost), out of reach of scripts, gone with the browser's session. The
// server alone knows when a session ends.
func (v *visit) setCookie(name, value string) {
	c := cookie(name, value)
	defer fasthttp.ReleaseCookie(c)
	v.Response().Header.SetCookie(c)
}

// dropCookie takes one away, if the browser has it.
func (v *visit) dropCookie(name string) {
	if len(v.Request().Header.Cookie(name)) == 0 {
		return
	}
	c := cookie(name, "")
	defer fasthttp.ReleaseCookie(c)
	c.SetMaxAge(-1)
	c.SetExpire(fasthttp.CookieExpireDelete)
	v.Response().Header.SetCookie(c)
}

func cookie(name, value string) *fasthttp.Cookie {
	c := fasthttp.AcquireCookie()
	c.SetKey(name)
	c.SetValue(value)
	c.SetPath("/")
	c.SetSecure(true)
	c.SetHTTPOnly(true)
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	return c
}
