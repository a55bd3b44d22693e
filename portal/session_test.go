package portal

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
)

// Security case 44: the one cookie, and how it is set, everywhere alike.
func TestCookieSettings(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*Options){
		func(*Options) {},
		func(o *Options) { o.Config.PublicURL, o.Config.TrustedProxies = "http://localhost:8080", nil },
	} {
		h := open(t, change)
		b := h.tab()
		for _, a := range []answer{b.get("/recover/reset"), b.post("/recover/start", "purpose", "reset", "login", "alice"), h.tab().get("/signin")} {
			cookies := a.Cookies()
			if len(cookies) != 1 {
				t.Fatalf("%s: %d cookies", a.Request.URL.Path, len(cookies))
			}
			c := cookies[0]
			if c.Name != "__Host-postern" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" ||
				c.MaxAge != 0 || !c.Expires.IsZero() || len(c.Value) != 43 {
				t.Errorf("%s: %+v", a.Request.URL.Path, c)
			}
		}
		// An anonymous visitor costs no row, and keeps the cookie.
		v := h.tab()
		rows := len(h.sessions.rows)
		v.get("/")
		if a := v.get("/recover/unlock"); len(a.Cookies()) != 0 || len(h.sessions.rows) != rows {
			t.Errorf("a second page set %v, %d rows", a.Cookies(), len(h.sessions.rows))
		}
	}
}

// Security case 33: an identity the browser brought is never taken over, and
// every step up gives a new one.
func TestIdentityIsNeverAdopted(t *testing.T) {
	t.Parallel()
	h := open(t)
	preset := strings.Repeat("A", 42) + "A"
	b := h.tab()
	b.cookies["__Host-postern"] = preset
	b.get("/recover/reset").want(t, 200, "StartForm")
	b.post("/recover/start", "purpose", "reset", "login", "alice").leads(t, "/recover")
	started := b.cookies["__Host-postern"]
	if started == preset {
		t.Fatal("the preset identity got the case")
	}
	thief := h.tab()
	thief.cookies["__Host-postern"] = preset
	thief.get("/recover").leads(t, "/")

	s := h.tab()
	s.get("/signin")
	ids := []string{s.cookies["__Host-postern"]}
	s.post("/signin/start", "login", "alice", "current", "Current-1").leads(t, "/signin")
	ids = append(ids, s.cookies["__Host-postern"])
	s.get("/signin")
	s.post("/signin/choose", "factor", "totp")
	s.post("/signin/answer", "answer", "123456").leads(t, "/me")
	ids = append(ids, s.cookies["__Host-postern"])
	s.get("/me")
	s.post("/signout").leads(t, "/")
	ids = append(ids, s.cookies["__Host-postern"])
	if slices.Sort(ids); len(slices.Compact(ids)) != 4 {
		t.Errorf("identities were kept: %v", ids)
	}
	for _, id := range ids {
		thief.cookies["__Host-postern"] = id
		thief.get("/me").leads(t, "/signin")
	}
	// Two cookies of the name, or a malformed one, are none.
	for _, odd := range []string{started + "; __Host-postern=" + preset, started + "x", started[:42], "!" + started[1:], ""} {
		thief.cookies = map[string]string{}
		thief.get("/recover", "Cookie", "__Host-postern="+odd).leads(t, "/")
	}
}

// Security case 34: a case is nothing without its cookie; nothing names it.
func TestCaseIsBoundToItsBrowser(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.started("reset")
	other := h.tab()
	other.get("/")
	for _, path := range []string{"/recover", "/recover?case=" + h.core.ids[0], "/signin?case=" + h.core.ids[0]} {
		if a := other.get(path); a.StatusCode == 200 && a.Type != "SignIn" {
			t.Errorf("%s shows %s", path, a.Type)
		}
	}
	for _, id := range h.core.ids {
		if a := b.get("/recover"); strings.Contains(string(a.body), id) {
			t.Error("the case's id is on the page")
		}
	}
	for path, fields := range h.posts() {
		if strings.HasPrefix(path, "/recover/") && path != "/recover/start" {
			other.get("/")
			if a := other.post(path, fields...); a.StatusCode != 409 {
				t.Errorf("%s without a case: %d", path, a.StatusCode)
			}
		}
	}
}

