package portaltest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// mishap is one thing that goes wrong, at one node or both.
type mishap struct {
	what string // a line, or "node"
	how  string // one of failures; "kill -9", "restart"
	whom []int
}

func (m mishap) String() string {
	if m.what == "node" {
		return fmt.Sprintf("node %d: %s", m.whom[0]+1, m.how)
	}
	at := "both nodes"
	if len(m.whom) == 1 {
		at = fmt.Sprintf("node %d", m.whom[0]+1)
	}
	return fmt.Sprintf("%s of %s %s", m.what, at, m.how)
}

const mishapTime = 3 * time.Second

// mishaps is a round of them in the order of the seed: every line in every way or, when
// it has to be brief, every line in one. The second node is killed and restarted in the
// first round alone, so that what is measured of it afterwards is of one process; the
// first lives for the whole of it.
func mishaps(r *rand.Rand, first, brief bool) []mishap {
	var list []mishap
	ways := []string{"cut", "held", "mute", "flapping"}
	r.Shuffle(len(ways), func(i, j int) { ways[i], ways[j] = ways[j], ways[i] })
	for i, line := range lineNames {
		for j, how := range ways {
			if brief && i != j {
				continue
			}
			whom := [][]int{{0}, {1}, {0, 1}, {0, 1}}[r.IntN(4)]
			if brief {
				whom = []int{0, 1}
			}
			list = append(list, mishap{line, how, whom})
		}
	}
	list = append(list, mishap{"slapd", "struck at the write", []int{0, 1}}, mishap{"PostgreSQL", "struck at the outcome", []int{0, 1}})
	if first {
		list = append(list, mishap{"node", "kill -9", []int{1}}, mishap{"node", "restart", []int{1}})
	}
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	if brief { // what these leave takes its time
		slices.SortStableFunc(list, func(a, b mishap) int {
			slow := func(m mishap) int { return slices.Index([]string{"struck at the write", "kill -9"}, m.how) }
			return slow(b) - slow(a)
		})
	}
	return list
}

// disturb does one after the other until there is no time for one more, and returns what
// it did. Between two of them everything is whole.
func (s *soak) disturb(until time.Time) {
	brief := s.brief()
	rest := func() {
		wait := 3*time.Second + time.Duration(s.rand.IntN(2000))*time.Millisecond
		if brief {
			wait = time.Second
		}
		time.Sleep(wait) // the schedule's own clock
	}
	for round := 0; ; round++ {
		for _, m := range mishaps(s.rand, round == 0, brief) {
			if !brief && time.Now().Add(10*time.Second).After(until) {
				return
			}
			from := time.Now()
			s.happen(m)
			s.happened = append(s.happened, m)
			s.t.Logf("%6.1f s: %s, for %.1f s", from.Sub(s.began).Seconds(), m, time.Since(from).Seconds())
			rest()
		}
		if brief {
			return
		}
	}
}

// happen does it and returns when it is over.
func (s *soak) happen(m mishap) {
	if at, strikes := strokes[m.how]; strikes {
		s.strikes(m, at)
		return
	}
	if m.what != "node" {
		var ws []*wire
		for _, i := range m.whom {
			ws = append(ws, s.lines[m.what][i])
		}
		failures[m.how](ws, mishapTime, s.rand)
		return
	}
	i := m.whom[0]
	n := s.nodes[i]
	switch m.how {
	case "kill -9":
		// While it waits for what the directory has done.
		asked, slapd := make(chan struct{}, 1), s.lines["slapd"][i]
		s.lines["PostgreSQL"][i].look(func(b []byte) {
			if holdsAny(b, intents) {
				slapd.hold(true)
				select {
				case asked <- struct{}{}:
				default:
				}
			}
		})
		select {
		case <-asked:
			time.Sleep(200 * time.Millisecond)
		case <-time.After(10 * time.Second):
			s.never("nobody had anything written at node %d", i+1)
		}
		s.killed = append(s.killed, time.Now())
		n.Kill()
		s.lines["PostgreSQL"][i].look(nil)
		slapd.cut(false)
		slapd.mend()
		time.Sleep(mishapTime / 2) // dead for a while
	case "restart":
		if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			s.t.Error(err)
		}
		if err := <-n.ended; err != nil {
			s.t.Errorf("node %d did not end well: %v", i+1, err)
		}
	}
	s.said = append(s.said, n.Log())
	again := s.start(i)
	s.meters[i].reborn(again.PID())
	s.nodes[i] = again
}

// What PostgreSQL is told, in the clear, just before something is written to the
// directory, and when it was.
var (
	intents  = []string{"password.intent", "unlock.intent"}
	outcomes = []string{"password.reset", "password.changed", "account.unlocked"}
	strokes  = map[string][]string{"struck at the write": intents, "struck at the outcome": outcomes}
)

func holdsAny(b []byte, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return bytes.Contains(b, []byte(w)) })
}

// strikes breaks a line for a moment, for all of three seconds, whenever a node tells
// PostgreSQL one of these: then what is on its way is what counts. Every second time the
// outcome itself goes through, and its commit is struck.
func (s *soak) strikes(m mishap, words []string) {
	had := s.struck.Load()
	busy := make([]atomic.Bool, len(m.whom)) // a line is being struck
	for n, i := range m.whom {
		var armed, commits atomic.Bool
		r := rand.New(rand.NewPCG(s.rand.Uint64(), 2)) // of who is busy alone
		w := s.lines[m.what][i]
		s.lines["PostgreSQL"][i].look(func(b []byte) {
			switch {
			case armed.Load() && bytes.Contains(bytes.ToLower(b), []byte("commit")):
				armed.Store(false)
			case !holdsAny(b, words):
				return
			case m.what == "PostgreSQL" && commits.CompareAndSwap(false, true):
				armed.Store(true)
				return
			default:
				commits.Store(false)
			}
			if !busy[n].CompareAndSwap(false, true) {
				return
			}
			how, took := r.IntN(4), time.Duration(50+r.IntN(200))*time.Millisecond
			switch how {
			case 0:
				w.cut(true)
			case 1:
				w.hold(false)
			default:
				w.hold(true)
			}
			s.struck.Add(1)
			go func() {
				time.Sleep(took)
				w.cut(false)
				w.mend()
				busy[n].Store(false)
			}()
		})
	}
	for end := time.Now().Add(mishapTime); time.Now().Before(end) || s.struck.Load() == had && time.Now().Before(end.Add(10*time.Second)); {
		time.Sleep(mishapTime / 30)
	}
	s.t.Logf("%d %s", s.struck.Load()-had, m.how)
	for n, i := range m.whom {
		s.lines["PostgreSQL"][i].look(nil)
		for !busy[n].CompareAndSwap(false, true) { // no more of it now
			time.Sleep(time.Millisecond)
		}
	}
}

// counted says how many of what went wrong.
func (s *soak) counted() string {
	by := map[string]int{}
	for _, m := range s.happened {
		by[m.how]++
	}
	var list []string
	for how, n := range by {
		list = append(list, fmt.Sprintf("%s %d", how, n))
	}
	slices.Sort(list)
	return fmt.Sprintf("%d: %s", len(s.happened), strings.Join(list, ", "))
}
