package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"postern/directory"
	"postern/verify"
)

// ErrUnavailable: the store or the vault could not be asked. The answer is no,
// and nothing was changed.
var ErrUnavailable = errors.New("enrol: cannot be decided now")

// unavailable marks an error nobody has a name for as one of ErrUnavailable.
func unavailable(err error) error {
	known := func(e error) bool { return errors.Is(err, e) }
	if err == nil || slices.ContainsFunc([]error{ErrEnded, ErrThreat, ErrNoOffer, ErrNoMethod, verify.ErrDuplicate, verify.ErrTooMany, verify.ErrNoCredential}, known) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// guarded gives the store's faults their name.
type guarded struct{ Store }

func (g guarded) Methods(ctx context.Context, owner directory.ID) ([]verify.Credential, error) {
	all, err := g.Store.Methods(ctx, owner)
	return all, unavailable(err)
}

func (g guarded) HoldOffer(ctx context.Context, o Offer) error {
	return unavailable(g.Store.HoldOffer(ctx, o))
}

func (g guarded) TryOffer(ctx context.Context, owner directory.ID, kind verify.Kind) (Offer, error) {
	o, err := g.Store.TryOffer(ctx, owner, kind)
	return o, unavailable(err)
}

func (g guarded) Commit(ctx context.Context, c Change) error {
	return unavailable(g.Store.Commit(ctx, c))
}
