package desk

import (
	"context"
	"errors"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/kiosk"
)

// Phone is where shared screens call from (kiosk.Service).
type Phone interface {
	Calls(ctx context.Context) ([]kiosk.Errand, error)
	TakeCall(ctx context.Context, id, number string, by audit.Event) (kiosk.Errand, error)
	Taken(ctx context.Context, who directory.ID) (kiosk.Errand, error)
	Attach(ctx context.Context, id string, who directory.ID, caseID string) error
}

// Ringing are the calls of shared screens that nobody has taken, for who helps.
func (s *Service) Ringing(ctx context.Context, w Who) ([]kiosk.Errand, error) {
	if _, err := s.helps(w); err != nil {
		return nil, err
	}
	list, err := s.Phone.Calls(ctx)
	return list, unavailable(err)
}

// Answer takes a call by the number that the person tells w. *kiosk.WrongNumber; ErrUnknown
// for one that is over, or another's.
func (s *Service) Answer(ctx context.Context, w Who, id, number string) error {
	if _, err := s.acts(w); err != nil {
		return err
	}
	_, err := s.Phone.TakeCall(ctx, id, number, audit.Event{Actor: w.Principal.ID, ActorName: w.Principal.User.Login, Door: string(access.Desk), Address: w.Address})
	switch {
	case errors.Is(err, kiosk.ErrNone):
		return ErrUnknown
	case errors.As(err, new(*kiosk.WrongNumber)):
		return err
	}
	return unavailable(err)
}

// Calling is the screen whose call w has taken and begun nothing in; the zero one: none.
func (s *Service) Calling(ctx context.Context, w Who) (kiosk.Errand, error) {
	e, err := s.Phone.Taken(ctx, w.Principal.ID)
	if errors.Is(err, kiosk.ErrNone) {
		return kiosk.Errand{}, nil
	}
	return e, unavailable(err)
}

// at is the screen an order is for: that of the call w has taken. ErrUnknown when it is
// another's, or over: a case is pushed onto no screen that did not call.
func (s *Service) at(ctx context.Context, w Who, call string) (kiosk.Errand, error) {
	if call == "" {
		return kiosk.Errand{}, nil
	}
	e, err := s.Calling(ctx, w)
	if err == nil && e.ID != call {
		err = ErrUnknown
	}
	return e, err
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
