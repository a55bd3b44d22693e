package portaltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"postern/directory/directorytest"
)

// governed is a browser under the policies that `postern kiosk files` writes for a portal,
// where Chromium looks for them, in a mount namespace of its own. They differ in what the
// test looks through: DevTools, and chrome://policy.
func governed(t *testing.T, origin string) *Tab {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: needs a browser")
	}
	path, err := findChromium()
	if err != nil {
		directorytest.Require(t, fmt.Errorf("%w: chromium", directorytest.ErrMissing))
	}
	if _, err := exec.LookPath("unshare"); err != nil || os.Getuid() != 0 {
		directorytest.Require(t, fmt.Errorf("%w: unshare, as root: browser policies are read from /etc", directorytest.ErrMissing))
	}
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := Command(t.Context(), bin, "kiosk", "files", filepath.Join(dir, "files"), "--url", origin); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(filepath.Join(dir, "files", "postern-policies.json"))
	if err != nil {
		t.Fatal(err)
	}
	softened := strings.NewReplacer(`"DeveloperToolsAvailability": 2`, `"DeveloperToolsAvailability": 1`, `"URLAllowlist": [`, `"URLAllowlist": ["chrome://policy", `).Replace(string(written))
	const inside = "#!/bin/sh\nexec unshare --mount sh -c 'mkdir -p /etc/chromium && mount -t tmpfs none /etc/chromium && mkdir -p /etc/chromium/policies/managed &&" +
		" cp %q /etc/chromium/policies/managed/ && exec %q \"$@\"' sh \"$@\"\n"
	policies, wrapper := filepath.Join(dir, "postern.json"), filepath.Join(dir, "chromium")
	if err := errors.Join(os.WriteFile(policies, []byte(softened), 0o600), os.WriteFile(wrapper, fmt.Appendf(nil, inside, policies, path), 0o700)); err != nil {
		t.Fatal(err)
	}
	b, err := startIn(wrapper, filepath.Join(dir, "profile"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(b.ctx); err != nil { // as by its menu: nothing is written after
			t.Log(err)
		}
		b.Close()
	})
	return &Tab{t: t, ctx: b.ctx, base: origin}
}

// policyRows are what chrome://policy says of every policy that is set.
const policyRows = `(() => { const rows = [], walk = (root) => { for (const e of root.querySelectorAll('*')) {
	if (e.tagName === 'POLICY-ROW') rows.push(e.shadowRoot.querySelector('.policy.row').innerText.replace(/\s+/g, ' ').trim());
	if (e.shadowRoot) walk(e.shadowRoot); } }; walk(document); return JSON.stringify(rows.filter((r) => !r.endsWith('Not set.'))); })()`

// Every policy is one that this Chromium knows and takes: a name it does not know, or a
// value it cannot read, would be an open door that looks shut.
func TestChromiumKnowsEveryPolicy(t *testing.T) {
	t.Parallel()
	tab := governed(t, "https://id.example.org")
	tab.do(chromedp.Navigate("chrome://policy"))
	var rows []string
	until(t, "the policies are listed", func() bool {
		return json.Unmarshal([]byte(tab.Eval(policyRows)), &rows) == nil && len(rows) > 35
	})
	for _, r := range rows {
		// Deprecated ones count still, and older browsers know no others.
		if !strings.HasSuffix(r, "Mandatory OK") && !strings.HasSuffix(r, "Mandatory Deprecated") {
			t.Error(r)
		}
	}
}

// A network that answers in the portal's place gets nothing that is typed: there is no way
// past the warning (security case 109, CVE-2023-35719). And what is a host below the
// portal's, another port of it or the same without TLS is not the portal.
func TestNoWayPastAWrongCertificate(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	count := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	impostor, plain := httptest.NewUnstartedServer(count), httptest.NewServer(count)
	impostor.Config.ErrorLog = log.New(io.Discard, "", 0) // the browser's own no
	impostor.StartTLS()
	t.Cleanup(impostor.Close)
	t.Cleanup(plain.Close)
	_, port, err := net.SplitHostPort(impostor.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tab := governed(t, "https://localhost:"+port)
	open := func(url string) error {
		ctx, cancel := context.WithTimeout(tab.ctx, 20*time.Second)
		defer cancel()
		return chromedp.Run(ctx, chromedp.Navigate(url))
	}
	if err := open(tab.base + "/kiosk"); err == nil || !strings.Contains(err.Error(), "ERR_CERT") {
		t.Fatalf("a wrong certificate: %v", err)
	}
	until(t, "the warning is drawn", func() bool {
		return tab.Eval(`document.readyState + ' ' + document.body?.innerText.includes('ERR_CERT')`) == "complete true"
	})
	if link := tab.Eval(`String(document.querySelector('#proceed-link'))`); link != "null" {
		t.Error("the warning has a way on")
	}
	tab.do(chromedp.KeyEvent("thisisunsafe")) // Chromium's own way on, typed blindly
	if at := tab.Eval(`location.protocol`); at != "chrome-error:" {
		t.Errorf("typing leads on to %s", tab.Where())
	}
	for _, url := range []string{"https://below.localhost:" + port + "/kiosk", "http://localhost:" + port + "/kiosk", strings.Replace(plain.URL, "127.0.0.1", "localhost", 1) + "/kiosk",
		"https://localhost:1/kiosk", tab.base + "/", tab.base + "/signin"} {
		if err := open(url); err == nil || !strings.Contains(err.Error(), "ERR_BLOCKED_BY_ADMINISTRATOR") {
			t.Errorf("%s: %v", url, err)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests were made", n)
	}
}
