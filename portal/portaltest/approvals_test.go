package portaltest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// approvalPolicy lets managers vouch; an unlock is short-lived, so that its
// request can be seen to end.
const approvalPolicy = `alerts:
  mail: [security@example.org]
policy:
  approval: {levels: 2}
  plans:
    reset: {allowed: [passkey, totp, email, recovery_code, approval]}
    unlock: {allowed: [passkey, totp, email, recovery_code, approval], life: 1m}
`

var approveLink = regexp.MustCompile(`(/approve/[A-Za-z0-9_-]{43})\s`)

// asked waits for the mail that asks somebody to vouch, and returns its link.
func (s *scene) asked(after int, login string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	m, link, err := s.p.Mail.Wait(ctx, after, s.h.Address(login), approveLink)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.p.Log())
	}
	if regexp.MustCompile(`\b\d\d\b\s*$`).MatchString(m.Subject) {
		s.t.Errorf("the subject %q may hold the number", m.Subject)
	}
	return link[1]
}

// asks walks up to the page that waits for an approval, and returns its number.
func (s *scene) asks(tab *Tab, purpose, login string, nth int) (number string) {
	s.t.Helper()
	s.begin(tab, purpose, login)
	tab.Choose("recovery_code")
	tab.Fill("answer", s.codes[login][nth])
	tab.Submit()
	tab.WantStep("choose")
	tab.Eval(`document.querySelector('select[name=why]').value = "lost", ""`)
	tab.Choose("approval")
	tab.WantStep("wait")
	number = tab.Eval(`document.querySelector('.plate').lastChild.textContent.trim()`)
	if !regexp.MustCompile(`^[1-9][0-9]$`).MatchString(number) {
		s.t.Fatalf("the page shows the number %q", number)
	}
	return number
}

