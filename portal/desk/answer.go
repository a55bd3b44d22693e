package desk

import (
	"cmp"
	"context"
	"errors"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/kiosk"
)

// Phone is where shared screens call from (kiosk.Service).
type Phone interface {
	// Calls are those that nobody has taken, and who's own with no case yet.
	Calls(ctx context.Context, who directory.ID) ([]kiosk.Errand, error)
	TakeCall(ctx context.Context, id, number, name string, by audit.Event) (kiosk.Errand, error)
	CloseCall(ctx context.Context, id string, by audit.Event) error
	Attach(ctx context.Context, id string, who directory.ID, caseID string) error
}

// Ringing are the calls of shared screens that nobody has taken, and those that w has taken
// and begun nothing in.
func (s *Service) Ringing(ctx context.Context, w Who) ([]kiosk.Errand, error) {
	if _, err := s.helps(w); err != nil {
		return nil, err
	}
	list, err := s.Phone.Calls(ctx, w.Principal.ID)
	return list, unavailable(err)
}

// Answer takes a call by the number that the person tells w. *kiosk.WrongNumber; ErrUnknown
// for one that is over, or another's.
func (s *Service) Answer(ctx context.Context, w Who, id, number string) error {
	if _, err := s.acts(w); err != nil {
		return err
	}
	_, err := s.Phone.TakeCall(ctx, id, number, cmp.Or(w.Principal.User.Name, w.Principal.User.Login), w.calling())
	if errors.As(err, new(*kiosk.WrongNumber)) {
		return err
	}
	return known(err)
}

// HangUp ends a call that w has taken and begun nothing in. ErrUnknown for every other.
func (s *Service) HangUp(ctx context.Context, w Who, id string) error {
	if _, err := s.helps(w); err != nil { // to end something needs no fresh proof
		return err
	}
	return known(s.Phone.CloseCall(ctx, id, w.calling()))
}

// calling is w as the record of a call has them.
func (w Who) calling() audit.Event {
	return audit.Event{Actor: w.Principal.ID, ActorName: w.Principal.User.Login, Door: string(access.Desk), Address: w.Address}
}

func known(err error) error {
	if errors.Is(err, kiosk.ErrNone) {
		return ErrUnknown
	}
	return unavailable(err)
}

// at is the screen an order is for: that of a call w has taken. *Refused when it is
// another's, or over: a case is pushed onto no screen that did not call.
func (s *Service) at(ctx context.Context, w Who, call string) (kiosk.Errand, error) {
	if call == "" {
		return kiosk.Errand{}, nil
	}
	list, err := s.Ringing(ctx, w)
	if err != nil {
		return kiosk.Errand{}, err
	}
	for _, e := range list {
		if e.ID == call && e.By == w.Principal.ID {
			return e, nil
		}
	}
	return kiosk.Errand{}, &Refused{"call_over"}
}

// attach tells the screen of the case. When the person has left meanwhile, it ends.
func (s *Service) attach(ctx context.Context, w Who, call, caseID string) error {
	err := s.Phone.Attach(ctx, call, w.Principal.ID, caseID)
	if err == nil {
		return nil
	}
	if werr := s.Cases.Withdraw(ctx, caseID, w.by(), w.Address); werr != nil {
		s.Log.WarnContext(ctx, "a case for a screen that is gone", "case", caseID, "cause", werr.Error())
	}
	if errors.Is(err, kiosk.ErrNone) {
		return &Refused{"call_over"}
	}
	return unavailable(err)
}
