package view

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// finder answers searches, all with 200 since the browser complains of anything else
// and the script looks at the page alone: "slow" not before it is released, "many" by a limit,
// "lapsed" by another page, and everything else by one person of that name.
type finder struct {
	*site
	t       *testing.T
	release chan struct{}
	mu      sync.Mutex
	asked   []string
}

func (f *finder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.URL.Path != "/desk/people" {
		f.site.ServeHTTP(w, q)
		return
	}
	text := q.URL.Query().Get("q")
	f.mu.Lock()
	f.asked = append(f.asked, text)
	f.mu.Unlock()
	var p Page = &DeskPeople{Frame: techFrame(), Asked: text, Looked: text != "", Found: []Hit{{ID: "ad:1", Login: "user1", Name: "Found " + text, Directory: "ad"}}}
	switch text {
	case "":
		p = &DeskPeople{Frame: techFrame()}
	case "slow":
		<-f.release
	case "nobody":
		p = &DeskPeople{Frame: techFrame(), Asked: text, Looked: true}
	case "many":
		p = &DeskPeople{Frame: techFrame(Fault{Code: "limited", Retry: time.Minute}), Asked: text}
	case "lapsed":
		p = &DeskProof{Frame: deskFrame(), At: "/desk/people"}
	}
	var b bytes.Buffer
	if err := f.r.Page(&b, "en", p); err != nil {
		f.t.Error(err)
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

func (f *finder) seen() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.asked, " ")
}

// The list follows what is typed, says how many it has, and is never that of an older
// question; without the script the same form does it.
func TestTheListFollowsWhatIsTyped(t *testing.T) {
	s, _, ctx := browse(t)
	f := &finder{site: s, t: t, release: make(chan struct{})}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	base := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	free := sync.OnceFunc(func() { close(f.release) })
	t.Cleanup(free)

	says := func(want string) chromedp.Action {
		return chromedp.Poll(`document.getElementById('count').textContent.trim() === `+quoted(want), nil, chromedp.WithPollingTimeout(10*time.Second))
	}
	list := func(into *string) chromedp.Action {
		return chromedp.Evaluate(`[...document.querySelectorAll('#hits li b')].map(e => e.textContent).join('|')`, into)
	}
	clear := chromedp.Evaluate(`(() => { const q = document.getElementById('q'); q.value = ''; q.dispatchEvent(new Event('input')) })()`, nil)
	for _, page := range []string{"/desk/people", "/desk-technician"} {
		var at, tag string
		do(t, ctx, chromedp.Navigate(base+page), chromedp.SendKeys("#q", "ada"), says("One person found."), list(&at))
		if at != "Found ada" {
			t.Errorf("%s: %q", page, at)
		}
		// Tab leads from the field over the button to the first of the list.
		do(t, ctx, chromedp.SendKeys("#q", "\t\t"), chromedp.Evaluate(`document.activeElement.getAttribute('href')`, &tag))
		if page == "/desk/people" && tag != "/desk/people/ad:1" {
			t.Errorf("Tab leads to %q", tag)
		}
		do(t, ctx, clear, says(""), list(&at))
		if at != "" {
			t.Errorf("%s: an empty field shows %q", page, at)
		}
	}
	before := f.seen()
	var at string
	do(t, ctx, chromedp.Navigate(base+"/desk/people"), chromedp.SendKeys("#q", "ad"), chromedp.Sleep(500*time.Millisecond), list(&at))
	if got := strings.TrimPrefix(f.seen(), before); strings.Contains(got, "ad") || at != "" {
		t.Errorf("two letters asked for %q", got)
	}
	// An older answer comes late.
	do(t, ctx, clear, chromedp.SendKeys("#q", "slow"), chromedp.ActionFunc(func(ctx context.Context) error {
		for !strings.Contains(f.seen(), "slow") {
			if err := chromedp.Sleep(20 * time.Millisecond).Do(ctx); err != nil {
				return err
			}
		}
		return nil
	}), clear, chromedp.SendKeys("#q", "grace"), says("One person found."))
	free()
	do(t, ctx, chromedp.Sleep(300*time.Millisecond), list(&at))
	if at != "Found grace" {
		t.Errorf("a late answer shows %q", at)
	}
	do(t, ctx, clear, chromedp.SendKeys("#q", "nobody"), says("Nobody like that whom you may help. The beginning of each word is enough."))
	do(t, ctx, clear, chromedp.SendKeys("#q", "lapsed"), says("Press Find to go on."), list(&at))
	if at != "" {
		t.Errorf("after the desk closed it shows %q", at)
	}
	do(t, ctx, clear, chromedp.SendKeys("#q", "many"), chromedp.Poll(`document.getElementById('count').textContent.includes('wait a little')`, nil, chromedp.WithPollingTimeout(10*time.Second)), list(&at))
	if at != "" {
		t.Errorf("over the limit it shows %q", at)
	}
	do(t, ctx, chromedp.SendKeys("#q", "\r"), chromedp.WaitReady(`main[data-step=people] [data-error=limited]`)) // Enter does what the button does
}

func quoted(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
