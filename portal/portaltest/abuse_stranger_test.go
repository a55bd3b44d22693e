package portaltest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/directorytest"
	"postern/directory/embedded"
)

const noTechnicians = roomyLimits + `policy:
  scope:
    deny_groups: ["` + directorytest.TechGroup + `"]
`

// strangers are all sorts of names somebody may try, as each directory has them.
func (s *siege) strangers(t *testing.T) map[string]string {
	names := map[string]string{"enrolled": "user1", "not enrolled": "user2", "unknown": "nobody", "disabled": "disabled1",
		"password expired": "expired1", "must change": "mustchange1", "locked": "locked1", "privileged": "admin1", "out of scope": "tech1",
		"not a name": "no*body", "unknown at a domain": "stranger@example.org"}
	switch {
	case s.h.DC != nil:
		maps.Copy(names, map[string]string{"account expired": "left1", "nested in a privileged group": "nested1",
			"privileged by primary group": "primary1", "once privileged": "stale1", "two of them": directorytest.TwinsMail})
	case s.h.LDAP != nil:
		maps.Copy(names, map[string]string{"nested in a privileged group": "nested1", "two of them": directorytest.TwinsMail})
	default:
		names["account expired"] = "left1"
		if err := s.h.Sample.Add(embedded.Person{Login: "left1", Name: "Left One", Mail: "left1@example.org",
			Password: directory.NewSecret("Quay-Lantern-0001"), AccountExpired: true}); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// Security cases 1, 3 and 4: whoever is named, every answer is the same, byte
// for byte, along a whole walk: the start, the choices, the questions (a
// passkey's too), the wrong answers, the end, and the other purposes.
func TestStrangerSeesTheSameForEverybody(t *testing.T) {
	t.Parallel()
	for house := range houses {
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			s := besiege(t, house, noTechnicians)
			s.enrols(t, "user1")
			names := s.strangers(t)
			purposes := []string{"reset"}
			if house == "embedded" {
				purposes = append(purposes, "unlock")
			}
			first, firstName := []string(nil), ""
			for _, name := range slices.Sorted(maps.Keys(names)) {
				got := s.walkOfAStranger(t, names[name], purposes...)
				if first == nil {
					first, firstName = got, name
					continue
				}
				if len(got) != len(first) {
					t.Errorf("%s gets %d answers, %s %d", name, len(got), firstName, len(first))
				}
				for i := range min(len(got), len(first)) {
					if got[i] != first[i] {
						t.Errorf("answer %d differs between %s and %s: %s", i, firstName, name, diff(first[i], got[i]))
						break
					}
				}
			}
		})
	}
}

func (s *siege) walkOfAStranger(t *testing.T, login string, purposes ...string) (all []string) {
	w := s.walker(t)
	note := func(r reply) { all = append(all, r.seen(login)) }
	post := func(path string, fields ...string) {
		r := w.post(path, fields...)
		note(r)
		if r.Status == 303 {
			note(w.get(r.Location))
		}
	}
	for _, purpose := range purposes {
		w.get("/recover/" + purpose)
		post("/recover/start", "purpose", purpose, "login", login)
		note(w.get("/recover")) // and again, the same
		post("/recover/password", "password", "x", "confirm", "x")
		post("/recover/answer", "answer", "123456")
		wrong := map[string]string{"passkey": `{"id":"AAAA","rawId":"AAAA","type":"public-key","response":{}}`, "totp": "000000", "email": "AAAA-2222", "recovery_code": "AAAA-AAAA-AAAA-AAAA"}
		for _, factor := range []string{"passkey", "totp", "email", "recovery_code"} {
			post("/recover/choose", "factor", factor)
			post("/recover/answer", "answer", wrong[factor])
		}
		post("/recover/choose", "factor", "password")
		post("/recover/choose", "factor", "totp")
		post("/recover/answer", "answer", "not digits")
		post("/recover/answer", "answer", "000000")
		post("/recover/cancel")
	}
	w.get("/recover/change")
	post("/recover/start", "purpose", "change", "login", login, "current", "Not-The-Password-1")
	post("/recover/answer", "answer", " ")
	post("/recover/cancel")
	w.get("/signin")
	post("/signin/start", "login", login, "current", "Not-The-Password-2")
	post("/signin/cancel")
	return all
}

