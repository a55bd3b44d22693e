package view

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"postern/static"
)

// site serves the sample pages by their names, under the portal's own content
// policy, and keeps what was posted.
type site struct {
	r      *Renderer
	files  *static.Files
	mu     sync.Mutex
	posted map[string]url.Values
	looks  int
}

func (s *site) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if f, ok := s.files.Get(q.URL.Path); ok {
		w.Header().Set("Content-Type", f.Type)
		_, _ = w.Write(f.Body)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	name := strings.TrimPrefix(q.URL.Path, "/")
	s.mu.Lock()
	if q.Method == http.MethodPost {
		_ = q.ParseForm()
		s.posted[q.URL.Path] = q.PostForm
		name = "expired"
	}
	if name == "recover" {
		// The second look finds that it is done.
		if name = "applying"; s.looks > 0 {
			name = "done-reset"
		}
		s.looks++
	}
	s.mu.Unlock()
	for _, sample := range samples() {
		if sample.name == name {
			var b bytes.Buffer
			if err := s.r.Page(&b, "en", sample.page); err == nil {
				_, _ = w.Write(b.Bytes())
			}
			return
		}
	}
	http.NotFound(w, q)
}

func (s *site) form(path string) url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posted[path]
}

// browse starts the site and a browser; without one it skips, and fails where CI is set.
func browse(t *testing.T) (*site, string, context.Context) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a browser")
	}
	if _, err := exec.LookPath("chromium"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("chromium is missing")
		}
		t.Skip("chromium is missing")
	}
	o, files := opts(t)
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{r: r, files: files, posted: map[string]url.Values{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	ctx, stop := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-background-networking", true))...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(stop)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				t.Errorf("the browser complains: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *runtime.EventExceptionThrown:
			t.Errorf("a script failed: %s", e.ExceptionDetails.Error())
		}
	})
	return s, strings.Replace(server.URL, "127.0.0.1", "localhost", 1), ctx
}

func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

func TestPasswordPageHelpsWhileTyping(t *testing.T) {
	s, base, ctx := browse(t)
	var typing, left, strength, kind, confirm string
	states := func(into *string) chromedp.Action {
		return chromedp.Evaluate(`[...document.querySelectorAll('.rules li')].map(l => l.dataset.rule + ':' + l.dataset.state).join(' ')`, into)
	}
	do(t, ctx, log.Enable(), chromedp.Navigate(base+"/new-password"), chromedp.SendKeys("#password", "user1"), states(&typing), chromedp.Focus("#confirm"), states(&left))
	if want := "too_short:later too_long:met complexity:later own:later common:later history:later quality:later"; typing != want {
		t.Errorf("while typing: %s", typing)
	}
	if want := "too_short:miss too_long:met complexity:miss own:miss common:later history:later quality:later"; left != want {
		t.Errorf("after leaving the field: %s", left)
	}
	do(t, ctx, chromedp.Click("[data-another]"), chromedp.Click("[data-use]"), chromedp.Value("#confirm", &confirm),
		chromedp.Evaluate(`document.getElementById('password').type`, &kind), chromedp.Text("#strength", &strength))
	if confirm != "maple-river-stone-cloud-12" || kind != "text" || !strings.Contains(strength, "very good") {
		t.Errorf("the passphrase: %q, type %s, %q", confirm, kind, strength)
	}
	do(t, ctx, chromedp.Click(".acts .btn.go"), chromedp.WaitVisible(`main[data-step=expired]`))
	if f := s.form("/recover/password"); f.Get("password") != confirm || len(f) != 3 {
		t.Errorf("posted %v", f)
	}
}

func TestPasskeyPagesPostTheCredentialAsJSON(t *testing.T) {
	s, base, ctx := browse(t)
	do(t, ctx, log.Enable(), webauthn.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
			HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}).Do(ctx)
		return err
	}))
	for _, c := range []struct{ page, path, want string }{
		{"/offer-passkey", "/me/factors/passkey/enrol", "attestationObject"},
		{"/answer-passkey", "/recover/answer", "signature"},
	} {
		do(t, ctx, chromedp.Navigate(base+c.page), chromedp.Click(".btn.go"), chromedp.WaitVisible(`main[data-step=expired]`))
		if answer := s.form(c.path).Get("answer"); !strings.Contains(answer, `"`+c.want+`"`) || !strings.Contains(answer, `"rawId"`) {
			t.Errorf("%s posted %q", c.page, answer)
		}
	}
	// Conditional UI: the authenticator answers by itself, nothing is pressed.
	do(t, ctx, chromedp.Navigate(base+"/signin-conditional"), chromedp.WaitVisible(`main[data-step=expired]`))
	if answer := s.form("/signin/answer").Get("answer"); !strings.Contains(answer, `"userHandle"`) {
		t.Errorf("signing in posted %q", answer)
	}
}

func TestWaitingPageGoesOnByItself(t *testing.T) {
	_, base, ctx := browse(t)
	do(t, ctx, log.Enable(), chromedp.Navigate(base+"/recover"), chromedp.WaitVisible(`main[data-step=done]`))
}

// Reflow (WCAG 2.2, 1.4.10): nothing is wider than a 320 px window, and targets are large enough (2.5.8).
func TestPagesFitSmallScreens(t *testing.T) {
	s, base, ctx := browse(t)
	_ = s
	for _, sample := range samples() {
		var wide int
		var small string
		do(t, ctx, chromedp.EmulateViewport(320, 640), chromedp.Navigate(base+"/"+sample.name),
			chromedp.Evaluate(`document.documentElement.scrollWidth`, &wide),
			chromedp.Evaluate(`[...document.querySelectorAll('button, input:not([type=hidden]):not(.vh), .btn, .choice, summary')].filter(e => e.offsetParent && e.getBoundingClientRect().height < 24).map(e => e.outerHTML.slice(0, 60)).join()`, &small))
		if wide > 320 {
			t.Errorf("%s is %d px wide", sample.name, wide)
		}
		if small != "" {
			t.Errorf("%s: too small: %s", sample.name, small)
		}
	}
}
