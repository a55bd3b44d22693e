package desk

import (
	"context"
	"time"

	"postern/directory"
	"postern/portal/flow"
	"postern/verify"
)

const (
	day = 24 * time.Hour
	// mostAnHour is how many acts a technician does in an hour before a second one is asked.
	mostAnHour = 20
	// mostBegun is how many cases one begins in an hour at all, held or not: each one
	// held calls colleagues and security.
	mostBegun = 2 * mostAnHour
)

// Counters. They are keyed on the technician, and targets on the person.
const (
	hourly  verify.Kind = "desk:acts"
	begun   verify.Kind = "desk:begun"
	targets verify.Kind = "desk:target"
	taken   verify.Kind = "desk:taken"
)

// deed of which one technician does no other for the same person within a day.
type deed string

const (
	resets deed = "desk:reset:"
	clears deed = "desk:clear:"
)

// count raises a counter and reports whether it stands above most in the window before
// now. What was counted in the window before this one (Consecutive) weighs as much as of
// that one is not over: else who waits for the end of an hour does twice as much.
func (s *Service) count(ctx context.Context, key directory.ID, kind verify.Kind, window time.Duration, most int) (over bool, err error) {
	now := s.Now()
	err = s.Counters.Strike(ctx, key, kind, func(st flow.Strikes) flow.Strikes {
		switch ago := now.Sub(st.Since); {
		case st.Since.IsZero() || ago >= 2*window:
			st = flow.Strikes{Since: now}
		case ago >= window:
			st = flow.Strikes{Since: st.Since.Add(window), Consecutive: st.Window}
		}
		st.Window++
		st.Last = now
		before := time.Duration(st.Consecutive) * (window - now.Sub(st.Since))
		over = time.Duration(st.Window)*window+before > time.Duration(most)*window
		return st
	})
	return over, unavailable(err)
}

// within notes something about somebody and reports whether there was one in the day
// before.
func (s *Service) within(ctx context.Context, id directory.ID, kind verify.Kind) (again bool, err error) {
	now := s.Now()
	err = s.Counters.Strike(ctx, id, kind, func(st flow.Strikes) flow.Strikes {
		again = !st.Last.IsZero() && now.Sub(st.Last) < day
		return flow.Strikes{Since: now, Last: now}
	})
	return again, unavailable(err)
}

// apart lets one technician either reset a password or clear a factor of the same
// person within a day (security case 103). The one is written down before the other
// is looked for, so that of both at once at most one goes on.
func (s *Service) apart(ctx context.Context, w Who, u directory.User, does, other deed) error {
	now := s.Now()
	kind := func(d deed) verify.Kind { return verify.Kind(string(d) + string(u.ID)) }
	note := func(flow.Strikes) flow.Strikes { return flow.Strikes{Since: now, Last: now} }
	if err := s.Counters.Strike(ctx, w.Principal.ID, kind(does), note); err != nil {
		return unavailable(err)
	}
	both := false
	if err := s.Counters.Strike(ctx, w.Principal.ID, kind(other), func(st flow.Strikes) flow.Strikes {
		both = !st.Last.IsZero() && now.Sub(st.Last) < day
		return st
	}); err != nil {
		return unavailable(err)
	}
	if both {
		return s.refused(ctx, w, u, "second_technician", &Refused{"second_technician"})
	}
	return nil
}
