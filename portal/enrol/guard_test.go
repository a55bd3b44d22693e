package enrol_test

import (
	"context"
	"errors"
	"testing"

	"postern/directory"
	"postern/portal/enrol"
	"postern/verify"
)

// broken is a store that cannot be asked.
type broken struct{ err error }

func (b broken) Methods(context.Context, directory.ID) ([]verify.Credential, error) {
	return nil, b.err
}
func (b broken) HoldOffer(context.Context, enrol.Offer) error { return b.err }
func (b broken) TryOffer(context.Context, directory.ID, verify.Kind) (enrol.Offer, error) {
	return enrol.Offer{}, b.err
}
func (b broken) Commit(context.Context, enrol.Change) error { return b.err }

// A store that cannot be asked is told from one that says no.
func TestStoreFaultsHaveAName(t *testing.T) {
	for _, c := range []struct {
		err  error
		down bool
	}{{errors.New("driver: bad connection"), true}, {enrol.ErrNoMethod, false}, {verify.ErrDuplicate, false}} {
		r := newRig(t)
		o := r.Options
		o.Store = broken{c.err}
		s, err := enrol.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Methods(ctx, r.who(alice, "aa")); !errors.Is(err, c.err) || errors.Is(err, enrol.ErrUnavailable) != c.down {
			t.Errorf("%v became %v", c.err, err)
		}
	}
}
