package limit

import (
	"context"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/common"
	"github.com/ulule/limiter/v3/drivers/store/memory"
)

const (
	// shared is how many counters of one name newcomers share when it is full.
	shared = 1 << 12
	// sweepEvery is how often counters whose period is over are thrown away;
	// sooner when there are too many, and never more often than sweepAtMost.
	sweepEvery  = time.Minute
	sweepAtMost = time.Second
)

// Memory is a Store in this process, for one node. It keeps most counters and,
// beyond them, a fixed number of shared ones for each limit: a flood of new
// addresses costs no more memory, and is counted more strictly.
//
// It wraps the counters of ulule/limiter, which by themselves grow without end
// and run a goroutine; it needs none.
type Memory struct {
	cache    *memory.CacheWrapper
	most     int64
	live     atomic.Int64
	full     atomic.Bool
	sweeping sync.Mutex
	swept    atomic.Int64 // when, in Unix nanoseconds
}

// NewMemory keeps most counters.
func NewMemory(most int) *Memory {
	m := &Memory{cache: memory.NewCache(0), most: int64(most)}
	m.swept.Store(time.Now().UnixNano())
	return m
}

// Get counts one.
func (m *Memory) Get(_ context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	key = m.place(key)
	n, until := m.cache.Increment(key, 1, rate.Period)
	if n == 1 {
		m.live.Add(1)
	}
	now := time.Now()
	m.sweep(now)
	return common.GetContextFromState(now, rate, until, n), nil
}

// Peek counts nothing.
func (m *Memory) Peek(_ context.Context, key string, rate limiter.Rate) (limiter.Context, error) {
	n, until := m.cache.Get(m.place(key), rate.Period)
	return common.GetContextFromState(time.Now(), rate, until, n), nil
}

// place is key itself, or a shared counter for a newcomer to a full store.
func (m *Memory) place(key string) string {
	if !m.full.Load() {
		return key
	}
	if _, known := m.cache.Load(key); known {
		return key
	}
	h := fnv.New32a()
	h.Write([]byte(key))
	name, _, _ := strings.Cut(key, ":")
	return name + ":shared:" + strconv.Itoa(int(h.Sum32()%shared))
}

// sweep throws away what is over when it is time to, in one goroutine at once.
func (m *Memory) sweep(now time.Time) {
	age := time.Duration(now.UnixNano() - m.swept.Load())
	crowded := m.live.Load() >= m.most && !m.full.Load()
	if age < sweepAtMost && !crowded || age < sweepEvery && m.live.Load() < m.most {
		return
	}
	if !m.sweeping.TryLock() {
		return
	}
	defer m.sweeping.Unlock()
	m.cache.Clean()
	var n int64
	m.cache.Range(func(string, *memory.Counter) { n++ })
	m.live.Store(n)
	// Full a tenth early, or a store just below the mark would be swept for
	// every newcomer.
	m.full.Store(n >= m.most-m.most/10)
	m.swept.Store(now.UnixNano())
}
