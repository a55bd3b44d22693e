package enrol

import (
	"context"
	"errors"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
)

// Opened is what a link of an invitation or a reminder is for.
type Opened struct {
	Invited bool      // else a reminder is to be snoozed
	Given   string    // of whom the invitation is for; empty: not known now
	Until   time.Time // when a snooze would end
}

// Open shows what a link is for; ErrNoLink when it opens nothing. Nothing is
// changed by looking. Of an account no more is told than the first name: whoever
// has the mail knows that, and has proved nothing yet.
func (s *Service) Open(ctx context.Context, token string) (Opened, error) {
	l, err := s.Accounts.Link(ctx, notify.Invite, token)
	if errors.Is(err, notify.ErrNoLink) {
		return s.openSnooze(ctx, token)
	} else if err != nil {
		return Opened{}, unavailable(err)
	}
	o := Opened{Invited: true}
	if u, err := s.Directory.Read(ctx, directory.User{ID: l.Account}); err == nil && u.ID == l.Account && s.Policy.Eligible(u) == "" {
		o.Given = u.GivenName
	}
	return o, nil
}

func (s *Service) openSnooze(ctx context.Context, token string) (Opened, error) {
	if _, err := s.Accounts.Link(ctx, notify.Snooze, token); err != nil {
		return Opened{}, noLink(err)
	}
	o := Opened{Until: s.Campaign.until(s.Now())}
	if o.Until.IsZero() {
		return Opened{}, ErrNoLink
	}
	return o, nil
}

// Snooze keeps the next reminder away from whoever got the link's mail, and
// returns until when. They need prove nothing: all they can stop is a reminder.
func (s *Service) Snooze(ctx context.Context, token, address string) (time.Time, error) {
	l, err := s.Accounts.Link(ctx, notify.Snooze, token)
	if err != nil {
		return time.Time{}, noLink(err)
	}
	until := s.Campaign.until(s.Now())
	if until.IsZero() {
		return until, ErrNoLink
	}
	e := audit.Event{At: s.Now(), Kind: "reminder.snoozed", Subject: l.Account, Actor: l.Account, Door: string(access.Web), Address: address, Outcome: audit.OK,
		Detail: map[string]string{"until": until.UTC().Format(time.RFC3339)}}
	err = s.Store.Commit(ctx, Change{Owner: l.Account, Spend: &Spend{Kind: notify.Snooze, Token: token}, Events: []audit.Event{e},
		Standing: func(was access.Standing) access.Standing {
			was.Snoozed = until
			return was
		}})
	if errors.Is(err, notify.ErrNoLink) {
		return time.Time{}, ErrNoLink
	}
	return until, err
}
