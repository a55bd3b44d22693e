package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
)

// fresh is how old a technician's proof may be at an act (security case 104).
const fresh = 10 * time.Minute

// helps are the roles of who may help anybody, as the directory has them now.
// Whoever has none sees nothing; nor does a password with a mailed code.
func (s *Service) helps(w Who) ([]access.Role, error) {
	roles := s.Roles.Of(w.Principal.User)
	if w.Principal.ID == "" || !slices.Contains(roles, access.Technician) && !slices.Contains(roles, access.Senior) {
		return nil, ErrUnknown
	}
	if !w.Principal.Bound() {
		return nil, ErrStale
	}
	return roles, nil
}

// acts is helps for what changes something.
func (s *Service) acts(w Who) ([]access.Role, error) {
	roles, err := s.helps(w)
	if err == nil && !w.Principal.Fresh(s.Now(), fresh) {
		err = ErrStale
	}
	return roles, err
}

// admit reads whom an id names and says why nothing may be begun for them; empty
// when it may. Whoever is out of scope was never there, moved a moment ago or not.
func (s *Service) admit(ctx context.Context, w Who, roles []access.Role, id directory.ID) (u directory.User, why string, err error) {
	u, err = s.People.Read(ctx, directory.User{ID: id})
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return u, "", s.unknown(ctx, w, directory.User{ID: id}, "unknown_account")
	case err != nil:
		return u, "", err
	}
	barred := s.barred(u)
	if barred == "out_of_scope" || !s.reaches(roles, u) {
		return u, "", s.unknown(ctx, w, u, "out_of_scope")
	}
	return u, cmp.Or(s.colleague(w, u), barred, s.Policy.Eligible(u)), nil
}

// reaches reports whether somebody with these roles can begin anything for u.
func (s *Service) reaches(roles []access.Role, u directory.User) bool {
	return s.Scope.Of(roles, u) || s.Scope.Crosses(roles, u)
}

// unknown records whom somebody asked for in vain, and is ErrUnknown.
func (s *Service) unknown(ctx context.Context, w Who, u directory.User, why string) error {
	return s.refused(ctx, w, u, why, ErrUnknown)
}

// refused records a no and is answer; without a record it is an outage.
func (s *Service) refused(ctx context.Context, w Who, u directory.User, why string, answer error) error {
	e := s.event(w, audit.DeskRefused, u)
	e.Outcome, e.Reason = audit.Refused, why
	if err := s.note(ctx, e); err != nil {
		return err
	}
	return answer
}

func (s *Service) event(w Who, kind string, u directory.User) audit.Event {
	return audit.Event{At: s.Now(), Kind: kind, Subject: u.ID, SubjectName: u.Login, Actor: w.Principal.ID, ActorName: w.Principal.User.Login,
		Door: string(access.Desk), Address: w.Address, Outcome: audit.OK}
}

func (s *Service) note(ctx context.Context, e ...audit.Event) error {
	return unavailable(s.Record.Note(ctx, e, nil))
}

// unavailable is a fault of the store: the answer is no.
func unavailable(err error) error {
	if err == nil || errors.Is(err, flow.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", flow.ErrUnavailable, err)
}
