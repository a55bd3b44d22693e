package ldapconn

import (
	"sync"
	"time"
)

// Cache remembers values for a while, and at most a bounded number of them. It
// is for what may be a little old without harm: policies, group names.
type Cache[K comparable, V any] struct {
	ttl time.Duration
	max int
	now func() time.Time

	mu sync.Mutex
	m  map[K]cached[V]
}

type cached[V any] struct {
	v  V
	at time.Time
}

// NewCache makes a cache of at most max values, each good for ttl.
func NewCache[K comparable, V any](ttl time.Duration, max int, now func() time.Time) *Cache[K, V] {
	return &Cache[K, V]{ttl: ttl, max: max, now: now, m: make(map[K]cached[V])}
}

// Get returns the value kept under k while it is good.
func (c *Cache[K, V]) Get(k K) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[k]
	if !ok || c.now().Sub(e.at) >= c.ttl {
		return v, false
	}
	return e.v, true
}

// Put keeps v under k.
func (c *Cache[K, V]) Put(k K, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if _, there := c.m[k]; !there && len(c.m) >= c.max {
		c.makeRoom(now)
	}
	c.m[k] = cached[V]{v, now}
}

// makeRoom drops what is stale, or else anything: a map's order is as good as random.
func (c *Cache[K, V]) makeRoom(now time.Time) {
	for k, e := range c.m {
		if now.Sub(e.at) >= c.ttl {
			delete(c.m, k)
		}
	}
	for k := range c.m {
		if len(c.m) < c.max {
			return
		}
		delete(c.m, k)
	}
}

// Drop forgets k.
func (c *Cache[K, V]) Drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.m, k)
}
