package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// LinkOf is the Link of an account whose attribute has these values: none where there
// are several, or where it is so short that it may stand for "not filled in".
func LinkOf(values ...string) string {
	if len(values) != 1 {
		return ""
	}
	v := strings.ToLower(strings.TrimSpace(values[0]))
	if len(v) < 3 || strings.Trim(v, "0-. ") == "" || v == "none" || v == "n/a" {
		return ""
	}
	return v
}

// Linked are the other accounts of u's person, one of each directory at most, and the
// names of directories that could not be asked. An account counts only where its Link is
// nobody else's, there and in u's own directory: what two people have in common links
// neither. An error is that u's own directory could not tell.
func (s *Set) Linked(ctx context.Context, u User) (found []User, unreached []string, err error) {
	if u.Link == "" || len(s.members) < 2 {
		return nil, nil, nil
	}
	all := make([]*Named, len(s.members))
	for i := range s.members {
		all[i] = &s.members[i]
	}
	for _, a := range ask(all, func(m *Named) (User, error) {
		l, can := m.Directory.(Linker)
		if !can {
			return User{}, ErrUnsupported
		}
		v, err := l.ByLink(ctx, u.Link)
		if err != nil {
			return User{}, err
		}
		return s.cleared(ctx, v, nil)
	}) {
		own := a.member.Name == u.Directory
		switch {
		case own && a.err == nil && a.user.ID != u.ID, own && errors.Is(a.err, ErrNotFound):
			return nil, nil, nil
		case own && a.err != nil:
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrUnavailable, a.member.Name, a.err)
		case own, errors.Is(a.err, ErrNotFound), errors.Is(a.err, ErrUnsupported):
		case a.err != nil:
			unreached = append(unreached, a.member.Name)
		case a.user.Link == u.Link && a.user.CopyOf == "":
			found = append(found, a.user)
		}
	}
	return found, unreached, nil
}

// samePerson reports whether all accounts have one Link.
func samePerson(found []answer) bool {
	for _, a := range found {
		if a.user.Link == "" || a.user.Link != found[0].user.Link {
			return false
		}
	}
	return len(found) > 0
}

// With are the rules of a password that is to be one of two accounts: the stricter of
// each. What is only of one account (how it is locked, where its rules were found) is r's.
func (r Rules) With(o Rules) Rules {
	r.MinLength = max(r.MinLength, o.MinLength)
	if o.MaxLength > 0 && (r.MaxLength == 0 || o.MaxLength < r.MaxLength) {
		r.MaxLength = o.MaxLength
	}
	r.Complexity, r.PlainOnly, r.QualityCheck = r.Complexity || o.Complexity, r.PlainOnly || o.PlainOnly, r.QualityCheck || o.QualityCheck
	r.BannedList = r.BannedList || o.BannedList
	if o.History > 0 && o.HistoryOnReset && !(r.History > 0 && r.HistoryOnReset) || r.History == 0 {
		r.History, r.HistoryOnReset = o.History, o.HistoryOnReset
	}
	return r
}
