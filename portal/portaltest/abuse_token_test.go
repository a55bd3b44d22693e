package portaltest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory/directorytest"
)

func TestProofsAreGoodOnce(t *testing.T) {
	t.Parallel()
	s := besiege(t, "embedded", wideStarts+"  send: 100/1m\n  send_day: 100/1d\n  destination: 100/1m\n")
	alice, bob := s.enrols(t, "user1"), s.enrols(t, "user2")
	aliceKey, bobKey := alice.device(), bob.device()
	yes := func(login string) int { return s.events(t, login, "proof.ok") }

	// Security cases 19 and 87.
	t.Run("of many right answers at once one counts", func(t *testing.T) {
		w := s.walker(t).start("reset", "user1")
		code := w.mailedCode("/recover", "user1")
		before := yes("user1")
		var wg sync.WaitGroup
		for range 20 {
			tab := w.twin()
			wg.Go(func() { tab.post("/recover/answer", "answer", code) })
		}
		wg.Wait()
		if n := yes("user1") - before; n != 1 {
			t.Errorf("a mailed code was right %d times", n)
		}
		if r := w.post("/recover/answer", "answer", code); r.Status != 409 {
			t.Errorf("once more: %d %s", r.Status, r.text())
		}
		// A recovery code, in four cases at once.
		code, before = s.saved("user1")[1], yes("user1")
		for range 4 {
			w := s.walker(t).start("reset", "user1")
			w.on("/recover/choose", "factor", "recovery_code")
			wg.Go(func() { w.post("/recover/answer", "answer", code) })
		}
		wg.Wait()
		if n := yes("user1") - before; n != 1 {
			t.Errorf("a recovery code was right %d times", n)
		}
		if r := s.walker(t).start("unlock", "user1").answers("recovery_code", code); r.Error() != "wrong_code" {
			t.Errorf("a used recovery code: %d %s", r.Status, r.text())
		}
	})

	// Security cases 21, 22 and 88.
	t.Run("a code is good for one person, one case and one purpose", func(t *testing.T) {
		s.enrols(t, "user4")
		s.enrols(t, "user5")
		hers := s.walker(t).start("reset", "user4")
		code := hers.mailedCode("/recover", "user4")
		failed := s.events(t, "user5", "proof.failed")
		his := s.walker(t).start("reset", "user5")
		his.mailedCode("/recover", "user5")
		his.on("/recover/answer", "answer", code).want(t, 422, "answer", "wrong_code")
		if s.events(t, "user5", "proof.failed") != failed+1 {
			t.Error("the try is not in the record")
		}
		other := s.walker(t).start("unlock", "user4")
		other.mailedCode("/recover", "user4")
		other.on("/recover/answer", "answer", code).want(t, 422, "answer", "wrong_code")
		in := s.walker(t)
		in.get("/signin")
		in.on("/signin/start", "login", "user4", "current", s.h.Password("user4")).want(t, 200, "choose", "")
		in.mailedCode("/signin", "user4")
		in.on("/signin/answer", "answer", code).want(t, 422, "answer", "wrong_code")
		hers.on("/recover/answer", "answer", code).want(t, 200, "choose", "") // where it belongs
		// Bob's saved codes and his app are nothing at Alice's.
		hers.answers("recovery_code", s.saved("user5")[0]).want(t, 422, "answer", "wrong_code")
	})

	// Security cases 75, 76 and 79.
	t.Run("a signature is good for one person, one question and once", func(t *testing.T) {
		his := s.walker(t).start("reset", "user2")
		his.on("/recover/choose", "factor", "passkey").want(t, 200, "answer", "")
		hers := s.walker(t).start("reset", "user1")
		hers.on("/recover/choose", "factor", "passkey").want(t, 200, "answer", "")
		// Her device answers his question.
		if r := his.on("/recover/answer", "answer", his.signed(aliceKey)); r.Error() != "wrong_passkey" {
			t.Errorf("Alice's passkey in Bob's case: %d %s", r.Status, r.text())
		}
		good := hers.signed(aliceKey)
		// His answer to her question, with her handle in it.
		forged := hers.twin()
		forged.Page = hers.Page
		_ = forged.signed(bobKey)
		hers.on("/recover/answer", "answer", good).want(t, 200, "new-password", "")
		again := s.walker(t).start("reset", "user1")
		again.on("/recover/choose", "factor", "passkey")
		if r := again.on("/recover/answer", "answer", good); r.Error() != "wrong_passkey" {
			t.Errorf("the same signature in another case: %d %s", r.Status, r.text())
		}
		// A question is answered once, rightly or wrongly.
		again.on("/recover/choose", "factor", "passkey").want(t, 200, "answer", "")
		late := again.signed(aliceKey)
		again.on("/recover/answer", "answer", `{"garbage":"`+strings.Repeat("A", 20000)+`"}`)
		if r := again.on("/recover/answer", "answer", late); r.Status != 409 {
			t.Errorf("a right signature after a wrong one: %d %s", r.Status, r.text())
		}
	})

	// Security case 82.
	t.Run("what the app shows is good once, and only as six digits", func(t *testing.T) {
		s.enrols(t, "user3")
		roomy()
		code := s.code(t, "user3", 0)
		w := s.walker(t).start("reset", "user3")
		w.on("/recover/choose", "factor", "totp")
		wide := strings.Map(func(r rune) rune { return r - '0' + '０' }, code)
		for _, odd := range []string{" " + code + " ", code + "\n", "\u00a0" + code, wide} {
			w.on("/recover/answer", "answer", odd).want(t, 422, "answer", "wrong_code")
		}
		before := yes("user3")
		var wg sync.WaitGroup
		tabs := []*walker{w}
		for range 3 {
			other := s.walker(t).start("unlock", "user3")
			other.on("/recover/choose", "factor", "totp")
			tabs = append(tabs, other)
		}
		for i := range 20 {
			tab := tabs[i%len(tabs)].twin()
			wg.Go(func() { tab.post("/recover/answer", "answer", code) })
		}
		wg.Wait()
		if n := yes("user3") - before; n > 1 {
			t.Errorf("one code was right %d times", n)
		}
	})

	// Security case 87: a new set makes the old one worthless.
	t.Run("old recovery codes end with the new set", func(t *testing.T) {
		bob.get("/me/factors")
		r := bob.post("/me/factors/recovery_code/offer").want(t, 200, "offer", "")
		fresh := codeItem.FindAllString(r.Body, -1)
		// Until the new set is confirmed the old one holds (case 45).
		w := s.walker(t).start("unlock", "user2")
		w.answers("recovery_code", s.saved("user2")[5]).want(t, 200, "choose", "")
		bob.on("/me/factors/recovery_code/enrol", "answer", "saved").want(t, 200, "factors", "")
		s.walker(t).start("unlock", "user2").answers("recovery_code", s.saved("user2")[6]).want(t, 422, "answer", "wrong_code")
		s.walker(t).start("unlock", "user2").answers("recovery_code", fresh[0]).want(t, 200, "choose", "")
		to, n := s.h.Address("user2"), 0
		until(t, "a notice about the new codes", func() bool {
			n = 0
			for _, m := range s.p.Mail.Mails() {
				if m.To == to && !codeInMail.MatchString(m.Text) {
					n++
				}
			}
			return n >= 4 // codes, app, passkey, codes again
		})
	})
}

