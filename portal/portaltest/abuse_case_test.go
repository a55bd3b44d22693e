package portaltest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/directory/embedded"
)

// freely takes the limits by account out of the way as well.
var freely = wideStarts + "  send: 100/1m\n  send_day: 100/1d\n  destination: 100/1m\n"

func TestACaseGoesOneWay(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", freely)

	// Security case 33.
	t.Run("an identity the browser brought is not taken over", func(t *testing.T) {
		const planted = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE"
		attacker, victim := s.walker(t), s.walker(t)
		attacker.SetCookie("__Host-postern", planted)
		victim.SetCookie("__Host-postern", planted)
		victim.start("reset", "user1")
		if got := victim.Cookie("__Host-postern"); got == planted || len(got) != 43 {
			t.Errorf("after the start the identity is %q", got)
		}
		if r := attacker.get("/recover"); r.Status != 303 || r.Location != "/" {
			t.Errorf("whoever planted it sees %d %s", r.Status, r.text())
		}
		before := s.walker(t)
		before.get("/signin")
		early := before.twin()
		before.on("/signin/start", "login", "user1", "current", s.h.Password("user1")).want(t, 200, "choose", "")
		middle := before.twin()
		before.on("/signin/answer", "answer", before.mailedCode("/signin", "user1")).want(t, 200, "me", "")
		for name, w := range map[string]*walker{"before the start": early, "before the last proof": middle} {
			if r := w.get("/me"); r.Status != 303 || r.Location != "/signin" {
				t.Errorf("the identity from %s is signed in: %d", name, r.Status)
			}
		}
	})

	// Security case 34.
	t.Run("a case is nothing without its browser", func(t *testing.T) {
		owner, thief := s.walker(t).start("reset", "user1"), s.walker(t)
		for _, path := range []string{"/recover", owner.Page.Location, "/recover/choose", "/recover?case=1"} {
			if path == "" {
				continue
			}
			if r := thief.get(path); r.Step() == "choose" {
				t.Errorf("%s shows the case", path)
			}
		}
		thief.get("/")
		thief.get("/recover/reset")
		if r := thief.post("/recover/choose", "factor", "totp"); r.Status != 409 {
			t.Errorf("%d", r.Status)
		}
		// The thief's page with the owner's token, and the other way round.
		thief.csrf = owner.csrf
		if r := thief.post("/recover/choose", "factor", "totp"); r.Status != 403 {
			t.Errorf("another browser's token: %d", r.Status)
		}
	})

	// Security cases 35, 39 and 40.
	t.Run("no way round a gate", func(t *testing.T) {
		s.enrols(t, "user2")
		pw := []string{"password", "Around-The-Gate-9", "confirm", "Around-The-Gate-9"}
		closed := func(w *walker, what string) {
			t.Helper()
			if r := w.post("/recover/password", pw...); r.Status != 409 {
				t.Errorf("%s: %d %s", what, r.Status, r.text())
			}
		}
		w := s.walker(t).start("reset", "user2")
		closed(w, "before any proof")
		for _, factor := range []string{"email", "passkey", "totp", "recovery_code"} {
			w.on("/recover/choose", "factor", factor).want(t, 200, "answer", "")
			closed(w, "with "+factor+" open")
		}
		for factor, want := range map[string]int{"password": 409, "sms": 409, "approval": 409, "yubikey": 409, "none": 400, "": 400, "EMAIL": 400} {
			if r := w.post("/recover/choose", "factor", factor); r.Status != want {
				t.Errorf("factor %q: %d, want %d", factor, r.Status, want)
			}
		}
		// A code of one factor at the question of another, and a question taken
		// back by "something else" while its answer is on the way.
		code := w.mailedCode("/recover", "user2")
		other := w.twin()
		other.on("/recover/choose", "factor", "recovery_code").want(t, 200, "answer", "")
		if r := w.on("/recover/answer", "answer", code); r.Error() != "wrong_code" {
			t.Errorf("a mailed code as a recovery code: %d %s", r.Status, r.text())
		}
		code = w.mailedCode("/recover", "user2")
		w.on("/recover/answer", "answer", code).want(t, 200, "choose", "")
		closed(w, "after one proof")
		// The same again, and what counts as the same.
		if r := w.post("/recover/choose", "factor", "email"); r.Status != 409 {
			t.Errorf("mail twice: %d", r.Status)
		}
		w.on("/recover/choose", "factor", "recovery_code").want(t, 200, "answer", "")
		closed(w, "with the second question open")
		if r := w.post("/recover/answer", "answer", code); r.Error() != "wrong_code" {
			t.Errorf("the first answer at the second question: %d", r.Status)
		}
		// One case's session is no sign-in, and its doors are its own.
		for _, path := range []string{"/signin/choose", "/signin/answer", "/signin/cancel"} {
			if r := w.post(path, map[string][]string{"/signin/choose": {"factor", "totp"}, "/signin/answer": {"answer", "1"}}[path]...); r.Status != 409 {
				t.Errorf("%s from a reset: %d", path, r.Status)
			}
		}
		for _, path := range []string{"/me", "/me/factors", "/me/activity"} {
			if r := w.get(path); r.Location != "/signin" {
				t.Errorf("%s from a reset: %d", path, r.Status)
			}
		}
		two := s.walker(t).start("reset", "user2")
		two.answers("recovery_code", s.saved("user2")[1]).want(t, 200, "choose", "")
		if r := two.post("/recover/choose", "factor", "recovery_code"); r.Status != 409 {
			t.Errorf("two recovery codes: %d", r.Status)
		}
		closed(two, "after one recovery code")
		s.proves("user2", s.h.Password("user2"))
	})

	// Security case 36, through the wire: a walker who can give one right proof
	// and no more, in three tabs, doing anything in any order, gets nowhere.
	t.Run("random walks with one proof write nothing", func(t *testing.T) {
		s.enrols(t, "user3")
		rng := rand.New(rand.NewPCG(36, uint64(len(t.Name()))))
		tabs := []*walker{s.walker(t).start("reset", "user3"), s.walker(t).start("unlock", "user3"), s.walker(t).start("reset", "user3")}
		tabs = append(tabs, tabs[0].twin(), tabs[2].twin())
		code := ""
		for i := range 250 {
			w := tabs[rng.IntN(len(tabs))]
			var r reply
			switch rng.IntN(8) {
			case 0:
				if before := len(s.p.Mail.Mails()); w.on("/recover/choose", "factor", "email").Step() == "answer" && rng.IntN(4) == 0 {
					code = s.mailed(before, "user3")
				}
				r = reply{Page: w.Page}
			case 1:
				r = w.on("/recover/choose", "factor", []string{"totp", "passkey", "recovery_code", "email"}[rng.IntN(4)])
			case 2, 3:
				r = w.on("/recover/answer", "answer", []string{code, "000000", "", "AAAA-AAAA-AAAA-AAAA", "{}"}[rng.IntN(5)])
			case 4:
				r = w.on("/recover/password", "password", "Random-Walk-Is-Long-1", "confirm", "Random-Walk-Is-Long-1")
			case 5:
				r = w.get("/recover")
			case 6:
				r = w.get("/signin")
			case 7:
				if i%20 == 0 {
					w.post("/recover/cancel")
				}
				r = w.start2([]string{"reset", "unlock"}[rng.IntN(2)], "user3")
			}
			if slices.Contains([]string{"new-password", "done", "applying", "me"}, r.Step()) {
				t.Fatalf("step %d: at %q", i, r.Step())
			}
			if r.Status >= 500 {
				t.Fatalf("step %d: %d %s", i, r.Status, r.text())
			}
		}
		if n := s.events(t, "user3", "password.intent") + s.events(t, "user3", "unlock.intent"); n != 0 {
			t.Errorf("%d writes", n)
		}
		s.proves("user3", s.h.Password("user3"))
	})

	// Security cases 37 and 46.
	t.Run("two tabs, two passwords, one write; all else of that account ends", func(t *testing.T) {
		signedIn := s.enrols(t, "user4")
		halfway := s.walker(t).start("unlock", "user4")
		halfway.answers("recovery_code", s.saved("user4")[1]).want(t, 200, "choose", "")
		sibling := s.walker(t).start("reset", "user4")
		sibling.on("/recover/choose", "factor", "recovery_code").want(t, 200, "answer", "")
		bystander := s.walker(t).signsIn("user5", s.h.Password("user5"))
		w := s.walker(t).proven("user4", 0)
		status := make([]int, 6)
		var wg sync.WaitGroup
		for i := range status {
			tab := w.twin()
			pw := fmt.Sprintf("Either-Tab-Wins-%d", i)
			wg.Go(func() { status[i] = tab.post("/recover/password", "password", pw, "confirm", pw).Status })
		}
		wg.Wait()
		won := slices.Index(status, 303)
		slices.Sort(status)
		if status[0] != 303 || status[1] != 409 || status[5] != 409 {
			t.Fatalf("answers %v", status)
		}
		w.get("/recover").wantStep(t, "done")
		s.proves("user4", fmt.Sprintf("Either-Tab-Wins-%d", won))
		if n := s.events(t, "user4", "password.intent"); n != 1 {
			t.Errorf("%d writes", n)
		}
		if r := signedIn.get("/me"); r.Location != "/signin" {
			t.Errorf("a session from before the reset: %d", r.Status)
		}
		halfway.get("/recover").wantStep(t, "refused")
		if r := halfway.post("/recover/choose", "factor", "email"); r.Status != 409 {
			t.Errorf("a case from before the reset goes on: %d", r.Status)
		}
		// One in which nothing was proved may look alive, for a stranger must not
		// see that the owner is back; the right answer is wrong in it.
		if r := sibling.post("/recover/answer", "answer", s.saved("user4")[2]); r.Error() != "wrong_code" && r.Status != 409 {
			t.Errorf("the right answer in a case from before the reset: %d %s", r.Status, r.text())
		}
		// Security case 26: nobody is signed in by it.
		if r := w.get("/me"); r.Location != "/signin" {
			t.Errorf("a reset signed in: %d", r.Status)
		}
		bystander.get("/me").wantStep(t, "me")
	})

	// Security case 38.
	t.Run("what was cancelled while an answer was on its way stays dead", func(t *testing.T) {
		s.enrols(t, "user6")
		for i := range 6 {
			w := s.walker(t).start("reset", "user6")
			w.on("/recover/choose", "factor", "recovery_code").want(t, 200, "answer", "")
			slow, killer := w.twin(), w.twin()
			var wg sync.WaitGroup
			var cancelled reply
			wg.Go(func() { slow.post("/recover/answer", "answer", s.saved("user6")[i]) })
			wg.Go(func() { cancelled = killer.post("/recover/cancel") })
			wg.Wait()
			if cancelled.Status != 303 {
				continue // the answer was first, and the tab that cancels is told so
			}
			for _, tab := range []*walker{w, slow, killer} {
				if r := tab.get("/recover"); r.Step() == "choose" || r.Step() == "answer" {
					t.Errorf("round %d: the cancelled case is at %q", i, r.Step())
				}
				if r := tab.post("/recover/choose", "factor", "email"); r.Status != 409 && r.Status != 403 {
					t.Errorf("round %d: it goes on: %d", i, r.Status)
				}
			}
		}
		if n := s.count(t, `SELECT count(*) FROM cases WHERE account = ? AND purpose = 'reset' AND closed = ''`, string(s.idOf(t, "user6"))); n != 0 {
			t.Errorf("%d of the cancelled cases are open", n)
		}
	})

	// Security cases 41 and 42: over every POST there is.
	t.Run("no form works without this browser's token, or from another site", func(t *testing.T) {
		in := s.enrols(t, "user7")
		stranger := s.walker(t)
		stranger.get("/")
		token := func() string { in.get("/me/factors"); return in.csrf }
		for path, fields := range everyPost {
			good := in.form(append(fields, "csrf", token())...)
			bare := in.form(append(fields, "csrf", "")...)
			for what, try := range map[string]func() reply{
				"no token": func() reply { return in.ask("POST", path, formType, bare, ourselves...) },
				"another browser's token": func() reply {
					return in.ask("POST", path, formType, in.form(append(fields, "csrf", stranger.csrf)...), ourselves...)
				},
				"cross-site":               func() reply { return in.ask("POST", path, formType, good, "Sec-Fetch-Site", "cross-site") },
				"same site, other origin":  func() reply { return in.ask("POST", path, formType, good, "Sec-Fetch-Site", "same-site") },
				"origin evil":              func() reply { return in.ask("POST", path, formType, good, "Origin", "https://evil.example") },
				"origin null":              func() reply { return in.ask("POST", path, formType, good, "Origin", "null") },
				"a token from before here": func() reply { return stranger.ask("POST", path, formType, good, ourselves...) },
			} {
				if r := try(); r.Status != 403 {
					t.Errorf("%s with %s: %d", path, what, r.Status)
				}
			}
			if r := in.ask("POST", path+"?csrf="+token(), formType, bare, ourselves...); r.Status != 400 && r.Status != 403 {
				t.Errorf("%s with the token in the address: %d", path, r.Status)
			}
		}
		in.get("/me").wantStep(t, "me") // and nobody was signed out by it
		// Neither Referer nor Sec-Fetch-Site, but the token: an old browser of ours.
		if r := in.ask("POST", "/me/factors/totp/offer", formType, in.form("csrf", token())); r.Status != 200 {
			t.Errorf("same origin without saying so: %d", r.Status)
		}
	})

	// Security case 45.
	t.Run("what is enrolled cannot be got round or lost on the way", func(t *testing.T) {
		s.enrols(t, "user8")
		weak := s.walker(t).signsIn("user8", s.h.Password("user8")) // password and mail
		for _, path := range []string{"/me/factors/totp/offer", "/me/factors/passkey/offer", "/me/factors/recovery_code/offer"} {
			weak.get("/me/factors")
			if r := weak.on(path); r.Step() != "choose" {
				t.Errorf("%s without a strong proof: %d at %q", path, r.Status, r.Step())
			} else if strings.Contains(r.Body, `value="email"`) || strings.Contains(r.Body, `value="password"`) {
				t.Error("the fresh proof may be a weak one")
			}
		}
		// Half-way through a new app the old one still works.
		weak.on("/signin/choose", "factor", "recovery_code").want(t, 200, "answer", "")
		weak.on("/signin/answer", "answer", s.saved("user8")[0]).want(t, 200, "factors", "")
		weak.post("/me/factors/totp/offer").want(t, 200, "offer", "")
		weak.on("/me/factors/totp/enrol", "answer", "000000").want(t, 422, "offer", "wrong_code")
		roomy()
		w := s.walker(t).start("reset", "user8")
		w.answers("totp", s.code(t, "user8", 0)).want(t, 200, "choose", "")
	})

	// Security case 46: who is disabled meanwhile can do nothing any more.
	t.Run("disabled while signed in", func(t *testing.T) {
		in := s.enrols(t, "user9")
		if err := s.disable("user9"); err != nil {
			t.Fatal(err)
		}
		in.get("/me/factors")
		in.on("/me/factors/totp/offer")
		if r := in.get("/me"); r.Location != "/signin" {
			t.Errorf("still signed in: %d", r.Status)
		}
		w := s.walker(t)
		w.get("/signin")
		w.on("/signin/start", "login", "user9", "current", s.h.Password("user9")).want(t, 422, "answer", "wrong_password")
	})
}

