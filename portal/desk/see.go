package desk

import (
	"context"
	"errors"
	"slices"
	"sync"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/verify"
)

// Account is what a technician sees of somebody: no secret, no code.
type Account struct {
	User     directory.User
	Manager  string // their name; empty: none, or it cannot be told now
	Methods  []verify.Credential
	Standing access.Standing
	Recent   []audit.Event
	Open     *flow.Case // the technician's own, still running; nil: none
	Cases    []PastCase // open ones and past ones, newest first
	Notices  []Notice   // sent to them, newest first
	// Refused is why no case can be begun; empty: one can. Of whom it is self, staff,
	// privileged or denied nothing but the name is there.
	Refused string
}

// recent is how many lines of the record there are on the page.
const recent = 12

// See shows somebody. It is written down before anything is shown.
func (s *Service) See(ctx context.Context, w Who, id directory.ID) (Account, error) {
	roles, err := s.helps(w)
	if err != nil {
		return Account{}, err
	}
	u, why, err := s.admit(ctx, w, roles, id)
	if err != nil {
		return Account{}, err
	}
	if slices.Contains([]string{"self", "staff", "privileged", "denied"}, why) {
		return Account{User: directory.User{ID: u.ID, Login: u.Login, Name: u.Name}, Refused: why}, s.refused(ctx, w, u, why, nil)
	}
	a := Account{User: u, Refused: why}
	if err := s.fill(ctx, w, roles, &a); err != nil {
		return Account{}, err
	}
	return a, s.note(ctx, s.event(w, audit.DeskViewed, u))
}

// fill asks for all that is known side by side.
func (s *Service) fill(ctx context.Context, w Who, roles []access.Role, a *Account) error {
	var all sync.WaitGroup
	errs := make([]error, 7)
	for i, ask := range []func() error{
		func() error { return s.manager(ctx, a) },
		func() (err error) { a.Methods, err = s.Known.Methods(ctx, a.User.ID); return unavailable(err) },
		func() (err error) { a.Standing, err = s.Known.Standing(ctx, a.User.ID); return unavailable(err) },
		func() (err error) { a.Recent, err = s.Record.Recent(ctx, a.User.ID, recent); return unavailable(err) },
		func() (err error) { a.Cases, err = s.past(ctx, w, roles, a.User.ID); return err },
		func() (err error) { a.Notices, err = s.notices(ctx, a.User.ID); return err },
		func() (err error) { a.Open, err = s.running(ctx, w, a.User.ID); return err },
	} {
		all.Go(func() { errs[i] = ask() })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (s *Service) manager(ctx context.Context, a *Account) error {
	m, err := s.boss(ctx, a.User)
	a.Manager = m.Name
	return err
}

// boss is the manager of u; nobody where there is none to be found.
func (s *Service) boss(ctx context.Context, u directory.User) (directory.User, error) {
	if u.Manager == "" {
		return directory.User{}, nil
	}
	m, err := s.People.Resolve(ctx, u, u.Manager)
	if errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrUnsupported) {
		return directory.User{}, nil
	}
	return m, err
}

// running is a case of w's that goes on for somebody.
func (s *Service) running(ctx context.Context, w Who, id directory.ID) (*flow.Case, error) {
	ids, err := s.Known.Running(ctx, id)
	if err != nil {
		return nil, unavailable(err)
	}
	for _, one := range ids {
		c, err := s.Cases.Load(ctx, one)
		if err != nil && !errors.Is(err, flow.ErrNoCase) {
			return nil, err
		}
		if err == nil && c.Door == access.Desk && c.By.ID == w.Principal.ID && c.Live(s.Now()) {
			return c, nil
		}
	}
	return nil, nil
}
