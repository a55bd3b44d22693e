package flow

import (
	"context"
	"errors"

	"postern/portal/limit"
	"postern/portal/notify"
	"postern/verify"
)

// Choose opens a challenge of the chosen factor, in place of one that is open.
// Choosing a sent code again sends a new one and keeps the count of misses.
func (s *Service) Choose(ctx context.Context, id string, k verify.Kind) (*Case, error) {
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.choosable(c, k); err != nil {
		return c, err
	}
	ch, err := s.factors[k].Begin(ctx, s.subject(c))
	if err != nil {
		return c, unavailable(err)
	}
	over := false
	if ch.Deliver != nil {
		if over, err = s.takeDelivery(ctx, c, ch.Deliver.Channel); err != nil {
			return c, err
		}
	}
	turn := c.Turn
	return s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		if c.Turn != turn {
			return Effects{}, ErrConflict
		}
		if err := s.choosable(c, k); err != nil {
			return Effects{}, err
		}
		c.Open = &ch
		c.Turn++
		chosen := s.event(c, "factor.chosen", ok, withFactor(k))
		if over {
			chosen.Outcome, chosen.Reason = refused, "limited"
		}
		e := Effects{Events: events(chosen)}
		if ch.Deliver != nil {
			e.Messages = []notify.Message{s.delivery(c, ch, over)}
		}
		return e, nil
	})
}

func (s *Service) choosable(c *Case, k verify.Kind) error {
	switch c.Next(s.Now()) {
	case StepChoose, StepAnswer, StepWait:
	default:
		return ErrConflict
	}
	if s.factors[k] == nil || c.Plan.Offer(k, c.Kinds()) != "" {
		return ErrNotOffered
	}
	return nil
}

// takeDelivery takes every limit a sent code costs, for decoys too. Those by the
// name as typed show. Those by account and destination do not (see shown): over
// says that nothing may be sent, and that this must not show.
func (s *Service) takeDelivery(ctx context.Context, c *Case, channel string) (over bool, err error) {
	shown, hidden := string(s.shown(c)), string(s.hidden(c))
	for _, l := range []struct {
		name  limit.Name
		key   string
		shows bool
	}{
		{limit.Send, shown, true},
		{limit.SendDay, shown, true},
		{limit.SendGlobal, channel, true},
		{limit.Send, "hidden:" + hidden, false},
		{limit.SendDay, "hidden:" + hidden, false},
		{limit.Destination, channel + "\x00" + s.destination(c, channel), false},
	} {
		err := s.take(ctx, l.name, l.key)
		if !l.shows && errors.As(err, new(*Limited)) {
			over = true
			continue
		}
		if err != nil {
			return over, err
		}
	}
	return over, nil
}

// destination is where a code would go now, for its limit; the address it is
// really sent to is read again by the job.
func (s *Service) destination(c *Case, channel string) string {
	to := string(c.Key)
	if p := c.Somebody(); p != nil {
		switch {
		case channel == string(notify.SMS) && len(p.Phone) > 0:
			to = p.Phone[0]
		case channel == string(notify.Mail) && len(p.Mail) > 0:
			to = p.Mail[0]
		}
	}
	if s.Destination != nil {
		return s.Destination(channel, to)
	}
	return to
}

// delivery is the message that carries a code. A decoy's, and one too many, is
// addressed to nobody: it is stored and dropped, so that choosing costs the same.
func (s *Service) delivery(c *Case, ch verify.Challenge, over bool) notify.Message {
	m := notify.Message{Channel: notify.Channel(ch.Deliver.Channel), Template: ch.Deliver.Template, Lang: c.Lang,
		Args: ch.Deliver.Args, NotAfter: ch.Expires, Case: c.ID}
	if p := c.Somebody(); p != nil && !over {
		m.Who = *p
	}
	return m
}
