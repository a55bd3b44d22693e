package flow

import (
	"context"
	"time"

	"postern/portal/access"
	"postern/portal/limit"
	"postern/portal/policy"
)

// ReasonLeft: nobody stood before the shared screen any more.
const ReasonLeft Reason = "left"

// origin is what the limits by address go by. A registered device has limits of its
// own, whatever address it shares with a whole building (security case 111); those by
// person are the same everywhere.
// Once a case was carried off, the device has no part in it.
func origin(at access.Screen, carried bool, address string) string {
	if at.Here() && !carried {
		return limit.ScreenKey(at.ID)
	}
	return addressKey(address)
}

func (r StartRequest) origin() string { return origin(r.At, r.Carried, r.Address) }

func (c *Case) origin() string { return origin(c.At, !c.Carried.IsZero(), c.Address) }

// Leave ends a case that somebody began at a shared screen and walked away from. One
// that they took along on their phone goes on there, and so does a write under way.
func (s *Service) Leave(ctx context.Context, id string, at access.Screen) error {
	now := s.Now()
	_, err := s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		if !at.Here() || c.At.ID != at.ID || !c.Carried.IsZero() || !c.Live(now) || c.Outcome.Status == InFlight {
			return Effects{}, nil
		}
		c.end(ReasonLeft)
		return Effects{Events: events(s.event(c, "case.closed", ok, withReason(string(ReasonLeft))))}, nil
	})
	return err
}

// Carry moves a case from the screen it was begun at to the phone that asks, once. That
// the phone is before that screen is portal/kiosk's to say. What was being asked at the
// screen is asked anew; the proofs given there stay.
func (s *Service) Carry(ctx context.Context, id string, at access.Screen, address, lang string) (*Case, error) {
	now := s.Now()
	return s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		switch {
		case !at.Here() || c.Door != access.Kiosk || c.At.ID != at.ID || !c.Carried.IsZero():
			return Effects{}, ErrNoRequest
		case !c.portable(now):
			return Effects{}, ErrConflict
		}
		c.Carried, c.Address, c.Lang = now, address, lang
		c.Open = nil
		c.Turn++
		return Effects{Events: events(s.event(c, "case.carried", ok))}, nil
	})
}

// Portable reports whether c can still be carried to a phone. A change cannot: what was
// typed at the screen is sealed under a key of that browser. Nor can a case of the desk:
// its technician was told which screen it is at.
func (c *Case) Portable(now time.Time) bool {
	return c.Door == access.Kiosk && c.Carried.IsZero() && c.portable(now)
}

func (c *Case) portable(now time.Time) bool {
	return c.Live(now) && c.Outcome.Status == Pending && c.Purpose != policy.Change
}

// ClaimAt opens a case that a technician began for who stands before a screen that called
// them, there and nowhere else, once. While it is held for a second technician, and for any
// other screen, it is ErrNoRequest.
func (s *Service) ClaimAt(ctx context.Context, id string, at access.Screen, address, lang string) (*Case, error) {
	now := s.Now()
	return s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		if !at.Here() || c.Door != access.Desk || c.At.ID != at.ID || !c.Claimed.IsZero() || !c.Live(now) || c.Ghost() || c.OnHold() {
			return Effects{}, ErrNoRequest
		}
		c.Claimed, c.Code, c.Address, c.Lang = now, "", address, lang
		return Effects{Events: events(s.event(c, "case.claimed", ok))}, nil
	})
}
