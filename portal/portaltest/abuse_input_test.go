package portaltest

import (
	"fmt"
	"html"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/embedded"
)

func TestBadInputChangesNothing(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", freely)
	cases := func() int { return s.count(t, `SELECT count(*) FROM cases`) }

	// Security cases 48, 49, 50 and 55: exactly the page's own fields, once, as
	// a form; nobody else's address, nothing that says how far one is.
	t.Run("forms", func(t *testing.T) {
		w := s.walker(t)
		w.get("/recover/reset")
		good := w.form("purpose", "reset", "login", "user1")
		before, mails := cases(), len(s.p.Mail.Mails())
		for what, body := range map[string]string{
			"login twice":    good + "&login=user2",
			"array":          good + "&login%5B%5D=user2",
			"LOGIN":          good + "&LOGIN=user2",
			"email":          good + "&email=mallory@evil.example",
			"phone":          good + "&phone=%2B15550000",
			"to":             good + "&to=mallory@evil.example",
			"state":          good + "&state=new-password",
			"verified":       good + "&verified=true",
			"role":           good + "&role=admin",
			"target_dn":      good + "&target_dn=CN%3Duser2",
			"is_admin":       good + "&is_admin=1",
			"return_to":      good + "&return_to=%2F%2Fevil.example",
			"ttl":            good + "&ttl=99999999999999999999",
			"minutes":        good + "&minutes=-1",
			"current of ''":  strings.Replace(good, "login=user1", "login=user1&current=a&current=b", 1),
			"NUL":            strings.Replace(good, "user1", "user1%00", 1),
			"not UTF-8":      strings.Replace(good, "user1", "%ff%fe", 1),
			"a bad escape":   strings.Replace(good, "user1", "user%1", 1),
			"nothing":        "",
			"endless":        good + "&x=" + strings.Repeat("a", 60000),
			"login too long": strings.Replace(good, "user1", strings.Repeat("a", 600), 1),
		} {
			if r := w.ask("POST", "/recover/start", formType, body, ourselves...); r.Status != 400 && !(what == "nothing" && r.Status == 403) {
				t.Errorf("%s: %d %s", what, r.Status, r.text())
			}
		}
		for kind, body := range map[string]string{
			"application/json":                              `{"purpose":"reset","login":"user1","login":"user2","csrf":"` + w.csrf + `"}`,
			"multipart/form-data; boundary=x":               "--x\r\nContent-Disposition: form-data; name=\"login\"\r\n\r\nuser1\r\n--x--\r\n",
			"application/xml":                               "<login>user1</login>",
			formType + "; charset=utf-16":                   good,
			"text/plain":                                    good,
			"application/x-www-form-urlencoded, text/plain": good,
		} {
			if r := w.ask("POST", "/recover/start", kind, body, ourselves...); r.Status != 415 {
				t.Errorf("%s: %d", kind, r.Status)
			}
		}
		if r := w.ask("POST", "/recover/start?login=user2", formType, good, ourselves...); r.Status != 400 {
			t.Errorf("a login in the address: %d", r.Status)
		}
		if r := w.ask("POST", "/recover/start", formType, good, append(ourselves, "Content-Encoding", "gzip")...); r.Status != 415 {
			t.Errorf("packed: %d", r.Status)
		}
		for _, path := range []string{"/recover/reset?return_to=//evil.example", "/?next=javascript:alert(1)", "/recover?step=done", "/signin?lang=../../etc"} {
			if r := w.get(path); strings.Contains(r.Body, "evil.example") || strings.Contains(r.Body, "javascript:") || strings.Contains(r.Location, "evil") {
				t.Errorf("%s is on the page", path)
			}
		}
		if cases() != before || len(s.p.Mail.Mails()) != mails {
			t.Error("something was begun or sent")
		}
	})

	// Security case 52.
	t.Run("names", func(t *testing.T) {
		var want string
		for _, login := range []string{"nobody at all", "a\r\nSet-Cookie: x=y", "user1\u202e", "us\u200ber1", "ｕｓｅｒ１", "use\u0131r1", "u\u0301ser1",
			"*", "user*", "user1)(objectClass=*", "*)(|(uid=*", `\2a`, `user1\00`, `CN=user1,OU=People`, "<svg onload=alert(1)>", strings.Repeat("ä", 128), "\"; DROP TABLE cases; --", "{{.Secret}}", "%s%n"} {
			w := s.walker(t)
			w.get("/recover/reset")
			r := w.post("/recover/start", "purpose", "reset", "login", login)
			page := w.get("/recover")
			got := r.seen(login) + page.seen(login)
			if want == "" {
				want = got
			}
			if got != want || r.Status != 303 || strings.Contains(page.Body, "<svg onload") {
				t.Errorf("%q: %d, %s", login, r.Status, diff(want, got))
			}
		}
		for _, empty := range []string{"", strings.Repeat("ä", 200)} {
			w := s.walker(t)
			w.get("/recover/reset")
			if r := w.post("/recover/start", "purpose", "reset", "login", empty); r.Status != 422 {
				t.Errorf("a login of %d bytes: %d", len(empty), r.Status)
			}
		}
	})

	// Security case 59: what a directory might take for no password at all.
	t.Run("blank passwords", func(t *testing.T) {
		for _, blank := range []string{" ", "   ", "\u00a0", "\t", "\u2003"} {
			for _, login := range []string{"user2", "nobody2"} {
				w := s.walker(t)
				w.get("/recover/change")
				if r := w.on("/recover/start", "purpose", "change", "login", login, "current", blank); r.Step() == "new-password" || r.Status < 400 || r.Status >= 500 {
					t.Errorf("%s with %q: %d at %q", login, blank, r.Status, r.Step())
				}
			}
		}
		w := s.walker(t)
		w.get("/recover/change")
		if r := w.on("/recover/start", "purpose", "change", "login", "user2", "current", ""); r.Step() == "new-password" {
			t.Errorf("an empty password: %d", r.Status)
		}
		w = s.walker(t)
		w.get("/signin")
		if r := w.on("/signin/start", "login", "user2", "current", ""); r.Step() == "me" || r.Step() == "choose" && strings.Contains(r.Body, `data-tone="ok"`) {
			t.Errorf("signing in with nothing: %d at %q", r.Status, r.Step())
		}
	})

	// Security case 118, from outside.
	t.Run("nothing for operators is in the open", func(t *testing.T) {
		w := s.walker(t)
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/vars", "/debug", "/demo", "/demo/inbox.json", "/admin", "/.env", "/postern.yaml", "/keys.json", "/postern.db",
			"/static/../postern.yaml", "/static/%2e%2e/postern.yaml", "/static/..%2fkeys.json", "/api/v1/cases"} {
			if r := w.get(path); r.Status != 404 && r.Status != 400 {
				t.Errorf("%s: %d", path, r.Status)
			}
		}
	})
}

