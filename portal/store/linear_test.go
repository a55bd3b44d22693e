package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"postern/directory"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

// What somebody tried, and what they were told.
type attempt struct {
	what string // burn, spend, link, mark, strike; yes, no, write: to a request for an approval
	key  string // of the one thing it was tried on
	n    int64  // the counter, for spend
}

type verdict int64

// Of a strike the verdict is the count it was told, from 0 on.
const (
	taken   verdict = -1 // it was theirs
	refused verdict = -2 // it was somebody's already
	unknown verdict = -3 // the answer was lost: it happened, or will, or never does
)

// once is the whole of what may be observed: single-use things are taken once, counters
// of codes only rise, strikes count each.
var onceModel = (&porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, o := range history {
			k := o.Input.(attempt).key
			byKey[k] = append(byKey[k], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range byKey {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() []any { return []any{int64(0)} },
	Step: func(state, input, output any) []any {
		s, in, out := state.(int64), input.(attempt), output.(verdict)
		if strings.HasPrefix(in.key, "vote") {
			return voted(s, in.what, out)
		}
		next, free := int64(1), s == 0
		switch in.what {
		case "spend":
			next, free = in.n, in.n > s
		case "strike":
			next, free = s+1, out == unknown || int64(out) == s
			if out >= 0 {
				out = taken
			}
		}
		switch {
		case out == unknown && free:
			return []any{s, next}
		case out == unknown:
			return []any{s}
		case (out == taken) != free:
			return nil
		case free:
			return []any{next}
		}
		return []any{s}
	},
	Equal: func(a, b any) bool { return a.(int64) == b.(int64) },
}).ToModel()

// What a request for an approval can be, as the core moves it: see flow.Vouch,
// flow.Decline and flow.Finish.
const (
	asked, approved, declined, written = 0, 1, 2, 3
)

// vote moves the case of a request under the lock of its row, by the conditions of the
// core: a yes counts in its own turn, a no until the directory is written to, and a write
// needs a yes and no no.
func vote(c *flow.Case, what string) error {
	open := c.Closed == "" && c.Outcome.Status == ""
	switch {
	case what == "yes" && open && c.Turn == 0:
		c.Turn++
	case what == "no" && open:
		c.Closed = flow.ReasonDeclined
	case what == "write" && open && c.Turn > 0:
		c.Outcome.Status = flow.InFlight
	default:
		return flow.ErrConflict
	}
	return nil
}

// voted is the same of the model.
func voted(s int64, what string, out verdict) []any {
	next := map[string]int64{"yes": approved, "no": declined, "write": written}[what]
	free := what == "yes" && s == asked || what == "no" && s <= approved || what == "write" && s == approved
	switch {
	case out == unknown && free:
		return []any{s, next}
	case out == unknown || (out == refused) && !free:
		return []any{s}
	case out == taken && free:
		return []any{next}
	}
	return nil
}

// Two nodes, each behind a line that is cut and held at random, one with a clock that
// jumps by 90 s to and fro: nobody is told that they took what was taken, or that it was
// taken while it was not, in any order the answers allow.
func TestNothingIsTakenTwiceWhateverBreaks(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	near := storetest.Postgres(t)
	quiet := near.Open(t)
	var jump atomic.Int64
	var nodes []*store.DB
	var wires []*wire
	for i := range 2 {
		p, w := through(t, near)
		if i == 1 {
			p.Config.Now = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
		}
		nodes, wires = append(nodes, p.Open(t)), append(wires, w)
	}
	const things, clients = 60, 8
	links := map[string]string{}
	for i := range things {
		k := fmt.Sprint(i)
		put(t, quiet, verify.Credential{ID: "burn" + k, Owner: alice, Kind: verify.RecoveryCode, Handle: []byte("burn" + k)},
			verify.Credential{ID: "spend" + k, Owner: directory.ID("x:" + k), Kind: verify.TOTP, Secret: []byte("seed")})
		path, err := quiet.AddLink(t.Context(), notify.LinkTo{Kind: notify.NotMe, Account: alice, Life: 24 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		links["link"+k] = path[len(notify.NotMe.Path()):]
		asked := newCase(alice)
		asked.ID = "vote" + k
		create(t, quiet, asked, flow.Effects{})
	}
	ctx, stop := context.WithCancel(t.Context())
	var breaking sync.WaitGroup
	breaking.Go(func() {
		r := rand.New(rand.NewPCG(seed, 1))
		for ctx.Err() == nil {
			w := wires[r.IntN(2)]
			time.Sleep(time.Duration(5+r.IntN(30)) * time.Millisecond) // the network's own clock
			switch r.IntN(3) {
			case 0:
				w.held.Store(true)
				time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
				if r.IntN(2) == 0 {
					w.cut()
				}
				w.held.Store(false)
			case 1:
				w.cut()
			case 2:
				jump.Store(int64(time.Duration(r.IntN(181)-90) * time.Second))
			}
		}
	})
	h := &history{began: time.Now()}
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(100+c)))
			for i := range things {
				// Everybody is at about the same things at about the same time.
				k := fmt.Sprint((i + r.IntN(3)) % things)
				what := []string{"burn", "spend", "link", "mark", "strike", "yes", "no", "write"}[r.IntN(8)]
				a := attempt{what, what + k, int64(1 + r.IntN(4))}
				if slices.Contains([]string{"yes", "no", "write"}, what) {
					a.key = "vote" + k
				}
				h.record(c, a, func() verdict { return try(t.Context(), nodes[r.IntN(2)], a, links) })
			}
		})
	}
	all.Wait()
	stop()
	breaking.Wait()
	if lost := h.count(unknown); lost == 0 || lost > 3*len(h.list)/4 {
		t.Errorf("%d of %d answers were lost: nothing was tried", lost, len(h.list))
	}
	if got := porcupine.CheckOperationsTimeout(onceModel, h.list, time.Minute); got != porcupine.Ok {
		t.Errorf("seed %d: %s", seed, got)
		for _, part := range onceModel.Partition(h.list) {
			if !porcupine.CheckOperations(onceModel, part) {
				t.Errorf("%+v", part)
			}
		}
	}
	t.Logf("%d attempts, %d taken, %d refused, %d without an answer", len(h.list), h.count(taken), h.count(refused), h.count(unknown))
}

