package portaltest

import (
	"testing"

	"postern/directory/directorytest"
)

// facts are what an unlock, or an attempt at anything, must leave as it is.
func (s *siege) facts(t *testing.T, login string) map[string]string {
	t.Helper()
	attrs := []string{"pwdLastSet", "userAccountControl", "accountExpires", "adminCount"}
	if s.h.LDAP != nil {
		attrs = []string{"pwdChangedTime", "userPassword", "pwdHistory"}
	}
	facts := map[string]string{}
	for _, a := range attrs {
		if s.h.DC != nil {
			e, err := s.h.DC.Entry(s.dn(login), a)
			if err != nil {
				t.Fatal(err)
			}
			facts[a] = e.GetAttributeValue(a)
			continue
		}
		e, err := s.h.LDAP.Entry(s.dn(login), a)
		if err != nil {
			t.Fatal(err)
		}
		facts[a] = e.GetAttributeValue(a)
	}
	return facts
}

func same(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	for k, v := range before {
		if after[k] != v {
			t.Errorf("%s: %s was %q and is %q", what, k, v, after[k])
		}
	}
}

// Security cases 68 and 69.
func TestUnlockTouchesTheLockAlone(t *testing.T) {
	t.Parallel()
	for _, house := range []string{"samba", "slapd"} {
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			// Five unlocks a day and account are the limit.
			s := besiege(t, house, freely)
			device := s.enrols(t, "user1").device()
			unlock := func() reply {
				w := s.walker(t).start("unlock", "user1")
				w.on("/recover/choose", "factor", "passkey").want(t, 200, "answer", "")
				return w.on("/recover/answer", "answer", w.signed(device))
			}
			before := s.facts(t, "user1")
			unlock().wantStep(t, "done") // never locked
			same(t, "an unlock without a lock", before, s.facts(t, "user1"))
			if err := s.h.Lock("user1"); err != nil {
				t.Fatal(err)
			}
			before = s.facts(t, "user1")
			unlock().wantStep(t, "done")
			same(t, "an unlock", before, s.facts(t, "user1"))
			if locked, err := s.h.Locked("user1"); err != nil || locked {
				t.Errorf("still locked: %v %v", locked, err)
			}
			s.proves("user1", s.h.Password("user1"))
			for range 3 {
				unlock().wantStep(t, "done")
			}
			if err := s.h.Lock("user1"); err != nil {
				t.Fatal(err)
			}
			if r := unlock(); r.Step() != "refused" {
				t.Errorf("the sixth unlock of a day: %d at %q", r.Status, r.Step())
			}
			if locked, err := s.h.Locked("user1"); err != nil || !locked {
				t.Errorf("the sixth unlock ended the lock: %v", err)
			}

			// Whatever is tried, the disabled stay disabled and the rest stays as it was.
			for _, login := range []string{"disabled1", "left1", "admin1"} {
				if s.h.LDAP != nil && login == "left1" {
					continue
				}
				before := s.facts(t, login)
				pw := s.h.Password(login)
				for _, purpose := range []string{"reset", "unlock"} {
					w := s.walker(t).start(purpose, login)
					w.mail(login)
					w.answers("recovery_code", "AAAA-AAAA-AAAA-AAAA")
					w.sets("Never-Set-By-This-1")
				}
				// The right password opens nothing for them either.
				w := s.walker(t)
				w.get("/recover/change")
				if r := w.on("/recover/start", "purpose", "change", "login", login, "current", pw); r.Error() != "wrong_password" {
					t.Errorf("%s: a change with the right password: %d at %q", login, r.Status, r.Step())
				}
				w = s.walker(t)
				w.get("/signin")
				if r := w.on("/signin/start", "login", login, "current", pw); r.Error() != "wrong_password" {
					t.Errorf("%s: signing in with the right password: %d at %q", login, r.Status, r.Step())
				}
				same(t, login, before, s.facts(t, login))
			}
			for _, m := range s.p.Mail.Mails() {
				for _, login := range []string{"disabled1", "left1", "admin1"} {
					if m.To == login+"@example.org" {
						t.Errorf("%s was sent %q", login, m.Subject)
					}
				}
			}
		})
	}
}

// mail asks for a mailed code that will never come.
func (w *walker) mail(login string) {
	w.t.Helper()
	w.on("/recover/choose", "factor", "email").want(w.t, 200, "answer", "")
	w.on("/recover/answer", "answer", "AAAA-2222")
}

// Security case 64: a true change proves the old password to the directory, and
// what the directory says against the new one is said in plain words, to the
// person who proved it.
func TestAChangeIsRefusedInPlainWords(t *testing.T) {
	t.Parallel()
	s := besiege(t, "samba", freely)
	dc := s.h.DC
	young, err := dc.AddUser(directorytest.Person{Login: "young1", Password: "Quay-Lantern-7734"})
	if err != nil {
		t.Fatal(err)
	}
	policy := dc.Policy
	policy.MinAgeDays = 1
	if err := dc.AddPSO("Young", policy, young.DN); err != nil {
		t.Fatal(err)
	}
	begin := func(login, current string) *walker {
		w := s.walker(t)
		w.get("/recover/change")
		w.on("/recover/start", "purpose", "change", "login", login, "current", current)
		return w
	}
	w := begin("young1", "Quay-Lantern-7734")
	w.get("/recover").wantStep(t, "new-password")
	if r := w.sets("Rowing-Harbour-5511"); r.Status != 422 || r.Error() != "too_young" {
		t.Errorf("inside the minimum age: %d %q %s", r.Status, r.Error(), r.text())
	}
	if _, err := dc.Whoami(t.Context(), young.DN, "Quay-Lantern-7734"); err != nil {
		t.Errorf("the old password does not hold: %v", err)
	}
	begin("user2", "not my password 1").get("/recover").wantStep(t, "answer")
	// The old password changed elsewhere between the proof and the save.
	w = begin("user3", s.h.Password("user3"))
	w.get("/recover").wantStep(t, "new-password")
	if err := dc.SetPassword(dc.Person("user3").DN, "Set-Elsewhere-88"); err != nil {
		t.Fatal(err)
	}
	if r := w.sets("Rowing-Harbour-5512"); r.Step() == "done" {
		t.Errorf("an old password that does not hold any more changed it: %s", r.text())
	}
	s.proves("user3", "Set-Elsewhere-88")
}

// Security case 58: whoever writes another's name into their own mail address
// gets neither that person's account nor that person's codes.
func TestABorrowedAddressIsNobody(t *testing.T) {
	t.Parallel()
	for _, house := range []string{"samba", "slapd"} {
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			s := besiege(t, house, freely)
			borrowed := "victim1@example.org"
			if s.h.DC != nil {
				borrowed = "victim1@" + s.h.DC.Domain
			}
			nobody := s.walker(t).start("reset", "nobody").get("/recover").seen("nobody")
			for _, name := range []string{borrowed, directorytest.TwinsMail} {
				before := len(s.p.Mail.Mails())
				w := s.walker(t).start("reset", name)
				if got := w.get("/recover").seen(name); got != nobody {
					t.Errorf("%s: %s", name, diff(nobody, got))
				}
				w.on("/recover/choose", "factor", "email").want(t, 200, "answer", "")
				// The jobs are through once somebody else's code has arrived.
				s.walker(t).start("reset", "user5").mailedCode("/recover", "user5")
				for _, m := range s.p.Mail.Mails()[before:] {
					if m.To != s.h.Address("user5") {
						t.Errorf("%s: a code went to %s", name, m.To)
					}
				}
			}
		})
	}
}
