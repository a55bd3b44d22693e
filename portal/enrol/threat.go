package enrol

import (
	"context"
	"errors"
	"slices"

	"postern/verify"
)

// ErrThreat: the threat level is raised, and this waits until it is lowered.
var ErrThreat = errors.New("enrol: not while the threat level is raised")

func (s *Service) raised(ctx context.Context) (bool, error) {
	t, err := s.Threats.Threat(ctx)
	return t.Raised(s.Now()), unavailable(err)
}

// calm is ErrThreat while the threat level is raised.
func (s *Service) calm(ctx context.Context) error {
	raised, err := s.raised(ctx)
	if err == nil && raised {
		err = ErrThreat
	}
	return err
}

// careful is what a set-up must heed: while the threat level is raised nothing that
// proves somebody goes away or is made anew, and who adds something has just proved
// what they hold. Saved codes may be a photograph of a sheet, and whoever has nothing
// yet could be anybody with a password: they wait. calm says that the change must not
// happen if the level is raised before it does.
func (s *Service) careful(ctx context.Context, w Who, kind verify.Kind, replaces string) (calm bool, err error) {
	have, err := s.Store.Methods(ctx, w.Principal.ID)
	if err != nil {
		return false, err
	}
	again := kind == verify.RecoveryCode && slices.ContainsFunc(have, func(c verify.Credential) bool { return c.Kind == kind })
	goes := replaces != "" || again
	calm = goes || !w.Principal.Bound()
	raised, err := s.raised(ctx)
	if err != nil || !raised || !calm {
		return calm, err
	}
	if !goes && slices.ContainsFunc(have, func(c verify.Credential) bool { return c.Kind.Class() == verify.Possession }) {
		return calm, &StepUp{Strong: true}
	}
	return calm, ErrThreat
}
