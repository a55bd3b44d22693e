package portaltest

import (
	"context"
	"fmt"
	"html"
	"strconv"
	"strings"
	"sync"
	"testing"

	"postern/verify/passkey/passkeytest"
)

// device adds a passkey to somebody signed in and strongly proven.
func (w *walker) device() *passkeytest.Authenticator {
	w.t.Helper()
	d := passkeytest.New(w.base)
	r := w.post("/me/factors/passkey/offer").want(w.t, 200, "offer", "")
	answer, err := d.Create([]byte(first(optionsOf, r.Body)))
	if err != nil {
		w.t.Fatal(err)
	}
	w.on("/me/factors/passkey/enrol", "answer", string(answer)).want(w.t, 200, "factors", "")
	return d
}

// signed is what a device answers to the question on the page.
func (w *walker) signed(d *passkeytest.Authenticator, knobs ...passkeytest.Knob) string {
	w.t.Helper()
	answer, err := d.Get([]byte(first(optionsOf, w.Page.Body)), knobs...)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, html.UnescapeString(w.Page.Body))
	}
	return string(answer)
}

// events counts what the record has about somebody.
func (s *siege) events(t testing.TB, login, kind string) int {
	t.Helper()
	return s.count(t, `SELECT count(*) FROM audit_events WHERE subject = ? AND event LIKE ?`, string(s.idOf(t, login)), `%"`+kind+`"%`)
}

// wideStarts lets any number of cases begin and answers be given, so that only
// the durable counter of wrong answers stands in the way.
var wideStarts = strings.Replace(roomyLimits, "limits:\n", "limits:\n  start_account: 100000/1m\n  answer: 100000/1m\n", 1)

