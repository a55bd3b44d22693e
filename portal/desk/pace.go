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
	// mostAnHour is how many acts a technician does in an hour, and mostADay how many
	// cases are begun for one person in a day, before a second one is asked.
	mostAnHour = 20
	mostADay   = 1
)

// Counters. They are keyed on the technician, and targets on the person.
const (
	hourly  verify.Kind = "desk:acts"
	targets verify.Kind = "desk:target"
)

// deed of which one technician does no other for the same person within a day.
type deed string

const (
	resets deed = "desk:reset:"
	clears deed = "desk:clear:"
)

// count raises a counter and reports whether it stands above most now.
func (s *Service) count(ctx context.Context, key directory.ID, kind verify.Kind, window time.Duration, most int) (over bool, err error) {
	now := s.Now()
	err = s.Counters.Strike(ctx, key, kind, func(st flow.Strikes) flow.Strikes {
		if st.Since.IsZero() || now.Sub(st.Since) >= window {
			st = flow.Strikes{Since: now}
		}
		st.Window++
		st.Last = now
		over = st.Window > most
		return st
	})
	return over, unavailable(err)
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
