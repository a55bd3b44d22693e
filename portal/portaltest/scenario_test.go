package portaltest

import (
	"context"
	"encoding/base32"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/directory/directorytest"
	"postern/verify/totp"
)

// program builds the program once for the test binary.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "postern-build")
	if err != nil {
		return "", err
	}
	built = dir
	return Build(dir, true)
})

var chromium = sync.OnceValues(StartBrowser)

// built and opened are what TestMain cleans up.
var (
	built  string
	opened atomic.Bool
)

func TestMain(m *testing.M) {
	code := m.Run()
	if opened.Load() {
		if b, err := chromium(); err == nil {
			b.Close()
		}
	}
	os.RemoveAll(built)
	os.Exit(code)
}

// browser skips without Chromium on a laptop and fails where CI is set.
func browser(t testing.TB) *Browser {
	t.Helper()
	opened.Store(true)
	b, err := chromium()
	if err != nil {
		directorytest.Require(t, fmt.Errorf("%w: chromium: %w", directorytest.ErrMissing, err))
	}
	return b
}

// houses are the directories every scenario runs over.
var houses = map[string]func(context.Context, testing.TB) (*House, error){
	"samba":    func(ctx context.Context, _ testing.TB) (*House, error) { return Samba(ctx) },
	"slapd":    func(ctx context.Context, _ testing.TB) (*House, error) { return Slapd(ctx) },
	"embedded": func(ctx context.Context, t testing.TB) (*House, error) { return Embedded(ctx, t.TempDir()) },
}

// scene is one portal before one directory.
type scene struct {
	t testing.TB
	h *House
	p *Portal
	// apps are the secrets people have in their authenticator app.
	apps  map[string][]byte
	codes map[string][]string
}

func newScene(t testing.TB, house, more string) *scene {
	t.Helper()
	return newSceneIn(t, houses[house], more)
}

func newSceneIn(t testing.TB, house func(context.Context, testing.TB) (*House, error), more string) *scene {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: needs a directory and a browser")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	h, err := house(ctx, t)
	directorytest.Require(t, err)
	t.Cleanup(h.Stop)
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Serve(ctx, bin, t.TempDir(), h, more)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("postern did not end well: %v\n%s", err, p.Log())
		}
		if t.Failed() {
			t.Logf("postern said:\n%s", p.Log())
		}
	})
	return &scene{t: t, h: h, p: p, apps: map[string][]byte{}, codes: map[string][]string{}}
}

// app is what a person's authenticator shows, ago steps back.
func (s *scene) app(login string, ago time.Duration) string {
	s.t.Helper()
	code, err := totp.Code(s.apps[login], time.Now().Add(-ago*30*time.Second))
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}

// roomy waits until the step that authenticator apps show has some seconds
// left, so that a code does not grow old on its way.
func roomy() {
	if left := 30 - time.Now().Unix()%30; left < 8 {
		<-time.After(time.Duration(left)*time.Second + 100*time.Millisecond)
	}
}

// roomyNext waits until authenticator apps show the next code.
func roomyNext() {
	left := 30 - time.Now().Unix()%30
	<-time.After(time.Duration(left)*time.Second + 100*time.Millisecond)
}

func (s *scene) mailed(after int, login string) string {
	s.t.Helper()
	code, err := s.p.Code(context.Background(), after, s.h.Address(login))
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.p.Log())
	}
	return code
}

func (s *scene) proves(login, password string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.h.Whoami(ctx, login, password); err != nil {
		s.t.Errorf("ldapwhoami as %s with the password that should hold: %v", login, err)
	}
}

var qrURI = regexp.MustCompile(`otpauth://[^"' ]+`)

// signInFirst signs somebody in who has nothing enrolled: password and mailed code.
func (s *scene) signInFirst(tab *Tab, login, password string) {
	s.t.Helper()
	before := len(s.p.Mail.Mails())
	tab.Open("/signin")
	tab.Fill("login", login)
	tab.Fill("current", password)
	tab.Click(`form[action="/signin/start"] .acts button`)
	tab.WantStep("choose")
	tab.Choose("email")
	tab.WantStep("answer")
	tab.Fill("answer", s.mailed(before, login))
	tab.Submit()
	tab.WantStep("me")
}