// everyPost is the route table's POSTs with the fields their forms have.
var everyPost = map[string][]string{
	"/recover/start":           {"purpose", "reset", "login", "user7"},
	"/recover/choose":          {"factor", "totp"},
	"/recover/answer":          {"answer", "000000"},
	"/recover/password":        {"password", "x", "confirm", "x"},
	"/recover/cancel":          {},
	"/signin/start":            {"login", "user7"},
	"/signin/choose":           {"factor", "totp"},
	"/signin/answer":           {"answer", "000000"},
	"/signin/cancel":           {},
	"/signout":                 {},
	"/me/factors/totp/offer":   {},
	"/me/factors/totp/enrol":   {"answer", "000000"},
	"/me/factors/0123/remove":  {},
	"/me/factors/0123/rename":  {"name", "x"},
	"/me/factors/nosuch/offer": {},
}

// start2 begins once more, whatever comes of it.
func (w *walker) start2(purpose, login string) reply {
	w.t.Helper()
	w.get("/recover/" + purpose)
	return w.on("/recover/start", "purpose", purpose, "login", login)
}

func (r reply) wantStep(t testing.TB, step string) {
	t.Helper()
	if r.Step() != step {
		t.Errorf("%d at %q, want %q: %s", r.Status, r.Step(), step, r.text())
	}
}

func (s *siege) disable(login string) error {
	switch {
	case s.h.DC != nil:
		return s.h.DC.Disable(login)
	case s.h.LDAP != nil:
		return s.h.LDAP.Disable(login)
	}
	return s.h.Sample.Set(login, disabled)
}

func disabled(p *embedded.Person) { p.Disabled = true }
