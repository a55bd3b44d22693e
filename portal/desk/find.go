package desk

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/limit"
)

const (
	// maxAsked is longer than anything people are known by, in bytes.
	maxAsked = 256
	// mostFound is how many people a list shows.
	mostFound = 20
	// readers read hits side by side: few, or technicians who search at once would wait
	// for each other's connections. batch is how many hits are read before it is looked
	// whether the list is full.
	readers = 3
	batch   = mostFound + 4
)

// Limits are the short-lived limits; *limit.Exceeded says that one is reached, and any
// other error is a no as well (*limit.Limiter).
type Limits interface {
	Take(ctx context.Context, name limit.Name, key string) error
}

// Found are people in w's scope, and whether there may be more.
type Found struct {
	People []Person
	More   bool
	who    []directory.User // they, for the record
}

// Person is somebody in a list. Of whom nobody helps here, themselves and those at
// the desk, there is the name alone.
type Person struct {
	ID               directory.ID // empty: there is no page of theirs
	Directory, Login string
	Name             string
	Refused          string // self, staff; empty: they can be looked at
}

// Find looks for people in w's scope by what a caller says of themselves. Nobody is
// no error. Each hit is read: whether it is in scope hangs on groups that no search
// tells, and whoever is not must not show by a name in a list (security case 99).
// Nor does whoever is privileged or denied: nothing is ever done for them here, and
// a list that had them would name the accounts worth attacking.
func (s *Service) Find(ctx context.Context, w Who, text string) (Found, error) {
	roles, err := s.helps(w)
	if err != nil {
		return Found{}, err
	}
	if text = strings.TrimSpace(text); text == "" || len(text) > maxAsked {
		return Found{}, &flow.Invalid{Field: "q", Code: "required"}
	}
	if err := s.Limits.Take(ctx, limit.DeskSearch, string(w.Principal.ID)); errors.As(err, new(*limit.Exceeded)) {
		return Found{}, err
	} else if err != nil {
		return Found{}, unavailable(err)
	}
	found, err := s.list(ctx, w, roles, text)
	if err != nil {
		return Found{}, err
	}
	return found, s.searched(ctx, w, found)
}

// searched records everybody who is shown, or that nobody was, before they are. What
// was typed is not there: it may be anything, a password too. A list that follows
// each letter would bury the record: of the same person one line stands for a while.
func (s *Service) searched(ctx context.Context, w Who, found Found) error {
	who := found.who
	if len(who) == 0 {
		who = []directory.User{{}}
	}
	now := s.Now()
	who = slices.DeleteFunc(who, func(u directory.User) bool { return s.shown.lately(w.Principal.ID, u.ID, now) })
	if len(who) == 0 {
		return nil
	}
	list := make([]audit.Event, len(who))
	for i, u := range who {
		list[i] = s.event(w, audit.DeskSearched, u)
	}
	list[0].Detail = map[string]string{"found": strconv.Itoa(len(found.People))}
	if err := s.note(ctx, list...); err != nil {
		return err
	}
	for _, u := range who {
		s.shown.note(w.Principal.ID, u.ID, now)
	}
	return nil
}

// list asks the directory, by the beginning of names and numbers; what finds nobody
// so, such as a login with its domain, by the name one signs in with.
func (s *Service) list(ctx context.Context, w Who, roles []access.Role, text string) (found Found, err error) {
	got, err := s.People.Search(ctx, directory.Query{Text: text, Most: directory.MaxHits})
	if err != nil && !errors.Is(err, directory.ErrUnsupported) {
		return Found{}, err
	}
	if len(got.Hits) == 0 {
		u, err := s.People.Find(ctx, text)
		if errors.Is(err, directory.ErrNotFound) {
			return Found{}, nil
		} else if err != nil {
			return Found{}, err
		}
		s.add(&found, w, roles, u)
		return found, nil
	}
	for hits := range slices.Chunk(got.Hits, batch) {
		all, err := s.read(ctx, hits)
		if err != nil {
			return Found{}, err
		}
		for _, u := range all {
			s.add(&found, w, roles, u)
		}
		if found.More {
			return found, nil
		}
	}
	found.More = got.More
	return found, nil
}

// add puts u on the list where they may be shown.
func (s *Service) add(found *Found, w Who, roles []access.Role, u directory.User) {
	if s.barred(u) != "" || !s.reaches(roles, u) {
		return
	}
	if len(found.People) == mostFound {
		found.More = true
		return
	}
	p := Person{ID: u.ID, Directory: u.Directory, Login: u.Login, Name: u.Name}
	if why := s.colleague(w, u); why != "" {
		p = Person{Name: cmp.Or(u.Name, u.Login), Refused: why}
	}
	found.People, found.who = append(found.People, p), append(found.who, directory.User{ID: u.ID, Login: u.Login})
}

// barred is why nothing is ever done for u here, however the account stands:
// privileged, denied or out_of_scope. The policy names a fault that passes first, and
// somebody disabled who is out of scope is out of scope all the same.
func (s *Service) barred(u directory.User) string {
	u.State = directory.State{}
	return s.Policy.Eligible(u)
}

// colleague is why nothing is done for u by w: self, or staff.
func (s *Service) colleague(w Who, u directory.User) string {
	switch {
	case u.ID == w.Principal.ID, directory.SamePerson(w.Principal.User, u):
		return "self" // a second account of their own too (security case 100)
	case len(s.Roles.Of(u)) > 0:
		return "staff" // a technician who turned would begin with the others
	}
	return ""
}

// read reads hits, in their order. Who is gone meanwhile is left out.
func (s *Service) read(ctx context.Context, hits []directory.Hit) ([]directory.User, error) {
	users, errs := readEach(ctx, s.People, len(hits), func(i int) (directory.ID, string) { return hits[i].ID, hits[i].Directory })
	list := users[:0]
	for i := range users {
		switch {
		case errs[i] == nil:
			list = append(list, users[i])
		case !errors.Is(errs[i], directory.ErrNotFound):
			return nil, errs[i]
		}
	}
	return list, nil
}
