package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/notify"
	"postern/verify"
)

// Request is a case as the one who is asked to vouch sees it.
type Request struct {
	Case    *Case
	Ballot  verify.Ballot
	Open    bool // it can still be answered with yes
	Mine    bool // …or with no: the case is still running
	Vouched bool // somebody said yes already
}

// ErrNoRequest: the link opens nothing for whoever asks.
var ErrNoRequest = errors.New("flow: no such request")

// Unfit is a yes or a look that is not theirs; the code is for the audit log.
type Unfit = verify.Unfit

// Request shows a request to whom the link is for, signed in as themselves with
// something bound to a device; to everybody else it is ErrNoRequest (security case
// 94). Nothing is changed by looking.
func (s *Service) Request(ctx context.Context, token string, by access.Principal) (Request, error) {
	c, voter, err := s.seat(ctx, token, by)
	if err != nil {
		return Request{}, err
	}
	return s.request(ctx, c, voter)
}

func (s *Service) request(ctx context.Context, c *Case, voter directory.User) (r Request, err error) {
	now := s.Now()
	r = Request{Case: c, Open: c.Next(now) == StepWait, Mine: c.Live(now) && c.Outcome.Status != InFlight && !c.Ghost(),
		Vouched: slices.Contains(c.Kinds(), verify.Approval)}
	if !r.Open {
		return r, nil
	}
	v, can := s.factors[verify.Approval].(verify.Voucher)
	if !can {
		return r, ErrNotOffered
	}
	if err := s.notMutual(ctx, c, voter.ID); err != nil {
		return r, err
	}
	r.Ballot, err = v.Ballot(ctx, s.subject(c), *c.Open, voter)
	return r, err
}

// seat finds the case of a link, and makes sure that it is by's.
func (s *Service) seat(ctx context.Context, token string, by access.Principal) (*Case, directory.User, error) {
	l, err := s.Accounts.Link(ctx, notify.Approve, token)
	if err != nil {
		if errors.Is(err, notify.ErrNoLink) {
			err = ErrNoRequest
		}
		return nil, directory.User{}, unavailable(err)
	}
	// Whose link it is decides first: everybody else sees that there is nothing.
	if by.ID == "" || l.Account != by.ID {
		return nil, directory.User{}, ErrNoRequest
	}
	u, err := s.voter(ctx, by)
	if err != nil {
		return nil, u, err
	}
	c, err := s.Store.Case(ctx, l.Case)
	if errors.Is(err, ErrNoCase) {
		return nil, u, ErrNoRequest
	} else if err != nil {
		return nil, u, err
	}
	if !slices.Contains(c.Asked, u.ID) || c.Person == nil {
		return nil, u, ErrNoRequest
	}
	return c, u, nil
}

// voter reads somebody signed in again. Whose account may not use the portal any
// more, or got another password, is nobody.
func (s *Service) voter(ctx context.Context, by access.Principal) (directory.User, error) {
	u, err := s.Directory.Read(ctx, by.User)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return u, ErrNoRequest
	case err != nil:
		return u, err
	case u.ID != by.ID, s.Policy.Eligible(u) != "", !u.State.PasswordSet.Equal(by.User.State.PasswordSet):
		return u, ErrNoRequest
	}
	if frozen, err := s.frozen(ctx, u.ID); err != nil {
		return u, err
	} else if frozen {
		return u, ErrNoRequest
	}
	if !by.Bound() {
		return u, ErrWeak
	}
	return u, nil
}

// Sheet is what a requester's page shows while it waits, from Challenge.Public.
type Sheet struct {
	Number string    `json:"number"`
	Asked  time.Time `json:"asked"`
	Who    []string  `json:"who"`
}

// Sheet reads it.
func (c *Case) Sheet() (sheet Sheet, err error) {
	if c.Open == nil {
		return sheet, ErrConflict
	}
	if len(c.Open.Public) == 0 {
		return sheet, nil // nothing to show
	}
	if err := json.Unmarshal(c.Open.Public, &sheet); err != nil {
		return sheet, fmt.Errorf("flow: what to show while waiting: %w", err)
	}
	return sheet, nil
}
