package desk

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
)

// Reading reads one account (*directory.Set).
type Reading interface {
	Read(ctx context.Context, u directory.User) (directory.User, error)
}

// readEach reads n people side by side; each has their place in both answers.
func readEach(ctx context.Context, from Reading, n int, who func(int) (directory.ID, string)) ([]directory.User, []error) {
	users, errs := make([]directory.User, n), make([]error, n)
	var all sync.WaitGroup
	for first := range min(readers, n) {
		all.Go(func() {
			for i := first; i < n; i += readers {
				id, in := who(i)
				users[i], errs[i] = from.Read(ctx, directory.User{ID: id, Directory: in})
			}
		})
	}
	all.Wait()
	return users, errs
}

// Past is the record, read backwards (*store.DB).
type Past interface {
	// Backwards calls each with the events from until back to from, the newest first
	// and most of them at most, without their Detail and Proof. cut: there are more.
	Backwards(ctx context.Context, from, until time.Time, most int, each func(audit.Event) error) (cut bool, err error)
}

// Noter writes events that go with no other change (*store.DB).
type Noter interface {
	Record(ctx context.Context, events ...audit.Event) error
}

// Counted is the last count of everybody (*enrol.Census).
type Counted interface {
	// Rolls are its lists, when it was (zero: never), and whether the directories
	// could be listed.
	Rolls() (r directory.Rolls, at time.Time, everybody bool)
	// Start asks for a new one and does not wait for it.
	Start() error
}

// BoardOptions are the parts of a Board; all are required.
type BoardOptions struct {
	People Reading
	Roles  Roles
	Scope  Scope
	Policy Policy
	Past   Past
	Noter  Noter
	Counts Counted
	Zone   *time.Location // days begin at midnight there
	Now    func() time.Time
}

// Board is what the desk has of everybody: figures of what happened, and lists of
// who will need help. It is safe for concurrent use.
//
// It changes nothing. Every look is written down before anything is shown, and
// whoever may help some people sees those and no others.
type Board struct {
	BoardOptions
	turn chan struct{} // one figuring at a time: see Figures
	last map[int]Figures
}

// NewBoard checks that nothing is missing.
func NewBoard(o BoardOptions) (*Board, error) {
	if o.People == nil || o.Roles == nil || o.Scope == nil || o.Policy == nil || o.Past == nil || o.Noter == nil || o.Counts == nil || o.Zone == nil || o.Now == nil {
		return nil, errors.New("desk: a part of the board is missing")
	}
	return &Board{BoardOptions: o, turn: make(chan struct{}, 1), last: map[int]Figures{}}, nil
}

var (
	// seers see the figures; overseers see everybody on a list, and not only whom
	// they may help.
	seers     = []access.Role{access.Senior, access.Auditor, access.Operator}
	overseers = []access.Role{access.Auditor, access.Operator}
)

// sees are the roles of w as the directory has them now, one of them of may.
// ErrUnknown where there is none, ErrStale without a proof of something held.
func (b *Board) sees(w Who, may []access.Role) ([]access.Role, error) {
	roles := b.Roles.Of(w.Principal.User)
	if w.Principal.ID == "" || !among(roles, may) {
		return nil, ErrUnknown
	}
	if !w.Principal.Bound() {
		return nil, ErrStale
	}
	return roles, nil
}

func among(roles, may []access.Role) bool {
	return slices.ContainsFunc(roles, func(r access.Role) bool { return slices.Contains(may, r) })
}

// note records a look, with what was looked at in pairs.
func (b *Board) note(ctx context.Context, w Who, kind string, pairs ...string) error {
	e := audit.Event{At: b.Now(), Kind: kind, Actor: w.Principal.ID, ActorName: w.Principal.User.Login, Door: string(access.Desk), Address: w.Address,
		Outcome: audit.OK, Detail: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		e.Detail[pairs[i]] = pairs[i+1]
	}
	return unavailable(b.Noter.Record(ctx, e))
}

// pause is how long after a count nobody begins another from the lists: it reads
// every account there is.
const pause = 5 * time.Minute

// Count asks for new lists. It does nothing within five minutes of the last count;
// its other errors are those of Counted.
func (b *Board) Count(ctx context.Context, w Who) error {
	if _, err := b.sees(w, listReaders); err != nil {
		return err
	}
	if _, at, _ := b.Counts.Rolls(); !at.IsZero() && b.Now().Sub(at) < pause {
		return nil
	}
	if err := b.note(ctx, w, audit.CountStarted); err != nil {
		return err
	}
	return b.Counts.Start()
}

func number(n int) string { return strconv.Itoa(n) }
