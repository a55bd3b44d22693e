package limit

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/portal/limit/limittest"
)

func overRedis(t testing.TB, address string, change func(*Config), changed func(bool)) *Limiter {
	t.Helper()
	r, err := NewRedis(address, 100_000, changed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return newLimiter(t, func(o *Options) {
		o.Store = r
		if change != nil {
			change(&o.Config)
		}
	})
}

// Security case 9, over nodes: 200 at once on two nodes, and as many get through as may.
func TestTwoNodesCountAsOne(t *testing.T) {
	s := limittest.Redis(t)
	five := func(c *Config) { c.Answer = Rate{5, time.Minute} }
	nodes := []*Limiter{overRedis(t, s.URL(), five, nil), overRedis(t, s.URL(), five, nil)}
	var through atomic.Int64
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if nodes[i%2].Take(ctx, Answer, Key("ad:1", "totp")) == nil {
				through.Add(1)
			}
		})
	}
	all.Wait()
	if through.Load() != 5 {
		t.Errorf("%d of 200 got through a limit of 5 on two nodes", through.Load())
	}
	over := wantExceeded(t, nodes[0].Take(ctx, Answer, Key("ad:1", "totp")), Answer)
	if over.Retry > 62*time.Second {
		t.Errorf("again in %s", over.Retry)
	}
	if err := nodes[1].Take(ctx, Answer, Key("ad:2", "totp")); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	// The tripwire is one as well.
	for i := range 50 {
		if err := nodes[i%2].Failed(ctx, "192.0.2.1", "ad:"+strings.Repeat("x", i)); err != nil {
			t.Fatal(err)
		}
	}
	wantExceeded(t, nodes[0].Failed(ctx, "192.0.2.1", "ad:last"), Accounts)
	wantExceeded(t, nodes[1].Take(ctx, Start, "192.0.2.1"), Accounts)
}

func TestAPeriodOverEndsInRedis(t *testing.T) {
	s := limittest.Redis(t)
	l := overRedis(t, s.URL(), func(c *Config) { c.Answer = Rate{1, time.Second} }, nil)
	if err := l.Take(ctx, Answer, "a"); err != nil {
		t.Fatal(err)
	}
	wantExceeded(t, l.Take(ctx, Answer, "a"), Answer)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) { // Redis's own clock
		if l.Take(ctx, Answer, "a") == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the period does not end")
		}
	}
}

// Whoever reads Redis learns how much is going on, and of nobody.
func TestRedisSaysNothingOfAnybody(t *testing.T) {
	s := limittest.Redis(t)
	l := overRedis(t, s.URL(), nil, nil)
	who := AddressKey(netip.MustParseAddr("2001:db8:1:2::7"))
	for _, name := range []Name{Address, Start, Answer, Destination} {
		if err := l.Take(ctx, name, Key(who, "alice@example.org")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Failed(ctx, who, "ad:alice"); err != nil {
		t.Fatal(err)
	}
	keys := s.Say("KEYS *")
	if n := strings.Count(keys, redisPrefix+":"); n < 6 {
		t.Fatalf("%d keys: %q", n, keys)
	}
	for _, secret := range []string{"2001", "alice", "example"} {
		if strings.Contains(keys, secret) {
			t.Errorf("%q is in Redis: %s", secret, keys)
		}
	}
}

// Security case 17: without Redis nobody gets more guesses than with it, nothing is
// sent, nobody waits, and it is told once; when Redis is back it counts again.
func TestWithoutRedisItIsStricter(t *testing.T) {
	s := limittest.Redis(t)
	var told []bool
	var mu sync.Mutex
	l := overRedis(t, s.URL(), func(c *Config) { c.Answer = Rate{10, time.Minute} }, func(down bool) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, down)
	})
	if err := l.Take(ctx, Answer, "before"); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	before := runtime.NumGoroutine()
	through := 0
	for range 200 {
		from := time.Now()
		if l.Take(ctx, Answer, "ad:1") == nil {
			through++
		}
		if took := time.Since(from); took > time.Second {
			t.Fatalf("one took %s", took)
		}
	}
	if through != 2 {
		t.Errorf("%d got through a fifth of 10", through)
	}
	if err := l.Take(ctx, Send, "ad:1"); !errors.Is(err, ErrApart) {
		t.Errorf("a code may be sent: %v", err)
	}
	if n := runtime.NumGoroutine(); n > before+10 {
		t.Errorf("%d goroutines, before it was %d", n, before)
	}
	s.Start()
	for end := time.Now().Add(3 * tripFor); l.Take(ctx, Send, "ad:1") != nil; time.Sleep(100 * time.Millisecond) { // the breaker's own clock
		if time.Now().After(end) {
			t.Fatal("Redis is back, and not asked")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 2 || !told[0] || told[1] {
		t.Errorf("told %v", told)
	}
}

// A Redis that says nothing, or what no Redis says, is as one that is not there; and a
// portal starts without it.
func TestARedisThatLiesIsNotBelieved(t *testing.T) {
	for name, answer := range map[string]string{"silent": "", "garbage": "HTTP/1.1 200 OK\r\n\r\n", "wrong type": "$2\r\nhi\r\n", "error": "-ERR no\r\n", "counts backwards": "*2\r\n:-5\r\n:1000\r\n"} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						buf := make([]byte, 4096)
						for {
							if _, err := c.Read(buf); err != nil {
								return
							}
							if _, err := io.WriteString(c, answer); err != nil {
								return
							}
						}
					}()
				}
			}()
			l := overRedis(t, "redis://"+ln.Addr().String(), func(c *Config) { c.Answer = Rate{10, time.Minute} }, nil)
			from, through := time.Now(), 0
			for range 30 {
				if l.Take(ctx, Answer, "ad:1") == nil {
					through++
				}
			}
			if took := time.Since(from); took > 4*redisTime*tripAfter || through > 2 {
				t.Errorf("%d got through in %s", through, took)
			}
			if err := l.Take(ctx, Send, "ad:1"); !errors.Is(err, ErrApart) {
				t.Errorf("a code may be sent: %v", err)
			}
		})
	}
}

func TestRedisIsNotSpokenToInTheClear(t *testing.T) {
	for address, says := range map[string]string{
		"redis://:s3cret@redis.example.org:6379": "would not be encrypted", "redis://10.0.0.1": "would not be encrypted",
		"http://:s3cret@localhost": "cannot be read", "nonsense s3cret": "cannot be read",
		"redis://localhost:6379": "", "redis://[::1]:6379": "", "rediss://:s3cret@redis.example.org": "", "unix:///run/redis.sock": "",
	} {
		_, err := parseRedis(address)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the password is told: %v", err)
		}
	}
}

// What Redis costs a request, beside memory.
func BenchmarkTakeRedis(b *testing.B) {
	s := limittest.Redis(b)
	l := overRedis(b, s.URL(), func(c *Config) { c.Answer = Rate{999999999, time.Minute} }, nil)
	for b.Loop() {
		if err := l.Take(ctx, Answer, "ad:1"); err != nil {
			b.Fatal(err)
		}
	}
}
