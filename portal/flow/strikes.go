package flow

import (
	"context"
	"time"

	"postern/verify"
)

// Strikes counts answers that were not right, for one account and one factor,
// over all cases, addresses and nodes. It rises before the answer is checked.
type Strikes struct {
	Consecutive int       // since the last right answer
	Window      int       // in the window that began at Since
	Since       time.Time // start of the window
	Last        time.Time
}

// StrikeRule is how many are borne. NIST SP 800-63B-4 section 3.2.2: at most
// 100 consecutive, then the factor must be bound anew; waits may grow.
type StrikeRule struct {
	PerWindow int
	Window    time.Duration
	WaitAfter int // consecutive failures after which each one costs a wait…
	WaitFirst time.Duration
	WaitMax   time.Duration // …that doubles up to this
	Hard      int           // consecutive failures after which it is over
}

// DefaultStrikeRule: 5 in 15 minutes; after 10 in a row a wait from 30 s to 1 h; 100 end it.
var DefaultStrikeRule = StrikeRule{PerWindow: 5, Window: 15 * time.Minute, WaitAfter: 10, WaitFirst: 30 * time.Second, WaitMax: time.Hour, Hard: 100}

// Add takes one more answer. ok says whether it may be looked at; wait is how
// long until the next one may be, when not (0 and not ok: never, bind it anew).
func (r StrikeRule) Add(s Strikes, now time.Time) (next Strikes, wait time.Duration, ok bool) {
	if s.Consecutive >= r.Hard {
		return s, 0, false
	}
	if now.Sub(s.Since) >= r.Window || now.Before(s.Since) && s.Window == 0 {
		s.Since, s.Window = now, 0
	}
	if s.Window >= r.PerWindow {
		return s, max(time.Second, s.Since.Add(r.Window).Sub(now)), false
	}
	if over := s.Consecutive - r.WaitAfter; over >= 0 {
		need := min(r.WaitMax, r.WaitFirst<<min(over, 16))
		if until := s.Last.Add(need); now.Before(until) {
			return s, until.Sub(now), false
		}
	}
	s.Consecutive++
	s.Window++
	s.Last = now
	return s, 0, true
}

// Clear is what a right answer leaves: the one strike it raised itself is taken
// back from the window, and the row of failures is broken.
func (s Strikes) Clear() Strikes {
	return Strikes{Window: max(0, s.Window-1), Since: s.Since, Last: s.Last}
}

// tooOften reports whether the plan's number of successes a day is used up. It
// reads the durable counter under the case's own transaction.
func (s *Service) tooOften(ctx context.Context, c *Case, now time.Time) (often bool, err error) {
	if c.Plan.PerDay <= 0 {
		return false, nil
	}
	err = s.Counters.Strike(ctx, c.Key, daily(c), func(st Strikes) Strikes {
		often = now.Sub(st.Since) < day && st.Window >= c.Plan.PerDay
		return st
	})
	return often, err
}

// countDone counts one success; refused passwords do not count.
func (s *Service) countDone(ctx context.Context, c *Case, now time.Time) error {
	if c.Plan.PerDay <= 0 {
		return nil
	}
	return s.Counters.Strike(ctx, c.Key, daily(c), func(st Strikes) Strikes {
		if now.Sub(st.Since) >= day {
			st = Strikes{Since: now}
		}
		st.Window++
		st.Last = now
		return st
	})
}

const day = 24 * time.Hour

func daily(c *Case) verify.Kind { return verify.Kind("done:" + string(c.Purpose)) }