// Security case 41: no token, another session's, one from before the case, one in the address.
func TestEveryPostNeedsItsOwnToken(t *testing.T) {
	t.Parallel()
	h := open(t, kiosked)
	h.kiosks = true
	for path, fields := range h.posts() {
		b := h.signedIn()
		own := b.csrf
		other := h.tab()
		other.get("/")
		fresh := h.tab()
		fresh.get("/signin")
		before := fresh.csrf
		flip := "B"
		if own[20] == 'B' {
			flip = "C"
		}
		calls, acts := len(h.core.calls), len(h.own.calls)
		for what, token := range map[string]string{"none": "", "another's": other.csrf, "from before": before, "changed": own[:20] + flip + own[21:], "cut": own[:40], "longer": own + "AA"} {
			b.csrf = token
			a := b.post(path, fields...)
			if a.StatusCode != 403 || a.Page.Code != "csrf" {
				t.Errorf("%s, %s: %d %q", path, what, a.StatusCode, a.Page.Code)
			}
		}
		b.csrf = own
		body := strings.Replace(b.form(fields...), "csrf="+own, "", 1)
		body = strings.ReplaceAll(strings.Trim(body, "&"), "&&", "&")
		if a := b.do("POST", path+"?csrf="+own, body); a.StatusCode != 400 && a.StatusCode != 403 {
			t.Errorf("%s, in the address: %d", path, a.StatusCode)
		}
		if a := b.do("POST", path, body, "X-Csrf-Token", own); a.StatusCode != 403 {
			t.Errorf("%s, in a header: %d", path, a.StatusCode)
		}
		delete(b.cookies, "__Host-postern")
		if a := b.post(path, fields...); a.StatusCode != 403 {
			t.Errorf("%s, without the cookie: %d", path, a.StatusCode)
		}
		if len(h.core.calls) != calls || len(h.own.calls) != acts {
			t.Errorf("%s: work was done: %v %v", path, h.core.calls[calls:], h.own.calls[acts:])
		}
	}
}

