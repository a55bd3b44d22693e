package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Named is a directory and the name the configuration gives it, which is also the
// first half of every ID in it.
type Named struct {
	Name      string
	Directory Directory
}

// Set is several directories as one. A person is looked for in all of them and
// must be in exactly one; everything after that goes to the directory that holds
// the account. Abilities a directory lacks are ErrUnsupported.
type Set struct{ members []Named }

var (
	_ Directory     = (*Set)(nil)
	_ Changer       = (*Set)(nil)
	_ Unlocker      = (*Set)(nil)
	_ Authenticator = (*Set)(nil)
	_ Examiner      = (*Set)(nil)
	_ Revoker       = (*Set)(nil)
	_ Resolver      = (*Set)(nil)
	_ Lister        = (*Set)(nil)
	_ Searcher      = (*Set)(nil)
	_ Expirer       = (*Set)(nil)
	_ Watcher       = (*Set)(nil)
)

// NewSet makes one directory of several, which are asked and reported in this order.
func NewSet(members ...Named) (*Set, error) {
	if len(members) == 0 {
		return nil, errors.New("directory: a set needs at least one directory")
	}
	seen := map[string]bool{}
	for _, m := range members {
		switch {
		case m.Name == "" || m.Directory == nil:
			return nil, errors.New("directory: a directory in a set needs a name")
		case seen[m.Name]:
			return nil, fmt.Errorf("directory: two directories are called %q", m.Name)
		}
		seen[m.Name] = true
	}
	return &Set{members: members}, nil
}

// Find asks every directory, all at once, whatever the others say: stopping at the
// first match would let an account in one stand in for a person in another, and
// would tell by the time which directory somebody is in. While any of them cannot
// answer the person may be there too, so the answer is ErrUnavailable.
func (s *Set) Find(ctx context.Context, login string) (User, error) {
	if len(s.members) == 1 {
		return s.members[0].Directory.Find(ctx, login)
	}
	type answer struct {
		user User
		err  error
	}
	answers := make([]answer, len(s.members))
	var wg sync.WaitGroup
	for i, m := range s.members {
		wg.Go(func() {
			// A panic here would end the process: no handler's recovery reaches it.
			defer func() {
				if r := recover(); r != nil {
					answers[i].err = fmt.Errorf("%w: %s: panic: %v", ErrUnavailable, m.Name, r)
				}
			}()
			answers[i].user, answers[i].err = m.Directory.Find(ctx, login)
		})
	}
	wg.Wait()

	var found []User
	var faults []error
	for i, a := range answers {
		switch {
		case a.err == nil:
			found = append(found, a.user)
		case !errors.Is(a.err, ErrNotFound):
			faults = append(faults, fmt.Errorf("%s: %w", s.members[i].Name, a.err))
		}
	}
	switch {
	case len(faults) > 0:
		return User{}, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(faults...))
	case len(found) != 1:
		return User{}, ErrNotFound
	}
	return found[0], nil
}

// Read implements Directory.
func (s *Set) Read(ctx context.Context, u User) (User, error) {
	d, err := s.of(u)
	if err != nil {
		return User{}, err
	}
	return d.Read(ctx, u)
}

// Rules implements Directory.
func (s *Set) Rules(ctx context.Context, u User) (Rules, error) {
	d, err := s.of(u)
	if err != nil {
		return Rules{}, err
	}
	return d.Rules(ctx, u)
}

// SetPassword implements Directory.
func (s *Set) SetPassword(ctx context.Context, u User, pw Secret) error {
	d, err := s.of(u)
	if err != nil {
		return err
	}
	return d.SetPassword(ctx, u, pw)
}

// ChangePassword implements Changer.
func (s *Set) ChangePassword(ctx context.Context, u User, old, pw Secret) error {
	d, err := able[Changer](s, u)
	if err != nil {
		return err
	}
	return d.ChangePassword(ctx, u, old, pw)
}

// Unlock implements Unlocker.
func (s *Set) Unlock(ctx context.Context, u User) error {
	d, err := able[Unlocker](s, u)
	if err != nil {
		return err
	}
	return d.Unlock(ctx, u)
}

// RequireChange implements Expirer.
func (s *Set) RequireChange(ctx context.Context, u User) error {
	d, err := able[Expirer](s, u)
	if err != nil {
		return err
	}
	return d.RequireChange(ctx, u)
}

// Watch implements Watcher.
func (s *Set) Watch(ctx context.Context, u User) ([]Sighting, error) {
	d, err := able[Watcher](s, u)
	if err != nil {
		return nil, err
	}
	return d.Watch(ctx, u)
}

// Authenticate implements Authenticator.
func (s *Set) Authenticate(ctx context.Context, u User, pw Secret) error {
	d, err := able[Authenticator](s, u)
	if err != nil {
		return err
	}
	return d.Authenticate(ctx, u, pw)
}

// RevokeSessions implements Revoker.
func (s *Set) RevokeSessions(ctx context.Context, u User) error {
	d, err := able[Revoker](s, u)
	if err != nil {
		return err
	}
	return d.RevokeSessions(ctx, u)
}

// Resolve implements Resolver: in the directory that holds from, since a reference
// means nothing in another.
func (s *Set) Resolve(ctx context.Context, from User, ref string) (User, error) {
	d, err := able[Resolver](s, from)
	if err != nil {
		return User{}, err
	}
	return d.Resolve(ctx, from, ref)
}

// People implements Lister: one directory after the other, in order. When one of
// them cannot list, the answer is ErrUnsupported: a count that leaves people out
// would be believed.
func (s *Set) People(ctx context.Context, each func(ID) error) error {
	listers := make([]Lister, len(s.members))
	for i, m := range s.members {
		l, ok := m.Directory.(Lister)
		if !ok {
			return fmt.Errorf("%w: %s", ErrUnsupported, m.Name)
		}
		listers[i] = l
	}
	for _, l := range listers {
		if err := l.People(ctx, each); err != nil {
			return err
		}
	}
	return nil
}

// Examine implements Examiner: every directory that can be examined, in order,
// each line with its name in front.
func (s *Set) Examine(ctx context.Context) []Finding {
	var out []Finding
	for _, m := range s.members {
		e, ok := m.Directory.(Examiner)
		if !ok {
			continue
		}
		for _, f := range e.Examine(ctx) {
			f.Check = m.Name + ": " + f.Check
			out = append(out, f)
		}
	}
	return out
}

// of finds u's directory by its name, or by the first half of its ID where no
// more than that is known. Nobody at all is the first directory's.
func (s *Set) of(u User) (Directory, error) {
	name := u.Directory
	if name == "" {
		name, _, _ = strings.Cut(string(u.ID), ":")
	}
	if name == "" {
		return s.members[0].Directory, nil
	}
	for _, m := range s.members {
		if m.Name == name {
			return m.Directory, nil
		}
	}
	return nil, fmt.Errorf("%w: there is no directory called %q", ErrNotFound, name)
}

// able is the ability A of the directory that holds u.
func able[A any](s *Set, u User) (A, error) {
	var none A
	d, err := s.of(u)
	if err != nil {
		return none, err
	}
	a, ok := d.(A)
	if !ok {
		return none, fmt.Errorf("%w: %s", ErrUnsupported, u.Directory)
	}
	return a, nil
}
