package portaltest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"postern/directory/directorytest"
)

// greeter is a logon screen: an X server of its own, 800 by 600, and the session that the
// portal wrote for it, with the portal's browser policies, as a link of the logon screen
// would start it. The policies are where Chromium looks for them in a mount namespace of
// its own, which takes root.
type greeter struct {
	t       *testing.T
	frame   string // the X server's screen, as a file
	display string
	browser context.Context
}

// displays counts the X servers of this process: each has a number of its own.
var displays atomic.Int32

func startGreeter(t *testing.T, s *scene) *greeter {
	t.Helper()
	for _, needed := range []string{"Xvfb", "unshare", "openssl", "xmodmap", "xwininfo", "xdotool"} {
		if _, err := exec.LookPath(needed); err != nil {
			directorytest.Require(t, fmt.Errorf("%w: %s", directorytest.ErrMissing, needed))
		}
	}
	if os.Getuid() != 0 {
		directorytest.Require(t, fmt.Errorf("%w: root, for the browser's policies are read from /etc, in a namespace that only root can make", directorytest.ErrMissing))
	}
	path, err := findChromium()
	if err != nil {
		directorytest.Require(t, fmt.Errorf("%w: chromium", directorytest.ErrMissing))
	}
	dir := t.TempDir()
	files, key := filepath.Join(dir, "files"), filepath.Join(dir, "greeter.key")
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(s.p.Dir, "postern.yaml")
	for _, args := range [][]string{{"kiosk", "files", files, "--url", s.p.URL},
		{"kiosk", "register", "--config", config, "--name", "Front desk", "--site", "North", "--way", "launch", "--key-file", key}} {
		if err := Command(t.Context(), bin, args...); err != nil {
			t.Fatal(err)
		}
	}
	display := fmt.Sprintf(":%d", 1000+os.Getpid()%5000*10+int(displays.Add(1)))
	start := func(env []string, name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), env...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out := &logBuffer{}
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			cmd.Wait()
			if t.Failed() {
				t.Logf("%s said:\n%s", name, out)
			}
		})
	}
	start(nil, "Xvfb", display, "-screen", "0", "800x600x24", "-fbdir", dir, "-nolisten", "tcp", "-noreset")
	g := &greeter{t: t, frame: filepath.Join(dir, "Xvfb_screen0"), display: display}
	until(t, "the X server starts", func() bool { _, err := os.Stat(g.frame); return err == nil })
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	start([]string{"DISPLAY=" + display, "HOME=" + dir, "POSTERN_ONCE=1", "POSTERN_SIZE=800,600", "POSTERN_KEY=" + key, "POSTERN_BROWSER=" + path,
		// Root may not use Chromium's sandbox, and the test looks in through this port. It has to
		// soften one policy for that: as they are they refuse it ("Not allowed").
		fmt.Sprintf("POSTERN_FLAGS=--no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking --disable-component-update --remote-debugging-port=%d", port)},
		"unshare", "--mount", "sh", "-c", `mkdir -p /etc/chromium && mount -t tmpfs none /etc/chromium && mkdir -p /etc/chromium/policies/managed && sed 's/"DeveloperToolsAvailability": 2/"DeveloperToolsAvailability": 1/' "$1"/postern-policies.json >/etc/chromium/policies/managed/postern.json && exec sh "$1"/postern-kiosk.sh`, "sh", files)
	alloc, stop := chromedp.NewRemoteAllocator(context.Background(), fmt.Sprintf("http://127.0.0.1:%d", port))
	t.Cleanup(stop)
	until(t, "the logon screen's browser starts", func() bool {
		ctx, cancel := chromedp.NewContext(alloc)
		targets, err := chromedp.Targets(ctx)
		cancel()
		for _, target := range targets {
			if err == nil && target.Type == "page" && strings.HasPrefix(target.URL, s.p.URL) {
				g.browser, cancel = chromedp.NewContext(alloc, chromedp.WithTargetID(target.TargetID))
				t.Cleanup(cancel)
				// Without a deadline: it would be the tab's. A page between two documents has no
				// context to run a script in, and cannot be joined; it is in a moment.
				err = chromedp.Run(g.browser)
				return err == nil
			}
		}
		return false
	})
	return g
}

// picture reads the X server's screen (the XWD file format, X11/XWDFile.h).
func (g *greeter) picture() *image.RGBA {
	g.t.Helper()
	raw, err := os.ReadFile(g.frame)
	if err != nil {
		g.t.Fatal(err)
	}
	head := func(i int) int { return int(binary.BigEndian.Uint32(raw[4*i:])) }
	wide, high, line, pixels := head(4), head(5), head(12), head(0)+12*head(19)
	img := image.NewRGBA(image.Rect(0, 0, wide, high))
	for y := range high {
		for x := range wide {
			p := raw[pixels+y*line+4*x:]
			img.Set(x, y, color.RGBA{p[2], p[1], p[0], 255})
		}
	}
	return img
}

// A "forgot password" link of a logon screen, as documented: no cookie from before, nothing
// stored, the whole screen at 800 by 600, and no way out of the kiosk's pages.
func TestALogonScreenOpensTheKiosk(t *testing.T) {
	t.Parallel()
	s := newScene(t, "embedded", "")
	g := startGreeter(t, s)
	tab := &Tab{t: t, ctx: g.browser, base: s.p.URL}
	tab.WantStep("start")
	if says := tab.Where(); !strings.Contains(says, "Front desk") || !strings.HasPrefix(says, s.p.URL+"/kiosk\n") {
		t.Fatalf("the logon screen shows %s", says)
	}
	// Chromium without a window manager may miss the size by a line. A script may run before
	// the style sheet is there, and then the page is long.
	until(t, "the page fills the screen, and fits", func() bool {
		return tab.Eval(`Math.abs(innerWidth - 800) < 3 && Math.abs(innerHeight - 600) < 3 && document.documentElement.scrollHeight <= innerHeight ? 'fits' : ''`) == "fits"
	})
	until(t, "the page is on the screen", func() bool { // the green row is drawn
		img, green := g.picture(), 0
		for i := 0; i < len(img.Pix); i += 4 {
			if img.Pix[i+1] > 60 && int(img.Pix[i+1]) > 2*int(img.Pix[i]) {
				green++
			}
		}
		return green > 10000
	})
	if to := os.Getenv("POSTERN_PICTURE"); to != "" {
		f, err := os.Create(to)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(png.Encode(f, g.picture()), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, away := range []string{"https://example.com/", "file:///etc/passwd", "chrome://settings/", "view-source:" + s.p.URL + "/kiosk", s.p.URL + "/signin", "javascript:alert(1)", "data:text/html,x", "about:blank"} {
		tab.do(chromedp.Navigate(s.p.URL + "/kiosk"))
		tab.WantStep("start")
		ctx, cancel := context.WithTimeout(g.browser, 10*time.Second)
		err := chromedp.Run(ctx, chromedp.Navigate(away))
		cancel()
		where := tab.Where()
		if err == nil && !strings.Contains(where, "blocked") && !strings.HasPrefix(where, s.p.URL+"/kiosk") && strings.TrimSpace(where) != "about:blank" {
			t.Errorf("%s opens: %s", away, where)
		}
	}
	tab.do(chromedp.Navigate(s.p.URL + "/kiosk"))
	tab.WantStep("start")
	if opened := tab.Eval(`String(window.open('/kiosk') === null)`); opened != "true" {
		t.Error("a second window opens")
	}
}
