package portaltest

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// Visitor is a person with a browser that has no JavaScript: it keeps cookies,
// follows the redirects after a POST and sends back the page's csrf field.
type Visitor struct {
	client  *fasthttp.HostClient
	base    string
	cookies map[string]string
	// Header is sent with every request.
	Header map[string]string
	csrf   string
	Page   Page
}

// Page is one answer.
type Page struct {
	Status   int
	Body     string
	Location string
	Header   map[string]string
}

// NewClient keeps connections to one portal for any number of visitors.
func NewClient(base string) *fasthttp.HostClient {
	u, err := url.Parse(base)
	if err != nil {
		panic(err)
	}
	return &fasthttp.HostClient{Addr: u.Host, MaxConns: 1024, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, DisablePathNormalizing: true}
}

// NewVisitor returns one who was never here.
func NewVisitor(client *fasthttp.HostClient, base string) *Visitor {
	return &Visitor{client: client, base: base, cookies: map[string]string{}, Header: map[string]string{}}
}

var (
	csrfField = regexp.MustCompile(`name="?csrf"? value="?([^"> ]+)`)
	stepAttr  = regexp.MustCompile(`data-step="?([a-z-]+)`)
	errorAttr = regexp.MustCompile(`data-error="?([a-z_]+)`)
)

// Step of the page the visitor looks at.
func (p Page) Step() string { return first(stepAttr, p.Body) }

// Error code on the page; empty when there is none.
func (p Page) Error() string { return first(errorAttr, p.Body) }

func first(re *regexp.Regexp, s string) string {
	if m := re.FindStringSubmatch(s); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// Get opens a path.
func (v *Visitor) Get(path string) error { return v.send("GET", path, nil) }

// Post sends a form with the page's csrf field, and follows one redirect.
func (v *Visitor) Post(path string, fields ...string) error {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	if !form.Has("csrf") {
		form.Set("csrf", v.csrf)
	}
	if err := v.send("POST", path, form); err != nil {
		return err
	}
	if v.Page.Status == 303 {
		return v.send("GET", strings.TrimPrefix(v.Page.Location, v.base), nil)
	}
	return nil
}

// Cookie returns the value of one cookie.
func (v *Visitor) Cookie(name string) string { return v.cookies[name] }

// SetCookie plants one.
func (v *Visitor) SetCookie(name, value string) { v.cookies[name] = value }

func (v *Visitor) send(method, path string, form url.Values) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(method)
	req.SetRequestURI(v.base + path)
	for k, c := range v.cookies {
		req.Header.SetCookie(k, c)
	}
	if form != nil {
		req.Header.SetContentType("application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.base)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.SetBodyString(form.Encode())
	}
	for k, h := range v.Header {
		req.Header.Set(k, h)
	}
	if err := v.client.Do(req, resp); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	for k, raw := range resp.Header.Cookies() {
		c := fasthttp.AcquireCookie()
		if err := c.ParseBytes(raw); err == nil {
			if len(c.Value()) == 0 || c.MaxAge() < 0 {
				delete(v.cookies, string(k))
			} else {
				v.cookies[string(k)] = string(c.Value())
			}
		}
		fasthttp.ReleaseCookie(c)
	}
	v.Page = Page{Status: resp.StatusCode(), Body: string(resp.Body()), Location: string(resp.Header.Peek("Location")), Header: map[string]string{}}
	for k, h := range resp.Header.All() {
		v.Page.Header[string(k)] = string(h)
	}
	if m := first(csrfField, v.Page.Body); m != "" {
		v.csrf = m
	}
	return nil
}
