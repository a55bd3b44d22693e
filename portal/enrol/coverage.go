package enrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/policy"
	"postern/verify"
)

// Holding is how many credentials of one kind one person has, and when the
// first and the last of them were enrolled. It holds nothing secret.
type Holding struct {
	Owner          directory.ID
	Kind           verify.Kind
	Count          int
	Oldest, Newest time.Time
}

// Inventory lists what everybody has enrolled.
type Inventory interface {
	// Holdings are sorted by owner and kind, and all of one moment.
	Holdings(ctx context.Context) ([]Holding, error)
}

// Judge says what the policy means for one person. It is asked by one goroutine
// at a time (*policy.Simulator).
type Judge interface {
	Explain(u directory.User, m policy.Means) policy.Verdict
}

// Survey finds out who could recover today. All parts but Groups are required.
type Survey struct {
	Directory directory.Directory
	Inventory Inventory
	Judge     Judge
	// Phone says whether a code can be sent to a number of u.
	Phone func(u directory.User) bool
	Ended Ended
	// Groups are those it is told of everybody whether they are in them: DNs or
	// common names. None are needed.
	Groups []string
	// Readers is how many people are read at once: the directory has others to serve.
	Readers int
}

// Coverage is who could recover today, of the accounts that have something
// enrolled. No directory is listed, so whoever never enrolled is not in it.
type Coverage struct {
	Groups []string // which were asked about
	People []Covered
	// Unserved are accounts the portal does not act on; Gone are those the
	// directory does not have any more. Neither is in People.
	Unserved []Covered
	Gone     []directory.ID
}

// Covered is one person, and the ways open to them.
type Covered struct {
	ID       directory.ID
	Login    string
	Name     string
	Unserved string   // why the portal does not act on them, as the policy says it
	Groups   []string // of those asked about, the ones they are in
	Holdings []Holding
	// Ways are the open minimal sets of proofs, the strongest first. Proofs that
	// stand on the directory alone, such as a code by mail, are in them.
	Ways [][]verify.Kind
}

// Count is how many credentials of one kind somebody has.
func (c Covered) Count(k verify.Kind) int {
	for _, h := range c.Holdings {
		if h.Kind == k {
			return h.Count
		}
	}
	return 0
}

// Span is when the first and the last of their credentials were enrolled.
func (c Covered) Span() (oldest, newest time.Time) {
	for i, h := range c.Holdings {
		if i == 0 || h.Oldest.Before(oldest) {
			oldest = h.Oldest
		}
		if h.Newest.After(newest) {
			newest = h.Newest
		}
	}
	return oldest, newest
}

// ByPasskeyAlone reports whether a passkey and nothing else is enough for them.
func (c Covered) ByPasskeyAlone() bool {
	return slices.ContainsFunc(c.Ways, func(way []verify.Kind) bool { return len(way) == 1 && way[0] == verify.Passkey })
}

// ByTwoGates reports whether they have a way of two proofs or more.
func (c Covered) ByTwoGates() bool {
	return slices.ContainsFunc(c.Ways, func(way []verify.Kind) bool { return len(way) > 1 })
}

// Coverage reads every account that has something enrolled again, and changes
// nothing. One account that cannot be read is an error for the whole: a count
// that leaves people out would be believed.
func (s Survey) Coverage(ctx context.Context) (Coverage, error) {
	out := Coverage{Groups: slices.Clone(s.Groups)}
	if s.Directory == nil || s.Inventory == nil || s.Judge == nil || s.Phone == nil || s.Ended == nil || s.Readers < 1 {
		return out, errors.New("enrol: a part is missing")
	}
	all, err := s.Inventory.Holdings(ctx)
	if err != nil {
		return out, unavailable(err)
	}
	var held [][]Holding
	for i, h := range all {
		if i == 0 || h.Owner != all[i-1].Owner {
			held = append(held, nil)
		}
		held[len(held)-1] = append(held[len(held)-1], h)
	}
	type answer struct {
		user  directory.User
		ended []verify.Kind
		gone  bool
	}
	answers := make([]answer, len(held))
	err = each(ctx, s.Readers, len(held), func(ctx context.Context, i int) error {
		a, id := &answers[i], held[i][0].Owner
		u, err := s.Directory.Read(ctx, directory.User{ID: id})
		switch {
		case errors.Is(err, directory.ErrNotFound):
			a.gone = true
			return nil
		case err == nil && u.ID != id:
			// Somebody else's answer would be counted as theirs.
			err = errors.New("the directory answered with another account")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", id, err)
		}
		a.user = u
		var kinds []verify.Kind
		for _, h := range held[i] {
			kinds = append(kinds, h.Kind)
		}
		a.ended, err = s.Ended.among(ctx, id, kinds)
		return err
	})
	if err != nil {
		return out, err
	}
	for i, a := range answers {
		if a.gone {
			out.Gone = append(out.Gone, held[i][0].Owner)
			continue
		}
		c := s.covered(a.user, held[i], a.ended)
		if c.Unserved != "" {
			out.Unserved = append(out.Unserved, c)
		} else {
			out.People = append(out.People, c)
		}
	}
	byLogin := func(a, b Covered) int { return cmp.Or(cmp.Compare(a.Login, b.Login), cmp.Compare(a.ID, b.ID)) }
	slices.SortFunc(out.People, byLogin)
	slices.SortFunc(out.Unserved, byLogin)
	return out, nil
}

func (s Survey) covered(u directory.User, held []Holding, ended []verify.Kind) Covered {
	c := Covered{ID: u.ID, Login: u.Login, Name: u.Name, Holdings: held}
	for _, g := range s.Groups {
		if directory.MemberOf(u, g) {
			c.Groups = append(c.Groups, g)
		}
	}
	m := policy.Means{Mail: len(u.Mail) > 0, Phone: s.Phone(u), Manager: u.Manager != "", Ended: ended}
	for _, h := range held {
		m.Enrolled = append(m.Enrolled, h.Kind)
	}
	v := s.Judge.Explain(u, m)
	c.Unserved = v.Unserved
	for _, p := range v.Paths {
		if len(p.Missing) == 0 {
			c.Ways = append(c.Ways, p.Proofs)
		}
	}
	return c
}

// each calls do for 0 to n-1, so many at a time. It stops at the first error and
// returns that, not what it cut short.
func each(ctx context.Context, workers, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				if ctx.Err() != nil {
					continue
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
