package kiosk

import (
	"context"
	"crypto/subtle"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/audit"
)

const (
	// callLife is how long a call waits for somebody at the desk.
	callLife = 15 * time.Minute
	// takenLife is how long who took a call has to begin a case in it.
	takenLife = 15 * time.Minute
)

// AskDesk calls a technician to d. Its screen shows a number that the person tells them,
// so that each knows the other is there. A device has one call at most.
func (s *Service) AskDesk(ctx context.Context, d Device, lang, from string) (Errand, error) {
	if !d.inUse() || !d.May(Help) {
		return Errand{}, ErrNone
	}
	open, err := s.Errands.OpenErrands(ctx, ToDesk, s.Now())
	if err != nil {
		return Errand{}, err
	}
	for _, e := range open {
		if e.Screen.ID != d.ID {
			continue
		}
		if err := s.EndErrand(ctx, e.ID, e.Screen); err != nil {
			return Errand{}, err
		}
	}
	e, err := s.errand(ToDesk, d, lang, callLife)
	if err != nil {
		return Errand{}, err
	}
	return e, s.Errands.AddErrand(ctx, e, Effects{Events: []audit.Event{s.errandEvent(e, "kiosk.called", audit.OK, from)}})
}

// Calls are those that nobody has taken, oldest first.
func (s *Service) Calls(ctx context.Context) (list []Errand, err error) {
	open, err := s.Errands.OpenErrands(ctx, ToDesk, s.Now())
	for _, e := range open {
		if e.By == "" {
			list = append(list, e)
		}
	}
	return list, err
}

// TakeCall gives a call to who types the number that the person tells them: by has the
// actor, door and address. *WrongNumber; three of them end it. ErrNone when there is no
// such call, or another one has it.
func (s *Service) TakeCall(ctx context.Context, id, number string, by audit.Event) (Errand, error) {
	var wrong *WrongNumber
	e, err := s.Errands.UpdateErrand(ctx, id, func(_ context.Context, e *Errand) (Effects, error) {
		wrong = nil
		if by.Actor == "" || e.Kind != ToDesk || e.By != "" || e.Over(s.Now()) {
			return Effects{}, ErrNone
		}
		if subtle.ConstantTimeCompare([]byte(strings.TrimSpace(number)), []byte(e.Number)) == 1 {
			e.Matched, e.By, e.ByName = s.Now(), by.Actor, by.ActorName
			e.Expires = e.Matched.Add(takenLife)
			return Effects{Events: []audit.Event{s.callEvent(*e, "kiosk.call_taken", audit.OK, by)}}, nil
		}
		e.Misses++
		wrong = &WrongNumber{Left: max(0, maxMisses-e.Misses)}
		e.Ended = e.Misses >= maxMisses
		return Effects{Events: []audit.Event{s.callEvent(*e, "kiosk.call_missed", audit.Failed, by)}}, nil
	})
	if err == nil && wrong != nil {
		err = wrong
	}
	return e, err
}

// Taken is the call that who has taken last and begun nothing in yet; ErrNone. Were it the
// first one, the case of who speaks now would open before somebody else.
func (s *Service) Taken(ctx context.Context, who directory.ID) (Errand, error) {
	open, err := s.Errands.OpenErrands(ctx, ToDesk, s.Now())
	if err != nil {
		return Errand{}, err
	}
	last, err := Errand{}, ErrNone
	for _, e := range open {
		if who != "" && e.By == who && e.Case == "" && !e.Matched.Before(last.Matched) {
			last, err = e, nil
		}
	}
	return last, err
}

// Attach notes the case that who took the call has begun, once. ErrNone when the person has
// left meanwhile.
func (s *Service) Attach(ctx context.Context, id string, who directory.ID, caseID string) error {
	_, err := s.Errands.UpdateErrand(ctx, id, func(_ context.Context, e *Errand) (Effects, error) {
		switch {
		case e.Kind != ToDesk || who == "" || e.By != who || e.Ended || e.Case == "" && !s.Now().Before(e.Expires):
			return Effects{}, ErrNone
		case e.Case == caseID:
			return Effects{}, nil // the same form again
		case e.Case != "":
			return Effects{}, ErrNone
		}
		e.Case = caseID
		return Effects{}, nil
	})
	return err
}

// callEvent is one of who sits at the desk.
func (s *Service) callEvent(e Errand, kind string, o audit.Outcome, by audit.Event) audit.Event {
	ev := s.errandEvent(e, kind, o, by.Address)
	ev.Actor, ev.ActorName, ev.Door = by.Actor, by.ActorName, by.Door
	return ev
}
