package kiosk

import (
	"cmp"
	"context"
	"crypto/subtle"
	"slices"
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
	if !d.mayCall() {
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

func (d Device) mayCall() bool { return d.inUse() && d.May(Help) }

// Calls are those that who has taken and begun nothing in yet (By says so), the last one
// first, and then those that nobody has taken, oldest first. Those of devices revoked
// meanwhile are none.
func (s *Service) Calls(ctx context.Context, who directory.ID) (list []Errand, err error) {
	open, err := s.Errands.OpenErrands(ctx, ToDesk, s.Now())
	if err != nil || len(open) == 0 {
		return nil, err
	}
	devices, err := s.Store.Kiosks(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range open {
		if e.Case == "" && (e.By == "" || e.By == who) && slices.ContainsFunc(devices, func(d Device) bool { return d.ID == e.Screen.ID && d.mayCall() }) {
			list = append(list, e)
		}
	}
	// Were the first one taken before it, the case of who speaks now would open before
	// somebody else.
	slices.SortStableFunc(list, func(a, b Errand) int { return cmp.Or(b.Matched.Compare(a.Matched), a.Created.Compare(b.Created)) })
	return list, nil
}

// updateCall is UpdateErrand of a call whose device may still make one.
func (s *Service) updateCall(ctx context.Context, id string, change func(e *Errand) (Effects, error)) (Errand, error) {
	e, err := s.Errands.Errand(ctx, id, "")
	if err != nil {
		return Errand{}, err
	}
	if d, err := s.Store.Kiosk(ctx, Index{ID: e.Screen.ID}); err != nil {
		return Errand{}, err
	} else if !d.mayCall() {
		return Errand{}, ErrNone
	}
	return s.Errands.UpdateErrand(ctx, id, func(_ context.Context, e *Errand) (Effects, error) {
		if e.Kind != ToDesk || e.Ended {
			return Effects{}, ErrNone
		}
		return change(e)
	})
}

// TakeCall gives a call to who types the number that the person tells them: by has the
// actor, door and address, and name is what the person reads of them. *WrongNumber; three of them end it. ErrNone when there is no
// such call, or another one has it.
func (s *Service) TakeCall(ctx context.Context, id, number, name string, by audit.Event) (Errand, error) {
	var wrong *WrongNumber
	e, err := s.updateCall(ctx, id, func(e *Errand) (Effects, error) {
		wrong = nil
		if by.Actor == "" || e.By != "" || e.Over(s.Now()) {
			return Effects{}, ErrNone
		}
		if subtle.ConstantTimeCompare([]byte(strings.TrimSpace(number)), []byte(e.Number)) == 1 {
			e.Matched, e.By, e.ByName = s.Now(), by.Actor, name
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

// CloseCall ends a call that who acts in by has taken and begun nothing in. ErrNone for
// every other.
func (s *Service) CloseCall(ctx context.Context, id string, by audit.Event) error {
	_, err := s.updateCall(ctx, id, func(e *Errand) (Effects, error) {
		if by.Actor == "" || e.By != by.Actor || e.Case != "" {
			return Effects{}, ErrNone
		}
		e.Ended = true
		return Effects{Events: []audit.Event{s.callEvent(*e, "kiosk.call_closed", audit.OK, by)}}, nil
	})
	return err
}

// Attach notes the case that who took the call has begun, once. ErrNone when the person has
// left meanwhile.
func (s *Service) Attach(ctx context.Context, id string, who directory.ID, caseID string) error {
	_, err := s.updateCall(ctx, id, func(e *Errand) (Effects, error) {
		switch {
		case who == "" || e.By != who || e.Case == "" && !s.Now().Before(e.Expires):
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
