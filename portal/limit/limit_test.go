package limit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ulule/limiter/v3"
)

var ctx = context.Background()

func testKey() []byte { return bytes.Repeat([]byte{7}, 32) }

func newLimiter(t testing.TB, change func(*Options)) *Limiter {
	t.Helper()
	o := Options{Config: DefaultConfig(), Key: testKey(), Store: NewMemory(100_000), Now: time.Now}
	if change != nil {
		change(&o)
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantExceeded(t *testing.T, err error, name Name) *Exceeded {
	t.Helper()
	var over *Exceeded
	if !errors.As(err, &over) || over.Name != name {
		t.Fatalf("%v, want %s exceeded", err, name)
	}
	return over
}

func TestALimitHoldsForItsPeriodAndNotLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, func(o *Options) { o.Config.Send = Rate{3, 10 * time.Minute} })
		for i := range 3 {
			if err := l.Take(ctx, Send, "ad:1"); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			time.Sleep(time.Minute)
		}
		over := wantExceeded(t, l.Take(ctx, Send, "ad:1"), Send)
		if over.Retry < 7*time.Minute || over.Retry > 7*time.Minute+2*time.Second {
			t.Errorf("again in %s, want 7m", over.Retry)
		}
		if err := l.Take(ctx, Send, "ad:2"); err != nil {
			t.Errorf("somebody else: %v", err)
		}
		if err := l.Take(ctx, SendDay, "ad:1"); err != nil {
			t.Errorf("another limit: %v", err)
		}
		time.Sleep(over.Retry)
		if err := l.Take(ctx, Send, "ad:1"); err != nil {
			t.Errorf("when it said to come back: %v", err)
		}
	})
}

// security case 9
func TestOfTwoHundredAtOnceOnlyTheLimitGetsThrough(t *testing.T) {
	l := newLimiter(t, func(o *Options) { o.Config.Answer = Rate{5, time.Minute} })
	var wg sync.WaitGroup
	var through atomic.Int64
	for range 200 {
		wg.Go(func() {
			if l.Take(ctx, Answer, Key("ad:1", "totp")) == nil {
				through.Add(1)
			}
		})
	}
	wg.Wait()
	if through.Load() != 5 {
		t.Errorf("%d of 200 got through a limit of 5", through.Load())
	}
}

// security case 13
func TestOneGuessEachOnManyAccountsTripsTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var alarms []Alarm
		l := newLimiter(t, func(o *Options) {
			o.Config.Accounts, o.Config.Failures = Rate{20, time.Hour}, Rate{100, 10 * time.Minute}
			o.Alarm = func(a Alarm) { alarms = append(alarms, a) }
		})
		for i := range 20 {
			for range 4 { // the same account again is not another one
				if err := l.Failed(ctx, "192.0.2.1", fmt.Sprint("ad:", i)); err != nil {
					t.Fatalf("account %d: %v", i, err)
				}
			}
		}
		if err := l.Take(ctx, Address, "192.0.2.1"); err != nil {
			t.Errorf("refused before the wire was crossed: %v", err)
		}
		for i := 20; i < 30; i++ {
			wantExceeded(t, l.Failed(ctx, "192.0.2.1", fmt.Sprint("ad:", i)), Accounts)
		}
		wantExceeded(t, l.Take(ctx, Address, "192.0.2.1"), Accounts)
		wantExceeded(t, l.Take(ctx, Start, "192.0.2.1"), Accounts)
		if err := l.Take(ctx, Address, "192.0.2.2"); err != nil {
			t.Errorf("another address: %v", err)
		}
		if want := []Alarm{{Accounts, "192.0.2.1"}}; !slices.Equal(alarms, want) {
			t.Errorf("alarms %v, want %v", alarms, want)
		}
		for i := range 20 {
			_ = l.Failed(ctx, fmt.Sprint("198.51.100.", i), "ad:x")
		}
		if len(alarms) != 2 || alarms[1].Name != Failures {
			t.Errorf("the failures of everybody together were not told once: %v", alarms)
		}
		time.Sleep(time.Hour + time.Second)
		if err := l.Take(ctx, Address, "192.0.2.1"); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

type broken struct{}

var errBroken = errors.New("no answer")

func (broken) Get(context.Context, string, limiter.Rate) (limiter.Context, error) {
	return limiter.Context{}, errBroken
}
func (broken) Peek(context.Context, string, limiter.Rate) (limiter.Context, error) {
	return limiter.Context{}, errBroken
}

// security case 17: what cannot be counted is refused.
func TestABrokenStoreMeansNo(t *testing.T) {
	l := newLimiter(t, func(o *Options) { o.Store = broken{} })
	for _, e := range DefaultConfig().table() {
		if err := l.Take(ctx, e.name, "x"); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", e.name, err)
		}
	}
	if err := l.Failed(ctx, "a", "b"); !errors.Is(err, errBroken) {
		t.Errorf("Failed: %v", err)
	}
	if err := newLimiter(t, nil).Take(ctx, "nonsense", "x"); err == nil {
		t.Error("a limit nobody knows let it through")
	}
}

func TestHitsAreReported(t *testing.T) {
	var hits []Name
	l := newLimiter(t, func(o *Options) {
		o.Config.SendGlobal = Rate{1, time.Hour}
		o.Hit = func(n Name) { hits = append(hits, n) }
	})
	_ = l.Take(ctx, SendGlobal, "a")
	_ = l.Take(ctx, SendGlobal, "a")
	if !slices.Equal(hits, []Name{SendGlobal}) {
		t.Errorf("%v", hits)
	}
}

type spy struct {
	Store
	keys []string
}

func (s *spy) Get(ctx context.Context, key string, r limiter.Rate) (limiter.Context, error) {
	s.keys = append(s.keys, key)
	return s.Store.Get(ctx, key, r)
}

