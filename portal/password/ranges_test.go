package password

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"postern/directory"
)

func TestTheServiceIsAskedAndBelieved(t *testing.T) {
	s := newService(map[string]int{leaked: 7, fresh: 0})
	for _, c := range []struct {
		pw    string
		least int
		want  string
	}{
		{leaked, 1, "breached"}, {leaked, 7, "breached"}, {leaked, 8, ""},
		{fresh, 1, ""}, // padding: count 0
		{"mosaic-Velvet-otter-27", 1, ""},
	} {
		if got := verdict(s.asking(t, func(cfg *Config) { cfg.BreachedCount = c.least }, nil), c.pw); got != c.want {
			t.Errorf("%s, from %d on: %q, want %q", c.pw, c.least, got, c.want)
		}
	}
}

// Only the first five digits leave the machine, and those only of a password that
// nothing here speaks against.
func TestTheServiceIsToldFiveDigitsAndNothingElse(t *testing.T) {
	s := newService(map[string]int{leaked: 7})
	j := s.asking(t, func(c *Config) { c.Breached = save(t, strings.Join(hashLines(sha1List, 200, good+"x"), "\n")) }, nil)
	for _, pw := range []string{"short7", "password1", "qqqqqqqqqqqqqqqq", "teal-alovelace-quorum", good + "x", "nul\x00" + good, strings.Repeat(good, 20)} {
		if got := verdict(j, pw); got == "" {
			t.Errorf("%q was taken", pw)
		}
	}
	phrase, err := j.Passphrase(rand.NewChaCha8([32]byte{}), directory.Rules{}, ada)
	if err != nil || s.asked() != 0 {
		t.Fatalf("%d questions about what was refused or made here, %v", s.asked(), err)
	}
	pws := []string{leaked, fresh, phrase.Reveal()}
	for _, pw := range pws {
		verdict(j, pw)
	}
	if s.asked() != len(pws) {
		t.Fatalf("%d questions", s.asked())
	}
	for i, r := range s.told {
		if want := "/range/" + hashOf(sha1List, pws[i])[:prefixLen]; r.Method != http.MethodGet || r.RequestURI != want || r.ContentLength != 0 {
			t.Errorf("%s %s, want %s", r.Method, r.RequestURI, want)
		}
		names := []string{}
		for name := range r.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"Add-Padding", "User-Agent"}) || r.Header.Get("Add-Padding") != "true" || r.Header.Get("User-Agent") != "postern" {
			t.Errorf("%v", r.Header)
		}
	}
}

