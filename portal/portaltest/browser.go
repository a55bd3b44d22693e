package portaltest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Browser is one headless Chromium; every Tab has a context (cookies, storage)
// of its own.
type Browser struct {
	ctx  context.Context
	stop func()
}

func findChromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", exec.ErrNotFound
}

// StartBrowser starts Chromium; an error when there is none.
func StartBrowser() (*Browser, error) {
	path, err := findChromium()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "postern-chromium")
	if err != nil {
		return nil, err
	}
	b, err := startIn(path, dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	stop := b.stop
	b.stop = func() { stop(); os.RemoveAll(dir) }
	return b, nil
}

// startIn starts one that keeps its profile in dir.
func startIn(path, dir string) (*Browser, error) {
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true)}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stopCtx := chromedp.NewContext(alloc)
	stop := func() {
		stopCtx()
		stopAlloc()
	}
	if err := chromedp.Run(ctx); err != nil {
		stop()
		return nil, err
	}
	return &Browser{ctx: ctx, stop: stop}, nil
}

// Close ends the browser.
func (b *Browser) Close() { b.stop() }

// Tab is one person's browser.
type Tab struct {
	t    testing.TB
	ctx  context.Context
	base string
}

// Tab opens an empty one, as of somebody who was never here; withKey puts a
// virtual authenticator (a passkey holder with user verification) into it.
func (b *Browser) Tab(t testing.TB, base string, withKey bool) *Tab {
	t.Helper()
	ctx, err := b.window(t)
	if err != nil {
		t.Fatalf("browser: a new window: %v", err)
	}
	// The context of the first Run is the tab's life, so it must bear no deadline.
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("browser: %v", err)
	}
	tab := &Tab{t: t, ctx: ctx, base: base}
	actions := []chromedp.Action{chromedp.EmulateViewport(800, 900)}
	if withKey {
		actions = append(actions, webauthn.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{Protocol: webauthn.AuthenticatorProtocolCtap2,
				Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
				AutomaticPresenceSimulation: true}).Do(ctx)
			return err
		}))
	}
	tab.do(actions...)
	return tab
}

// window opens one with cookies and storage of its own. Chromium since 132 has
// no window to put a first tab into, so that it must be asked for one.
func (b *Browser) window(t testing.TB) (context.Context, error) {
	browser := cdp.WithExecutor(b.ctx, chromedp.FromContext(b.ctx).Browser)
	own, err := target.CreateBrowserContext().Do(browser)
	if err != nil {
		return nil, err
	}
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(own).WithNewWindow(true).Do(browser)
	if err != nil {
		return nil, err
	}
	ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
	t.Cleanup(func() {
		stop()
		if err := target.DisposeBrowserContext(own).Do(browser); err != nil {
			t.Logf("browser: closing a window: %v", err)
		}
	})
	return ctx, nil
}

func (t *Tab) do(actions ...chromedp.Action) {
	t.t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.t.Fatalf("browser: %v\nat %s", err, t.Where())
	}
}

// Where says where the tab stands, for failures.
func (t *Tab) Where() string {
	var url, text string
	ctx, cancel := context.WithTimeout(t.ctx, 5*time.Second)
	defer cancel()
	chromedp.Run(ctx, chromedp.Location(&url), chromedp.Evaluate(`document.body ? document.body.innerText : ""`, &text))
	return url + "\n" + text
}

// Open goes to a path of the portal.
func (t *Tab) Open(path string) {
	t.t.Helper()
	t.do(chromedp.Navigate(t.base + path))
}

// Fill types into the field of that name.
func (t *Tab) Fill(name, value string) {
	t.t.Helper()
	t.Set(name, "")
	t.do(chromedp.SendKeys(field(name), value, chromedp.ByQuery))
}

// Set sets the field of that name as a paste does: every character, emoji too.
func (t *Tab) Set(name, value string) {
	t.t.Helper()
	js, err := json.Marshal([]string{field(name), value})
	if err != nil {
		t.t.Fatal(err)
	}
	t.do(chromedp.WaitVisible(field(name), chromedp.ByQuery), chromedp.Evaluate(fmt.Sprintf(
		`(([sel, value]) => { const e = document.querySelector(sel); e.value = value; e.dispatchEvent(new Event('input', {bubbles: true})) })(%s)`, js), nil))
}

func field(name string) string { return fmt.Sprintf(`main [name=%q]:not([type=hidden])`, name) }

// Click presses something and waits for the page it leads to.
func (t *Tab) Click(selector string) {
	t.t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, 30*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible)); err != nil {
		t.t.Fatalf("click %s: %v\nat %s", selector, err, t.Where())
	}
}

// Submit presses the main button of the page's form.
func (t *Tab) Submit() {
	t.t.Helper()
	t.Click(`main form .btn.go, main form button[type=submit]`)
}

// Choose presses a factor on the choose page.
func (t *Tab) Choose(factor string) {
	t.t.Helper()
	t.Click(fmt.Sprintf(`button[name=factor][value=%s]`, factor))
}

// WantStep fails unless the page shows that step.
func (t *Tab) WantStep(step string) {
	t.t.Helper()
	ctx, cancel := context.WithTimeout(t.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.WaitReady(fmt.Sprintf(`main[data-step=%s]`, step), chromedp.ByQuery)); err != nil {
		t.t.Fatalf("the page is not at step %q: %v\nat %s", step, err, t.Where())
	}
}

// WantError fails unless the page shows that error.
func (t *Tab) WantError(code string) {
	t.t.Helper()
	var codes string
	t.do(chromedp.Evaluate(`[...document.querySelectorAll('[role=alert][data-error]')].map(e => e.dataset.error).join(' ')`, &codes))
	for _, c := range strings.Fields(codes) {
		if c == code {
			return
		}
	}
	t.t.Fatalf("the page shows errors %q, want %q\nat %s", codes, code, t.Where())
}

// Eval runs JavaScript and returns its string.
func (t *Tab) Eval(js string) string {
	t.t.Helper()
	var out string
	t.do(chromedp.Evaluate(js, &out))
	return out
}

// Screenshot writes the whole page at a width, light or dark, with nothing
// caught half-way between two colours.
func (t *Tab) Screenshot(file string, width int64, dark bool) {
	t.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	var png []byte
	t.do(chromedp.EmulateViewport(width, 800),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
		chromedp.ActionFunc(func(ctx context.Context) (err error) {
			png, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).Do(ctx)
			return err
		}))
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.t.Fatal(err)
	}
}