// Security case 42: what another site makes the browser send.
func TestCrossSitePostsAreRefused(t *testing.T) {
	t.Parallel()
	h := open(t)
	for _, c := range []struct {
		header []string
		want   int
	}{
		{[]string{"Origin", "https://evil.example"}, 403},
		{[]string{"Origin", "null"}, 403},
		{[]string{"Origin", "https://id.example.org.evil.example"}, 403},
		{[]string{"Origin", "http://id.example.org"}, 403},
		{[]string{"Origin", "https://id.example.org:8443"}, 403},
		{[]string{"Origin", "https://ID.example.org"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Sec-Fetch-Site", "same-site"}, 403},
		{[]string{"Sec-Fetch-Site", "x"}, 403},
		{[]string{"Sec-Fetch-Site", "same-origin", "Origin", "https://evil.example"}, 403},
		{[]string{"Sec-Fetch-Site", "cross-site", "Origin", "https://id.example.org"}, 403},
		{[]string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"Origin", "https://id.example.org", "Origin", "https://evil.example"}, 403},
		{[]string{"Sec-Fetch-Site", "same-origin"}, 303},
		{[]string{"Sec-Fetch-Site", "none"}, 303},
		{[]string{"Origin", "https://id.example.org"}, 303},
		{[]string{"Sec-Fetch-Site", "same-origin", "Origin", "https://id.example.org"}, 303},
		{[]string{"Referer", "https://evil.example/"}, 303}, // says nothing that the others do not
		{nil, 303},
	} {
		b := h.tab()
		b.get("/recover/reset")
		if a := b.do("POST", "/recover/start", b.form("purpose", "reset", "login", "alice"), c.header...); a.StatusCode != c.want {
			t.Errorf("%v: %d, want %d", c.header, a.StatusCode, c.want)
		}
	}
}

// Security case 44: an hour idle, a day in all; the clock is the server's.
func TestSignInEnds(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.signedIn()
	for range 23 {
		h.pass(59 * time.Minute)
		b.get("/me").want(t, 200, "Me")
	}
	h.pass(59 * time.Minute)
	b.get("/me").want(t, 200, "Me")
	h.pass(59 * time.Minute)
	b.get("/me").leads(t, "/signin")
	b = h.signedIn()
	h.pass(time.Hour)
	b.get("/me").leads(t, "/signin")
}

// Security case 45: adding and removing asks for a fresh proof, and comes back.
func TestFactorsNeedAFreshProof(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.signedIn()
	b.post("/me/factors/totp/offer").want(t, 200, "OfferTOTP")
	b.post("/me/factors/totp/enrol", "answer", "000000", "name", "Phone").want(t, 422, "OfferTOTP")
	b.post("/me/factors/totp/enrol", "answer", "123456", "name", "Phone").leads(t, "/me/factors")
	b.get("/me/factors").want(t, 200, "Factors")
	b.post("/me/factors/recovery_code/offer").want(t, 200, "OfferCodes")
	b.post("/me/factors/passkey/offer").want(t, 200, "OfferPasskey")
	if a := b.post("/me/factors/sms/offer"); a.StatusCode != 404 {
		t.Errorf("unknown factor: %d", a.StatusCode)
	}
	b.post("/me/factors/cred1/rename", "name", " ").want(t, 422, "Factors")
	b.post("/me/factors/cred1/rename", "name", "Desk").leads(t, "/me/factors")
	b.get("/me/factors/cred1/remove").want(t, 200, "Remove")
	if a := b.get("/me/factors/cred9/remove"); a.StatusCode != 404 {
		t.Errorf("somebody else's: %d", a.StatusCode)
	}
	h.pass(11 * time.Minute)
	for _, path := range []string{"/me/factors/cred1/remove", "/me/factors/totp/offer"} {
		b.get("/me/factors")
		b.post(path).leads(t, "/signin")
		b.get("/me").want(t, 200, "Me") // still signed in, no more than before
		b.get("/signin").want(t, 200, "Choose")
	}
	b.post("/signin/choose", "factor", "totp").leads(t, "/signin")
	b.get("/signin").want(t, 200, "Answer")
	b.post("/signin/answer", "answer", "123456").leads(t, "/me/factors")
	b.get("/me/factors")
	b.post("/me/factors/cred1/remove").leads(t, "/me/factors")
	if len(h.own.methods) != 0 {
		t.Error("it is still there")
	}
}

// A recovery signs nobody in (security cases 26 and 45).
func TestRecoverySignsNobodyIn(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.proven()
	b.get("/me").leads(t, "/signin")
	b.get("/recover")
	b.post("/recover/password", "password", "correct horse", "confirm", "correct horse")
	b.get("/me").leads(t, "/signin")
	b.get("/signin").want(t, 200, "SignIn")
}

// A passkey says by itself who signs in.
func TestSignInWithoutAName(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/signin")
	b.post("/signin/start", "factor", "passkey").leads(t, "/signin")
	b.get("/signin").want(t, 200, "SignIn")
	a := b.post("/signin/answer", "answer", `{"id":"mallory"}`).want(t, 422, "SignIn")
	if f := a.Page.Faults; len(f) != 1 || f[0].Code != "wrong_passkey" || f[0].Field != "" {
		t.Errorf("%+v", f)
	}
	b.post("/signin/start", "factor", "passkey").leads(t, "/signin") // a challenge is answered once
	b.get("/signin").want(t, 200, "SignIn")
	b.post("/signin/answer", "answer", `{"id":"alice"}`).leads(t, "/me")
	b.get("/me").want(t, 200, "Me")
	for _, f := range [][]string{{"factor", "totp"}, {"factor", "passkey", "login", "alice"}, {"purpose", "reset", "login", "alice"}, {"purpose", "x", "login", "alice"}} {
		if a := b.post("/signin/start", f...); a.StatusCode != 400 {
			t.Errorf("%v: %d", f, a.StatusCode)
		}
	}
	for _, p := range []string{"signin", "stepup", "", "RESET"} {
		if a := b.post("/recover/start", "purpose", p, "login", "alice"); a.StatusCode != 400 {
			t.Errorf("purpose %q at /recover/start: %d", p, a.StatusCode)
		}
	}
}

// A step-up belongs to who is signed in; a stranger cannot begin one.
func TestStepUpNeedsSomebody(t *testing.T) {
	t.Parallel()
	h := open(t)
	b := h.tab()
	b.get("/signin")
	if a := b.post("/signin/start", "purpose", "stepup"); a.StatusCode != 409 {
		t.Errorf("%d", a.StatusCode)
	}
}

// Security case 7, and the promise of section 4: a part that is down is the same
// plain page for everybody, soon, and the log has the cause.
func TestDownIsPlainAndAlikeForEverybody(t *testing.T) {
	t.Parallel()
	cause := errors.Join(directory.ErrUnavailable, errors.New("LDAP Result Code 200 CN=svc,DC=corp ldaps://10.1.2.3"))
	for name, fault := range map[string]error{"directory": cause, "store": errors.New("SQLSTATE 57P01 at 10.1.2.3")} {
		h := open(t)
		pages := map[string]string{}
		for _, login := range []string{"alice", "nobody"} {
			b := h.tab()
			b.get("/recover/reset")
			h.core.fail = fault
			a := b.post("/recover/start", "purpose", "reset", "login", login)
			h.core.fail = nil
			want := 503
			if name == "store" {
				want = 500
			}
			if a.StatusCode != want || strings.Contains(string(a.body), "10.1.2.3") || strings.Contains(string(a.body), "CN=") {
				t.Errorf("%s, %s: %d %s", name, login, a.StatusCode, a.body)
			}
			if want == 503 && a.Header.Get("Retry-After") != "30" {
				t.Errorf("Retry-After is %q", a.Header.Get("Retry-After"))
			}
			page := strings.NewReplacer(login, "LOGIN", a.Page.CSRF, "CSRF", a.Header.Get("X-Request-Id"), "ID").Replace(string(a.body))
			pages[page] = login
		}
		if len(pages) != 1 {
			t.Errorf("%s: known and unknown read differently: %v", name, pages)
		}
		if !strings.Contains(h.log.String(), "10.1.2.3") {
			t.Errorf("%s: the operator was not told", name)
		}
	}
	h := open(t)
	b := h.signedIn()
	h.sessions.fail = errors.New("database is locked")
	b.get("/me").want(t, 503, "ErrorPage")
	b.get("/recover").want(t, 503, "ErrorPage")
	b.get("/").want(t, 200, "Start")
}

// Security case 1, the web's half: a stranger's answers differ in nothing.
func TestStrangerCannotTellWhoExists(t *testing.T) {
	t.Parallel()
	h := open(t)
	seen := map[string]string{}
	for _, login := range []string{"alice", "nobody"} {
		b := h.tab()
		var all []string
		note := func(a answer) {
			hd := a.Header.Clone()
			for _, volatile := range []string{"Date", "X-Request-Id", "Set-Cookie", "Content-Length"} {
				hd.Del(volatile)
			}
			body := strings.NewReplacer(login, "LOGIN", a.Page.CSRF, "CSRF").Replace(string(a.body))
			all = append(all, a.Status, headerText(hd), receipts.ReplaceAllString(body, "RECEIPT"), strings.Repeat("c", len(a.Cookies())))
		}
		note(b.get("/recover/reset"))
		note(b.post("/recover/start", "purpose", "reset", "login", login))
		note(b.get("/recover"))
		note(b.post("/recover/choose", "factor", "totp"))
		note(b.get("/recover"))
		for range 6 {
			note(b.post("/recover/answer", "answer", "000000"))
		}
		note(b.get("/recover"))
		seen[strings.Join(all, "\n")] = login
	}
	if len(seen) != 1 {
		for s, login := range seen {
			t.Errorf("%s sees\n%s", login, s)
		}
	}
}

var receipts = regexp.MustCompile(`P-[0-9A-Z]{4}-[0-9A-Z]{4}`)

func headerText(h http.Header) string {
	var b strings.Builder
	h.Write(&b)
	return b.String()
}
