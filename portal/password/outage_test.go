package password

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script is a service whose every answer the test decides.
type script struct {
	mu    sync.Mutex
	asked int
	do    func(*http.Request) (*http.Response, error)
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.asked++
	do := s.do
	s.mu.Unlock()
	return do(r)
}

func (s *script) set(f func(*http.Request) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do = f
}

func answered(body io.Reader) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 2, ContentLength: -1, Body: io.NopCloser(body)}, nil
}

func well(*http.Request) (*http.Response, error) {
	return answered(strings.NewReader(strings.Repeat("0", 35) + ":1"))
}

// silent is a service that takes the question and never answers.
func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// trickle sends one line a second, for ever.
func trickle(r *http.Request) (*http.Response, error) {
	from, to := io.Pipe()
	go func() {
		for r.Context().Err() == nil {
			io.WriteString(to, strings.Repeat("0", 35)+":1\r\n")
			time.Sleep(time.Second)
		}
		to.CloseWithError(r.Context().Err())
	}()
	return answered(from)
}

// scripted is a judge that asks s, on the bubble's clock.
func scripted(t *testing.T, s *script) *Judge {
	j := newJudge(t, func(c *Config) {
		c.BreachedURL, c.Log = "https://mirror.example.org/range/", slog.New(slog.DiscardHandler)
	})
	j.service.over = s
	return j
}

func TestASlowServiceCostsTwoSecondsAtMost(t *testing.T) {
	for name, slow := range map[string]func(*http.Request) (*http.Response, error){"silent": silent, "trickling": trickle} {
		synctest.Test(t, func(t *testing.T) {
			j := scripted(t, &script{do: slow})
			began := time.Now()
			got := verdict(j, fresh)
			// A trickle is noticed with its next line.
			if took := time.Since(began); got != "breach_unavailable" || took > patience+time.Second {
				t.Errorf("%s: %q after %s", name, got, took)
			}
		})
	}
}

// An outage costs the first few people two seconds each, and everybody after them
// nothing; somebody notices within seconds when it is over.
func TestAnOutageIsPaidForByTheFirstFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{do: silent}
		j := scripted(t, s)
		took := func() time.Duration {
			began := time.Now()
			if got := verdict(j, fresh); got != "breach_unavailable" {
				t.Errorf("%q in an outage", got)
			}
			return time.Since(began)
		}
		for range tolerated {
			if d := took(); d != patience {
				t.Errorf("one of the first waited %s", d)
			}
		}
		for range 100 {
			if d := took(); d != 0 {
				t.Fatalf("a later one waited %s", d)
			}
		}
		if s.asked != tolerated {
			t.Fatalf("%d questions", s.asked)
		}
		// It is still down after the rest: one tries, for all.
		time.Sleep(rest)
		var all sync.WaitGroup
		var mu sync.Mutex
		waited := 0
		for range 50 {
			all.Go(func() {
				if took() > 0 {
					mu.Lock()
					waited++
					mu.Unlock()
				}
			})
		}
		all.Wait()
		if waited != 1 || s.asked != tolerated+1 {
			t.Errorf("%d waited, %d questions", waited, s.asked)
		}
		// It is back: nobody is asked before the rest is over, everybody after.
		s.set(well)
		if d := took(); d != 0 || s.asked != tolerated+1 {
			t.Errorf("asked during the rest: %s", d)
		}
		time.Sleep(rest)
		for range 10 {
			if got := verdict(j, fresh); got != "" {
				t.Errorf("%q when it is back", got)
			}
		}
		// And one failure is bad luck again.
		s.set(silent)
		took()
		s.set(well)
		if got := verdict(j, fresh); got != "" {
			t.Errorf("%q after one failure", got)
		}
	})
}

// A crowd that comes while the service hangs waits once, and not in line.
func TestACrowdInAnOutageWaitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{do: silent}
		j := scripted(t, s)
		began := time.Now()
		var all sync.WaitGroup
		for range 20 * asking {
			all.Go(func() {
				if got := verdict(j, fresh); got != "breach_unavailable" {
					t.Errorf("%q", got)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != patience || s.asked != asking {
			t.Errorf("%s, %d questions", took, s.asked)
		}
	})
}

// A transport that panics must not leave the one turn of the trial taken for ever.
func TestAPanicDoesNotCloseTheListForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{do: silent}
		j := scripted(t, s)
		for range tolerated {
			verdict(j, fresh)
		}
		time.Sleep(rest)
		s.set(func(*http.Request) (*http.Response, error) { panic("broken") })
		func() {
			defer func() {
				if recover() == nil {
					t.Error("nobody heard of it")
				}
			}()
			verdict(j, fresh)
		}()
		s.set(well)
		time.Sleep(rest)
		if got := verdict(j, fresh); got != "" {
			t.Errorf("%q", got)
		}
	})
}
