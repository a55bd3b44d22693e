package portal

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw sends bytes as they are and returns every byte that came back until the
// server closed or fell silent.
func (h *house) raw(request string) string {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		h.t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		h.t.Fatal(err)
	}
	all, _ := io.ReadAll(c)
	return string(all)
}

// statuses lists the status of each response in what raw returned.
func statuses(t *testing.T, all string) (list []int) {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(all))
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return list
		}
		list = append(list, resp.StatusCode)
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return list
		}
	}
}

// Security case 30: what two parsers could read in two ways is refused, and
// what hides behind it is never served. Measured directly at the server, which
// must not depend on what a proxy in front lets through.
func TestSmuggledRequestIsNeverServed(t *testing.T) {
	t.Parallel()
	h := open(t)
	const good = "GET /recover/reset HTTP/1.1\r\nHost: " + publicHost + "\r\n\r\n"
	if got := statuses(t, h.raw(good)); len(got) != 1 || got[0] != 200 {
		t.Fatalf("the probe itself: %v", got)
	}
	post := func(headers, body string) string {
		return "POST /recover/start HTTP/1.1\r\nHost: " + publicHost + "\r\nContent-Type: application/x-www-form-urlencoded\r\n" + headers + "\r\n" + body
	}
	get := func(line, headers string) string { return line + "\r\n" + headers + "\r\n" }
	for name, request := range map[string]string{
		"two hosts":               get("GET / HTTP/1.1", "Host: "+publicHost+"\r\nHost: evil.example\r\n"),
		"two equal hosts":         get("GET / HTTP/1.1", "Host: "+publicHost+"\r\nHost: "+publicHost+"\r\n"),
		"no host":                 get("GET / HTTP/1.1", ""),
		"host with user":          get("GET / HTTP/1.1", "Host: "+publicHost+"@evil.example\r\n"),
		"host with path":          get("GET / HTTP/1.1", "Host: "+publicHost+"/x\r\n"),
		"CL and TE":               post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+good),
		"TE twice":                post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+good),
		"TE spelled oddly":        post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+good),
		"TE with a tab":           post("Transfer-Encoding:\tchunked, identity\r\n", "0\r\n\r\n"+good),
		"CL twice":                post("Content-Length: 0\r\nContent-Length: 44\r\n", good),
		"CL with plus":            post("Content-Length: +5\r\n", "csrf="+good),
		"CL negative":             post("Content-Length: -1\r\n", good),
		"LF in a chunk extension": post("Transfer-Encoding: chunked\r\n", "5;\n\r\ncsrf=\r\n0\r\n\r\n"+good),
		"chunk size too large":    post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"+good),
		"folded header":           get("GET / HTTP/1.1", "Host: "+publicHost+"\r\nX-A: b\r\n Transfer-Encoding: chunked\r\n"),
		"bare LF":                 "GET / HTTP/1.1\nHost: " + publicHost + "\n\n" + good,
		"bare LF in one header":   get("GET / HTTP/1.1", "Host: "+publicHost+"\r\nX-A: b\nX-B: c\r\n"),
		"bare CR":                 get("GET / HTTP/1.1", "Host: "+publicHost+"\r\nX-A: b\rX-B: c\r\n"),
		"NUL in a header":         get("GET / HTTP/1.1", "Host: "+publicHost+"\r\nX-A: b\x00c\r\n"),
		"space before the colon":  get("GET / HTTP/1.1", "Host: "+publicHost+"\r\nContent-Length : 5\r\n"),
		"no such version":         get("GET / HTTP/9.9", "Host: "+publicHost+"\r\n"),
		"headers over 16 KiB":     get("GET / HTTP/1.1", "Host: "+publicHost+"\r\nX-A: "+strings.Repeat("a", 17<<10)+"\r\n"),
		"noise":                   "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := h.raw(request)
			for i, status := range statuses(t, all) {
				if status < 400 {
					t.Errorf("response %d is %d\n%s", i, status, all)
				}
			}
			if strings.Contains(all, "StartForm") {
				t.Errorf("the hidden request was served\n%s", all)
			}
			if strings.Contains(all, "evil") || strings.Contains(all, "identity") {
				t.Errorf("the answer repeats the request\n%s", all)
			}
		})
	}
}