// command runs the program and returns what it printed and its exit code.
func command(t testing.TB, args ...string) (string, int) {
	t.Helper()
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// A manager vouches: the requester in one browser, the manager in another, each
// with an authenticator of their own. Yes, no and no answer at all; and a yes is
// checked again afterwards from the record alone.
func TestAManagerVouches(t *testing.T) {
	for house := range houses {
		t.Run(house, func(t *testing.T) {
			t.Parallel()
			b := browser(t)
			s := newScene(t, house, approvalPolicy)
			manager, one, two := b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, true), b.Tab(t, s.p.URL, true)
			s.enrol(manager, "manager1")
			s.enrol(one, "user1")
			s.enrol(two, "user2")
			manager.Eval(`document.querySelector('form[action="/signout"]').submit(), ""`)
			manager.WantStep("start")
			one.Eval(`document.querySelector('form[action="/signout"]').submit(), ""`)
			two.Eval(`document.querySelector('form[action="/signout"]').submit(), ""`)

			// Nobody answers this one; it is looked at again at the end.
			late := b.Tab(t, s.p.URL, false)
			if house == "slapd" { // a minute of waiting is enough once
				s.asks(late, "unlock", "user2", 0)
			}

			t.Run("yes", func(t *testing.T) {
				before := len(s.p.Mail.Mails())
				number := s.asks(one, "reset", "user1", 0)
				link := s.asked(before, "manager1")
				// Security case 23: scanners open everything in a mail.
				stranger := NewVisitor(NewClient(s.p.URL), s.p.URL)
				for range 5 {
					if err := stranger.Get(link); err != nil || stranger.Page.Status != 200 || strings.Contains(stranger.Page.Body, "user1") || strings.Contains(stranger.Page.Body, number+"<") {
						t.Fatalf("a stranger sees %d, %v: %s", stranger.Page.Status, err, stranger.Page.Body)
					}
				}
				manager.Open(link)
				manager.WantStep("start")
				manager.Click(`main form button.go`)
				manager.Click(`button[name=factor][value=passkey]`)
				manager.Click(`form[data-passkey=get] button`)
				manager.WantStep("answer")
				if says := manager.Where(); !strings.Contains(says, "user1") || !strings.Contains(says, "they lost their phone or key") {
					t.Fatalf("the manager reads %s", says)
				}
				wrong := "10"
				if number == wrong {
					wrong = "11"
				}
				manager.Fill("number", wrong)
				manager.Click(`form[data-passkey=get] .btn.go`)
				manager.WantError("wrong_number")
				one.WantStep("wait")
				manager.Fill("number", number)
				manager.Click(`form[data-passkey=get] .btn.go`)
				manager.WantStep("done")
				// The requester's page finds out by itself.
				one.WantStep("new-password")
				s.newPassword(one, "Granite Lantern 52 Otter")
				one.WantStep("done")
				s.proves("user1", "Granite Lantern 52 Otter")
				manager.Open(link)
				manager.WantStep("done")
			})
			t.Run("no", func(t *testing.T) {
				before := len(s.p.Mail.Mails())
				s.asks(two, "reset", "user2", 1)
				manager.Open(s.asked(before, "manager1"))
				manager.WantStep("answer")
				manager.Fill("note", "She is on leave. <b>Ask</b> her.")
				manager.Click(`button[name=decision][value=alarm]`)
				manager.WantStep("done")
				two.WantStep("refused")
				two.WantError("declined")
				if says := two.Where(); !strings.Contains(says, "She is on leave. <b>Ask</b> her.") {
					t.Errorf("the requester reads %s", says)
				}
				until(t, "the security mailbox hears of it", func() bool {
					return slices.ContainsFunc(s.p.Mail.Mails(), func(m Mail) bool { return m.To == "security@example.org" && strings.Contains(m.Text, "user2") })
				})
				s.proves("user2", s.h.Password("user2"))
			})
			t.Run("the yes can be checked without the portal", func(t *testing.T) {
				s.approvalsVerify(t)
			})
			t.Run("no answer", func(t *testing.T) {
				if house != "slapd" {
					return
				}
				ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
				defer cancel()
				for tick := time.Tick(time.Second); ; {
					late.Open("/recover")
					if late.Eval(`document.querySelector('main').dataset.step`) == "expired" {
						return
					}
					select {
					case <-tick:
					case <-ctx.Done():
						t.Fatalf("still at %s", late.Where())
					}
				}
			})
		})
	}
}

