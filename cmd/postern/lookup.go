package main

import (
	"context"

	"postern/directory"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/notify/sms"
	"postern/verify"
)

// strikes counts wrong answers (*store.DB).
type strikes interface {
	Strikes(ctx context.Context, key directory.ID, kind verify.Kind) (flow.Strikes, error)
}

// ended says of a factor what flow would: by the same rule.
func ended(s strikes) enrol.Ended {
	return func(ctx context.Context, id directory.ID, kind verify.Kind) (bool, error) {
		n, err := s.Strikes(ctx, id, kind)
		return n.Consecutive >= flow.DefaultStrikeRule.Hard, err
	}
}

// phone says whether a code by SMS can be sent to somebody; to nobody while there
// is no SMS.
func (c Config) phone() (func(directory.User) bool, error) {
	if !c.SMS.On() {
		return func(directory.User) bool { return false }, nil
	}
	numbers, err := sms.NewNumbers(c.SMS.Region, c.SMS.Countries)
	if err != nil {
		return nil, err
	}
	return func(u directory.User) bool {
		if len(u.Phone) == 0 {
			return false
		}
		_, err := numbers.Normalize(u.Phone[0]) // codes go to the first
		return err == nil
	}, nil
}