// Security cases 47 and 44: every answer, whatever made it.
func TestEveryAnswerHasTheHeaders(t *testing.T) {
	t.Parallel()
	h := open(t, func(o *Options) { o.Web.Demo = demo{} })
	b := h.signedIn()
	check := func(t *testing.T, what string, hd http.Header) {
		t.Helper()
		for name, want := range map[string]string{
			"Content-Security-Policy":    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; manifest-src 'none'",
			"X-Content-Type-Options":     "nosniff",
			"Referrer-Policy":            "same-origin",
			"Strict-Transport-Security":  "max-age=63072000",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := hd.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %s is %q", what, name, got)
			}
		}
		if p := hd.Get("Permissions-Policy"); !strings.Contains(p, "publickey-credentials-get=(self)") || !strings.Contains(p, "publickey-credentials-create=(self)") {
			t.Errorf("%s: Permissions-Policy is %q", what, p)
		}
		if cc := hd.Get("Cache-Control"); cc != "no-store" && !strings.HasPrefix(what, "GET /static/x.123.css") && !strings.HasPrefix(what, "HEAD /static/x.123.css") {
			t.Errorf("%s: Cache-Control is %q", what, cc)
		}
		if hd.Get("Server") != "" {
			t.Errorf("%s: Server is %q", what, hd.Get("Server"))
		}
	}
	paths := map[string]bool{"/static/x.123.css": true, "/static/none.css": true, "/nowhere": true, "/recover/reset/x.css": true, "//evil.example": true}
	for _, r := range h.server.app.GetRoutes(true) {
		paths[concrete(r.Path)] = true
	}
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"}
	for path := range paths {
		for _, m := range methods {
			what := m + " " + path
			var a answer
			if m == http.MethodPost {
				a = b.do(m, path, "csrf="+b.csrf)
			} else {
				a = b.do(m, path, "")
			}
			check(t, what, a.Header)
			if len(methods) > 3 && (m != "GET" && m != "HEAD" && m != "POST") && a.StatusCode != 400 {
				t.Errorf("%s: %d, want 400", what, a.StatusCode)
			}
			if m == "HEAD" && len(a.body) > 0 {
				t.Errorf("%s has a body", what)
			}
		}
	}
	if len(paths) < 25 {
		t.Errorf("only %d paths: the route table was not read", len(paths))
	}
	for name, request := range map[string]string{
		"nonsense":  "nonsense\r\n\r\n",
		"too large": "POST /recover/start HTTP/1.1\r\nHost: " + publicHost + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1048576\r\n\r\n" + strings.Repeat("a", 70<<10),
		"long":      "GET / HTTP/1.1\r\nHost: " + publicHost + "\r\nX-A: " + strings.Repeat("a", 20<<10) + "\r\n\r\n",
	} {
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(h.raw(request))), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if resp.StatusCode < 400 {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
		check(t, name, resp.Header)
	}
}

func concrete(path string) string {
	return strings.NewReplacer(":id", "cred1", ":kind", "totp", ":topic", "passkeys", ":file", "x.123.css", ":token", goodLink, ":code", "ABC-234-XYZ").Replace(path)
}