// approvalsVerify exports the record and has the program check it, as it is and
// with one thing changed.
func (s *scene) approvalsVerify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "record.jsonl")
	if out, code := command(t, "audit", "export", "--config", filepath.Join(s.p.Dir, "postern.yaml"), "--out", file); code != 0 {
		t.Fatal(out)
	}
	out, code := command(t, "audit", "verify-approval", file)
	if code != 0 || !strings.Contains(out, "manager1 for user1: good: signed for reset") || !strings.Contains(out, "1 good, 0 not certain, 0 bad") {
		t.Fatalf("%d: %s", code, out)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]struct {
		change func(string) string
		code   int
	}{
		"another account":   {func(l string) string { return strings.Replace(l, `"subject":"house:`, `"subject":"house:0`, 1) }, 2},
		"another approver":  {func(l string) string { return strings.Replace(l, `"actor":"house:`, `"actor":"house:0`, 1) }, 2},
		"another statement": {func(l string) string { return strings.Replace(l, `"statement":"ey`, `"statement":"fy`, 1) }, 2},
		"another signature": {func(l string) string {
			return strings.Replace(l, `"signature":"MEU`, `"signature":"MEV`, 1) + strings.Repeat(" ", 0)
		}, 2},
		"no proof": {func(l string) string {
			return regexp.MustCompile(`"proof":\{.*\}\}`).ReplaceAllString(l, `"proof":{}}`)
		}, 2},
	} {
		changed := false
		var lines []string
		for l := range strings.Lines(string(whole)) {
			if strings.Contains(l, `"kind":"approval.given"`) {
				n := spoil.change(l)
				changed = changed || n != l
				l = n
			}
			lines = append(lines, l)
		}
		if !changed && what != "another signature" { // which may begin otherwise
			t.Fatalf("%s: nothing was changed", what)
		} else if !changed {
			continue
		}
		bad := filepath.Join(t.TempDir(), "bad.jsonl")
		if err := os.WriteFile(bad, []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := command(t, "audit", "verify-approval", bad); code != spoil.code {
			t.Errorf("%s: exit %d: %s", what, code, out)
		}
	}
	// Without the enrolment nobody can tell whose key it was.
	var alone []string
	for l := range strings.Lines(string(whole)) {
		if strings.Contains(l, `"kind":"approval.given"`) {
			alone = append(alone, l)
		}
	}
	bare := filepath.Join(t.TempDir(), "bare.jsonl")
	if err := os.WriteFile(bare, []byte(strings.Join(alone, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := command(t, "audit", "verify-approval", bare); code != 1 || !strings.Contains(out, "cannot be told") {
		t.Errorf("without the enrolment: exit %d: %s", code, out)
	}
}

// Where the policy lets a code do, all of it works without JavaScript.
func TestAnApprovalByCodeNeedsNoScript(t *testing.T) {
	t.Parallel()
	s := besiege(t, "slapd", strings.Replace(roomyLimits+approvalPolicy, "{levels: 2}", "{levels: 1, totp: true}", 1))
	s.enrols(t, "user1")
	s.enrols(t, "manager1")
	w := s.walker(t).start("reset", "user1")
	w.answers("recovery_code", s.saved("user1")[0]).want(t, 200, "choose", "")
	before := len(s.p.Mail.Mails())
	r := w.on("/recover/choose", "factor", "approval").want(t, 200, "wait", "")
	number := regexp.MustCompile(`</span>([1-9][0-9])</p>`).FindStringSubmatch(r.Body)
	if number == nil || !strings.Contains(r.Body, `http-equiv="refresh"`) && !strings.Contains(r.Body, `http-equiv=refresh`) {
		t.Fatalf("waits without a number or without refreshing itself: %s", r.Body)
	}
	link := s.asked(before, "manager1")

	m := s.walker(t)
	m.get(link).want(t, 200, "start", "")
	m.on(link).want(t, 200, "start", "") // to sign in
	m.on("/signin/start", "login", "manager1", "current", s.h.Password("manager1")).want(t, 200, "choose", "")
	m.on("/signin/answer", "answer", m.mailedCode("/signin", "manager1")).want(t, 200, "start", "")
	// By password and mail alone nobody vouches: a proof that is bound to a device first.
	m.on(link).want(t, 200, "choose", "")
	m.on("/signin/choose", "factor", "totp").want(t, 200, "answer", "")
	m.on("/signin/answer", "answer", s.code(t, "manager1", 0)).want(t, 200, "answer", "")

	other := s.walker(t).signsIn("user2", s.h.Password("user2"))
	if r := other.get(link); r.Status != 404 {
		t.Errorf("a colleague sees %d: %s", r.Status, r.text())
	}
	m.on(link, "decision", "yes", "factor", "totp", "number", number[1], "answer", "000000").want(t, 422, "answer", "wrong_code")
	w.get("/recover").want(t, 200, "wait", "")
	// The code of this half minute was used to prove oneself; the next one is due.
	roomyNext()
	m.on(link, "decision", "yes", "factor", "totp", "number", number[1], "answer", s.code(t, "manager1", 0)).want(t, 200, "done", "")
	w.get("/recover").want(t, 200, "new-password", "")
	w.sets("Heron-Sextant-42-Rope").want(t, 200, "done", "")
	s.proves("user1", "Heron-Sextant-42-Rope")
	file := filepath.Join(t.TempDir(), "record.jsonl")
	if out, code := command(t, "audit", "export", "--config", filepath.Join(s.p.Dir, "postern.yaml"), "--out", file); code != 0 {
		t.Fatal(out)
	}
	if out, code := command(t, "audit", "verify-approval", file); code != 1 || !strings.Contains(out, "not signed") {
		t.Errorf("%d: %s", code, out)
	}
}
