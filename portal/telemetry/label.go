package telemetry

import "sync"

const (
	maxValues = 100 // of one label
	maxLabel  = 64  // bytes of one value
	otherName = "other"
)

// label is what one label may be. Every new value is memory for as long as the
// process lives, so that there are at most 100 and the rest are "other": should
// anything typed ever reach a label, it can neither fill the memory nor be
// read there in full. The zero label has no values yet.
type label struct {
	mu   sync.RWMutex
	seen map[string]bool
}

func (l *label) of(value string) string {
	value = tidy(value)
	l.mu.RLock()
	known, full := l.seen[value], len(l.seen) >= maxValues
	l.mu.RUnlock()
	if known {
		return value
	}
	if full {
		return otherName
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[string]bool{}
	}
	if !l.seen[value] && len(l.seen) >= maxValues {
		return otherName
	}
	l.seen[value] = true
	return value
}

// tidy lets short printable ASCII through and nothing else: Prometheus panics
// at a value that is not UTF-8.
func tidy(value string) string {
	if value == "" || len(value) > maxLabel {
		return otherName
	}
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' {
			return otherName
		}
	}
	return value
}
