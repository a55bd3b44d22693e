package portaltest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
)

const deskPolicy = `alerts:
  mail: [security@example.org]
access:
  roles: {technician: [Postern Technicians]}
  scope: {technician: {groups: [Callers]}}
  ticket: 'INC-[0-9]+'
`

// deskScene is a domain with a help desk, for some of its people.
func deskScene(t *testing.T) *scene { return deskSceneWith(t, deskPolicy) }

func deskSceneWith(t *testing.T, policy string) *scene {
	t.Helper()
	s := newScene(t, "samba", policy)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{{"group", "add", "Callers"}, {"group", "addmembers", "Callers", "user1,user2,user3,user4,tech1,tech2,admin1"}} {
		if out, err := s.h.DC.Exec(ctx, args...); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	return s
}

// ids are what the portal knows people by, from its own connector.
func (s *scene) ids(logins ...string) map[string]directory.ID {
	s.t.Helper()
	cfg := ad.DefaultConfig()
	cfg.Servers, cfg.CAFile, cfg.BaseDN = []string{s.h.DC.URL}, s.h.DC.CAFile, s.h.DC.PeopleDN
	cfg.BindDN, cfg.Password = s.h.DC.ServiceDN, directory.NewSecret(s.h.DC.ServicePassword)
	d, err := ad.New("house", cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	defer d.Close()
	all := map[string]directory.ID{}
	for _, l := range logins {
		u, err := d.Find(context.Background(), l)
		if err != nil {
			s.t.Fatalf("%s: %v", l, err)
		}
		all[l] = u.ID
	}
	return all
}

// calls is a technician who finds a caller and begins a case; it returns the code
// they read out.
func (s *scene) calls(tech *Tab, login, purpose string) (code string) {
	s.t.Helper()
	tech.Open("/desk")
	tech.Fill("q", login)
	tech.Submit()
	tech.WantStep("people")
	tech.Click("a.choice")
	tech.WantStep("person")
	tech.Fill("cause", "lost the phone, cannot sign in")
	tech.Fill("ticket", "INC-7")
	tech.Eval(fmt.Sprintf(`document.querySelector('[name=purpose]').value = %q`, purpose))
	tech.Submit()
	tech.WantStep("code")
	code = tech.Eval(`document.querySelector('.spell').textContent.trim()`)
	if !regexp.MustCompile(`^[2-9A-Z]{3}-[2-9A-Z]{3}-[2-9A-Z]{3}$`).MatchString(code) {
		s.t.Fatalf("the code is %q", code)
	}
	return code
}

// links types the code on the caller's own device.
func (s *scene) links(phone *Tab, code string) {
	s.t.Helper()
	phone.Open("/link")
	phone.Fill("code", strings.ToLower(strings.ReplaceAll(code, "-", " ")))
	phone.Submit()
	phone.WantStep("choose")
}

// reads is the number on the caller's screen.
func (s *scene) reads(phone *Tab, technician string) string {
	s.t.Helper()
	phone.Choose("handover")
	phone.WantStep("wait")
	if says := phone.Where(); !strings.Contains(says, technician) {
		s.t.Errorf("the caller is not told who helps them: %s", says)
	}
	return phone.Eval(`document.querySelector('.plate').lastChild.textContent.trim()`)
}

func otherThan(number string) string {
	if number == "10" {
		return "11"
	}
	return "10"
}

// fetch asks for a page as the tab's person does, and returns status and body
// without what differs from one request to the next.
func (t *Tab) fetch(path string) string {
	t.t.Helper()
	return regexp.MustCompile(`<bdi class="mono">[A-Za-z0-9_-]{16}</bdi>`).ReplaceAllString(t.Eval(fmt.Sprintf(
		`(() => { const x = new XMLHttpRequest(); x.open('GET', %q, false); x.send(); return x.status + '\n' + x.responseText })()`, path)), "REQUEST")
}

// deskHears waits for a mail to somebody that holds all these words.
func (s *scene) deskHears(to string, words ...string) {
	s.t.Helper()
	until(s.t, to+" hears of it", func() bool {
	mails:
		for _, m := range s.p.Mail.Mails() {
			for _, w := range words {
				if !strings.Contains(m.Text, w) {
					continue mails
				}
			}
			if m.To == to {
				return true
			}
		}
		return false
	})
}

// A technician in one browser, callers in others, on a domain controller: a
// verified caller gets in and the technician never holds anything; everybody else
// gets nowhere, and so does a technician who tries what they may not.
func TestDeskHandsOverAReset(t *testing.T) {
	t.Parallel()
	b := browser(t)
	s := deskScene(t)
	tech, owner, phone := b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, false)
	s.enrol(tech, "tech1")
	s.enrol(owner, "user1")
	name := s.h.DC.Person("tech1").Name
	const fresh = "Granite Lantern 52 Otter C4nary"
	var seen bytes.Buffer // every page of the technician
	look := func() { seen.WriteString(tech.Eval(`document.documentElement.outerHTML`)) }

	t.Run("verified end to end", func(t *testing.T) {
		code := s.calls(tech, "user1", "reset")
		look()
		s.links(phone, code)
		tech.WantStep("proving")
		look()
		phone.Choose("totp")
		phone.WantStep("answer")
		roomy()
		app := s.app("user1", 0)
		phone.Fill("answer", app)
		phone.Submit()
		phone.WantStep("choose")
		number := s.reads(phone, name)
		tech.WantStep("match")
		look()
		if regexp.MustCompile(`>\s*` + number + `\s*<`).MatchString(tech.Eval(`document.querySelector('main').innerHTML`)) {
			t.Error("the technician's page shows the number")
		}
		tech.Fill("number", otherThan(number))
		tech.Submit()
		tech.WantError("wrong_number")
		tech.Fill("number", number)
		tech.Submit()
		tech.WantStep("password")
		look()
		phone.WantStep("new-password")
		s.newPassword(phone, fresh)
		phone.WantStep("done")
		tech.WantStep("done")
		look()
		s.proves("user1", fresh)
		for _, to := range []string{s.h.Address("manager1"), "security@example.org"} {
			s.deskHears(to, "user1", "tech1", "INC-7")
		}
		s.deskHears(s.h.Address("user1"), "user1")
		tech.Open("/desk/people/" + string(s.ids("user1")["user1"]))
		tech.WantStep("person")
		look()
		here := tech.Eval(`document.querySelector('a[href^="/desk/cases/"]').getAttribute('href').split('/').slice(0, 4).join('/')`)
		tech.Open("/desk/lists")
		tech.Click(`main form button`)
		until(t, "everybody is counted", func() bool { return strings.HasPrefix(tech.fetch("/desk/lists/locked.csv"), "200") })
		for _, page := range []string{"/desk", "/desk/people?q=user1", "/desk/people/" + string(s.ids("user1")["user1"]), here, here + "/evidence", here + "/evidence.json",
			"/desk/lists", "/desk/lists/locked", "/desk/lists/locked.csv", "/desk/lists/expiring", "/desk/lists/mustchange.csv", "/me", "/me/activity", "/recover"} {
			answer := tech.fetch(page)
			if page != "/recover" && !strings.HasPrefix(answer, "200") {
				t.Errorf("%s: %.3s", page, answer)
			}
			seen.WriteString(answer)
		}
		export, exit := command(t, "audit", "export", "--config", filepath.Join(s.p.Dir, "postern.yaml"))
		if exit != 0 || !strings.Contains(export, "number.matched") {
			t.Fatalf("export: %d %.300s", exit, export)
		}
		seen.WriteString(export)
		secrets := map[string]string{"the new password": fresh, "the code": app, "the old password": s.h.Password("user1")}
		for i, c := range s.codes["user1"] {
			secrets[fmt.Sprint("recovery code ", i)] = c
		}
		s.nowhere(t, seen.Bytes(), secrets)
	})
	t.Run("three wrong numbers end it", func(t *testing.T) {
		code := s.calls(tech, "user2", "assist")
		s.links(phone, code)
		number := s.reads(phone, name)
		tech.WantStep("match")
		for range 3 {
			tech.Fill("number", otherThan(number))
			tech.Submit()
		}
		tech.WantStep("refused")
		phone.WantStep("refused")
	})
	t.Run("an impostor without a factor", func(t *testing.T) {
		code := s.calls(tech, "user3", "reset")
		s.links(phone, code)
		number := s.reads(phone, name)
		tech.WantStep("match")
		tech.Fill("number", number)
		tech.Submit()
		tech.WantStep("proving") // the number says who speaks to whom, and not who it is
		phone.WantStep("choose")
		// Nor does it tell them what the person has: user3 has no app at all.
		phone.Choose("totp")
		phone.WantStep("answer")
		for range 5 {
			phone.Fill("answer", "000000")
			phone.Submit()
		}
		phone.WantStep("refused")
		tech.WantStep("refused")
		s.proves("user3", s.h.Password("user3"))
		// The same person again within a day waits for a second technician.
		tech.Open("/desk/people/" + string(s.ids("user3")["user3"]))
		tech.Fill("cause", "again")
		tech.Fill("ticket", "INC-8")
		tech.Submit()
		tech.WantStep("held")
		s.deskHears("security@example.org", "tech1", "user3")
		tech.Click(`form[action$="/cancel"] button`)
		tech.WantStep("refused")
	})
	t.Run("a lost passkey is cleared for who proved themselves otherwise", func(t *testing.T) {
		s.enrol(owner, "user4")
		code := s.calls(tech, "user4", "assist")
		s.links(phone, code)
		phone.Choose("recovery_code")
		phone.Fill("answer", s.codes["user4"][0])
		phone.Submit()
		phone.WantStep("choose")
		number := s.reads(phone, name)
		tech.WantStep("match")
		tech.Fill("number", number)
		tech.Submit()
		tech.WantStep("done")
		phone.WantStep("done")
		owner.Open("/me")
		owner.WantStep("me")
		tech.Click(`button[value=clear]`)
		tech.WantStep("done")
		s.deskHears(s.h.Address("user4"), "user4")
		s.deskHears(s.h.Address("manager1"), "user4", "tech1", "INC-7")
		owner.Open("/me") // whoever found it may have signed in with it
		owner.WantStep("start")
		if n := tech.Eval(`String(document.querySelectorAll('button[value=clear]').length)`); n != "1" {
			t.Errorf("%s things are left to clear, want the app alone", n)
		}
	})
	t.Run("whom they may not help", func(t *testing.T) {
		ids := s.ids("tech1", "tech2", "admin1", "user9")
		for login, says := range map[string]string{"tech1": "Nobody helps themselves", "tech2": "work at the desk themselves", "admin1": "privileged"} {
			tech.Open("/desk/people/" + string(ids[login]))
			tech.WantStep("person")
			if text := tech.Where(); !strings.Contains(text, says) || tech.Eval(`String(document.querySelectorAll('main form').length)`) != "0" {
				t.Errorf("%s: %s", login, text)
			}
		}
		unknown := tech.fetch("/desk/people/house:00000000-0000-4000-8000-000000000000")
		if out := tech.fetch("/desk/people/" + string(ids["user9"])); out != unknown || !strings.HasPrefix(out, "404") {
			t.Errorf("out of scope differs from unknown:\n%s\n%s", out, unknown)
		}
		tech.Open("/desk/people?q=user9")
		none := tech.Eval(`document.querySelector('main [role=status]').textContent`)
		tech.Open("/desk/people?q=nobody9")
		if got := tech.Eval(`document.querySelector('main [role=status]').textContent`); got != none {
			t.Errorf("%q, %q", got, none)
		}
		// Taken out of the group, the role is gone with the next request.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if out, err := s.h.DC.Exec(ctx, "group", "removemembers", directorytest.TechGroup, "tech1"); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if out := tech.fetch("/desk"); !strings.HasPrefix(out, "404") {
			t.Errorf("without the role: %s", out)
		}
	})
}

// nowhere looks for secrets in all that a technician, or anybody who has the
// portal's disk, could read: pages, log, mail, audit events, every column.
func (s *scene) nowhere(t *testing.T, pages []byte, secrets map[string]string) {
	t.Helper()
	places := map[string][]byte{"a page": pages, "the log": []byte(s.p.Log())}
	for _, name := range []string{"postern.db", "postern.db-wal"} {
		b, err := os.ReadFile(filepath.Join(s.p.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		places[name] = b
	}
	for i, m := range s.p.Mail.Mails() {
		places[fmt.Sprint("mail ", i, ": ", m.Subject)] = []byte(m.Raw + m.Text + m.HTML)
	}
	if !bytes.Contains(append(places["postern.db"], places["postern.db-wal"]...), []byte("desk.viewed")) || !bytes.Contains(pages, []byte("INC-7")) {
		t.Fatal("what should be found is not: this shows nothing")
	}
	for what, secret := range secrets {
		for where, content := range places {
			if len(secret) < 6 || bytes.Contains(content, []byte(secret)) || bytes.Contains(content, []byte(utf16(secret))) || bytes.Contains(content, []byte(strings.ReplaceAll(secret, "-", ""))) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
}