// Security case 27: nothing a request calls us reaches a link, and another name
// is not served at all.
func TestHostIsExact(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, host := range []string{"evil.example", "id.example.org.evil.example", "id.example.org:8443", "xid.example.org", "127.0.0.1"} {
		for _, m := range []string{"GET", "POST"} {
			a := h.tab().do(m, "/recover/reset", "", "Host", host)
			if a.StatusCode != http.StatusMisdirectedRequest || a.Page.Code != "host" || len(a.Cookies()) > 0 {
				t.Errorf("%s %s: %d %s", m, host, a.StatusCode, a.body)
			}
		}
		for _, probe := range []string{"/healthz", "/readyz"} {
			if a := h.tab().get(probe, "Host", host); a.StatusCode != 200 {
				t.Errorf("%s at %s: %d", probe, host, a.StatusCode)
			}
		}
	}
	all := h.raw("GET http://evil.example/recover/reset HTTP/1.1\r\nHost: " + publicHost + "\r\n\r\n")
	if got := statuses(t, all); len(got) != 1 || got[0] != http.StatusMisdirectedRequest {
		t.Errorf("absolute target of another host: %v", got)
	}
	b := h.tab()
	a := b.get("/recover/reset", "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example", "X-Forwarded-Proto", "javascript", "X-Original-URL", "/demo")
	a.want(t, 200, "StartForm")
	if strings.Contains(string(a.body)+fmt.Sprint(a.Header), "evil") {
		t.Errorf("a forwarded name came back: %s", a.body)
	}
	a = b.do("POST", "/recover/start", b.form("purpose", "reset", "login", "alice"), "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "javascript")
	a.leads(t, "/recover")
}

// Security case 32: a page with a file's ending is no page, and nothing is cached.
func TestPathIsExact(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	for _, path := range []string{"/recover/reset/x.css", "/recover.css", "/recover/", "/RECOVER/reset", "/recover/reset/", "/recover/%72eset", "/static/../recover/reset",
		"/static/%2e%2e/recover", "/static/", "/static/x.124.css", "/me/x.css", "/help/none", "/approve/x", "/desk", "/kiosk", "/link/x", "/notme/x", "/demo", "/demo/inbox.json", "/metrics", "/debug/pprof/"} {
		a := b.do("GET", path, "")
		if a.StatusCode != 404 || a.Page.Code != "not_found" || a.Header.Get("Cache-Control") != "no-store" || !strings.Contains(a.Header.Get("Vary"), "Cookie") {
			t.Errorf("GET %s: %d %q %q", path, a.StatusCode, a.Page.Code, a.Header.Get("Cache-Control"))
		}
		if strings.Contains(string(a.body), path) {
			t.Errorf("GET %s is repeated in the page", path)
		}
	}
	a := b.get("/static/x.123.css", "Accept-Encoding", "gzip")
	if a.StatusCode != 200 || a.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(a.Header.Get("Cache-Control"), "immutable") || a.Header.Get("Vary") != "Accept-Encoding" || len(a.Cookies()) > 0 {
		t.Errorf("static: %d %v", a.StatusCode, a.Header)
	}
	if a := b.get("/static/x.123.css", "If-None-Match", `"123"`); a.StatusCode != 304 {
		t.Errorf("static again: %d", a.StatusCode)
	}
}

// Security case 11: the limits' key is the peer, or what a trusted proxy wrote.
func TestClientAddressCannotBeForged(t *testing.T) {
	t.Parallel()
	forged := []string{"X-Forwarded-For", "9.9.9.9", "Forwarded", "for=9.9.9.9", "X-Client-Ip", "9.9.9.9", "True-Client-Ip", "9.9.9.9", "X-Real-Ip", "9.9.9.9"}
	direct := func(o *Options) { o.Config.PublicURL, o.Config.TrustedProxies = "http://localhost:8080", nil }
	other := func(o *Options) { o.Config.TrustedProxies = []string{"192.0.2.0/24"} }
	for _, c := range []struct {
		name   string
		change func(*Options)
		header []string
		want   string
	}{
		{"direct", direct, forged, "127.0.0.1"},
		{"proxy not trusted", other, forged, "127.0.0.1"},
		{"proxy", func(*Options) {}, []string{"X-Real-Ip", "203.0.113.9", "X-Forwarded-For", "9.9.9.9"}, "203.0.113.9"},
		{"proxy says IPv6", func(*Options) {}, []string{"X-Real-Ip", "2001:db8:1:2:3::9"}, "2001:db8:1:2::"},
		{"proxy says mapped", func(*Options) {}, []string{"X-Real-Ip", "::ffff:203.0.113.9"}, "203.0.113.9"},
		{"proxy does not say", func(*Options) {}, nil, "127.0.0.1"},
		{"proxy says two", func(*Options) {}, []string{"X-Real-Ip", "203.0.113.9", "X-Real-Ip", "9.9.9.9"}, "127.0.0.1"},
		{"proxy says a list", func(*Options) {}, []string{"X-Real-Ip", "203.0.113.9, 9.9.9.9"}, "127.0.0.1"},
		{"proxy says nonsense", func(*Options) {}, []string{"X-Real-Ip", "x"}, "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, c.change)
			b := h.tab()
			b.header = http.Header{}
			b.do("GET", "/", "", c.header...)
			if len(h.limits.keys) != 1 || !strings.HasPrefix(h.limits.keys[0], "page "+c.want) {
				t.Errorf("counted as %q, want %q", h.limits.keys, c.want)
			}
		})
	}
}