// enrol gives somebody a passkey, an authenticator app and recovery codes, by
// the pages a person uses. The app is confirmed with the code of the step
// before, so that the current one can still be used.
func (s *scene) enrol(tab *Tab, login string) {
	s.t.Helper()
	s.signInFirst(tab, login, s.h.Password(login))
	add := func(kind string) {
		tab.Open("/me/factors")
		tab.Click(fmt.Sprintf(`form[action="/me/factors/%s/offer"] button`, kind))
		tab.WantStep("offer")
	}
	add("passkey")
	tab.Submit()
	tab.WantStep("factors")
	roomy()
	add("totp")
	uri, err := url.Parse(tab.Eval(`document.querySelector('a[href^="otpauth:"]').href`))
	if err != nil || !qrURI.MatchString(uri.String()) {
		s.t.Fatalf("no otpauth URI: %v %s", err, tab.Where())
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(uri.Query().Get("secret"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.apps[login] = secret
	tab.Fill("answer", s.app(login, 1))
	tab.Submit()
	tab.WantStep("factors")
	add("recovery_code")
	s.codes[login] = strings.Fields(tab.Eval(`[...document.querySelectorAll('.codes li')].map(e => e.innerText).join(' ')`))
	if len(s.codes[login]) != 10 {
		s.t.Fatalf("recovery codes: %q", s.codes[login])
	}
	tab.Submit()
	tab.WantStep("factors")
}

func (s *scene) begin(tab *Tab, purpose, login string) {
	s.t.Helper()
	tab.Open("/recover/" + purpose)
	tab.Fill("login", login)
	tab.Submit()
	tab.WantStep("choose")
}

func (s *scene) newPassword(tab *Tab, password string) {
	s.t.Helper()
	tab.Set("password", password)
	tab.Set("confirm", password)
	tab.Submit()
}

func (s *scene) passkey(tab *Tab) {
	s.t.Helper()
	tab.Choose("passkey")
	tab.Click(`form[data-passkey=get] .btn.go`)
}

// TestPeopleGetBackIn is the main job, over every directory, in a real browser
// with a virtual authenticator.
func TestPeopleGetBackIn(t *testing.T) {
	for house := range houses {
		t.Run(house, func(t *testing.T) {
			s := newScene(t, house, "")
			b := browser(t)
			owner := b.Tab(t, s.p.URL, true)
			s.enrol(owner, "user1")

			t.Run("forgotten password by passkey", func(t *testing.T) {
				s.begin(owner, "reset", "user1")
				s.passkey(owner)
				owner.WantStep("new-password")
				s.newPassword(owner, "Marmot Ledge 2 ünder Snow")
				owner.WantStep("done")
				s.proves("user1", "Marmot Ledge 2 ünder Snow")
			})
			t.Run("forgotten password by app and recovery code, on a device nobody knows", func(t *testing.T) {
				stranger := b.Tab(t, s.p.URL, false)
				s.begin(stranger, "reset", "user1")
				stranger.Choose("totp")
				stranger.WantStep("answer")
				stranger.Fill("answer", "000000")
				stranger.Submit()
				stranger.WantError("wrong_code")
				roomy()
				stranger.Fill("answer", s.app("user1", 0))
				stranger.Submit()
				stranger.WantStep("choose")
				stranger.Choose("recovery_code")
				stranger.Fill("answer", strings.ToLower(s.codes["user1"][0]))
				stranger.Submit()
				stranger.WantStep("new-password")
				s.newPassword(stranger, "Sh0rt!")
				stranger.WantStep("new-password")
				stranger.WantError("too_short")
				s.newPassword(stranger, `Quill "Otter" 9 \ дом 🦦`)
				stranger.WantStep("done")
				s.proves("user1", `Quill "Otter" 9 \ дом 🦦`)
			})
			t.Run("unlock only", func(t *testing.T) {
				if err := s.h.Lock("user1"); err != nil {
					t.Fatal(err)
				}
				if locked, err := s.h.Locked("user1"); err != nil || !locked {
					t.Fatalf("not locked to begin with: %v", err)
				}
				s.begin(owner, "unlock", "user1")
				s.passkey(owner)
				owner.WantStep("done")
				if locked, err := s.h.Locked("user1"); err != nil || locked {
					t.Errorf("still locked: %v", err)
				}
				s.proves("user1", `Quill "Otter" 9 \ дом 🦦`)
			})
			t.Run("must change", func(t *testing.T) {
				tab := b.Tab(t, s.p.URL, false)
				tab.Open("/recover/change")
				tab.Fill("login", "mustchange1")
				tab.Fill("current", s.h.Password("mustchange1"))
				tab.Submit()
				tab.WantStep("new-password")
				s.newPassword(tab, "Kestrel Barn 41 Violet")
				tab.WantStep("done")
				s.proves("mustchange1", "Kestrel Barn 41 Violet")
			})
			t.Run("a reused password is refused with the rule", func(t *testing.T) {
				tab := b.Tab(t, s.p.URL, false)
				change := func(from, to string) {
					tab.Open("/recover/change")
					tab.Fill("login", "user2")
					tab.Fill("current", from)
					tab.Submit()
					tab.WantStep("new-password")
					s.newPassword(tab, to)
				}
				change(s.h.Password("user2"), "Walnut Harbor 17 Drift")
				tab.WantStep("done")
				change("Walnut Harbor 17 Drift", s.h.Password("user2"))
				tab.WantStep("new-password")
				// Active Directory itself does not say which of the two it was.
				tab.WantError(map[string]string{"embedded": "history_or_filter"}[house] + map[string]string{"samba": "history", "slapd": "history"}[house])
				s.newPassword(tab, "Copper Meadow 28 Finch")
				tab.WantStep("done")
				s.proves("user2", "Copper Meadow 28 Finch")
			})
			t.Run("every address got a notice", func(t *testing.T) {
				n := 0
				for _, m := range s.p.Mail.Mails() {
					if m.To == s.h.Address("user1") && !codeInMail.MatchString(m.Text) {
						n++
					}
				}
				if n < 5 { // three factors added, two resets, one unlock
					t.Errorf("%d notices to user1", n)
				}
			})
		})
	}
}
