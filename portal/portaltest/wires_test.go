package portaltest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire is a line on loopback to something a node needs. It can be cut, so that every
// connection breaks and new ones do at once; held, so that nothing moves and everything
// arrives later; and made mute, so that what is asked arrives and no answer does.
type wire struct {
	ln          net.Listener
	network, to string

	mu       sync.Mutex
	open     map[net.Conn]bool
	dead     bool
	ask, say chan struct{} // nil: that way is free; closed when it is again
	tap      func([]byte)  // sees what is asked before it goes on; nil: nobody looks
	spoil    func([]byte)  // does something to what is answered; nil: nobody
}

func newWire(t testing.TB, network, to string) *wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{ln: ln, network: network, to: to, open: map[net.Conn]bool{}}
	t.Cleanup(func() { ln.Close(); w.mend(); w.cut(false) })
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			go w.connect(near)
		}
	}()
	return w
}

func (w *wire) addr() string { return w.ln.Addr().String() }

func (w *wire) connect(near net.Conn) {
	far, err := net.Dial(w.network, w.to)
	if err != nil {
		near.Close()
		return
	}
	w.mu.Lock()
	dead := w.dead
	if !dead {
		w.open[near], w.open[far] = true, true
	}
	w.mu.Unlock()
	if dead {
		near.Close()
		far.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { w.carry(far, near, func() (chan struct{}, func([]byte)) { return w.ask, w.tap }) })
	both.Go(func() { w.carry(near, far, func() (chan struct{}, func([]byte)) { return w.say, w.spoil }) })
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, near)
	delete(w.open, far)
}

// carry bytes one way, and wait while that way is not free.
func (w *wire) carry(to, from net.Conn, way func() (chan struct{}, func([]byte))) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for seen := false; ; {
			w.mu.Lock()
			shut, tap := way()
			w.mu.Unlock()
			if tap != nil && n > 0 && !seen {
				seen = true
				tap(buf[:n])
				continue // which may have done something to the line
			}
			if shut == nil {
				break
			}
			<-shut
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

// cut breaks every connection; what was on its way may have arrived or not. dead: new
// ones break as well, until it is mended.
func (w *wire) cut(dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = dead
	for c := range w.open {
		c.Close()
	}
}

// hold stops answers, and what is asked unless it is only to be mute.
func (w *wire) hold(mute bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.say = make(chan struct{})
	if !mute {
		w.ask = make(chan struct{})
	}
}

// look has every piece of what is asked shown to see first; nil ends that.
func (w *wire) look(see func([]byte)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tap = see
}

// answers has every piece of what is answered go through change first, which may take its
// time and alter it.
func (w *wire) answers(change func([]byte)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoil = change
}

// mend ends whatever was done to it.
func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead, w.spoil = false, nil
	for _, way := range []*chan struct{}{&w.ask, &w.say} {
		if *way != nil {
			close(*way)
			*way = nil
		}
	}
}

// The ways a line can fail for a time. Each returns when it is whole again.
var failures = map[string]func(w []*wire, took time.Duration, r *rand.Rand){
	"cut": func(ws []*wire, took time.Duration, _ *rand.Rand) {
		forAll(ws, func(w *wire) { w.cut(true) })
		time.Sleep(took) // the network's own clock, here and below
		forAll(ws, (*wire).mend)
	},
	"held": func(ws []*wire, took time.Duration, _ *rand.Rand) {
		forAll(ws, func(w *wire) { w.hold(false) })
		time.Sleep(took)
		forAll(ws, (*wire).mend)
	},
	"mute": func(ws []*wire, took time.Duration, _ *rand.Rand) {
		forAll(ws, func(w *wire) { w.hold(true) })
		time.Sleep(took)
		forAll(ws, func(w *wire) { w.cut(false) }) // the answers are lost
		forAll(ws, (*wire).mend)
	},
	// Now and then it is cut, held or mute for a moment, and what was on its way is lost.
	"flapping": func(ws []*wire, took time.Duration, r *rand.Rand) {
		for end := time.Now().Add(took); time.Now().Before(end); {
			how := r.IntN(3)
			forAll(ws, func(w *wire) {
				if how == 0 {
					w.cut(true)
				} else {
					w.hold(how == 1)
				}
			})
			time.Sleep(time.Duration(30+r.IntN(170)) * time.Millisecond)
			forAll(ws, func(w *wire) { w.cut(false) })
			forAll(ws, (*wire).mend)
			time.Sleep(time.Duration(100+r.IntN(400)) * time.Millisecond)
		}
	},
}

func forAll[T any](list []T, f func(T)) {
	for _, x := range list {
		f(x)
	}
}

