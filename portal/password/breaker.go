package password

import (
	"sync"
	"time"
)

const (
	// tolerated are the failures in a row that may each be bad luck.
	tolerated = 3
	// rest is how long nobody asks after them. It is longer than a question takes,
	// so that the one who tries then is the only one under way.
	rest = 10 * time.Second
)

// breaker spares people the wait while a service is down: after some failures in
// a row nobody asks for a while, and then one does for all.
type breaker struct {
	mu     sync.Mutex
	failed int // in a row
	until  time.Time
	trying bool
}

// enter reports whether to ask. Whoever is told so must call leave.
func (b *breaker) enter(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed < tolerated {
		return true
	}
	if b.trying || now.Before(b.until) {
		return false
	}
	b.trying = true
	return true
}

// leave says what came of asking.
func (b *breaker) leave(well bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	if well {
		b.failed = 0
		return
	}
	b.failed++
	b.until = now.Add(rest)
}
