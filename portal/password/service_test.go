package password

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// service answers like the range API and keeps everything it is told.
type service struct {
	mu     sync.Mutex
	told   []*http.Request
	lines  map[string][]string // by prefix, beside the made-up ones
	answer func(http.ResponseWriter, *http.Request) bool
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.told = append(s.told, r)
	lines, answer := slices.Clone(s.lines[filepath.Base(r.URL.Path)]), s.answer
	s.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	random := rand.NewChaCha8([32]byte{3})
	for b := make([]byte, 20); len(lines) < 800; {
		random.Read(b)
		lines = append(lines, fmt.Sprintf("%X:%d", b, len(lines)%3)[prefixLen:])
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	io.WriteString(w, strings.Join(lines, "\r\n"))
}

func (s *service) set(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func (s *service) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.told)
}

func newService(pws map[string]int) *service {
	s := &service{lines: map[string][]string{}}
	for pw, count := range pws {
		h := hashOf(sha1List, pw)
		s.lines[h[:prefixLen]] = append(s.lines[h[:prefixLen]], fmt.Sprintf("%s:%d", h[prefixLen:], count))
	}
	return s
}

// asking is a judge that asks s on this machine.
func (s *service) asking(t testing.TB, change func(*Config), log io.Writer) *Judge {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	if log == nil {
		log = io.Discard
	}
	return newJudge(t, func(c *Config) {
		c.BreachedURL, c.Log = server.URL+"/range/", slog.New(slog.NewTextHandler(log, nil))
		if change != nil {
			change(c)
		}
	})
}
