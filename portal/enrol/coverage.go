package enrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/access"
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
	// Cooling says which kinds are too new to be the only proof; since is when what
	// they rest on became what it is.
	Cooling(u directory.User, since map[verify.Kind]time.Time, now time.Time) []verify.Kind
}

// Survey finds out who could recover today. All parts but Observe and Groups are
// required.
type Survey struct {
	// Directory is listed where it can be (directory.Lister).
	Directory directory.Directory
	Inventory Inventory
	Judge     Judge
	// Standing is what is remembered of an account; the zero value when it was never seen.
	Standing func(ctx context.Context, id directory.ID) (access.Standing, error)
	// Observe is told of everybody the portal serves, as they were just read; nil:
	// nobody is. What it changes in a standing is seen by the survey. It is called
	// from several goroutines.
	Observe func(ctx context.Context, u directory.User) error
	// Phone says whether a code can be sent to a number of u.
	Phone func(u directory.User) bool
	Ended Ended
	// Groups to say of everybody whether they are in; may be empty.
	Groups []string
	// Readers is how many people are read at once: the directory has others to serve.
	Readers int
	Now     func() time.Time
}

// Coverage is who could recover today.
type Coverage struct {
	// Everybody: the directory was listed, and whoever has nothing enrolled is in it.
	// Else it is of the accounts that have something enrolled, and of no others.
	Everybody bool
	Groups    []string // which were asked about
	People    []Covered
	// Unserved are accounts that have something enrolled and that the portal does not
	// act on; Gone are those the directory does not have any more. Neither is in People.
	Unserved []Covered
	Gone     []directory.ID
	// Outside counts, by why, the accounts that the portal does not act on and that
	// have nothing enrolled: every service account of a directory is among them.
	Outside map[string]int
	// Rolls are the lists of those whom the policy serves, frozen ones too.
	Rolls directory.Rolls
	// Report is what people registered with a directory itself.
	Report Report
}

