package portaltest

import (
	"regexp"
	"testing"
	"time"
)

// security case 46: an account that is disabled in the directory is out of the
// portal with the next page, and its passkey, which needs no name, lets nobody in.
func TestDisabledInTheDirectoryIsOutOfThePortal(t *testing.T) {
	t.Parallel()
	for _, house := range []string{"slapd", "samba"} {
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			s := besiege(t, house, "")
			disable := func(login string) {
				t.Helper()
				var err error
				if s.h.DC != nil {
					err = s.h.DC.Disable(login)
				} else {
					err = s.h.LDAP.Disable(login)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			w := s.enrols(t, "user1")
			device := w.device()
			byPasskey := func() reply {
				n := s.walker(t)
				n.get("/signin")
				n.on("/signin/start", "factor", "passkey").want(t, 200, "start", "")
				return n.on("/signin/answer", "answer", n.signed(device))
			}
			byPasskey().want(t, 200, "me", "")
			w.get("/me").want(t, 200, "me", "")
			disable("user1")
			byPasskey().want(t, 422, "start", "wrong_passkey")
			if r := w.get("/me/activity"); r.Status != 303 || r.Location != "/" {
				t.Errorf("a page of a disabled account: %d %q", r.Status, r.Location)
			}
			if r := w.get("/me"); r.Status != 303 || r.Location != "/signin" {
				t.Errorf("and the next one: %d %q", r.Status, r.Location)
			}
			if n := s.count(t, `SELECT count(*) FROM sessions WHERE owner = ?`, string(s.idOf(t, "user1"))); n > 1 {
				t.Errorf("%d sessions are left", n) // that of the passkey before, which opens nothing
			}
		})
	}
}

// Somebody has the owner's password and phone, is signed in with them and half
// through a recovery. The owner takes the phone's app away: all of it ends.
func TestTakingAStolenFactorAwayThrowsTheThiefOut(t *testing.T) {
	t.Parallel()
	s := besiege(t, "slapd", "")
	owner := s.enrols(t, "user2")

	thief := s.walker(t)
	thief.get("/signin")
	thief.on("/signin/start", "login", "user2", "current", s.h.Password("user2")).want(t, 200, "choose", "")
	thief.on("/signin/choose", "factor", "totp").want(t, 200, "answer", "")
	thief.on("/signin/answer", "answer", s.code(t, "user2", 0)).want(t, 200, "me", "")
	untilNextStep()
	half := s.walker(t).start("reset", "user2")
	half.answers("totp", s.code(t, "user2", 0)).want(t, 200, "choose", "")
	code := half.mailedCode("/recover", "user2") // the thief reads the mail too

	page := owner.get("/me/factors").want(t, 200, "factors", "")
	remove := first(removeLink, page.Body)
	owner.get(remove).want(t, 200, "remove", "")
	owner.on(remove).want(t, 200, "factors", "")

	if r := thief.get("/me/factors"); r.Status != 303 || r.Location != "/signin" {
		t.Errorf("the thief still sees %d %q %s", r.Status, r.Location, r.Step())
	}
	half.on("/recover/answer", "answer", code).want(t, 200, "new-password", "")
	half.sets("Thief-Of-Phones-5").want(t, 200, "refused", "neutral")
	if s.takes("user2", "Thief-Of-Phones-5") {
		t.Error("the directory took the thief's password")
	}
	owner.get("/me").want(t, 200, "me", "")
}

var removeLink = regexp.MustCompile(`(/me/factors/[0-9a-f]{32}/remove)`)

// untilNextStep waits until the app shows a code that was not used yet.
func untilNextStep() {
	<-time.After(time.Duration(30-time.Now().Unix()%30)*time.Second + 100*time.Millisecond)
}
