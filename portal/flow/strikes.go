package flow

import (
	"context"
	"math"
	"time"

	"postern/directory"
	"postern/portal/policy"
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

// shown is what the limits that show go by: the name as typed. A person has
// several, and nobody has one each; were the limits by account, a second name
// that is limited at once would tell that both are the same person's, who thus
// exists (security case 5). Somebody signed in is told by their account.
func (s *Service) shown(c *Case) directory.ID {
	if c.Purpose == policy.StepUp || c.Login == "" {
		return c.Key
	}
	return s.decoyID(seedOf(c.Login))
}

// hidden is what the limits that do not show go by: the account, whatever name
// was typed (security case 10). Somebody who does not exist is counted twice
// too, so that it costs the same.
func (s *Service) hidden(c *Case) directory.ID {
	if c.Purpose != policy.StepUp && s.shown(c) == c.Key {
		return s.decoyID("hidden:" + string(c.Key))
	}
	return c.Key
}

// strike raises the counters of one answer, in ctx's transaction. A *Limited
// says that the one that shows is used up. over says that the account's is: the
// answer must not be looked at then, and must look like a wrong one.
func (s *Service) strike(ctx context.Context, c *Case, kind verify.Kind, everybodys, own StrikeRule, now time.Time) (over bool, err error) {
	visible, wait, ok := everybodys, time.Duration(0), false
	if c.Purpose == policy.StepUp {
		visible = own
	}
	if err := s.Counters.Strike(ctx, s.shown(c), kind, func(st Strikes) (next Strikes) {
		next, wait, ok = visible.Add(st, now)
		return next
	}); err != nil {
		return false, err
	}
	if !ok {
		return false, &Limited{Retry: wait}
	}
	if c.Purpose == policy.StepUp {
		return false, nil
	}
	err = s.Counters.Strike(ctx, s.hidden(c), kind, func(st Strikes) Strikes {
		next, _, fits := own.Add(st, now)
		over = !fits
		return next
	})
	return over, err
}

// unstrike is what a right answer does to the same counters.
func (s *Service) unstrike(ctx context.Context, c *Case, kind verify.Kind) error {
	keys := []directory.ID{s.shown(c)}
	if c.Purpose != policy.StepUp {
		keys = append(keys, s.hidden(c))
	}
	for _, key := range keys {
		if err := s.Counters.Strike(ctx, key, kind, Strikes.Clear); err != nil {
			return err
		}
	}
	return nil
}

// strikeRules are the durable limits for one account and factor: everybody's,
// which shows, and the account's own. Wrong current passwords stop at least two
// below the directory's lockout, so that the portal cannot be used to lock
// anybody out (security case 18). Where an account has a policy of its own that
// must not show: it would tell who exists, and who matters enough to have one.
func (s *Service) strikeRules(ctx context.Context, c *Case, kind verify.Kind) (everybodys, own StrikeRule, err error) {
	everybodys, own = s.Strikes, s.Strikes
	// A name cannot be bound anew, so a hundred wrong answers do not end it.
	everybodys.Hard = math.MaxInt
	if kind != verify.Password {
		return everybodys, own, nil
	}
	below := func(rule *StrikeRule, who directory.User) error {
		rules, err := s.Directory.Rules(ctx, who)
		if err == nil && rules.LockoutThreshold > 0 {
			rule.PerWindow = min(rule.PerWindow, rules.LockoutThreshold-2)
			rule.Window = max(rule.Window, rules.LockoutWindow)
		}
		return err
	}
	if err := below(&everybodys, directory.User{}); err != nil || c.Person == nil {
		return everybodys, own, err
	}
	return everybodys, own, below(&own, *c.Person)
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

// forgive ends the row of failures of what nobody can bind anew here: the
// password, which was just set, and codes that are sent. Their owner has proved
// themselves otherwise, and a stranger's hundred wrong answers must not end them
// for ever. The window stays.
func (s *Service) forgive(ctx context.Context, c *Case) error {
	if c.Purpose != policy.Reset {
		return nil
	}
	for _, k := range []verify.Kind{verify.Password, verify.Email, verify.SMS} {
		if s.factors[k] == nil {
			continue
		}
		if err := s.Counters.Strike(ctx, c.Key, k, func(st Strikes) Strikes {
			st.Consecutive = 0
			return st
		}); err != nil {
			return err
		}
	}
	return nil
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
