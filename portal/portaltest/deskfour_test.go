package portaltest

import (
	"context"
	"strings"
	"testing"
	"time"
)

// fourPolicy lets a manager vouch for whoever has nothing left, and opens the desk by a
// device-bound passkey alone, as the README says.
var fourPolicy = strings.Replace(deskPolicy, "roles: {", "roles: {operator: [Portal Operators], ", 1) + `policy:
  approval: {levels: 2}
  plans:
    assist: {allowed: [passkey, totp, recovery_code, handover, approval]}
  rules:
    - {name: desk sign-in, purposes: [signin], groups: [Postern Technicians], plan: {allowed: [passkey, password, email]}}
    - {name: desk proofs, purposes: [stepup], groups: [Postern Technicians], plan: {allowed: [passkey], alone: [passkey]}}
factors:
  passkey: {device_bound_groups: [Postern Technicians]}
`

// answers is the second technician's yes or no to what waits on their desk, the yes
// with their own touch for it.
func (s *scene) answers(second *Tab, asks, decision string) {
	s.t.Helper()
	second.Open("/desk")
	second.WantStep("desk")
	if says := second.Where(); !strings.Contains(says, asks) {
		s.t.Fatalf("the second technician is not told who asks: %s", says)
	}
	second.Click(`section[aria-labelledby=waiting] a.choice`)
	second.WantStep("second")
	second.Click(`button[name=decision][value=` + decision + `]`)
	if decision == "yes" { // the proof they signed in with is older than the question
		if n := second.Eval(`String(document.querySelectorAll('button[name=factor]:not([value=passkey])').length)`); n != "0" {
			s.t.Errorf("%s other proofs than a passkey open the desk", n)
		}
		second.Click(`button[name=factor][value=passkey]`)
		second.Click(`form[data-passkey=get] button`)
		second.WantStep("second")
		second.Click(`button[name=decision][value=yes]`)
	}
	second.WantStep("desk")
}