// try does it and says what was told.
func try(ctx context.Context, db *store.DB, a attempt, links map[string]string) verdict {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	told := func(err, no error) verdict {
		switch {
		case err == nil:
			return taken
		case errors.Is(err, no):
			return refused
		}
		return unknown
	}
	switch a.what {
	case "burn":
		_, err := db.Burn(ctx, alice, verify.RecoveryCode, []byte(a.key))
		return told(err, verify.ErrWrong)
	case "spend":
		return told(db.Spend(ctx, verify.Credential{ID: a.key, Owner: directory.ID("x:" + a.key[len("spend"):]), Kind: verify.TOTP}, a.n), verify.ErrReplayed)
	case "link":
		_, err := db.SpendLink(ctx, notify.NotMe, links[a.key])
		return told(err, notify.ErrNoLink)
	case "mark":
		first, err := db.Once(ctx, a.key, nil)
		if err == nil && !first {
			return refused
		}
		return told(err, nil)
	case "yes", "no", "write":
		_, err := db.Update(ctx, a.key, func(_ context.Context, c *flow.Case) (flow.Effects, error) { return flow.Effects{}, vote(c, a.what) })
		return told(err, flow.ErrConflict)
	}
	var was int
	if err := db.Strike(ctx, directory.ID(a.key), verify.TOTP, func(s flow.Strikes) flow.Strikes {
		was = s.Consecutive
		s.Consecutive++
		return s
	}); err != nil {
		return unknown
	}
	return verdict(was)
}

type history struct {
	began time.Time
	mu    sync.Mutex
	list  []porcupine.Operation
}

func (h *history) record(client int, a attempt, do func() verdict) {
	call := time.Since(h.began).Nanoseconds()
	v := do()
	back := time.Since(h.began).Nanoseconds()
	if v == unknown {
		back = time.Hour.Nanoseconds() // it may still happen
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, porcupine.Operation{ClientId: client, Input: a, Call: call, Output: v, Return: back})
}

func (h *history) count(v verdict) (n int) {
	for _, o := range h.list {
		if o.Output == v || v == taken && o.Output.(verdict) >= 0 {
			n++
		}
	}
	return n
}

// The check can fail: who looks first and writes then is found out.
func TestACheckThatFindsNothingWouldBeNone(t *testing.T) {
	p := storetest.Postgres(t)
	p.Open(t)
	raw := p.Raw(t)
	h := &history{began: time.Now()}
	var looked, all sync.WaitGroup
	looked.Add(2)
	for c := range 2 {
		all.Go(func() {
			h.record(c, attempt{"mark", "x", 0}, func() verdict {
				var at int64
				err := raw.QueryRow(`SELECT at FROM spent WHERE mark = 'x'`).Scan(&at)
				looked.Done()
				looked.Wait()
				if !errors.Is(err, sql.ErrNoRows) {
					return refused
				}
				if _, err := raw.Exec(`INSERT INTO spent (mark, at) VALUES ('x', 1) ON CONFLICT DO NOTHING`); err != nil {
					return unknown
				}
				return taken
			})
		})
	}
	all.Wait()
	if porcupine.CheckOperations(onceModel, h.list) {
		t.Errorf("a code that two people used passes: %+v", h.list)
	}
	// A no that was taken, and a write after it.
	late := []porcupine.Operation{}
	for i, what := range []string{"yes", "no", "write"} {
		late = append(late, porcupine.Operation{Input: attempt{what, "vote", 0}, Call: int64(2 * i), Output: taken, Return: int64(2*i + 1)})
	}
	if !porcupine.CheckOperations(onceModel, late[:2]) || porcupine.CheckOperations(onceModel, late) {
		t.Error("a write after a no passes, or a no after a yes does not")
	}
	for _, c := range []struct {
		list []verdict
		ok   bool
	}{{[]verdict{taken, refused}, true}, {[]verdict{refused, taken}, false}, {[]verdict{unknown, refused}, true}, {[]verdict{unknown, taken, refused}, true}, {[]verdict{taken, taken}, false}, {[]verdict{unknown, taken, taken}, false}} {
		var list []porcupine.Operation
		for i, v := range c.list {
			back := int64(10*i + 5)
			if v == unknown {
				back = 1000
			}
			list = append(list, porcupine.Operation{ClientId: i, Input: attempt{"burn", "x", 0}, Call: int64(10 * i), Output: v, Return: back})
		}
		if porcupine.CheckOperations(onceModel, list) != c.ok {
			t.Errorf("%v: not %v", c.list, c.ok)
		}
	}
}
