package portaltest

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// soak is a day at the portal in small: people come at a steady rate while what it
// stands on fails, one thing at a time, and whatever they are told is held against the
// directory.
type soak struct {
	*cluster
	took   time.Duration
	rate   float64 // cases a second
	rand   *rand.Rand
	began  time.Time
	lines  wires
	meters []*meter
	direct []*fasthttp.HostClient // to each node, past the proxy
	box    mailbox
	crowds map[string]chan *member

	answers  answers
	late     atomic.Int64 // codes of an earlier mail that were typed
	twice    atomic.Int64 // codes that were given at two nodes at once
	struck   atomic.Int64 // moments that a line was struck
	happened []mishap
	said     []string    // by nodes, first by those that are gone
	mute     int         // writes whose answer no node got
	killed   []time.Time // when a node was killed

	mu       sync.Mutex
	cases    []visit
	missed   int      // times that nobody of the crowd was free
	wrong    []string // whatever may never be
	checking time.Duration
}

// visit is one case, as it went.
type visit struct {
	errand string
	right  bool
	came   time.Duration // after the start
	ending
}

// soakTime is how long it goes on: POSTERN_SOAK=30m for the long form.
func soakTime(t *testing.T) (took time.Duration, long bool) {
	t.Helper()
	text := os.Getenv("POSTERN_SOAK")
	if text == "" {
		return 55 * time.Second, false
	}
	took, err := time.ParseDuration(text)
	if err != nil || took < time.Minute {
		t.Fatalf("POSTERN_SOAK: %q is not a time of a minute or more", text)
	}
	return took, true
}

func (s *soak) brief() bool { return s.took < time.Minute }

// quiet is the last part, in which nothing goes wrong.
func (s *soak) quiet() time.Duration { return max(15*time.Second, s.took/10) }

// recovery is how long after the last mishap what is right may still fail: for the
// proxy to see a node again, and for lines that were given up to be tried again.
const recovery = 8 * time.Second

func (s *soak) never(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	took, long := soakTime(t)
	s := &soak{took: took, rate: 4, lines: wires{}, box: mailbox{codes: map[string][]string{}, more: make(chan struct{})}, crowds: map[string]chan *member{}}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("POSTERN_SOAK_SEED"); text != "" {
		if _, err := fmt.Sscan(text, &seed); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	s.rand = rand.New(rand.NewPCG(seed, 1))
	if long {
		s.rate = 8
	}
	// The wrong answers and the second uses of a code are held against people for a
	// quarter of an hour, and a few are borne: so many come in turn.
	within := min(took, 15*time.Minute).Seconds() * s.rate / float64(len(pace()))
	of := map[string]int{"able": int(20*s.rate + within/4), "careless": int(5*s.rate + within/4), "hurried": int(5*s.rate + within/3)}
	var urls []string
	s.cluster = newCluster(t, "haproxy", 2, of["able"]+of["careless"]+of["hurried"], func(c *cluster) {
		if long { // as it is shipped; the short form runs under the race detector
			bin, err := Build(c.dir, false)
			if err != nil {
				t.Fatal(err)
			}
			c.bin = bin
		}
		wired(c, s.lines, &urls)
	})
	s.p.Mail.Divert(s.box.take)
	noAgain := func(c *fasthttp.HostClient) *fasthttp.HostClient {
		c.RetryIfErr = func(*fasthttp.Request, int, error) (bool, bool) { return false, false }
		c.ReadTimeout = ceiling + 5*time.Second
		return c
	}
	noAgain(s.client)
	for i, n := range s.nodes {
		s.meters = append(s.meters, &meter{url: urls[i], pid: n.PID()})
		s.direct = append(s.direct, noAgain(NewClient(fmt.Sprintf("http://127.0.0.1:%d", s.ports[i]))))
	}
	first := 0
	for _, crowd := range slices.Sorted(maps.Keys(of)) {
		s.crowds[crowd] = make(chan *member, of[crowd])
		for _, m := range s.people[first : first+of[crowd]] {
			s.crowds[crowd] <- m
		}
		first += of[crowd]
	}
	return s
}

// pace is the errands in the order in which they come, over and over.
func pace() []*errand {
	var list []*errand
	for i := range errands {
		for range errands[i].share {
			list = append(list, &errands[i])
		}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// people come at the rate until ctx ends. Whose crowd is all at the portal is missed.
func (s *soak) come(ctx context.Context) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / s.rate))
	defer tick.Stop()
	var all sync.WaitGroup
	order := pace()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			all.Wait()
			return
		}
		e := order[n%len(order)]
		select {
		case m := <-s.crowds[e.crowd]:
			all.Go(func() { s.serve(m, e, n) })
		default:
			s.mu.Lock()
			s.missed++
			s.mu.Unlock()
		}
	}
}

// serve is one case from the first page to what is true afterwards.
func (s *soak) serve(m *member, e *errand, n int) {
	came := time.Since(s.began)
	end := e.do(s, m, n)
	why, err := s.finds(m, end)
	if err != nil {
		s.never("%v", err)
		return // and is nobody any more
	}
	if why != "" {
		s.never("%.1f s, %s of %s: %s", came.Seconds(), e.name, m.login, why)
	}
	s.mu.Lock()
	s.cases = append(s.cases, visit{e.name, e.right, came, end})
	s.checking = max(s.checking, end.checking)
	s.mu.Unlock()
	s.crowds[e.crowd] <- m
}

// watch reads every meter at a steady rate.
func (s *soak) watch(ctx context.Context) {
	every := 500 * time.Millisecond
	if !s.brief() {
		every = 2 * time.Second
	}
	for tick := time.NewTicker(every); ; {
		select {
		case <-tick.C:
			for _, m := range s.meters {
				m.read()
			}
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// Whatever fails under it, for as long as it may, the portal tells nobody what is not so,
// takes nothing twice, leaves nothing open, answers in time, and does not grow.
func TestSoak(t *testing.T) {
	s := newSoak(t)
	s.began = time.Now()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var work sync.WaitGroup
	work.Go(func() { s.come(ctx) })
	warm := max(3*time.Second, s.took/30)
	time.Sleep(warm) // the schedule's own clock, here and below
	for _, m := range s.meters {
		m.reborn(m.pid) // what came before was a portal getting warm
	}
	work.Go(func() { s.watch(ctx) })
	s.disturb(s.began.Add(s.took - s.quiet()))
	whole := time.Since(s.began)
	time.Sleep(max(s.quiet(), s.took-whole))
	stop()
	work.Wait()

	s.judges(whole + recovery)
	s.open()
	s.recorded()
	s.verifies()
	for _, w := range s.wrong {
		t.Error(w)
	}
	t.Log(s.summary())
}
