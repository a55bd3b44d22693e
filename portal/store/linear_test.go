package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
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
	what string // burn, spend, link, mark, strike
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

// wire is a line to PostgreSQL that can be cut, and held.
type wire struct {
	ln     net.Listener
	socket string
	mu     sync.Mutex
	open   map[net.Conn]bool
	held   atomic.Bool
}

func newWire(t *testing.T, socket string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{ln: ln, socket: socket, open: map[net.Conn]bool{}}
	t.Cleanup(func() { ln.Close(); w.cut() })
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", socket)
			if err != nil {
				near.Close()
				continue
			}
			w.mu.Lock()
			w.open[near], w.open[far] = true, true
			w.mu.Unlock()
			go w.carry(far, near)
			go w.carry(near, far)
		}
	}()
	return w
}

// carry bytes; while the line is held they wait, as in a network that is cut in two.
func (w *wire) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for w.held.Load() {
			time.Sleep(time.Millisecond) // the network's own clock
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// cut ends every connection: what was on its way may have arrived or not.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.open {
		c.Close()
	}
	clear(w.open)
}

// through gives the same database over a wire.
func through(t *testing.T, p storetest.Place) (storetest.Place, *wire) {
	t.Helper()
	u, err := url.Parse(p.Config.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(t, filepath.Join(u.Query().Get("host"), ".s.PGSQL.5432"))
	p.Config.Postgres = fmt.Sprintf("postgres://postgres@%s%s?sslmode=disable", w.ln.Addr(), u.Path)
	return p, w
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
				what := []string{"burn", "spend", "link", "mark", "strike"}[r.IntN(5)]
				a := attempt{what, what + k, int64(1 + r.IntN(4))}
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