// Covered is one person, and the ways open to them.
type Covered struct {
	ID       directory.ID
	Login    string
	Name     string
	Lang     string   // BCP 47, or empty
	Mail     bool     // the directory has an address of theirs
	Unserved string   // why the portal does not act on them: as the policy says it, or "frozen"
	Groups   []string // of those asked about, the ones they are in
	Holdings []Holding
	Standing access.Standing // of whom the portal serves
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

// frozen is why nothing is done for an account that the policy would serve.
const frozen = "frozen"

// Coverage reads every account again, and changes nothing but what Observe does.
// One account that cannot be read is an error for the whole: a count that leaves
// people out would be believed.
func (s Survey) Coverage(ctx context.Context) (Coverage, error) {
	if s.Directory == nil || s.Inventory == nil || s.Judge == nil || s.Standing == nil || s.Phone == nil || s.Ended == nil || s.Now == nil || s.Readers < 1 {
		return Coverage{}, errors.New("enrol: a part is missing")
	}
	all, err := s.Inventory.Holdings(ctx)
	if err != nil {
		return Coverage{}, unavailable(err)
	}
	held := map[directory.ID][]Holding{}
	for _, h := range all {
		held[h.Owner] = append(held[h.Owner], h)
	}
	out := Coverage{Groups: slices.Clone(s.Groups), Outside: map[string]int{}}
	if out.Everybody, err = s.list(ctx, held); err != nil {
		return Coverage{}, err
	}
	ids := slices.Sorted(maps.Keys(held))
	answers := make([]answer, len(ids))
	s.Judge = &queue{judge: s.Judge}
	err = each(ctx, s.Readers, len(ids), func(ctx context.Context, i int) (err error) {
		if answers[i], err = s.ask(ctx, ids[i], held[ids[i]]); err != nil {
			return fmt.Errorf("%s: %w", ids[i], err)
		}
		return nil
	})
	if err != nil {
		return Coverage{}, err
	}
	out.Report = s.report(ctx)
	for i, a := range answers {
		out.add(ids[i], a, len(held[ids[i]]) > 0)
	}
	out.Rolls = rolls(answers)
	byLogin := func(a, b Covered) int { return cmp.Or(cmp.Compare(a.Login, b.Login), cmp.Compare(a.ID, b.ID)) }
	slices.SortFunc(out.People, byLogin)
	slices.SortFunc(out.Unserved, byLogin)
	return out, nil
}

// list adds whoever the directory has to held, with nothing; everybody is false
// where it cannot list.
func (s Survey) list(ctx context.Context, held map[directory.ID][]Holding) (everybody bool, err error) {
	l, can := s.Directory.(directory.Lister)
	if !can {
		return false, nil
	}
	err = l.People(ctx, func(id directory.ID) error {
		if _, known := held[id]; !known {
			held[id] = nil
		}
		return nil
	})
	if errors.Is(err, directory.ErrUnsupported) {
		return false, nil
	}
	return err == nil, err
}

// answer is what came of asking about one account.
type answer struct {
	Covered
	gone      bool
	on        []onList
	directory string
}

func (c *Coverage) add(id directory.ID, a answer, holds bool) {
	switch {
	case a.gone && holds:
		c.Gone = append(c.Gone, id)
	case a.gone: // deleted since it was listed
	case a.Unserved == "":
		c.People = append(c.People, a.Covered)
	case holds:
		c.Unserved = append(c.Unserved, a.Covered)
	default:
		c.Outside[a.Unserved]++
	}
}

func (s Survey) ask(ctx context.Context, id directory.ID, held []Holding) (a answer, err error) {
	u, err := s.Directory.Read(ctx, directory.User{ID: id})
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return answer{gone: true}, nil
	case err != nil:
		return a, err
	case u.ID != id:
		// Somebody else's answer would be counted as theirs.
		return a, errors.New("the directory answered with another account")
	}
	a.Covered = Covered{ID: u.ID, Login: u.Login, Name: u.Name, Lang: u.Language, Mail: len(u.Mail) > 0, Holdings: held}
	for _, g := range s.Groups {
		if directory.MemberOf(u, g) {
			a.Groups = append(a.Groups, g)
		}
	}
	if a.Unserved = s.Judge.Explain(u, policy.Means{}).Unserved; a.Unserved != "" {
		return a, nil
	}
	a.on, a.directory = lists(u, s.Now()), u.Directory
	if s.Observe != nil {
		if err := s.Observe(ctx, u); err != nil {
			return a, err
		}
	}
	if a.Standing, err = s.Standing(ctx, id); err != nil {
		return a, unavailable(err)
	}
	if !a.Standing.Frozen.IsZero() {
		a.Unserved = frozen
		return a, nil
	}
	var kinds []verify.Kind
	for _, h := range held {
		kinds = append(kinds, h.Kind)
	}
	ended, err := s.Ended.among(ctx, id, kinds)
	a.Ways = s.ways(u, a.Covered, ended)
	return a, err
}

func (s Survey) ways(u directory.User, c Covered, ended []verify.Kind) (ways [][]verify.Kind) {
	m := policy.Means{Mail: c.Mail, Phone: s.Phone(u), Manager: u.Manager != "", Ended: ended}
	since := map[verify.Kind]time.Time{verify.Email: c.Standing.MailAt, verify.SMS: c.Standing.PhoneAt}
	for _, h := range c.Holdings {
		m.Enrolled, since[h.Kind] = append(m.Enrolled, h.Kind), h.Oldest
	}
	m.Cooling = s.Judge.Cooling(u, since, s.Now())
	for _, p := range s.Judge.Explain(u, m).Paths {
		if len(p.Missing) == 0 {
			ways = append(ways, p.Proofs)
		}
	}
	return ways
}

// queue lets one goroutine at a time ask a judge.
type queue struct {
	mu    sync.Mutex
	judge Judge
}

func (q *queue) Explain(u directory.User, m policy.Means) policy.Verdict {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.judge.Explain(u, m)
}

func (q *queue) Cooling(u directory.User, since map[verify.Kind]time.Time, now time.Time) []verify.Kind {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.judge.Cooling(u, since, now)
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
