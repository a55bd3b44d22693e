// Package flowtest has strict doubles for tests of the core: a store in memory, a directory with knobs, and factors whose right
// answers are known.
package flowtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/verify"
)

type strikeKey struct {
	key  directory.ID
	kind verify.Kind
}

// Store keeps copies of cases, so that nobody shares a pointer with it.
type Store struct {
	mu       sync.Mutex
	rows     map[string]*flow.Case
	running  map[string][2]directory.ID // cases that success of another one would end: whose, and whose proofs
	strikes  map[strikeKey]flow.Strikes
	Events   []audit.Event
	Messages []notify.Message
	Ended    []directory.ID // accounts whose sessions were ended
	Fail     error          // every call returns it when set
	// FailCreate is returned by Create alone.
	FailCreate error
}

// NewStore returns an empty one.
func NewStore() *Store {
	return &Store{rows: map[string]*flow.Case{}, running: map[string][2]directory.ID{}, strikes: map[strikeKey]flow.Strikes{}}
}

type inTx struct{}

func (s *Store) Create(ctx context.Context, c *flow.Case, e flow.Effects) error {
	if ctx.Value(inTx{}) == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	if err := errors.Join(s.Fail, s.FailCreate); err != nil {
		return err
	}
	if s.rows[c.ID] != nil {
		return flow.ErrExists
	}
	s.put(c)
	s.apply(c.ID, e)
	return nil
}

func (s *Store) Case(_ context.Context, id string) (*flow.Case, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.get(id)
}

func (s *Store) Update(ctx context.Context, id string, change func(context.Context, *flow.Case) (flow.Effects, error)) (*flow.Case, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.get(id)
	if err != nil {
		return nil, err
	}
	strikes, rows, running, told, sent, ends := maps.Clone(s.strikes), maps.Clone(s.rows), maps.Clone(s.running), len(s.Events), len(s.Messages), c.Expires
	e, err := change(context.WithValue(ctx, inTx{}, true), c)
	if err == nil && c.Expires.After(ends) { // as the real one: no case gets a longer life
		err = flow.ErrConflict
	}
	if err != nil {
		s.strikes, s.rows, s.running, s.Events, s.Messages = strikes, rows, running, s.Events[:told], s.Messages[:sent]
		return nil, err
	}
	c.Version++
	s.put(c)
	s.apply(id, e)
	return s.get(id)
}

func (s *Store) Unsettled(_ context.Context, before time.Time) (ids []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.rows {
		c, err := s.get(id)
		if err != nil {
			return nil, err
		}
		if c.Outcome.Status == flow.InFlight && c.Outcome.Intent.Before(before) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (s *Store) Strike(ctx context.Context, key directory.ID, kind verify.Kind, change func(flow.Strikes) flow.Strikes) error {
	if ctx.Value(inTx{}) == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	if s.Fail != nil {
		return s.Fail
	}
	k := strikeKey{key, kind}
	s.strikes[k] = change(s.strikes[k])
	return nil
}

func (s *Store) Strikes(ctx context.Context, key directory.ID, kind verify.Kind) (flow.Strikes, error) {
	if ctx.Value(inTx{}) == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	return s.strikes[strikeKey{key, kind}], s.Fail
}

// Log returns a copy of the events so far.
func (s *Store) Log() []audit.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]audit.Event(nil), s.Events...)
}

func (s *Store) get(id string) (*flow.Case, error) {
	if s.Fail != nil {
		return nil, s.Fail
	}
	c, found := s.rows[id]
	if !found {
		return nil, flow.ErrNoCase
	}
	return clone(c), nil
}

// clone copies everything a Service may change, as a real store's rows would.
func clone(c *flow.Case) *flow.Case {
	out := *c
	if c.Person != nil {
		u := *c.Person
		out.Person = &u
	}
	if c.Open != nil {
		ch := *c.Open
		ch.Deliver = nil // never kept with the case
		ch.State, ch.Public = slices.Clone(ch.State), slices.Clone(ch.Public)
		out.Open = &ch
	}
	out.Proofs, out.Held, out.Asked = slices.Clone(c.Proofs), slices.Clone(c.Held), slices.Clone(c.Asked)
	out.Also = slices.Clone(c.Also)
	return &out
}

func (s *Store) put(c *flow.Case) {
	s.rows[c.ID] = clone(c)
	if c.Outcome.Status == flow.Pending && c.Closed == "" {
		s.running[c.ID] = [2]directory.ID{c.Key, c.Owner}
	} else {
		delete(s.running, c.ID)
	}
}

// tell takes what is told without a case.
func (s *Store) tell(e flow.Effects) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply("", e)
}

func (s *Store) apply(id string, e flow.Effects) {
	s.Events = append(s.Events, e.Events...)
	s.Messages = append(s.Messages, e.Messages...)
	if e.EndSessions != "" {
		s.Ended = append(s.Ended, e.EndSessions)
	}
	if e.EndCases == "" {
		return
	}
	for other, of := range s.running {
		if other == id || strings.HasPrefix(other, id+"-") || !slices.Contains(of[:], e.EndCases) {
			continue
		}
		c, err := s.get(other)
		if err != nil {
			panic(err)
		}
		c.Closed = flow.ReasonSuperseded
		s.put(c)
	}
}