// Fail closed, and say nothing of the password, whatever the service says.
func TestAServiceThatAnswersWrongLetsNothingPass(t *testing.T) {
	elsewhere := newService(nil)
	other := httptest.NewServer(elsewhere)
	defer other.Close()
	hash := hashOf(sha1List, fresh)
	line := func(n int) string { return strings.Repeat("0A", 17) + "B:" + fmt.Sprint(n) }
	says := func(text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool { io.WriteString(w, text); return true }
	}
	raw := func(text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			conn, buf, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return true
			}
			buf.WriteString(text)
			buf.Flush()
			conn.Close()
			return true
		}
	}
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"a redirect": func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
			return true
		},
		"a page": says("<!doctype html><title>Sign in to this network</title>"),
		"too many requests": func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		},
		"not found":               func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true },
		"nothing":                 says(""),
		"a line end":              says("\r\n"),
		"a blank line":            says(line(1) + "\r\n\r\n" + line(2)),
		"a blank after the count": says(line(1) + " \r\n" + line(2)),
		"two carriage returns":    says(line(1) + "\r\r\n" + line(2)),
		"whole hashes":            says(strings.Repeat("0A", 20) + ":1"),
		"NTLM suffixes":           says(strings.Repeat("0", 27) + ":1"),
		"no count":                says(line(1) + "\r\n" + line(2)[:36]),
		"no colon":                says(line(1)[:35]),
		"a negative count":        says(line(-1)),
		"a signed count":          says(strings.Replace(line(1), ":", ":+", 1)),
		"a count too large":       says(line(1) + strings.Repeat("0", 30)),
		"no hexadecimal":          says("G" + line(1)[1:]),
		"a byte order mark":       says("\ufeff" + line(1)),
		"compressed": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, line(1))
			return true
		},
		"more than anybody needs":     says(strings.Repeat(line(1)+"\r\n", 1+maxRange/39)),
		"cut off":                     raw("HTTP/1.1 200 OK\r\nContent-Length: 76\r\n\r\n" + line(1) + "\r\n"),
		"cut off in chunks":           raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n27\r\n" + line(1) + "\r\n\r\n"),
		"no end but the connection's": raw("HTTP/1.0 200 OK\r\n\r\n" + line(1) + "\r\n"),
		"no HTTP":                     raw(hash[:prefixLen] + " is what you asked\r\n"),
		"no answer":                   raw(""),
		"endless headers":             raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat(hash[:prefixLen], 10_000) + "\r\n\r\n"),
	} {
		s := newService(nil)
		var log bytes.Buffer
		j := s.asking(t, nil, &log)
		if got := verdict(j, fresh); got != "" {
			t.Fatalf("before: %q", got)
		}
		s.set(answer)
		for range 2 {
			if got := verdict(j, fresh); got != "breach_unavailable" {
				t.Errorf("%s: %q", name, got)
			}
		}
		s.set(nil)
		if got := verdict(j, fresh); got != "" {
			t.Errorf("%s: %q afterwards", name, got)
		}
		said := log.String()
		if strings.Count(said, "level=ERROR") != 1 || strings.Count(said, "level=INFO") != 1 {
			t.Errorf("%s: the log says %s", name, said)
		}
		if said = strings.ToUpper(said); strings.Contains(said, hash[:prefixLen]) || strings.Contains(said, strings.ToUpper(fresh)) || strings.Contains(said, "/RANGE/") {
			t.Errorf("%s: the log tells of the password: %s", name, said)
		}
	}
	if n := elsewhere.asked(); n != 0 {
		t.Errorf("%d questions went where the redirect said", n)
	}
}

func TestEitherListIsEnoughAndBothMustBeReadable(t *testing.T) {
	both := func(s *service) *Judge {
		return s.asking(t, func(c *Config) { c.Breached = save(t, strings.Join(hashLines(sha1List, 200, leaked), "\n")) }, nil)
	}
	s := newService(map[string]int{fresh: 3})
	j := both(s)
	for pw, want := range map[string]string{leaked: "breached", fresh: "breached", "mosaic-Velvet-otter-27": ""} {
		if got := verdict(j, pw); got != want {
			t.Errorf("%s: %q, want %q", pw, got, want)
		}
	}
	n := s.asked()
	j.leaks.path += ".gone"
	if got := verdict(j, "mosaic-Velvet-otter-27"); got != "breach_unavailable" || s.asked() != n {
		t.Errorf("without the list here: %q, %d questions", got, s.asked()-n)
	}
	j = both(s)
	s.set(func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true })
	if got := verdict(j, "mosaic-Velvet-otter-27"); got != "breach_unavailable" {
		t.Errorf("without the service: %q", got)
	}
}

