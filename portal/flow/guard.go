package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"postern/directory"
	"postern/verify"
)

// ErrUnavailable: something the core needs could not be asked (the store, a
// limiter, the vault). The answer is no, and nothing was changed.
var ErrUnavailable = errors.New("flow: cannot be decided now")

// unavailable marks an error nobody has a name for as one of ErrUnavailable.
func unavailable(err error) error {
	if err == nil || errors.Is(err, ErrNoCase) || errors.Is(err, ErrConflict) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNoRequest) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// guarded gives the store's faults their name. What the core itself answered
// inside an update passes as it is.
type guarded struct{ Store }

func (g guarded) Create(ctx context.Context, c *Case, e Effects) error {
	return unavailable(g.Store.Create(ctx, c, e))
}

func (g guarded) Case(ctx context.Context, id string) (*Case, error) {
	c, err := g.Store.Case(ctx, id)
	return c, unavailable(err)
}

func (g guarded) Update(ctx context.Context, id string, change func(context.Context, *Case) (Effects, error)) (*Case, error) {
	var own error
	c, err := g.Store.Update(ctx, id, func(ctx context.Context, c *Case) (e Effects, err error) {
		e, err = change(ctx, c)
		own = err
		return e, err
	})
	if own != nil && errors.Is(err, own) {
		return c, own
	}
	return c, unavailable(err)
}

func (g guarded) Unsettled(ctx context.Context, before time.Time) ([]string, error) {
	ids, err := g.Store.Unsettled(ctx, before)
	return ids, unavailable(err)
}

type guardedCounters struct{ Counters }

func (g guardedCounters) Strike(ctx context.Context, key directory.ID, kind verify.Kind, change func(Strikes) Strikes) error {
	return unavailable(g.Counters.Strike(ctx, key, kind, change))
}
