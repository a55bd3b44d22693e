package desk

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/policy"
)

const (
	// watched is for how long after a change it is looked after.
	watched = 30 * time.Minute
	// between is how often at most the directory is asked for one case, however often
	// its page is loaded.
	between = 10 * time.Second
	// lookTime bounds one look. It does not end with the request: others wait for it.
	lookTime = 6 * time.Second
)

// Sightings say how an account stands on every server of its directory (*directory.Set).
type Sightings interface {
	Watch(ctx context.Context, u directory.User) ([]directory.Sighting, error)
}

// Arrival is how far a change has come on one server.
type Arrival string

const (
	Arrived Arrival = "arrived"
	Waiting Arrival = "waiting" // it has the account as it was before
	Absent  Arrival = "absent"  // it does not have the account at all
	Silent  Arrival = "silent"  // it did not answer, or may not tell
)

// Server is one that was looked at.
type Server struct {
	Name    string // host:port
	Arrival Arrival
	Locked  bool      // now
	Bad     int       // wrong passwords it counts
	LastBad time.Time // the last one since the change; zero: none
}

// After is what became of what was written in a case.
type After struct {
	Until   time.Time // how long it is looked after; zero: it is not, and nothing else is here
	Changed time.Time
	Looked  time.Time
	Failed  bool // it cannot be told now
	Servers []Server
	// Tried is when the last wrong password since the change came, on any server, and
	// Relocked that the account is locked again; zero, false: not that anybody knows.
	Tried    time.Time
	Relocked bool
}

// Still reports whether something goes on trying with another password.
func (a After) Still() bool { return !a.Tried.IsZero() || a.Relocked }

// written is a change of an account that is looked after.
type written struct {
	what   string // password, unlock, renew
	at     time.Time
	before time.Time // when the password before it was set
	unlock bool      // a lock was ended, too
}

// written finds what was written in a case; the zero value: nothing that reaches the
// servers of a directory.
func (s *Service) written(ctx context.Context, c *flow.Case) (w written, err error) {
	if c.Outcome.Status != flow.Applied {
		return w, nil
	}
	w = written{at: c.Outcome.At, before: c.Outcome.Before, unlock: c.Outcome.Unlocked}
	switch c.Purpose {
	case policy.Reset:
		w.what = "password"
		return w, nil
	case policy.Unlock:
		w.what = "unlock"
		return w, nil
	}
	list, err := s.History.OfCase(ctx, c.ID, mostEvents)
	if err != nil {
		return written{}, unavailable(err)
	}
	for _, e := range slices.Backward(list) {
		if e.Kind == "change.required" && (e.Outcome == audit.OK || e.Outcome == audit.Unknown) {
			return written{what: "renew", at: e.At}, nil
		}
	}
	return written{}, nil
}

// After looks how a change of w's own case stands, or says how it stood a moment ago.
// What the directory does not tell is Failed and no error: the case goes on without it.
func (s *Service) After(ctx context.Context, w Who, c *flow.Case) (After, error) {
	roles, err := s.helps(w)
	if err != nil {
		return After{}, err
	}
	if c.Door != access.Desk || c.By.ID != w.Principal.ID {
		return After{}, ErrUnknown
	}
	change, err := s.written(ctx, c)
	if now := s.Now(); err != nil || change.at.IsZero() || now.Sub(change.at) >= watched {
		return After{}, err
	}
	o := s.outlooks.of(c.ID, s.Now())
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := s.Now(); o.change != change || now.Sub(o.seen.Looked) >= between {
		if o.change != change {
			o.told, o.seen = false, After{}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
		defer cancel()
		s.look(ctx, w, roles, c, change, o)
	}
	return o.seen, nil
}

// look asks the directory and remembers what it said in o. It is written down when a
// case is first looked after, and when something is first found to go on trying.
func (s *Service) look(ctx context.Context, w Who, roles []access.Role, c *flow.Case, change written, o *outlook) {
	was := o.seen
	now := s.Now()
	o.change, o.seen = change, After{Until: change.at.Add(watched), Changed: change.at, Looked: now, Failed: true, Tried: was.Tried, Relocked: was.Relocked}
	// Anew: the account may have been moved out of reach since.
	u, why, err := s.admit(ctx, w, roles, c.Key)
	if errors.Is(err, ErrUnknown) || slices.Contains([]string{"self", "staff", "privileged", "denied"}, why) {
		o.seen = After{Looked: now}
		return
	}
	var list []directory.Sighting
	if err == nil {
		list, err = s.Sightings.Watch(ctx, u)
	}
	if err != nil && len(list) == 0 {
		s.Log.WarnContext(ctx, "a change cannot be looked after now", "case", c.ID, "cause", err.Error())
		return
	}
	next := o.seen
	next.Failed = false
	next.tell(list, change)
	if !o.told || next.Still() && !was.Still() {
		e := s.event(w, audit.DeskWatched, u)
		e.Case, e.Purpose = c.ID, string(c.Purpose)
		if next.Still() {
			e.Reason = "still_trying"
		}
		if err := s.note(ctx, e); err != nil {
			s.Log.WarnContext(ctx, "a change is not shown: it could not be recorded", "case", c.ID, "cause", err.Error())
			return
		}
		o.told = true
	}
	o.seen = next
}

// tell reads what the servers have. Where they say themselves when the password was
// set, that is compared with and not our own clock.
func (a *After) tell(list []directory.Sighting, change written) {
	since, set := change.at, change.before
	for _, s := range list {
		if change.what == "password" && s.PasswordSet.After(set) {
			since, set = s.PasswordSet, s.PasswordSet
		}
	}
	for _, s := range list {
		one := Server{Name: s.Server, Arrival: change.on(s, since), Locked: s.Locked, Bad: s.BadPasswords}
		if s.Err == nil && s.LastBad.After(since) {
			one.LastBad = s.LastBad
		}
		// A server may forget what it counted when the right one comes; we do not.
		if one.LastBad.After(a.Tried) {
			a.Tried = one.LastBad
		}
		a.Relocked = a.Relocked || s.Locked && s.LockedAt.After(since)
		a.Servers = append(a.Servers, one)
	}
}

// on says how far the change has come on a server.
func (w written) on(s directory.Sighting, since time.Time) Arrival {
	held := s.Locked && !s.LockedAt.After(since) // by the lock of before
	there := false
	switch {
	case errors.Is(s.Err, directory.ErrNotFound):
		return Absent
	case s.Err != nil:
		return Silent
	case w.what == "password":
		there = (s.PasswordSet.After(w.before) || s.MustChange && !w.before.IsZero()) && !(w.unlock && held)
	case w.what == "unlock":
		there = !held
	default:
		there = s.MustChange || s.PasswordSet.After(w.at)
	}
	if there {
		return Arrived
	}
	return Waiting
}

// outlook is what was last seen of a case.
type outlook struct {
	born   time.Time
	mu     sync.Mutex
	change written
	seen   After
	told   bool // that somebody looks is in the record
}

// outlooks are kept in memory: after a restart everything is looked at anew.
type outlooks struct {
	mu   sync.Mutex
	last map[string]*outlook
}

func (o *outlooks) of(id string, now time.Time) *outlook {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.last, func(_ string, old *outlook) bool { return now.Sub(old.born) > 2*watched })
	if o.last[id] == nil {
		if o.last == nil {
			o.last = map[string]*outlook{}
		}
		o.last[id] = &outlook{born: now}
	}
	return o.last[id]
}
