package desk

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/flow"
)

const (
	// maxAsked is longer than anything people are known by, in bytes.
	maxAsked = 256
	// mostFound is how many people a list shows.
	mostFound = 20
	// readers read hits side by side.
	readers = 8
)

// Found are people a technician may help, and whether there may be more.
type Found struct {
	People []directory.User
	More   bool
}

// Find looks for people in w's scope by what a caller says of themselves. Nobody is
// no error. Each hit is read: whether it is in scope hangs on groups that no search
// tells, and whoever is not must not show by a name in a list (security case 99).
func (s *Service) Find(ctx context.Context, w Who, text string) (Found, error) {
	roles, err := s.helps(w)
	if err != nil {
		return Found{}, err
	}
	if text = strings.TrimSpace(text); text == "" || len(text) > maxAsked {
		return Found{}, &flow.Invalid{Field: "q", Code: "required"}
	}
	all, more, err := s.search(ctx, text)
	if err != nil {
		return Found{}, err
	}
	found := Found{More: more}
	for _, u := range all {
		if s.Policy.Eligible(u) == "out_of_scope" || !s.reaches(roles, u) {
			continue
		}
		if len(found.People) == mostFound {
			found.More = true
			break
		}
		found.People = append(found.People, u)
	}
	return found, s.note(ctx, s.searched(w, found)...)
}

// searched are a line for everybody who is shown, or one for nobody. What was typed
// is not there: it may be anything, a password too.
func (s *Service) searched(w Who, found Found) (list []audit.Event) {
	for _, u := range found.People {
		list = append(list, s.event(w, audit.DeskSearched, u))
	}
	if len(list) == 0 {
		list = append(list, s.event(w, audit.DeskSearched, directory.User{}))
	}
	list[0].Detail = map[string]string{"found": strconv.Itoa(len(found.People))}
	return list
}

// search asks the directory, by the beginning of names and numbers; what finds
// nobody so, such as a login with its domain, by the name one signs in with.
func (s *Service) search(ctx context.Context, text string) (all []directory.User, more bool, err error) {
	got, err := s.People.Search(ctx, directory.Query{Text: text, Most: directory.MaxHits})
	if err != nil && !errors.Is(err, directory.ErrUnsupported) {
		return nil, false, err
	}
	if len(got.Hits) == 0 {
		u, err := s.People.Find(ctx, text)
		if errors.Is(err, directory.ErrNotFound) {
			return nil, false, nil
		}
		return []directory.User{u}, false, err
	}
	all, err = s.read(ctx, got.Hits)
	return all, got.More, err
}

// read reads all hits, in their order. Who is gone meanwhile is left out.
func (s *Service) read(ctx context.Context, hits []directory.Hit) ([]directory.User, error) {
	users, errs := make([]directory.User, len(hits)), make([]error, len(hits))
	var all sync.WaitGroup
	for first := range min(readers, len(hits)) {
		all.Go(func() {
			for i := first; i < len(hits); i += readers {
				users[i], errs[i] = s.People.Read(ctx, directory.User{ID: hits[i].ID, Directory: hits[i].Directory})
			}
		})
	}
	all.Wait()
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
