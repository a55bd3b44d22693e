package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Named is a directory and the name the configuration gives it, which is also the
// first half of every ID in it.
type Named struct {
	Name      string
	Directory Directory
	// Suffixes are ends of logins, behind the at sign, that are looked for here and
	// nowhere else.
	Suffixes []string
	// SyncedFrom are the names of the directories whose accounts this tenant has
	// copies of.
	SyncedFrom []string
}

// Set is several directories as one. A person is looked for in all of them, or in
// the one that what was typed leads to, and must be in exactly one; everything after
// that goes to the directory that holds the account. Abilities a directory lacks are
// ErrUnsupported.
//
// What was typed leads to one directory when it begins with that one's name and a
// backslash, as a picker writes it, or ends with one of its suffixes.
//
// A copy of an account in a tenant stands for its original: that is what is found.
// And nobody who has a role in the tenant by their copy is cleared of being privileged
// because the original has none: a new password there would be synced.
type Set struct {
	members []Named
	first   bool
}

// FirstWins makes the order of the directories count: of several that hold somebody
// by the name typed, the first one's is meant. All are asked nevertheless, so that the
// time tells nothing; those after the one that counts may be down.
func (s *Set) FirstWins() *Set { s.first = true; return s }

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
	for _, m := range members {
		for _, from := range m.SyncedFrom {
			if !seen[from] || from == m.Name {
				return nil, fmt.Errorf("directory: %s is said to be synced from %q, which is no other directory", m.Name, from)
			}
		}
	}
	return &Set{members: members}, nil
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
