package approval

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/directory"
	"postern/verify"
)

// candidate is somebody who can be asked.
type candidate struct {
	user    directory.User
	manager bool
}

// choose finds whom to ask: the first manager upwards who can answer, or else
// everybody the policy names who can. One who cannot is passed over; a directory
// that cannot be asked is an error, not nobody.
func (f *Factor) choose(ctx context.Context, s verify.Subject) ([]candidate, error) {
	at := *s.User
	seen := []directory.ID{s.ID}
	for range s.Ask.Levels {
		if at.Manager == "" {
			break
		}
		boss, err := f.People.Resolve(ctx, at, at.Manager)
		if errors.Is(err, directory.ErrNotFound) || err == nil && slices.Contains(seen, boss.ID) {
			break // left, or managers in a ring
		} else if err != nil {
			return nil, err
		}
		if ok, err := f.able(ctx, s, boss, true); err != nil {
			return nil, err
		} else if ok {
			return []candidate{{boss, true}}, nil
		}
		// Whose manager was changed lately leads to nobody further up either.
		since, err := f.Memory.ManagerSince(ctx, boss.ID)
		if err != nil {
			return nil, err
		} else if f.justChanged(since) {
			break
		}
		seen = append(seen, boss.ID)
		at = boss
	}
	var list []candidate
	for _, login := range s.Ask.Approvers {
		u, err := f.People.Find(ctx, login)
		if errors.Is(err, directory.ErrNotFound) || err == nil && slices.Contains(seen, u.ID) {
			continue
		} else if err != nil {
			return nil, err
		}
		seen = append(seen, u.ID)
		if ok, err := f.able(ctx, s, u, false); err != nil {
			return nil, err
		} else if ok {
			list = append(list, candidate{u, false})
		}
	}
	if len(list) == 0 {
		return nil, verify.ErrNobody
	}
	return list, nil
}

// able reports whether u may answer, can be told, and has something to answer with.
func (f *Factor) able(ctx context.Context, s verify.Subject, u directory.User, manager bool) (bool, error) {
	if err := f.fit(ctx, s, u, manager); errors.As(err, new(*verify.Unfit)) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if len(u.Mail) == 0 {
		return false, nil
	}
	var digest [32]byte // of nothing: the options are thrown away
	_, err := f.Signer.AskSignature(ctx, voterSubject(s, u), digest[:], f.rule(s))
	if !errors.Is(err, verify.ErrNoCredential) {
		return err == nil, err
	}
	return f.mayUseCode(ctx, s, u)
}

// fit is an *Unfit when by may not vouch for the subject now (security cases 93, 97).
func (f *Factor) fit(ctx context.Context, s verify.Subject, by directory.User, manager bool) error {
	unfit := func(why string) error { return &verify.Unfit{Reason: why} }
	switch {
	case by.ID == s.ID:
		return unfit("self")
	case slices.Contains(s.Helpers, by.ID), s.Helper != nil && directory.SamePerson(*s.Helper, by):
		return unfit("helper") // security case 103: who begins it does not approve it, by another account either
	case directory.SamePerson(*s.User, by):
		return unfit("same_person")
	case f.Eligible(by) != "":
		return unfit("not_eligible")
	}
	if frozen, err := f.Memory.Frozen(ctx, by.ID); err != nil {
		return err
	} else if frozen {
		return unfit("frozen")
	}
	if at, err := f.Memory.Vouched(ctx, s.ID, by.ID); err != nil {
		return err
	} else if !at.IsZero() && f.Now().Sub(at) < mutual {
		return unfit("mutual")
	}
	if !manager {
		return nil
	}
	// Whoever can write the attribute could name an accomplice.
	since, err := f.Memory.ManagerSince(ctx, s.ID)
	if err != nil {
		return err
	}
	if f.justChanged(since) {
		return unfit("manager_changed")
	}
	return nil
}

func (f *Factor) justChanged(manager time.Time) bool {
	return !manager.IsZero() && f.Now().Sub(manager) < managerSettled
}