func TestTheServiceMustBeSignedByWhomTheFileNames(t *testing.T) {
	s := newService(map[string]int{known: 9})
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c := DefaultConfig()
	c.BreachedURL = server.URL + "/range/"
	if err := c.ProbeBreached(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the file: %v", err)
	}
	c.BreachedCAFile = save(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if f := c.Validate(); len(f) > 0 {
		t.Fatal(f)
	}
	if err := c.ProbeBreached(t.Context()); err != nil || s.told[0].ProtoMajor != 2 {
		t.Errorf("with it: %v", err)
	}
	j, err := New(c)
	if err != nil || verdict(j, fresh) != "" {
		t.Error(err)
	}
}

// security case 115: a name that means something else each time.
func TestInTheClearNothingLeavesThisMachine(t *testing.T) {
	for addr, here := range map[string]bool{"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true, "192.0.2.1:80": false, "169.254.169.254:80": false, "[fe80::1]:80": false, "x": false} {
		if err := onlyHere("tcp", addr, nil); (err == nil) != here {
			t.Errorf("%s: %v", addr, err)
		}
	}
	c := DefaultConfig()
	c.BreachedURL = "http://localhost:8080/range/"
	r, err := openRanges(c)
	if err != nil || r.over.(*http.Transport).Proxy != nil {
		t.Errorf("%v; a proxy would be told in the clear", err)
	}
	c.BreachedURL = "https://api.pwnedpasswords.com/range/"
	if r, err = openRanges(c); err != nil || r.over.(*http.Transport).Proxy == nil {
		t.Errorf("%v; there is no way through a proxy", err)
	}
	r.over.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }
	if has, err := r.has(fresh); has || err == nil {
		t.Error(has, err)
	}
}

func TestTheProbeWantsTheWordEverybodyKnows(t *testing.T) {
	if err := DefaultConfig().ProbeBreached(t.Context()); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		s    *service
		want string
	}{
		"a list":         {newService(map[string]int{known: 3}), ""},
		"another list":   {newService(nil), "does not know"},
		"padding alone":  {newService(map[string]int{known: 0}), "does not know"},
		"something else": {&service{answer: func(w http.ResponseWriter, _ *http.Request) bool { io.WriteString(w, "<html>"); return true }}, "SUFFIX:COUNT"},
	} {
		server := httptest.NewServer(c.s)
		cfg := DefaultConfig()
		cfg.BreachedURL = server.URL + "/range/"
		if err := cfg.ProbeBreached(t.Context()); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if got := c.s.told[0].URL.Path; got != "/range/5BAA6" {
			t.Errorf("%s: asked %s", name, got)
		}
		server.Close()
	}
}

func TestTheChecklistNamesTheService(t *testing.T) {
	j := newService(nil).asking(t, nil, nil)
	if !slices.ContainsFunc(j.Checklist(directory.Rules{}, ada), func(i Item) bool { return i.Key == "breached" }) {
		t.Error("it does not")
	}
}

// No more questions at once than there are turns.
func TestQuestionsQueueHereAndNotThere(t *testing.T) {
	var now, most atomic.Int32
	s := newService(nil)
	gate := make(chan struct{})
	s.set(func(http.ResponseWriter, *http.Request) bool {
		if n := now.Add(1); n == asking {
			close(gate)
		} else if n > asking {
			most.Store(n)
		}
		<-gate
		now.Add(-1)
		return false
	})
	j := s.asking(t, nil, nil)
	var all sync.WaitGroup
	for range 4 * asking {
		all.Go(func() {
			if got := verdict(j, fresh); got != "" {
				t.Error(got)
			}
		})
	}
	all.Wait()
	if most.Load() > 0 || s.asked() != 4*asking {
		t.Errorf("%d at once, %d in all", most.Load(), s.asked())
	}
}

func FuzzRangeCount(f *testing.F) {
	suffix := []byte(hashOf(sha1List, known)[prefixLen:])
	f.Add(fmt.Appendf(nil, "%s:3\r\n%035X:0", suffix, 1))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := rangeCount(body, suffix)
		if err == nil && n > 0 && !bytes.Contains(bytes.ToUpper(body), suffix) {
			t.Errorf("%q counts %d", body, n)
		}
	})
}

func BenchmarkRangeCount(b *testing.B) {
	random, raw := rand.NewChaCha8([32]byte{4}), make([]byte, 18)
	var body []byte
	for range 1000 {
		random.Read(raw)
		body = fmt.Appendf(body, "%s:17\r\n", strings.ToUpper(hex.EncodeToString(raw))[:35])
	}
	suffix := []byte(hashOf(sha1List, known)[prefixLen:])
	b.ReportAllocs()
	for b.Loop() {
		if n, err := rangeCount(body, suffix); n != 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}
