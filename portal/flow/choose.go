package flow

import (
	"context"
	"errors"
	"slices"
	"strings"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/limit"
	"postern/portal/notify"
	"postern/verify"
)

// Choose opens a challenge of the chosen factor, in place of one that is open.
// Choosing a sent code again sends a new one and keeps the count of misses. Why is
// told to whoever is asked to vouch: one of verify.Whys, or empty.
func (s *Service) Choose(ctx context.Context, id string, k verify.Kind, why string) (*Case, error) {
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	if err := s.choosable(c, k); err != nil {
		return c, err
	}
	v, asks := s.factors[k].(verify.Voucher)
	asks = asks && k == verify.Approval // the technician of a handover is on the telephone already
	if asks {
		// Somebody who wants a yes asks again and again, until it is given to have
		// peace (security case 98). Only after a proof can anybody be asked at all, so
		// this limit may show. It comes before the managers are looked up.
		if err := s.take(ctx, limit.Ask, string(c.Key)); err != nil {
			return c, err
		}
	}
	subject := s.subject(c)
	if subject.Why = ""; asks && slices.Contains(verify.Whys(), why) {
		subject.Why = why
	}
	ch, err := s.factors[k].Begin(ctx, subject)
	if errors.Is(err, verify.ErrNobody) {
		if c.Plan.Vouched {
			return c, &Invalid{Code: "no_approver_now"} // there is nothing else to use
		}
		return c, &Invalid{Code: "no_approver"}
	} else if err != nil {
		return c, unavailable(err)
	}
	var asked []directory.ID
	over := false
	if asks {
		ch, asked, err = s.takeAsked(ctx, v, ch)
	} else if len(ch.Deliver) > 0 {
		over, err = s.takeDelivery(ctx, c, ch.Deliver[0].Channel)
	}
	if err != nil {
		return c, err
	}
	turn := c.Turn
	return s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		if c.Turn != turn {
			return Effects{}, ErrConflict
		}
		if err := s.choosable(c, k); err != nil {
			return Effects{}, err
		}
		c.Open, c.Said = &ch, subject.Why
		c.Turn++
		for _, id := range asked {
			if !slices.Contains(c.Asked, id) {
				c.Asked = append(c.Asked, id)
			}
		}
		chosen := s.event(c, "factor.chosen", ok, withFactor(k), withDetail("asked", join(asked)), withDetail("why", subject.Why))
		if over {
			chosen.Outcome, chosen.Reason = refused, "limited"
		}
		return Effects{Events: []audit.Event{chosen}, Messages: s.deliveries(c, ch, over)}, nil
	})
}

func join(ids []directory.ID) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = string(id)
	}
	return strings.Join(list, " ")
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

// takeAsked takes the limit of each who would be asked. One who is asked too much
// already is passed over: else a few colleagues who use up one approver would
// silence all of them.
func (s *Service) takeAsked(ctx context.Context, v verify.Voucher, ch verify.Challenge) (verify.Challenge, []directory.ID, error) {
	var over []directory.ID
	var last error
	for _, id := range v.Asked(ch) {
		err := s.take(ctx, limit.Asked, string(id))
		switch {
		case errors.As(err, new(*Limited)):
			over, last = append(over, id), err
		case err != nil:
			return ch, nil, err
		}
	}
	if len(over) > 0 {
		var err error
		if ch, err = v.Without(ch, over); err != nil {
			return ch, nil, unavailable(err)
		}
	}
	asked := v.Asked(ch)
	if len(asked) == 0 {
		return ch, nil, last
	}
	return ch, asked, nil
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

// deliveries are the messages a challenge sends. A decoy's, and one too many, are
// addressed to nobody: stored and dropped, so that choosing costs the same.
func (s *Service) deliveries(c *Case, ch verify.Challenge, over bool) []notify.Message {
	var list []notify.Message
	for _, d := range ch.Deliver {
		m := notify.Message{Channel: notify.Channel(d.Channel), Template: d.Template, Lang: c.Lang, Args: d.Args, NotAfter: ch.Expires, Case: c.ID}
		switch p := c.Somebody(); {
		case p == nil || over:
		case d.To != nil:
			m.Who = *d.To
			if m.Who.Language != "" {
				m.Lang = m.Who.Language
			}
			m.Links = []notify.LinkTo{{Kind: notify.Approve, Account: d.To.ID, Case: c.ID, Life: ch.Expires.Sub(s.Now())}}
		default:
			m.Who = *p
		}
		list = append(list, m)
	}
	return list
}