func TestGuessingIsBounded(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", wideStarts)

	// Security cases 8 and 14.
	t.Run("fresh addresses and fresh cases give no fresh tries, and the owner's passkey still works", func(t *testing.T) {
		device := s.enrols(t, "user1").device()
		looked, refused := 0, 0
		for range 12 {
			w := s.walker(t).start("reset", "user1")
			w.on("/recover/choose", "factor", "totp").want(t, 200, "answer", "")
			switch r := w.on("/recover/answer", "answer", "000000"); {
			case r.Error() == "wrong_code":
				looked++
			case r.Status == 429 && r.Header["Retry-After"] != "":
				refused++
			default:
				t.Fatalf("%d %s", r.Status, r.text())
			}
		}
		if looked != 5 || refused != 7 {
			t.Errorf("%d guesses were looked at and %d refused, want 5 and 7", looked, refused)
		}
		w := s.walker(t).start("reset", "user1")
		w.on("/recover/choose", "factor", "totp")
		if r := w.on("/recover/answer", "answer", s.code(t, "user1", 0)); r.Status != 429 {
			t.Errorf("the right code after the limit: %d %s", r.Status, r.text())
		}
		w.on("/recover/choose", "factor", "passkey").want(t, 200, "answer", "")
		w.on("/recover/answer", "answer", w.signed(device)).want(t, 200, "new-password", "")
	})

	// Security case 9.
	t.Run("of many answers at once no more are looked at than the limit", func(t *testing.T) {
		s.enrols(t, "user2")
		var cases []*walker
		for range 12 {
			w := s.walker(t).start("reset", "user2")
			w.on("/recover/choose", "factor", "recovery_code").want(t, 200, "answer", "")
			cases = append(cases, w)
		}
		right := s.saved("user2")[0]
		var wg sync.WaitGroup
		for i := range 48 {
			w := cases[i%len(cases)].twin()
			answer := fmt.Sprintf("AAAA-AAAA-AAAA-%04d", i)
			if i == 40 {
				answer = right
			}
			wg.Go(func() { w.post("/recover/answer", "answer", answer) })
		}
		wg.Wait()
		if failed := s.events(t, "user2", "proof.failed"); failed == 0 || failed > 5 {
			t.Errorf("%d wrong answers were looked at, want 1 to 5", failed)
		}
		if n := s.count(t, `SELECT win FROM strikes WHERE account = ? AND kind = 'recovery_code'`, string(s.idOf(t, "user2"))); n > 5 {
			t.Errorf("the counter stands at %d", n)
		}
	})

	// Security case 10.
	t.Run("all names of an account share one counter", func(t *testing.T) {
		s.enrols(t, "user3")
		right := s.saved("user3")
		try := func(name, answer string) reply {
			return s.walker(t).start("reset", name).answers("recovery_code", answer)
		}
		for _, name := range []string{"user3", "USER3", " user3", "user3@example.org", "User3@EXAMPLE.org", "user3 ", "uSer3@example.org"} {
			try(name, "AAAA-AAAA-AAAA-AAAA")
		}
		// Whatever each name by itself is told, the account takes no more: a right
		// answer is as good as a wrong one.
		for i, name := range []string{"user3", "USER3", "user3@example.org", "USER3@example.org", " user3"} {
			if r := try(name, right[i]); r.Step() != "answer" || r.Status != 429 && r.Error() != "wrong_code" {
				t.Errorf("a right code under the name %q after seven wrong ones: %d at %q", name, r.Status, r.Step())
			}
		}
		if n := s.count(t, `SELECT win FROM strikes WHERE kind = 'recovery_code' AND account = ?`, string(s.idOf(t, "user3"))); n != 5 {
			t.Errorf("the account's own counter stands at %d, want 5", n)
		}
	})

	// Security cases 15 and 8: whichever door a secret is tried at, one counter.
	t.Run("every door counts on the same counter", func(t *testing.T) {
		owner := s.enrols(t, "user4")
		looked := 0
		wrong := func(r reply) {
			if r.Error() == "wrong_code" {
				looked++
			}
		}
		for range 2 {
			w := s.walker(t).start("reset", "user4")
			w.on("/recover/choose", "factor", "totp")
			wrong(w.on("/recover/answer", "answer", "000000"))
			w = s.walker(t).start("unlock", "user4")
			w.on("/recover/choose", "factor", "totp")
			wrong(w.on("/recover/answer", "answer", "000000"))
		}
		// Signing in, and the fresh proof of somebody signed in.
		w := s.walker(t)
		w.get("/signin")
		w.on("/signin/start", "login", "user4", "current", s.h.Password("user4")).want(t, 200, "choose", "")
		w.on("/signin/choose", "factor", "totp").want(t, 200, "answer", "")
		wrong(w.on("/signin/answer", "answer", "000000"))
		owner.get("/me")
		owner.on("/signin/start", "purpose", "stepup").want(t, 200, "choose", "")
		owner.on("/signin/choose", "factor", "totp").want(t, 200, "answer", "")
		r := owner.on("/signin/answer", "answer", "000000")
		wrong(r)
		if looked != 5 || r.Status != 429 {
			t.Errorf("%d guesses were looked at, the sixth got %d; want 5 and 429", looked, r.Status)
		}
	})
}

// Security case 13: one guess on each of many accounts closes the door to that
// address, to nobody else, and is told to the operator.
func TestOneGuessOnManyAccountsIsNoticed(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", "trusted_proxies: [127.0.0.1]\nlimits:\n  accounts: 6/1h\n")
	spray := s.walker(t)
	tried := 0
	for i := range 15 {
		w := s.walker(t)
		w.Header = spray.Header
		w.get("/recover/change")
		if r := w.on("/recover/start", "purpose", "change", "login", fmt.Sprintf("user%d", i+1), "current", "Summer-2026-Sun"); r.Error() != "wrong_password" {
			if r.Status != 429 {
				t.Errorf("%d %s", r.Status, r.text())
			}
			break
		}
		tried++
	}
	if tried < 6 || tried > 7 {
		t.Errorf("the address tried %d accounts, want 6 or 7", tried)
	}
	s.walker(t).start("reset", "user1") // from elsewhere, as ever
	until(t, "the operator is told", func() bool { return strings.Contains(s.p.Log(), `"alarm":"accounts"`) })
}

