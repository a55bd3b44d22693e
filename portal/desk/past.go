package desk

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
)

// How much of the past is on a page.
const (
	mostPast    = 8
	mostNotices = 8
)

// PastCase is a case of somebody, open or over.
type PastCase struct {
	ID      string
	Purpose string
	Door    string
	Began   time.Time
	By      Party // who began it, where that was not the person; zero else
	Outcome Result
	// Mine is a case that whoever looks goes on with, and Open one of which they may
	// have the evidence.
	Mine, Open bool
}

// past are the latest cases of an account, from the record: rows go after a day.
func (s *Service) past(ctx context.Context, w Who, roles []access.Role, id directory.ID) (list []PastCase, err error) {
	events, err := s.History.CaseEnds(ctx, id, 8*mostPast)
	if err != nil {
		return nil, unavailable(err)
	}
	ended := map[string]Result{}
	for _, e := range events { // the newest first: what came last is how it ended
		if _, known := ended[e.Case]; !known && (e.Kind == "case.closed" || ends(e.Purpose, e.Kind)) {
			ended[e.Case] = Result{Status: "refused", Reason: e.Reason, At: e.At}
			if e.Kind != "case.closed" {
				ended[e.Case] = ending(e)
			}
		}
		if e.Kind != "case.started" || e.Outcome != audit.OK || len(list) == mostPast {
			continue
		}
		p := PastCase{ID: e.Case, Purpose: e.Purpose, Door: e.Door, Began: e.At, Outcome: ended[e.Case]}
		if p.Outcome.Status == "" {
			if p.Outcome, err = s.stands(ctx, e.Case); err != nil {
				return nil, err
			}
		}
		if desk := e.Door == string(access.Desk); desk {
			own := e.Actor == w.Principal.ID
			p.By = party(e.Actor, e.ActorName)
			p.Mine = own && p.Outcome.Status == "running"
			p.Open = own || slices.Contains(roles, access.Senior) || slices.Contains(roles, access.Auditor)
		}
		list = append(list, p)
	}
	return list, nil
}

// stands is how a case stands of which the record has no end.
func (s *Service) stands(ctx context.Context, id string) (Result, error) {
	c, err := s.Cases.Load(ctx, id)
	if errors.Is(err, flow.ErrNoCase) {
		return Result{Status: "expired"}, nil
	}
	if err != nil {
		return Result{}, err
	}
	return s.outcome(c), nil
}

// notices are the latest messages to an account.
func (s *Service) notices(ctx context.Context, id directory.ID) (list []Notice, err error) {
	events, err := s.History.Notices(ctx, id, mostNotices)
	for _, e := range events {
		list = append(list, notice(e, true))
	}
	return list, unavailable(err)
}

func notice(e audit.Event, person bool) Notice {
	return Notice{At: e.At, Template: e.Detail["template"], Channel: e.Detail["channel"], Delivered: e.Kind == audit.MessageSent, Reason: e.Reason, Person: person}
}
