package web

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// csp allows what our pages need and nothing else: no inline script or style,
// nothing from elsewhere, no frames in either direction.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; manifest-src 'none'"

// headers are set on every answer, whatever made it.
func (s *Site) headers(h *fasthttp.ResponseHeader) {
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Not no-referrer: browsers then send "Origin: null" with every form of ours.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), "+
		"camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Cookie, Accept-Language")
	if s.https {
		// From the configuration, never from how the request seems to have come:
		// a wrong proxy list must not take it away.
		h.Set("Strict-Transport-Security", "max-age=63072000")
	}
}

// Wrap puts the headers around everything fiber does, for fiber answers unknown
// methods before any middleware runs; and it refuses what a proxy in front may
// have read in another way than fasthttp does.
func (s *Site) Wrap(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		s.headers(&c.Response.Header)
		if !tidy(&c.Request.Header) {
			c.SetConnectionClose() // what follows on it cannot be trusted to be a request
			c.SetStatusCode(fasthttp.StatusBadRequest)
			c.SetContentType("text/plain; charset=utf-8")
			c.SetBodyString(unreadable)
			return
		}
		next(c)
	}
}

// unreadable answers what is not clean HTTP. It repeats nothing of it.
const unreadable = "This request could not be read.\n"

// tidy demands HTTP/1.0 or 1.1, lines that end in CR LF, and no folded lines.
// RFC 9112 sections 2.2 and 5.2 let a server be lenient here; two servers in a
// row that are lenient in different ways see different requests (smuggling). The
// first line is not seen here: fasthttp takes it apart before.
func tidy(h *fasthttp.RequestHeader) bool {
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return false
	}
	raw := h.RawHeaders()
	for {
		i := bytes.IndexByte(raw, '\n')
		if i < 0 {
			return true
		}
		if i == 0 || raw[i-1] != '\r' {
			return false
		}
		raw = raw[i+1:]
		if len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t') {
			return false
		}
	}
}
