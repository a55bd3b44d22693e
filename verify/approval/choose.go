package approval

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

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
	case samePerson(*s.User, by):
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

// samePerson reports whether two accounts look like one person's: a second
// account "for administration" must not vouch for the first. It errs towards yes,
// which costs somebody an approver, and never gives one.
func samePerson(a, b directory.User) bool {
	shares := func(x, y []string, same func(a, b string) bool) bool {
		return slices.ContainsFunc(x, func(v string) bool {
			return slices.ContainsFunc(y, func(w string) bool { return same(v, w) })
		})
	}
	// Accounts for administration often have only the name that is shown.
	names := func(u directory.User) (list []string) {
		if u.GivenName != "" && u.Surname != "" {
			list = append(list, plainName(u.GivenName+" "+u.Surname))
		}
		if name := plainName(u.Name); name != "" {
			list = append(list, name)
		}
		return list
	}
	return shares(a.Mail, b.Mail, strings.EqualFold) ||
		shares(a.Phone, b.Phone, func(x, y string) bool { return digits(x) == digits(y) && len(digits(x)) >= 6 }) ||
		shares(names(a), names(b), func(x, y string) bool { return x == y })
}

// plainName is a name as people compare it.
func plainName(s string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(s))), " ")
}

// digits of a number without what is written before it in one country only; two
// spellings of one number have the same seven at the end.
func digits(number string) string {
	d := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
	return d[max(0, len(d)-7):]
}