// Security cases 26, 46 and 65: between the last proof and the password the
// account became another. The proofs are about the old one; nothing is written.
func TestProofsDieWithWhatTheyRestedOn(t *testing.T) {
	t.Parallel()
	set := func(s *siege, login, attr, value string) error {
		if s.h.DC != nil {
			m := ldap.NewModifyRequest(s.h.DC.Person(login).DN, nil)
			m.Replace(attr, []string{value})
			return s.h.DC.Modify(m)
		}
		m := ldap.NewModifyRequest(s.h.LDAP.Person(login).DN, nil)
		m.Replace(attr, []string{value})
		return s.h.LDAP.Modify(m)
	}
	join := func(s *siege, group, login string) error {
		if s.h.DC != nil {
			m := ldap.NewModifyRequest("CN="+directorytest.AdminGroup+",CN=Users,"+s.h.DC.BaseDN, nil)
			m.Add("member", []string{s.h.DC.Person(login).DN})
			return s.h.DC.Modify(m)
		}
		m := ldap.NewModifyRequest("cn="+directorytest.AdminGroup+","+s.h.LDAP.GroupsDN, nil)
		m.Add("member", []string{s.h.LDAP.Person(login).DN})
		return s.h.LDAP.Modify(m)
	}
	for _, house := range []string{"samba", "slapd"} {
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			s := besiege(t, house, "")
			changes := []struct {
				what, login string
				do          func(login string) error
			}{
				{"the mail address changed", "user1", func(l string) error { return set(s, l, "mail", "mallory@example.org") }},
				{"the mobile number changed", "user2", func(l string) error { return set(s, l, "mobile", "+1 555 9999") }},
				{"another manager", "user3", func(l string) error { return set(s, l, "manager", s.dn("tech1")) }},
				{"disabled", "user4", func(l string) error {
					if s.h.DC != nil {
						return s.h.DC.Disable(l)
					}
					return s.h.LDAP.Disable(l)
				}},
				{"the password changed elsewhere", "user5", func(l string) error {
					if s.h.DC != nil {
						return s.h.DC.SetPassword(s.h.DC.Person(l).DN, "Set-Elsewhere-77")
					}
					return set(s, l, "userPassword", "Set-Elsewhere-77")
				}},
				{"became an administrator", "user6", func(l string) error { return join(s, directorytest.AdminGroup, l) }},
				{"moved", "user7", func(l string) error { return s.moves(l) }},
				{"nothing changed", "user8", nil}, // or the others would show nothing
			}
			for _, c := range changes {
				t.Run(c.what, func(t *testing.T) {
					s.enrols(t, c.login)
					w := s.walker(t).proven(c.login, 0)
					if c.do == nil {
						w.sets("Brand-New-Sail-61").wantStep(t, "done")
						return
					}
					if c.login == "user5" {
						untilNextSecond() // slapd's pwdChangedTime counts in seconds
					}
					if err := c.do(c.login); err != nil {
						t.Fatal(err)
					}
					r := w.sets("Brand-New-Sail-61")
					if r.Step() != "refused" {
						t.Errorf("%d at %q: %s", r.Status, r.Step(), r.text())
					}
					if again := w.sets("Brand-New-Sail-62"); again.Status != 409 {
						t.Errorf("once more: %d %s", again.Status, again.text())
					}
					if n := s.events(t, c.login, "password.intent"); n != 0 {
						t.Errorf("%d intents to write are in the record", n)
					}
					for _, pw := range []string{"Brand-New-Sail-61", "Brand-New-Sail-62"} {
						if s.takes(c.login, pw) {
							t.Errorf("the directory took %s", pw)
						}
					}
				})
			}
		})
	}
}