// Security case 48: 64 KiB, one kind of body, never packed.
func TestBodyRules(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/recover/reset")
	form := b.form("purpose", "reset", "login", "alice")
	for _, c := range []struct {
		name   string
		body   string
		header []string
		want   int
	}{
		{"JSON", `{"purpose":"reset","login":"alice"}`, []string{"Content-Type", "application/json"}, 415},
		{"multipart", form, []string{"Content-Type", "multipart/form-data; boundary=x"}, 415},
		{"plain text", form, []string{"Content-Type", "text/plain"}, 415},
		{"other charset", form, []string{"Content-Type", "application/x-www-form-urlencoded; charset=utf-7"}, 415},
		{"packed", form, []string{"Content-Encoding", "gzip"}, 415},
		{"packed by name only", form, []string{"Content-Encoding", "identity"}, 415},
		{"over 64 KiB", "login=" + strings.Repeat("a", 64<<10), nil, 413},
		{"1 MB", strings.Repeat("a", 1<<20), nil, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := "POST /recover/start HTTP/1.1\r\nHost: " + publicHost + "\r\nConnection: close\r\nCookie: __Host-postern=" + b.cookies["__Host-postern"] + "\r\n"
			if c.header == nil || c.header[0] != "Content-Type" {
				req += "Content-Type: application/x-www-form-urlencoded\r\n"
			}
			if c.header != nil {
				req += c.header[0] + ": " + c.header[1] + "\r\n"
			}
			req += fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(c.body), c.body[:min(len(c.body), 80<<10)])
			if got := statuses(t, h.raw(req)); len(got) != 1 || got[0] != c.want {
				t.Errorf("%v, want %d", got, c.want)
			}
		})
	}
	if a := b.do("GET", "/", "body"); a.StatusCode != 400 {
		t.Errorf("a body on GET: %d", a.StatusCode)
	}
	if len(h.core.calls) > 0 {
		t.Errorf("the core was asked: %v", h.core.calls)
	}
}

// Strings of one request must not change under the next one on the connection.
func TestKeepAliveDoesNotAlias(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/recover/reset")
	b.post("/recover/start", "purpose", "reset", "login", "first@good.example").leads(t, "/recover")
	for range 50 {
		b.get("/recover/reset", "X-Filler", strings.Repeat("z", 500))
		b.post("/recover/start", "purpose", "reset", "login", "other@evil.example")
	}
	if got := h.core.seen[0]; got.Login != "first@good.example" || got.Address != "203.0.113.7" || string(got.Purpose) != "reset" {
		t.Errorf("what was kept of the first request reads %+v", got)
	}
}