// Security cases 16 and 88: codes sent, and sent again.
func TestCodesAreSentSparingly(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", "")
	s.enrols(t, "user1") // one code is sent here
	to := s.h.Address("user1")
	mails := func() (n int) {
		for _, m := range s.p.Mail.Mails() {
			if m.To == to && codeInMail.MatchString(m.Text) {
				n++
			}
		}
		return n
	}
	w := s.walker(t).start("reset", "user1")
	old := w.mailedCode("/recover", "user1")
	w.on("/recover/answer", "answer", "AAAA-2222").want(t, 422, "answer", "wrong_code")
	w.on("/recover/answer", "answer", "BBBB-3333").want(t, 422, "answer", "wrong_code")
	fresh := w.mailedCode("/recover", "user1")
	if fresh == old {
		t.Fatal("the same code again")
	}
	r := w.on("/recover/answer", "answer", old).want(t, 422, "answer", "wrong_code")
	if strings.Contains(r.Body, old) || strings.Contains(r.Body, fresh) {
		t.Error("a code is on the page")
	}
	refused := 0
	for range 6 {
		w := s.walker(t).start("unlock", "user1")
		if r := w.on("/recover/choose", "factor", "email"); r.Status == 429 && r.Header["Retry-After"] != "" {
			refused++
		}
	}
	if refused != 6 || mails() != 3 {
		t.Errorf("%d of six more were refused, %d codes went out, want 6 and 3", refused, mails())
	}
	// Two tries were left of five: sending again gave none back.
	w.on("/recover/answer", "answer", "CCCC-4444").want(t, 422, "answer", "wrong_code")
	r = w.on("/recover/answer", "answer", "DDDD-5555")
	if r.Step() != "refused" && r.Status != 429 {
		t.Errorf("the fifth wrong code: %d %s", r.Status, r.text())
	}
	if r := w.on("/recover/answer", "answer", fresh); r.Status != 409 && r.Status != 429 {
		t.Errorf("the right code after five wrong ones: %d %s", r.Status, r.text())
	}
	// Somebody else is not touched by it.
	w = s.walker(t).start("reset", "user2")
	w.mailedCode("/recover", "user2")
}

// Security case 18: through the portal nobody is locked out, whatever form and
// whatever name is used; two wrong passwords stay the owner's own.
func TestPortalLocksNobodyOut(t *testing.T) {
	t.Parallel()
	for house := range houses {
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			s := besiege(t, house, wideStarts)
			const victim = "user5"
			names := []string{victim, "USER5", s.h.Address(victim)}
			looked := 0
			for i := range 18 {
				w := s.walker(t)
				path, form := "/recover/start", []string{"purpose", "change"}
				if i%2 == 1 {
					path, form = "/signin/start", nil
				}
				w.get("/recover/change")
				r := w.on(path, append(form, "login", names[i%len(names)], "current", fmt.Sprintf("Wrong-Guess-%d", i))...)
				if r.Error() == "wrong_password" {
					looked++
					r = w.on(strings.Replace(path, "start", "answer", 1), "answer", fmt.Sprintf("Wrong-Again-%d", i))
				}
				if r.Status != 422 && r.Status != 429 {
					t.Fatalf("%d %s", r.Status, r.text())
				}
			}
			if looked == 0 {
				t.Error("not one guess was looked at: this shows nothing")
			}
			if n, threshold, ok := s.badPasswords(t, victim); ok && n > threshold-2 {
				t.Errorf("the directory counts %d wrong passwords, and locks at %d", n, threshold)
			}
			if locked, err := s.h.Locked(victim); err != nil || locked {
				t.Errorf("locked: %v, %v", locked, err)
			}
			_ = s.h.Whoami(context.Background(), victim, "A-Slip-Of-My-Own-1")
			s.proves(victim, s.h.Password(victim))
		})
	}
}

// badPasswords is the directory's own count, where it shows one.
func (s *siege) badPasswords(t *testing.T, login string) (n, threshold int, ok bool) {
	t.Helper()
	switch {
	case s.h.DC != nil:
		e, err := s.h.DC.Entry(s.h.DC.Person(login).DN, "badPwdCount")
		if err != nil {
			t.Fatal(err)
		}
		n, err = strconv.Atoi(e.GetAttributeValue("badPwdCount"))
		if err != nil {
			t.Fatal(err)
		}
		return n, s.h.DC.Policy.Lockout, true
	case s.h.LDAP != nil:
		e, err := s.h.LDAP.Entry(s.h.LDAP.Person(login).DN, "pwdFailureTime")
		if err != nil {
			t.Fatal(err)
		}
		return len(e.GetAttributeValues("pwdFailureTime")), s.h.LDAP.Policy.Lockout, true
	}
	return 0, 0, false
}
