package job

import (
	"context"
	"errors"
	"time"
)

const (
	// sealEvery is how soon events are sealed that nobody here wrote: by another node
	// that died, or by a command.
	sealEvery = time.Second
	// sealPause lets busy times share a signature; an event waits for it at most.
	sealPause = 400 * time.Millisecond
	// sealLast is for what was written until the end.
	sealLast = 5 * time.Second
)

// Sealer puts committed events into the log of the record (*store.DB). Every node may
// do it at any time: the database lets one at it, and the others come again.
type Sealer interface {
	// Seal returns how many it put in, 0 when there was nothing to do.
	Seal(ctx context.Context) (int, error)
	// Recorded has wake called after every commit with events; nil stops that.
	Recorded(wake func())
}

// sealing keeps the log up with the record, within a second, until ctx ends, and once
// more then. Where it cannot, events are still committed, and are sealed when it can.
func (r *Runner) sealing(ctx context.Context) {
	if r.Sealer == nil {
		return
	}
	wake := make(chan struct{}, 1)
	r.Sealer.Recorded(func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	defer func() {
		r.Sealer.Recorded(nil)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), sealLast)
		defer cancel()
		r.seal(last)
	}()
	for {
		r.seal(ctx)
		if !wait(ctx, sealPause, nil) || !wait(ctx, sealEvery-sealPause, wake) {
			return
		}
	}
}

// wait is over after d, or sooner when woken. It returns false when ctx has ended.
func wait(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-woken:
	}
	return true
}

// seal until nothing is left. A fault is told when it begins and when it is over, and
// not every second between.
func (r *Runner) seal(ctx context.Context) {
	var err error
	for n := 1; n > 0 && err == nil && ctx.Err() == nil; {
		n = 0
		if !r.Safe("seal", func() { n, err = r.Sealer.Seal(ctx) }) {
			err = errors.New("sealing panicked")
		}
	}
	switch {
	case ctx.Err() != nil:
	case err != nil && !r.unsealed:
		r.unsealed = true
		r.Log.ErrorContext(ctx, "the record cannot be sealed", "error", err)
		if r.Alarm != nil {
			r.Alarm("record")
		}
	case err == nil && r.unsealed:
		r.unsealed = false
		r.Log.InfoContext(ctx, "the record is sealed again")
	}
}