func untilNextSecond() {
	left := time.Second - time.Duration(time.Now().Nanosecond())
	<-time.After(left + 10*time.Millisecond)
}

func (s *siege) dn(login string) string {
	if s.h.DC != nil {
		return s.h.DC.Person(login).DN
	}
	return s.h.LDAP.Person(login).DN
}

// takes asks the directory itself whether that is the password now. The entry
// may have moved.
func (s *siege) takes(login, password string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if s.h.DC != nil {
		_, err := s.h.DC.Whoami(ctx, login+"@"+s.h.DC.Domain, password)
		return err == nil
	}
	for _, dn := range []string{s.dn(login), strings.Replace(s.dn(login), "uid="+login, "uid="+login+",ou=elsewhere", 1)} {
		if _, err := s.h.LDAP.Whoami(ctx, dn, password); err == nil {
			return true
		}
	}
	return false
}

// moves files an account in another unit below the people's.
func (s *siege) moves(login string) error {
	base, dial, bind, pw := "", s.dial, "", ""
	if s.h.DC != nil {
		base, bind, pw = s.h.DC.PeopleDN, s.h.DC.AdminDN, s.h.DC.AdminPass
	} else {
		base, bind, pw = s.h.LDAP.PeopleDN, s.h.LDAP.RootDN, s.h.LDAP.RootPassword
	}
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Bind(bind, pw); err != nil {
		return err
	}
	unit := "ou=elsewhere," + base
	add := ldap.NewAddRequest(unit, nil)
	add.Attribute("objectClass", []string{"organizationalUnit"})
	if err := c.Add(add); err != nil {
		return err
	}
	rdn, _, _ := strings.Cut(s.dn(login), ",")
	return c.ModifyDN(ldap.NewModifyDNRequest(s.dn(login), rdn, true, unit))
}

func (s *siege) dial() (*ldap.Conn, error) {
	if s.h.DC != nil {
		return s.h.DC.Dial()
	}
	return s.h.LDAP.Dial()
}
