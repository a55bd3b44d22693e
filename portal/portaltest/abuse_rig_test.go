package portaltest

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/base32"
	"fmt"
	"html"
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	_ "modernc.org/sqlite" // to read what a thief of the database reads

	"postern/directory"
	"postern/directory/directorytest"
	"postern/verify/totp"
)

// roomyLimits takes the limits by client address out of the way, so that a test
// meets the one it is about, and lets a walker say which address it comes from.
const roomyLimits = `trusted_proxies: [127.0.0.1]
limits:
  address: 100000/1m
  page: 100000/1m
  start: 100000/1m
  accounts: 10000/1h
  failures: 100000/1m
`

// siege is one portal before one directory, and whoever tries it.
type siege struct {
	*scene
	client *fasthttp.HostClient
	came   atomic.Int64
	mu     sync.Mutex // over apps and codes
}

// besiege starts one; more is added to the configuration, in place of
// roomyLimits when it has limits of its own.
func besiege(t testing.TB, house, more string) *siege {
	t.Helper()
	return besiegeBuilt(t, program, house, more)
}

func besiegeBuilt(t testing.TB, build func() (string, error), house, more string) *siege {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: needs a directory")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	h, err := houses[house](ctx, t)
	directorytest.Require(t, err)
	t.Cleanup(h.Stop)
	if h.LDAP != nil {
		// Active Directory knows its own administrators; OpenLDAP must be told.
		h.Section += fmt.Sprintf("      privileged_groups: [%q]\n", "cn="+directorytest.AdminGroup+","+h.LDAP.GroupsDN)
	}
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Serve(ctx, bin, t.TempDir(), h, cmp.Or(more, roomyLimits))
	if err != nil {
		t.Fatal(err)
	}
	s := &siege{scene: &scene{t: t, h: h, p: p, apps: map[string][]byte{}, codes: map[string][]string{}}, client: NewClient(p.URL)}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		if err := p.Stop(); err != nil {
			t.Errorf("postern did not end well: %v\n%s", err, p.Log())
		}
		if log := p.Log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") || t.Failed() {
			t.Errorf("postern said:\n%s", log)
		}
	})
	return s
}

// walker is one browser at one address.
type walker struct {
	*Visitor
	t testing.TB
	s *siege
}

// reply is one answer, with everything a stranger could compare.
type reply struct {
	Page
	Cookies []string // Set-Cookie lines
	Lines   []string // all other header lines but Date, sorted
}

// walker returns one who was never here, at an address of their own.
func (s *siege) walker(t testing.TB) *walker {
	n := s.came.Add(1)
	w := &walker{Visitor: NewVisitor(s.client, s.p.URL), t: t, s: s}
	w.Header["X-Real-Ip"] = fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
	return w
}

// twin is another tab of the same browser.
func (w *walker) twin() *walker {
	v := NewVisitor(w.client, w.base)
	maps.Copy(v.cookies, w.cookies)
	maps.Copy(v.Header, w.Header)
	v.csrf = w.csrf
	return &walker{Visitor: v, t: w.t, s: w.s}
}

// ask sends one request as it is and follows nothing.
func (w *walker) ask(method, path, contentType, body string, headers ...string) reply {
	w.t.Helper()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.Header.SetMethod(method)
	req.SetRequestURI(w.base + path)
	req.URI().DisablePathNormalizing = true
	for k, c := range w.cookies {
		req.Header.SetCookie(k, c)
	}
	for k, h := range w.Header {
		req.Header.Set(k, h)
	}
	if contentType != "" {
		req.Header.SetContentType(contentType)
		req.SetBodyString(body)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	if err := w.client.DoTimeout(req, resp, 30*time.Second); err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	r := reply{Page: Page{Status: resp.StatusCode(), Body: string(resp.Body()), Location: string(resp.Header.Peek("Location")), Header: map[string]string{}}}
	for k, h := range resp.Header.All() {
		r.Header[string(k)] = string(h)
		switch string(k) {
		case "Set-Cookie":
			r.Cookies = append(r.Cookies, string(h))
		case "Date":
		default:
			r.Lines = append(r.Lines, string(k)+": "+string(h))
		}
	}
	slices.Sort(r.Lines)
	for _, line := range r.Cookies {
		pair, attributes, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		if value == "" || strings.Contains(strings.ToLower(attributes), "max-age=0") {
			delete(w.cookies, name)
		} else {
			w.cookies[name] = value
		}
	}
	if m := first(csrfField, r.Body); m != "" {
		w.csrf = m
	}
	w.Page = r.Page
	return r
}

const formType = "application/x-www-form-urlencoded"

var ourselves = []string{"Sec-Fetch-Site", "same-origin"}

func (w *walker) get(path string) reply {
	w.t.Helper()
	return w.ask("GET", path, "", "")
}

func (w *walker) form(fields ...string) string {
	f := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		f.Add(fields[i], fields[i+1])
	}
	if !f.Has("csrf") {
		f.Set("csrf", w.csrf)
	}
	return f.Encode()
}

// post sends the page's form and does not follow.
func (w *walker) post(path string, fields ...string) reply {
	w.t.Helper()
	return w.ask("POST", path, formType, w.form(fields...), ourselves...)
}

// on posts, and opens the page it leads to.
func (w *walker) on(path string, fields ...string) reply {
	w.t.Helper()
	r := w.post(path, fields...)
	if r.Status == 303 {
		return w.get(r.Location)
	}
	return r
}