// Four people, each with a browser of their own, on a domain controller: a caller
// who has nothing left is let in by the second yes of a technician, the number, and
// their manager's signature; and a no is the end of it.
func TestFourPeopleAtTheDesk(t *testing.T) {
	t.Parallel()
	b := browser(t)
	s := deskSceneWith(t, fourPolicy)
	tech, second, manager, phone := b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, false)
	s.enrol(tech, "tech1")
	s.enrol(second, "tech2")
	s.enrol(manager, "manager1")
	operator := b.Tab(t, s.p.URL, true)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{{"group", "add", "Portal Operators"}, {"group", "addmembers", "Portal Operators", "user5"}} {
		if out, err := s.h.DC.Exec(ctx, args...); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	s.enrol(operator, "user5")
	name := s.h.DC.Person("tech1").Name
	const fresh = "Granite Lantern 52 Otter"

	s.calls(tech, "user2", "reset")
	tech.Click(`form[action$="/cancel"] button`)
	tech.WantStep("refused")

	hold := func(ticket string) {
		t.Helper()
		tech.Open("/desk/people/" + string(s.ids("user2")["user2"]))
		tech.Fill("cause", "called again")
		tech.Fill("ticket", ticket)
		tech.Submit()
		tech.WantStep("held")
		if tech.Eval(`String(document.querySelectorAll('.spell').length)`) != "0" {
			t.Error("there is a code to read out before the second yes")
		}
	}
	t.Run("no", func(t *testing.T) {
		hold("INC-8")
		s.answers(second, name, "no")
		tech.WantStep("refused")
		s.deskHears("security@example.org", "tech1", "user2")
	})
	t.Run("yes, the number, and the manager", func(t *testing.T) {
		hold("INC-9")
		s.answers(second, name, "yes")
		tech.WantStep("code") // by itself
		s.links(phone, tech.Eval(`document.querySelector('.spell').textContent.trim()`))
		number := s.reads(phone, name)
		tech.WantStep("match")
		tech.Fill("number", number)
		tech.Submit()
		tech.WantStep("proving")
		phone.WantStep("choose")
		before := len(s.p.Mail.Mails())
		phone.Choose("approval")
		phone.WantStep("wait")
		number = phone.Eval(`document.querySelector('.plate').lastChild.textContent.trim()`)
		tech.WantStep("approval")
		if tech.Eval(`String(document.querySelectorAll('.plate').length)`) != "0" {
			t.Error("the technician reads the manager's number")
		}
		manager.Open(s.asked(before, "manager1"))
		manager.WantStep("answer")
		manager.Fill("number", number)
		manager.Click(`form[data-passkey=get] .btn.go`)
		manager.WantStep("done")
		phone.WantStep("new-password")
		s.newPassword(phone, fresh)
		phone.WantStep("done")
		tech.WantStep("done")
		s.proves("user2", fresh)
		s.deskHears(s.h.Address("manager1"), "user2", "tech1", "INC-9")
	})
	t.Run("a raised threat level", func(t *testing.T) {
		owner := b.Tab(t, s.p.URL, true)
		s.enrol(owner, "user1")
		operator.Open("/desk/threat")
		operator.WantStep("threat")
		operator.Fill("cause", "calls from somebody who is not who they say")
		operator.Submit()
		s.deskHears("security@example.org", "user5", "calls from somebody")
		// A passkey alone was enough until now.
		s.begin(owner, "reset", "user1")
		owner.Choose("passkey")
		owner.Click(`form[data-passkey=get] button`)
		owner.WantStep("choose")
		if says := owner.Where(); !strings.Contains(says, "approve") {
			t.Errorf("the owner is not told what else is needed: %s", says)
		}
		tech.Open("/desk/people/" + string(s.ids("user1")["user1"]))
		tech.Fill("cause", "lost the key")
		tech.Fill("ticket", "INC-10")
		tech.Eval(`document.querySelector('[name=purpose]').value = "assist"`)
		tech.Submit()
		tech.WantStep("held")
		s.answers(second, name, "yes")
		tech.WantStep("code")
		s.links(phone, tech.Eval(`document.querySelector('.spell').textContent.trim()`))
		phone.Choose("recovery_code")
		phone.Fill("answer", s.codes["user1"][0])
		phone.Submit()
		phone.WantStep("choose")
		number := s.reads(phone, name)
		tech.WantStep("match")
		tech.Fill("number", number)
		tech.Submit()
		tech.WantStep("done")
		tech.Click(`button[value=clear]`)
		tech.WantError("desk_threat")
		operator.Open("/desk/threat")
		operator.Fill("cause", "over")
		operator.Submit()
		operator.WantStep("threat")
		tech.Click(`button[value=clear]`)
		tech.WantStep("done")
		until(t, "the page says that it was done", func() bool { return tech.Eval(`String(!!document.querySelector('#did'))`) == "true" })
		s.deskHears(s.h.Address("user1"), "user1")
	})
}

// The same hand-over on every other kind of directory, with no scope but the policy's.
func TestTheDeskOnEveryDirectory(t *testing.T) {
	for house := range houses {
		if house == "samba" {
			continue // TestDeskHandsOverAReset
		}
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			b := browser(t)
			s := newScene(t, house, strings.Replace(deskPolicy, "  scope: {technician: {groups: [Callers]}}\n", "", 1))
			tech, owner, phone := b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, false)
			s.enrol(tech, "tech1")
			s.enrol(owner, "user1")
			const fresh = "Granite Lantern 52 Otter"
			s.links(phone, s.calls(tech, "user1", "reset"))
			phone.Choose("recovery_code")
			phone.Fill("answer", s.codes["user1"][0])
			phone.Submit()
			phone.WantStep("choose")
			number := s.reads(phone, "")
			tech.WantStep("match")
			tech.Fill("number", number)
			tech.Submit()
			tech.WantStep("password")
			phone.WantStep("new-password")
			s.newPassword(phone, fresh)
			phone.WantStep("done")
			tech.WantStep("done")
			s.proves("user1", fresh)
		})
	}
}