// wires are the lines of every node, by what is at their end.
type wires map[string][]*wire

var lineNames = []string{"PostgreSQL", "Redis", "slapd", "SMTP"}

// wired puts a line of its own between each node and everything it needs, and gives each
// node a listener for its metrics.
func wired(c *cluster, lines wires, metrics *[]string) {
	c.t.Helper()
	check := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(c.dir, name))
		check(err)
		return string(text)
	}
	database, err := url.Parse(read("database"))
	check(err)
	counters, err := url.Parse(read("redis"))
	check(err)
	slapd, err := url.Parse(c.house.LDAP.URL)
	check(err)
	for i, file := range c.files {
		add := func(name, network, to string) string {
			w := newWire(c.t, network, to)
			lines[name] = append(lines[name], w)
			return w.addr()
		}
		db := fmt.Sprintf("postgres://%s@%s%s?sslmode=disable", database.User, add("PostgreSQL", "unix", filepath.Join(database.Query().Get("host"), ".s.PGSQL.5432")), database.Path)
		check(os.WriteFile(filepath.Join(c.dir, fmt.Sprintf("database%d", i+1)), []byte(db), 0o600))
		check(os.WriteFile(filepath.Join(c.dir, fmt.Sprintf("redis%d", i+1)), []byte("redis://"+add("Redis", "tcp", counters.Host)+"/0"), 0o600))
		config := read(filepath.Base(file))
		_, mail, _ := strings.Cut(config, "\nmail:\n")
		was := between([]byte(mail), "  port: ", "\n")
		_, port, err := net.SplitHostPort(add("SMTP", "tcp", "127.0.0.1:"+was))
		check(err)
		admin, err := FreePort()
		check(err)
		*metrics = append(*metrics, fmt.Sprintf("http://127.0.0.1:%d/metrics", admin))
		for _, change := range [][2]string{
			{"file:database\n", fmt.Sprintf("file:database%d\n", i+1)}, {"file:redis\n", fmt.Sprintf("file:redis%d\n", i+1)},
			{c.house.LDAP.URL, "ldaps://" + add("slapd", "tcp", slapd.Host)}, {"  port: " + was + "\n", "  port: " + port + "\n"},
			{"\nkeys: ", fmt.Sprintf("\nadmin: 127.0.0.1:%d\nkeys: ", admin)},
		} {
			if strings.Count(config, change[0]) != 1 {
				c.t.Fatalf("%q is not once in %s", change[0], config)
			}
			config = strings.Replace(config, change[0], change[1], 1)
		}
		check(os.WriteFile(file, []byte(config), 0o600))
	}
}

// A line that was cut breaks what goes over it, one that was held brings it later, and a
// mute one brings what is asked and loses the answer.
func TestWiresFailAsTheirNamesSay(t *testing.T) {
	got := make(chan string, 100)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { echo.Close() })
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var b [4]byte
				for {
					if _, err := io.ReadFull(c, b[:]); err != nil {
						return
					}
					got <- string(b[:])
					_, _ = c.Write(b[:])
				}
			}()
		}
	}()
	w := newWire(t, "tcp", echo.Addr().String())
	dial := func() net.Conn {
		c, err := net.Dial("tcp", w.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	// ask returns whether an answer came in that time.
	ask := func(c net.Conn, within time.Duration) bool {
		_ = c.SetDeadline(time.Now().Add(within))
		if _, err := io.WriteString(c, "ping"); err != nil {
			return false
		}
		var b [4]byte
		_, err := io.ReadFull(c, b[:])
		return err == nil
	}
	const soon, long = 50 * time.Millisecond, 5 * time.Second
	c := dial()
	if !ask(c, long) {
		t.Fatal("a whole line does not carry")
	}
	<-got
	w.hold(true)
	if ask(c, soon) {
		t.Error("a mute line answers")
	}
	select {
	case <-got:
	case <-time.After(long):
		t.Error("what was asked over a mute line did not arrive")
	}
	w.cut(false)
	w.mend()
	if ask(c, soon) {
		t.Error("what was lost came after all")
	}
	c = dial()
	w.hold(false)
	if ask(c, soon) || len(got) > 0 {
		t.Error("a line that is held carries")
	}
	w.mend()
	var b [4]byte
	_ = c.SetDeadline(time.Now().Add(long))
	if _, err := io.ReadFull(c, b[:]); err != nil {
		t.Errorf("what was held did not come: %v", err)
	}
	w.cut(true)
	if ask(dial(), long) {
		t.Error("a line that is cut carries")
	}
	w.mend()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	for !ask(dial(), long) {
		if ctx.Err() != nil {
			t.Fatal("a line that was mended does not carry")
		}
	}
}