func TestKeysSayNothingAndDoNotCollide(t *testing.T) {
	s := &spy{Store: NewMemory(1000)}
	l := newLimiter(t, func(o *Options) { o.Store = s })
	for _, key := range []string{"alice@example.org", strings.Repeat("x", 1<<20), "", Key("ab", "c"), Key("a", "bc"), Key("abc"), Key("abc", "")} {
		if err := l.Take(ctx, Answer, key); err != nil {
			t.Fatal(err)
		}
	}
	_ = l.Take(ctx, Send, "alice@example.org")
	if again := slices.Clone(s.keys); len(slices.Compact(slices.Sorted(slices.Values(again)))) != len(again) {
		t.Errorf("two things share a counter: %v", s.keys)
	}
	for _, k := range s.keys {
		if len(k) > 40 || strings.Contains(k, "alice") || strings.ContainsAny(k, " \n\x00") {
			t.Errorf("stored key %q", k)
		}
	}
	other := &spy{Store: NewMemory(1000)}
	_ = newLimiter(t, func(o *Options) { o.Store = other; o.Key = bytes.Repeat([]byte{8}, 32) }).Take(ctx, Answer, "alice@example.org")
	if other.keys[0] == s.keys[0] {
		t.Error("the key makes no difference")
	}
}

func TestAddressKey(t *testing.T) {
	same := func(a, b string) bool {
		return AddressKey(netip.MustParseAddr(a)) == AddressKey(netip.MustParseAddr(b))
	}
	if !same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9") || !same("fe80::1%eth0", "fe80::2%eth1") {
		t.Error("one /64 has two keys")
	}
	if same("2001:db8:1:2::1", "2001:db8:1:3::1") || same("192.0.2.1", "192.0.2.2") {
		t.Error("two lines have one key")
	}
	if !same("::ffff:192.0.2.1", "192.0.2.1") {
		t.Error("one IPv4 address has two keys")
	}
	if AddressKey(netip.Addr{}) == "" {
		t.Error("no address, no key")
	}
}

// A flood of new addresses must not fill the memory, nor make the old counters
// forget (abuse with an IPv6 /32: 2^32 keys).
func TestAFloodIsBoundedAndForgetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory(2000)
		l := newLimiter(t, func(o *Options) { o.Store, o.Config.Answer = m, Rate{5, 15 * time.Minute} })
		for range 5 {
			if err := l.Take(ctx, Answer, "victim"); err != nil {
				t.Fatal(err)
			}
		}
		refused := 0
		for i := range 60_000 {
			if l.Take(ctx, Answer, fmt.Sprint("flood ", i)) != nil {
				refused++
			}
		}
		wantExceeded(t, l.Take(ctx, Answer, "victim"), Answer)
		if m.live.Load() > 2000+shared {
			t.Errorf("%d counters are kept", m.live.Load())
		}
		if refused == 0 {
			t.Error("newcomers to a full store are not counted together")
		}
		time.Sleep(16 * time.Minute)
		if err := l.Take(ctx, Answer, "victim"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if err := l.Take(ctx, Answer, "newcomer"); err != nil || m.full.Load() || m.live.Load() > 10 {
			t.Errorf("the store did not recover: %v, %d counters", err, m.live.Load())
		}
	})
}

func TestMemoryIsSafeUnderASweep(t *testing.T) {
	l := newLimiter(t, func(o *Options) { o.Store = NewMemory(1000) })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				_ = l.Take(ctx, Page, fmt.Sprint(g, "/", i))
			}
		})
	}
	wg.Wait()
}

func TestRatesAreReadStrictly(t *testing.T) {
	for text, want := range map[string]Rate{"5/15m": {5, 15 * time.Minute}, "10/1d": {10, 24 * time.Hour}, "1/90s": {1, 90 * time.Second}, "2/48h": {2, 48 * time.Hour}} {
		var r, back Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || r != want {
			t.Errorf("%s: %v %v", text, r, err)
		}
		if err := back.UnmarshalText([]byte(r.String())); err != nil || back != r {
			t.Errorf("%s written as %s and read as %v", text, r, back)
		}
	}
	for _, text := range []string{"", "5", "5/m", "0/1m", "-1/1m", "05/1m", "5/0m", " 5/1m", "5/1m ", "5 / 1m", "5/1m0s", "5/1w", "5/1M", "1e3/1m", "9999999999/1m", "5/1m\n"} {
		var r Rate
		if r.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q was read as %s", text, r)
		}
	}
}

func TestValidateAndNew(t *testing.T) {
	if f := DefaultConfig().Validate(); len(f) > 0 {
		t.Fatal(f)
	}
	if f := (Config{}).Validate(); len(f) != len(DefaultConfig().table())+1 {
		t.Errorf("of an empty table %d faults: %v", len(f), f)
	}
	for name, change := range map[string]func(*Options){
		"short key": func(o *Options) { o.Key = o.Key[:31] },
		"no store":  func(o *Options) { o.Store = nil },
		"no clock":  func(o *Options) { o.Now = nil },
		"no rate":   func(o *Options) { o.Config.Answer = Rate{} },
	} {
		o := Options{Config: DefaultConfig(), Key: testKey(), Store: NewMemory(1000), Now: time.Now}
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: New took it", name)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	for _, name := range []Name{Address, Answer} {
		b.Run(string(name), func(b *testing.B) {
			l := newLimiter(b, func(o *Options) { o.Config.Address.Limit, o.Config.Answer.Limit = 1e9, 1e9 })
			keys := make([]string, 4096)
			for i := range keys {
				keys[i] = fmt.Sprint("ad:", i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := l.Take(ctx, name, keys[i%len(keys)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
