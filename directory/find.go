package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// nobodySID is asked for where nobody was found, so that finding nobody costs what
// finding somebody costs.
const nobodySID = "S-1-5-21-0-0-0-0"

// answer is what one directory said of a name.
type answer struct {
	member *Named
	user   User
	err    error
}

// Find asks every directory that what was typed may mean, all at once, whatever the
// others say: stopping at the first match would let an account in one stand in for a
// person in another, and would tell by the time which directory somebody is in. While
// any of them cannot answer the person may be there too, so the answer is
// ErrUnavailable.
func (s *Set) Find(ctx context.Context, login string) (User, error) {
	members, login := s.route(login)
	answers := ask(members, func(m *Named) (User, error) { return m.Directory.Find(ctx, login) })
	found, err := s.meant(answers)
	if err != nil {
		return User{}, err
	}
	return s.original(ctx, found)
}

// Read implements Directory.
func (s *Set) Read(ctx context.Context, u User) (User, error) {
	d, err := s.of(u)
	if err != nil {
		return User{}, err
	}
	now, err := d.Read(ctx, u)
	if err != nil {
		return User{}, err
	}
	return s.cleared(ctx, now, nil)
}

// route says who is to be asked, and for what.
func (s *Set) route(login string) ([]*Named, string) {
	all := make([]*Named, len(s.members))
	for i := range s.members {
		all[i] = &s.members[i]
	}
	typed := strings.TrimSpace(login)
	if name, rest, ok := strings.Cut(typed, `\`); ok && rest != "" {
		for _, m := range all {
			if strings.EqualFold(m.Name, name) && !strings.Contains(rest, `\`) {
				return []*Named{m}, rest
			}
		}
	}
	if at := strings.LastIndexByte(typed, '@'); at > 0 {
		var own []*Named
		for _, m := range all {
			if slices.ContainsFunc(m.Suffixes, func(x string) bool { return strings.EqualFold(x, typed[at+1:]) }) {
				own = append(own, m)
			}
		}
		if len(own) > 0 {
			return own, login
		}
	}
	return all, login
}

// ask puts one question to several directories side by side.
func ask(members []*Named, question func(*Named) (User, error)) []answer {
	answers := make([]answer, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		answers[i].member = m
		wg.Go(func() {
			// A panic here would end the process: no handler's recovery reaches it.
			defer func() {
				if r := recover(); r != nil {
					answers[i].err = fmt.Errorf("%w: panic: %v", ErrUnavailable, r)
				}
			}()
			answers[i].user, answers[i].err = question(m)
		})
	}
	wg.Wait()
	return answers
}

// meant are the accounts that may be meant: more than one only where one is said to be
// a copy of the other.
func (s *Set) meant(answers []answer) (found []answer, err error) {
	var faults []error
	for _, a := range answers {
		switch {
		case a.err == nil:
			found = append(found, a)
		case !errors.Is(a.err, ErrNotFound):
			faults = append(faults, fmt.Errorf("%s: %w", a.member.Name, a.err))
		}
		if s.first && len(found) > 0 && found[0].user.CopyOf == "" {
			break // what is wrong with those behind it does not matter
		}
	}
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(faults...))
	}
	return found, nil
}

// original is the one account that was found. Copies give way to what they are copies
// of, which is looked for where nobody found it by that name.
func (s *Set) original(ctx context.Context, found []answer) (User, error) {
	var own, copies []answer
	for _, a := range found {
		if a.user.CopyOf != "" && len(a.member.SyncedFrom) > 0 {
			copies = append(copies, a)
		} else {
			own = append(own, a)
		}
	}
	for _, c := range copies {
		at := slices.IndexFunc(own, func(a answer) bool { return c.isCopyOf(a.user) })
		if at >= 0 {
			continue // which cleared looks at again
		}
		u, err := s.bySID(ctx, c)
		if err != nil {
			return User{}, err
		}
		if !slices.ContainsFunc(own, func(a answer) bool { return a.user.ID == u.ID }) {
			own = append(own, answer{user: u})
		}
	}
	// Several accounts of one person are that person's: the first directory's is meant.
	if len(own) != 1 && !(len(own) > 0 && (s.first || samePerson(own))) {
		_, err := s.cleared(ctx, User{}, nil)
		if err == nil {
			err = ErrNotFound
		}
		return User{}, err
	}
	return s.cleared(ctx, own[0].user, copies)
}

func (a answer) isCopyOf(u User) bool {
	return u.SID != "" && a.user.CopyOf == u.SID && slices.Contains(a.member.SyncedFrom, u.Directory)
}

// bySID is the original of a copy. Where it is not found the copy is nobody: its
// password cannot be set here.
func (s *Set) bySID(ctx context.Context, c answer) (User, error) {
	for _, name := range c.member.SyncedFrom {
		for _, m := range s.members {
			o, can := m.Directory.(Original)
			if m.Name != name || !can {
				continue
			}
			u, err := o.BySID(ctx, c.user.CopyOf)
			switch {
			case err == nil && u.SID == c.user.CopyOf:
				return u, nil
			case err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnsupported):
				return User{}, fmt.Errorf("%w: %s: %w", ErrUnavailable, m.Name, err)
			}
		}
	}
	u := c.user // with CopyOf set: the policy refuses it
	if u.Privileged == "" {
		u.Privileged = "synced from an on-premises directory in which the account is not found"
	}
	return u, nil
}

// cleared looks at what u is in the tenants that have a copy of it. seen are copies
// that were read just now.
func (s *Set) cleared(ctx context.Context, u User, seen []answer) (User, error) {
	for i := range s.members {
		m := &s.members[i]
		c, can := m.Directory.(Copier)
		if !can || len(m.SyncedFrom) == 0 || u.ID != "" && !slices.Contains(m.SyncedFrom, u.Directory) {
			continue
		}
		var copied User
		if at := slices.IndexFunc(seen, func(a answer) bool { return a.member == m && a.isCopyOf(u) }); at >= 0 {
			copied = seen[at].user
		} else {
			sid := u.SID
			if u.ID == "" {
				sid = nobodySID
			}
			var err error
			copied, err = c.CopyOf(ctx, sid)
			switch {
			case errors.Is(err, ErrNotFound) && sid != "":
				continue
			case err != nil:
				return User{}, fmt.Errorf("%w: %s: %w", ErrUnavailable, m.Name, err)
			}
		}
		if copied.Privileged != "" && u.Privileged == "" && u.ID != "" {
			u.Privileged = m.Name + ": " + copied.Privileged
		}
	}
	return u, nil
}