// Security cases 3 and 4: what a stranger is offered stays what it was, however
// often it is asked, from anywhere, and after the portal started anew.
func TestWhatAStrangerIsOfferedIsStable(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", "")
	s.enrols(t, "user1")
	look := func(login string) string {
		w := s.walker(t).start("reset", login)
		page := w.get("/recover").seen(login)
		key := w.on("/recover/choose", "factor", "passkey").want(t, 200, "answer", "")
		return page + key.seen(login)
	}
	before := look("user1")
	for range 3 {
		for _, login := range []string{"user1", "user2", "nobody", "admin1"} {
			if got := look(login); got != before {
				t.Fatalf("%s: %s", login, diff(before, got))
			}
		}
	}
	for _, m := range s.p.Mail.Mails() {
		if strings.Contains(before, m.To) {
			t.Errorf("an address is on the page before anything was proved: %s", m.To)
		}
	}
}

// Security case 5: the limits close at the same try, with the same answer and
// the same wait, for somebody and for nobody.
func TestLimitsHideWhoExists(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", "")
	s.enrols(t, "user3")
	type turn struct {
		seen string
		wait string
	}
	guess := func(login, purpose, factor string) (turns []turn) {
		for range 8 { // each in a fresh case, from a fresh address
			w := s.walker(t)
			w.get("/recover/" + purpose)
			r := w.on("/recover/start", "purpose", purpose, "login", login)
			turns = append(turns, turn{r.seen(login), r.Header["Retry-After"]})
			w.on("/recover/choose", "factor", factor)
			r = w.on("/recover/answer", "answer", "000000")
			turns = append(turns, turn{r.seen(login), r.Header["Retry-After"]})
		}
		return turns
	}
	known := guess("user3", "reset", "totp")
	for _, login := range []string{"nobody", "user4", "admin1", "disabled1"} {
		for i, got := range guess(login, "reset", "totp") {
			if got.seen != known[i].seen {
				t.Errorf("%s, answer %d: %s", login, i, diff(known[i].seen, got.seen))
				break
			}
			if !closeBy(known[i].wait, got.wait, 20) {
				t.Errorf("%s, answer %d: Retry-After %s, somebody's %s", login, i, got.wait, known[i].wait)
			}
		}
	}
	if last := known[len(known)-1]; last.wait == "" {
		t.Errorf("eight wrong answers in eight cases met no limit: %s", last.seen)
	}
	// So do starts: the limit by account and address counts for nobody as well.
	starts := func(login string) (n int) {
		w := s.walker(t)
		for range 20 {
			w.get("/recover/reset")
			if w.post("/recover/start", "purpose", "reset", "login", login).Status == 429 {
				break
			}
			n++
		}
		return n
	}
	if a, b := starts("user5"), starts("nobody5"); a != b || a == 20 {
		t.Errorf("somebody may start %d times, nobody %d", a, b)
	}
}

// Security cases 5 and 10: that all names of a person share one counter must
// not tell, by a second name that is limited at once, that the person exists.
func TestASecondNameDoesNotTellWhoExists(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", "")
	for n, second := range []string{"%s@example.org", "%s@elsewhere.example", " %s", "%s ", "EXAMPLE\\%s", "ELSEWHERE\\%s"} {
		limited := map[string]bool{}
		for login, who := range map[string]string{"user" + fmt.Sprint(6+n): "somebody", "nobody" + fmt.Sprint(6+n): "nobody"} {
			guess := func(name string) reply {
				w := s.walker(t).start("reset", name)
				w.on("/recover/choose", "factor", "totp").want(t, 200, "answer", "")
				return w.on("/recover/answer", "answer", "000000")
			}
			for range 5 {
				guess(login).want(t, 422, "answer", "wrong_code")
			}
			limited[who] = guess(strings.ReplaceAll(second, "%s", login)).Status == 429
		}
		if limited["somebody"] != limited["nobody"] {
			t.Errorf("after five wrong codes for a name, its second name %q is limited for somebody: %v, for nobody: %v", second, limited["somebody"], limited["nobody"])
		}
	}
}

