package portaltest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// tool runs one of X's, on the logon screen.
func (g *greeter) tool(name string, args ...string) string {
	g.t.Helper()
	cmd := exec.CommandContext(g.t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+g.display)
	out, err := cmd.CombinedOutput()
	if err != nil {
		g.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// windows is the tree of what is on the screen. One that goes away while it is listed is an
// error of xwininfo's, so it is asked again.
func (g *greeter) windows() (tree string) {
	g.t.Helper()
	until(g.t, "the windows are listed", func() bool {
		cmd := exec.CommandContext(g.t.Context(), "xwininfo", "-root", "-tree")
		cmd.Env = append(os.Environ(), "DISPLAY="+g.display)
		out, err := cmd.Output()
		tree = string(out)
		return err == nil
	})
	return tree
}

// pages are the addresses of what the browser has open, its own drop-downs aside.
func (g *greeter) pages() []string {
	g.t.Helper()
	targets, err := chromedp.Targets(g.browser)
	if err != nil {
		return nil
	}
	var list []string
	for _, target := range targets {
		if target.Type == "page" && !strings.HasPrefix(target.URL, "chrome://omnibox-popup.") {
			list = append(list, target.URL)
		}
	}
	return list
}

// Who stands at a kiosk with a keyboard has the browser's own keys, which no policy turns
// off: for a window with an address bar, for help, for the task manager, and to end it. The
// session does; and what a mouse opens all the same, with Shift, ends the session.
func TestKeysLeadNowhere(t *testing.T) {
	t.Parallel()
	s := newScene(t, "embedded", "")
	g := startGreeter(t, s)
	tab := &Tab{t: t, ctx: g.browser, base: s.p.URL}
	tab.WantStep("start")
	until(t, "keys are off", func() bool { return !strings.Contains(g.tool("xmodmap", "-pke"), "Control_L") })

	// Places on a keyboard (xkb's evdev): Ctrl, Alt, Super and AltGr, alone and with Shift, with
	// N T W U O P S H J D F L, F4, Delete, Left and Home; then Escape, F1 to F12, Print, Menu and
	// Back, Forward, Home page, Search and Reload of a media keyboard.
	const shift = "50"
	letters := strings.Fields("57 28 25 30 32 33 39 43 44 40 41 46 70 119 113 110")
	for _, hold := range []string{"37", "105", "64", "133", "108", ""} {
		var press []string
		for _, with := range []string{"", shift} {
			keys := letters
			if hold == "" {
				keys = strings.Fields("09 67 68 69 70 71 72 73 74 75 76 95 96 107 135 166 167 180 225 181")
			}
			for _, key := range append(keys, "09") {
				for _, m := range []string{hold, with} {
					if m != "" {
						press = append(press, "keydown", m)
					}
				}
				press = append(press, "key", key)
				for _, m := range []string{with, hold} {
					if m != "" {
						press = append(press, "keyup", m)
					}
				}
			}
		}
		g.tool("xdotool", press...)
		if got := g.pages(); len(got) != 1 || !strings.HasPrefix(got[0], s.p.URL+"/kiosk") {
			t.Fatalf("with %q held down: %v", hold, got)
		}
		if strings.Contains(g.windows(), "Task Manager") {
			t.Fatalf("with %q held down: the task manager", hold)
		}
	}
	tab.WantStep("start")

	g.tool("xdotool", "mousemove", "200", "300", "keydown", shift, "click", "1", "keyup", shift)
	until(t, "a second window ends the session", func() bool {
		return !strings.Contains(g.windows(), "Postern")
	})
}
