package kiosk

import (
	"context"
	"errors"
	"time"

	"postern/portal/access"
)

// Left ends what is left at devices that have not been heard of for longer than idle (the
// power went, or the network) and at those that were revoked: their calls to the desk, and
// their cases, of which leave is told.
func (s *Service) Left(ctx context.Context, idle time.Duration, leave func(ctx context.Context, id string, at access.Screen) error) error {
	all, err := s.Store.Kiosks(ctx)
	if err != nil {
		return err
	}
	calls, err := s.Errands.OpenErrands(ctx, ToDesk, s.Now())
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range all {
		if d.inUse() && s.Now().Sub(d.Seen) < idle {
			continue
		}
		for _, e := range calls {
			if e.Screen.ID != d.ID {
				continue
			}
			if e.Case != "" {
				errs = append(errs, leave(ctx, e.Case, e.Screen))
			}
			errs = append(errs, s.EndErrand(ctx, e.ID, e.Screen))
		}
		if d.Case != "" {
			errs = append(errs, s.leaveCase(ctx, d, leave))
		}
	}
	return errors.Join(errs...)
}

// leaveCase ends the case that d had. Another one may have begun there meanwhile.
func (s *Service) leaveCase(ctx context.Context, d Device, leave func(ctx context.Context, id string, at access.Screen) error) error {
	if err := leave(ctx, d.Case, d.Screen()); err != nil {
		return err
	}
	_, err := s.Store.UpdateKiosk(ctx, d.ID, func(_ context.Context, now *Device) (Effects, error) {
		if now.Case == d.Case {
			now.Case = ""
		}
		return Effects{}, nil
	})
	return err
}
