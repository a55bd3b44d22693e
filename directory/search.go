package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Searcher is the optional ability to look for people by what somebody knows of
// them. It is for technicians of a help desk, who are signed in and known: whoever
// may search may read everybody's name.
//
// Search gives people's accounts alone, whatever their state; privileged ones and
// several that answer to one name are among them, since what may be done is the
// core's decision. It costs the directory one search for each base, whatever was
// typed; nothing is read of one hit alone. Errors: ErrOutside, and ErrUnavailable
// where the directory did not answer or stopped before it was through for any
// reason but the number of hits: a list that lacks people must not look whole.
type Searcher interface {
	Search(ctx context.Context, q Query) (Found, error)
}

// ErrOutside is a base of a Scope that does not lie in the directory; the error
// names it.
var ErrOutside = errors.New("directory: not below the directory's base")

// Query is what to look for.
type Query struct {
	// Text is what was typed: 2 to 64 code points without the spaces around them;
	// anything else finds nobody. It finds whom every word fits at the beginning of
	// a login, a name or an address (no word need be whole: "ada lov"), or the
	// whole at the beginning of a display name; and, where it is a number, whose
	// telephone or employee number it is. What a word means in between, case and
	// accents, is the directory's own matching.
	Text  string
	Scope Scope
	// Most bounds the hits: 1 to 50, DefaultHits where it is nought.
	Most int
}

// Scope is where to look.
type Scope struct {
	// Bases are DNs at and below which people are looked for; each must lie in the
	// directory. None at all is everywhere.
	Bases []string
	// Groups are for the core, which judges them by what it reads: no search looks
	// at them.
	Groups []string
}

// Hit is what a list shows of somebody. It is not what to act on: Read is.
type Hit struct {
	ID        ID
	Directory string
	DN        string
	Login     string
	Name      string // display name
	Mail      string // the first
	Disabled  bool
	// Locked may be true for a lockout that has run out, where only a policy of
	// the person's own could tell.
	Locked bool
}

// Found is an answer: the hits by name, and whether there may be more. Which ones
// are there then is the directory's choice, not the beginning of the alphabet.
type Found struct {
	Hits []Hit
	More bool
}

// DefaultHits is Most where nothing is said, MaxHits what it is at most.
const (
	DefaultHits = 20
	MaxHits     = 50
)

// Limit is Most within its bounds.
func (q Query) Limit() int { return min(max(cmp.Or(q.Most, DefaultHits), 1), MaxHits) }

// Gather makes the answer of hits from several searches, in which the same person
// may have been found twice; more says that one of those was cut short.
func (q Query) Gather(hits []Hit, more bool) Found {
	seen := map[ID]bool{}
	hits = slices.DeleteFunc(hits, func(h Hit) bool {
		was := seen[h.ID]
		seen[h.ID] = true
		return was
	})
	slices.SortFunc(hits, func(a, b Hit) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)),
			strings.Compare(strings.ToLower(a.Login), strings.ToLower(b.Login)), strings.Compare(string(a.ID), string(b.ID)))
	})
	if len(hits) > q.Limit() {
		hits, more = hits[:q.Limit()], true
	}
	return Found{Hits: hits, More: more}
}

// Search implements Searcher: every directory at once. When one of them does not
// answer the answer is ErrUnavailable, when one cannot search ErrUnsupported: a
// technician who is not shown an account takes it for one that does not exist. A
// base need lie in one of the directories only, and is looked at there.
func (s *Set) Search(ctx context.Context, q Query) (Found, error) {
	searchers := make([]Searcher, len(s.members))
	for i, m := range s.members {
		d, ok := m.Directory.(Searcher)
		if !ok {
			return Found{}, fmt.Errorf("%w: %s", ErrUnsupported, m.Name)
		}
		searchers[i] = d
	}
	if len(searchers) == 1 {
		return searchers[0].Search(ctx, q)
	}
	// A member says of each base alone whether it is its own, before it asks anybody.
	parts := [][]string{nil}
	if len(q.Scope.Bases) > 0 {
		parts = slices.Collect(slices.Chunk(q.Scope.Bases, 1))
	}
	type answer struct {
		found Found
		err   error
	}
	answers := make([]answer, len(parts)*len(searchers))
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			at := i % len(searchers)
			// A panic here would end the process: no handler's recovery reaches it.
			defer func() {
				if r := recover(); r != nil {
					answers[i].err = fmt.Errorf("%w: panic: %v", ErrUnavailable, r)
				}
			}()
			part := q
			part.Scope.Bases = parts[i/len(searchers)]
			answers[i].found, answers[i].err = searchers[at].Search(ctx, part)
		})
	}
	wg.Wait()

	var hits []Hit
	var faults []error
	more := false
	for p := range parts {
		outside := 0
		for i, a := range answers[p*len(searchers) : (p+1)*len(searchers)] {
			switch {
			case a.err == nil:
				hits, more = append(hits, a.found.Hits...), more || a.found.More
			case errors.Is(a.err, ErrOutside):
				outside++
			default:
				faults = append(faults, fmt.Errorf("%s: %w", s.members[i].Name, a.err))
			}
		}
		if outside == len(searchers) {
			return Found{}, fmt.Errorf("%w: %q, of none of them", ErrOutside, parts[p])
		}
	}
	if len(faults) > 0 {
		return Found{}, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(faults...))
	}
	return q.Gather(hits, more), nil
}