// Security cases 47 and 44: a name full of markup is inert wherever it is shown,
// in pages and in mails, and every answer has its headers and cookie settings.
func TestMarkupInANameIsInert(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", freely)
	const evil = `<svg onload=alert(1)>"'><script>alert(2)</script>`
	if err := s.h.Sample.Add(embedded.Person{Login: "marked", Name: evil, Given: evil, Surname: `</main><base href=//evil.example>`,
		Mail: "marked@example.org", Password: directory.NewSecret("Quay-Lantern-4711")}); err != nil {
		t.Fatal(err)
	}
	s.names("marked", "Quay-Lantern-4711", "marked@example.org")
	check := func(r reply) {
		t.Helper()
		for _, bad := range []string{"<svg onload", "<script>", "<base", "</main><base", "javascript:", " onerror=", " style="} {
			if strings.Contains(r.Body, bad) {
				t.Errorf("%q is in the page at %q", bad, r.Step())
			}
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Referrer-Policy": "same-origin"} {
			if got := r.Header[name]; got != want {
				t.Errorf("%s: %q on %d at %q", name, got, r.Status, r.Step())
			}
		}
		csp := r.Header["Content-Security-Policy"]
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(csp, want) || strings.Contains(csp, "unsafe") {
				t.Errorf("CSP %q on %d", csp, r.Status)
			}
		}
		for _, c := range r.Cookies {
			if !strings.HasPrefix(c, "__Host-") || !strings.Contains(strings.ToLower(c), "secure") || !strings.Contains(strings.ToLower(c), "httponly") ||
				!strings.Contains(strings.ToLower(c), "samesite=") || strings.Contains(strings.ToLower(c), "max-age") || strings.Contains(strings.ToLower(c), "expires") {
				t.Errorf("cookie %q", c)
			}
		}
	}
	w := s.enrols(t, "marked")
	for _, path := range []string{"/me", "/me/factors", "/me/activity", "/", "/signin", "/help/getting-in", "/no/such/page", "/recover", "/static/none.css", "/me/factors/none/remove"} {
		check(w.get(path))
	}
	w.get("/me/factors")
	r := w.post("/me/factors/totp/offer").want(t, 200, "offer", "")
	check(r)
	if !strings.Contains(html.UnescapeString(r.Body), "marked") {
		t.Error("whose app it is, is not on the page")
	}
	w.on("/me/factors/totp/enrol", "answer", "000000", "name", evil).want(t, 422, "offer", "wrong_code")
	check(reply{Page: w.Page})
	roomy()
	check(w.on("/me/factors/totp/enrol", "answer", "12", "name", evil))
	w.get("/me/factors")
	check(w.post("/me/factors/recovery_code/offer"))
	w.device()
	check(w.get("/me/factors"))
	c := s.walker(t)
	check(c.get("/recover/reset"))
	check(c.on("/recover/start", "purpose", "reset", "login", evil))
	check(c.on("/recover/start", "purpose", "reset", "login", ""))
	c.proven("marked", 0)
	check(reply{Page: c.Page})
	check(c.sets(evil)) // a password may be markup too, and never comes back
	check(c.sets(strings.Repeat("x", 300)))
	check(c.get("/recover"))
	for _, m := range s.p.Mail.Mails() {
		for _, bad := range []string{"<svg onload", "<script>", "<base"} {
			if strings.Contains(m.HTML, bad) {
				t.Errorf("%q is in a mail: %s", bad, m.Subject)
			}
		}
	}
}