func closeBy(a, b string, within float64) bool {
	if a == "" || b == "" {
		return a == b
	}
	x, err := time.ParseDuration(a + "s")
	y, err2 := time.ParseDuration(b + "s")
	return err == nil && err2 == nil && math.Abs((x-y).Seconds()) <= within
}

// Security case 6: what the directory asks of a password, and what is wrong
// with one, is told after the last proof and not before.
func TestRulesAreToldAfterTheLastProofOnly(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", "")
	s.enrols(t, "user7")
	rule := func(r reply) bool {
		return strings.Contains(r.Body, "history") || strings.Contains(r.Body, "rule") && strings.Contains(r.Body, "10 characters") || r.Error() == "too_short"
	}
	w := s.walker(t).start("reset", "user7")
	pages := []reply{w.get("/recover"), w.post("/recover/password", "password", "short", "confirm", "short")}
	code := w.mailedCode("/recover", "user7")
	pages = append(pages, w.get("/recover"), w.post("/recover/password", "password", "short", "confirm", "short"))
	pages = append(pages, w.on("/recover/answer", "answer", code).want(t, 200, "choose", ""))
	pages = append(pages, w.post("/recover/password", "password", "short", "confirm", "short"))
	for i, r := range pages {
		if rule(r) {
			t.Errorf("page %d tells a rule of the password: %s", i, r.Body)
		}
		if i%2 == 1 && i != 4 && r.Status != 409 && r.Step() == "new-password" {
			t.Errorf("page %d took a password", i)
		}
	}
	w.answers("recovery_code", s.saved("user7")[0]).want(t, 200, "new-password", "")
	w.sets("short").want(t, 422, "new-password", "too_short")
}

// Security case 7: with the directory gone, known and unknown get the same 503,
// and no part of the directory is on the page.
func TestDirectoryGoneIsAlikeForEverybody(t *testing.T) {
	t.Parallel()
	for house := range houses {
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			s := besiege(t, house, "")
			inside := s.walker(t).start("reset", "user8")
			nobody := s.walker(t).start("reset", "nobody8")
			for _, w := range []*walker{inside, nobody} {
				w.on("/recover/choose", "factor", "totp").want(t, 200, "answer", "")
			}
			s.h.Stop()
			var first string
			for _, login := range []string{"user8", "user9", "nobody", "admin1"} {
				for _, form := range [][]string{
					{"/recover/start", "purpose", "reset", "login", login},
					{"/recover/start", "purpose", "change", "login", login, "current", "Some-Password-1"},
				} {
					w := s.walker(t)
					w.get("/recover/" + form[2])
					began := time.Now()
					r := w.post(form[0], form[1:]...)
					if took := time.Since(began); took > 8*time.Second {
						t.Errorf("%s waited %s", login, took)
					}
					s.plain(t, r)
					if form[2] == "reset" {
						if got := r.seen(login); first == "" {
							first = got
						} else if got != first {
							t.Errorf("%s: %s", login, diff(first, got))
						}
					}
				}
			}
			// A case under way shows its page; answers are alike too.
			a := inside.post("/recover/answer", "answer", "000000").seen("user8")
			b := nobody.post("/recover/answer", "answer", "000000").seen("nobody8")
			if a != b {
				t.Errorf("an answer under way: %s", diff(a, b))
			}
			if s.walker(t).get("/").Status != 200 || s.walker(t).get("/healthz").Status != 200 {
				t.Error("the portal itself is down")
			}
		})
	}
}

func (s *siege) plain(t *testing.T, r reply) {
	t.Helper()
	if r.Status != 503 || r.Header["Retry-After"] == "" {
		t.Errorf("%d, Retry-After %q", r.Status, r.Header["Retry-After"])
	}
	for _, inside := range []string{"dc=", "ou=", "cn=", "uid=", "ldap", "LDAP", "127.0.0", "dial", "refused", "Result Code", "goroutine", "panic", "svc-postern"} {
		if strings.Contains(r.Body, inside) {
			t.Errorf("the page says %q:\n%s", inside, r.Body)
		}
	}
}