// want fails unless the answer is that page.
func (r reply) want(t testing.TB, status int, step, fault string) reply {
	t.Helper()
	if r.Status != status || r.Step() != step || r.Error() != fault {
		t.Fatalf("%d at step %q with error %q, want %d, %q, %q\n%s", r.Status, r.Step(), r.Error(), status, step, fault, r.text())
	}
	return r
}

var (
	mainPart = regexp.MustCompile(`(?s)<main.*</main>`)
	markup   = regexp.MustCompile(`(?s)<[^>]*>|\s+`)
)

// text is what a page says, for failures.
func (r reply) text() string {
	return strings.Join(strings.Fields(markup.ReplaceAllString(cmp.Or(mainPart.FindString(r.Body), r.Body), " ")), " ")
}

// start begins a case and stands at its choice.
func (w *walker) start(purpose, login string) *walker {
	w.t.Helper()
	w.get("/recover/" + purpose)
	w.on("/recover/start", "purpose", purpose, "login", login).want(w.t, 200, "choose", "")
	return w
}

// mailedCode chooses the mailed code and returns the one that arrives.
func (w *walker) mailedCode(base, login string) string {
	w.t.Helper()
	before := len(w.s.p.Mail.Mails())
	w.on(base+"/choose", "factor", "email").want(w.t, 200, "answer", "")
	return w.s.mailed(before, login)
}

// answers chooses a factor and answers it.
func (w *walker) answers(factor, answer string) reply {
	w.t.Helper()
	w.on("/recover/choose", "factor", factor).want(w.t, 200, "answer", "")
	return w.on("/recover/answer", "answer", answer)
}

// proven walks a reset up to the new password, by mailed code and the nth
// recovery code.
func (w *walker) proven(login string, nth int) *walker {
	w.t.Helper()
	w.start("reset", login)
	w.on("/recover/answer", "answer", w.mailedCode("/recover", login)).want(w.t, 200, "choose", "")
	w.answers("recovery_code", w.s.saved(login)[nth]).want(w.t, 200, "new-password", "")
	return w
}

func (w *walker) sets(password string) reply {
	w.t.Helper()
	return w.on("/recover/password", "password", password, "confirm", password)
}

// signsIn proves password and mailed code.
func (w *walker) signsIn(login, password string) *walker {
	w.t.Helper()
	w.get("/signin")
	w.on("/signin/start", "login", login, "current", password).want(w.t, 200, "choose", "")
	w.on("/signin/answer", "answer", w.mailedCode("/signin", login)).want(w.t, 200, "me", "")
	return w
}

var (
	codeItem  = regexp.MustCompile(`([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})`)
	otpauth   = regexp.MustCompile(`otpauth://[^"'<> ]+`)
	optionsOf = regexp.MustCompile(`data-options="?([^"]+)"`)
)

// enrols gives somebody recovery codes and an authenticator app, by HTTP alone,
// and leaves them signed in. The app is confirmed with the code of the step
// before, so that the current one can still be used.
func (s *siege) enrols(t testing.TB, login string) *walker {
	t.Helper()
	w := s.walker(t).signsIn(login, s.h.Password(login))
	w.get("/me/factors")
	r := w.post("/me/factors/recovery_code/offer").want(t, 200, "offer", "")
	codes := codeItem.FindAllString(r.Body, -1)
	w.on("/me/factors/recovery_code/enrol", "answer", "saved").want(t, 200, "factors", "")
	if len(codes) != 10 {
		t.Fatalf("recovery codes: %q", codes)
	}
	s.mu.Lock()
	s.codes[login] = codes
	s.mu.Unlock()
	w.freshly(codes[9])
	r = w.post("/me/factors/totp/offer").want(t, 200, "offer", "")
	uri, err := url.Parse(html.UnescapeString(otpauth.FindString(r.Body)))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(uri.Query().Get("secret"))
	if err != nil || len(secret) < 20 {
		t.Fatalf("no secret: %v\n%s", err, r.Body)
	}
	s.mu.Lock()
	s.apps[login] = secret
	s.mu.Unlock()
	w.on("/me/factors/totp/enrol", "answer", s.code(t, login, 1)).want(t, 200, "factors", "")
	return w
}

// freshly proves oneself again with a recovery code.
func (w *walker) freshly(code string) {
	w.t.Helper()
	w.get("/me/factors")
	if r := w.on("/me/factors/totp/offer"); r.Step() != "choose" {
		w.t.Fatalf("no fresh proof was asked for\n%s", r.text())
	}
	w.on("/signin/choose", "factor", "recovery_code").want(w.t, 200, "answer", "")
	w.on("/signin/answer", "answer", code).want(w.t, 200, "factors", "")
}

func (s *siege) saved(login string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.codes[login]
}

// code is what a person's app showed some steps ago.
func (s *siege) code(t testing.TB, login string, ago int) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	code, err := totp.Code(s.apps[login], time.Now().Add(-time.Duration(ago)*30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// open reads the portal's database as a thief would: the file, no keys.
func (s *siege) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.p.Dir, "postern.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// count is one number out of the database.
func (s *siege) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := s.open(t).QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// until waits for something that a job or another process does.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 15 s: %s", what)
		case <-tick.C:
		}
	}
}

// idOf is a person's key in the portal's rows, read from a case of theirs.
func (s *siege) idOf(t testing.TB, login string) directory.ID {
	t.Helper()
	for _, e := range record(t, s.p.Dir) {
		if strings.HasPrefix(string(e.Subject), "house:") && (e.SubjectName == login || e.Detail["login"] == login) {
			return e.Subject
		}
	}
	t.Fatalf("no event about %s", login)
	return ""
}