// names lets a test use an account of its own as one of the house's.
func (s *siege) names(login, password, mail string) {
	pw, address := s.h.Password, s.h.Address
	s.h.Password = func(l string) string {
		if l == login {
			return password
		}
		return pw(l)
	}
	s.h.Address = func(l string) string {
		if l == login {
			return mail
		}
		return address(l)
	}
}

// Security case 53: what is typed is what is set, to the byte, on every directory.
func TestExactlyThatPasswordIsSet(t *testing.T) {
	t.Parallel()
	for house := range houses {
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			s := besiege(t, house, freely+"password:\n  words: [lighthouse]\n")
			now := s.h.Password("user1")
			change := func(to string) reply {
				w := s.walker(t)
				w.get("/recover/change")
				w.on("/recover/start", "purpose", "change", "login", "user1", "current", now).want(t, 200, "new-password", "")
				return w.sets(to)
			}
			long := strings.Repeat("Zw9-", 64) // 256 characters
			for _, pw := range []string{
				`  Leading And Trailing 7  `, `Quote"Back\slash 4 'x'`, "Pässwörd-in-NFC-4711", "Pa\u0308sswo\u0308rd-in-NFD-4712", "Emoji 🦦🛶 On The River 5", "Пароль-Длинный-48", "a+b%20c&d=e;f 9 Ampersand", long,
			} {
				if len(pw) > 200 {
					pw = pw[:252] + "0mG!"
				}
				r := change(pw)
				if r.Step() != "done" {
					t.Errorf("%q: %d %s", pw, r.Status, r.text())
					continue
				}
				now = pw
				s.proves("user1", pw)
				if trimmed := strings.TrimSpace(pw); trimmed != pw && s.h.Whoami(t.Context(), "user1", trimmed) == nil {
					t.Errorf("the directory takes %q trimmed", pw)
				}
			}
			if s.h.Whoami(t.Context(), "user1", now[:255]) == nil || s.h.Whoami(t.Context(), "user1", now[:127]) == nil {
				t.Error("the directory takes a part of it")
			}
			for _, pw := range []string{now + "x", strings.Repeat("ä9-Z", 65)} {
				if r := change(pw); r.Status != 422 || r.Error() != "too_long" {
					t.Errorf("%d characters: %d %q", len([]rune(pw)), r.Status, r.Error())
				}
			}
			// Security case 54: refusals say why.
			for pw, want := range map[string]string{"Ab3!": "too_short", "Password-123": "", "My-Lighthouse-2026": "", "Xuser1-Harbour-77": "", now: "same_as_old"} {
				r := change(pw)
				if r.Status != 422 || r.Error() == "" || want != "" && r.Error() != want {
					t.Errorf("%q: %d %q", pw, r.Status, r.Error())
				}
			}
			s.proves("user1", now)
		})
	}
}

// Security case 119: whoever sits on connections, or dribbles, keeps nobody
// else waiting, and the program gives everything back.
func TestSlowPeersKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", freely)
	s.walker(t).start("reset", "user1")
	before := s.p.Usage()
	addr := strings.TrimPrefix(s.p.URL, "http://")
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for i := range 600 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		half := []string{"", "GET / HT", "GET / HTTP/1.1\r\nHost: " + addr + "\r\nX-Slow: ",
			"POST /recover/start HTTP/1.1\r\nHost: " + addr + "\r\nContent-Type: " + formType + "\r\nContent-Length: 60000\r\n\r\ncsrf="}[i%4]
		if _, err := io.WriteString(c, half); err != nil {
			t.Fatal(err)
		}
	}
	slowest := time.Duration(0)
	for i := range 60 {
		began := time.Now()
		if i%3 == 0 {
			s.walker(t).start("reset", fmt.Sprintf("user%d", i%20+1))
		} else if r := s.walker(t).get("/recover/reset"); r.Status != 200 {
			t.Fatalf("%d", r.Status)
		}
		slowest = max(slowest, time.Since(began))
	}
	if slowest > 3*time.Second {
		t.Errorf("somebody waited %s", slowest)
	}
	during := s.p.Usage()
	if before.Resident > 0 && during.Resident-before.Resident > 128<<20 { // the race detector's own memory is in it
		t.Errorf("600 slow peers cost %d MiB", (during.Resident-before.Resident)>>20)
	}
	// A flood of forms that are all refused leaves nothing behind.
	rows := s.count(t, `SELECT (SELECT count(*) FROM cases) + (SELECT count(*) FROM sessions)`)
	w := s.walker(t)
	w.get("/recover/reset")
	for range 200 {
		w.ask("POST", "/recover/start", formType, strings.Repeat("a=b&", 15000), ourselves...)
		s.walker(t).get("/")
	}
	if n := s.count(t, `SELECT (SELECT count(*) FROM cases) + (SELECT count(*) FROM sessions)`); n != rows {
		t.Errorf("%d rows more", n-rows)
	}
	t.Logf("slowest answer %s, resident %d → %d MiB", slowest, before.Resident>>20, during.Resident>>20)
}
