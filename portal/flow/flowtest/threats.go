package flowtest

import (
	"context"
	"sync"

	"postern/portal/access"
)

// Threats is the threat level, in memory. The zero value is as careful as ever.
type Threats struct {
	mu    sync.Mutex
	level access.Threat
	err   error
}

func (t *Threats) Threat(context.Context) (access.Threat, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.level, t.err
}

// Raise and Lower turn it; Fail makes every reading fail.
func (t *Threats) Raise()         { t.set(access.Threat{Level: access.Raised}, nil) }
func (t *Threats) Lower()         { t.set(access.Threat{Level: access.Normal}, nil) }
func (t *Threats) Fail(err error) { t.set(access.Threat{}, err) }

func (t *Threats) set(level access.Threat, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.level, t.err = level, err
}
