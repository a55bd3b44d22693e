package flowtest

import (
	"context"
	"fmt"
	"sync"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/notify"
)

// Accounts is what is remembered of accounts, in memory. Links are by token.
type Accounts struct {
	mu    sync.Mutex
	known map[directory.ID]access.Standing
	links map[string]notify.Link
	Fail  error  // every call returns it when set
	Told  *Store // gets what a change tells; nil: nobody does
	// Late is called after each reading of a standing, with how many there were.
	Late  func(calls int)
	calls int
}

// NewAccounts returns an empty one.
func NewAccounts() *Accounts {
	return &Accounts{known: map[directory.ID]access.Standing{}, links: map[string]notify.Link{}}
}

func (a *Accounts) Standing(_ context.Context, id directory.ID) (access.Standing, error) {
	a.mu.Lock()
	s, err := a.known[id], a.Fail
	a.calls++
	late, calls := a.Late, a.calls
	a.mu.Unlock()
	if late != nil {
		late(calls)
	}
	return s, err
}

func (a *Accounts) Remember(_ context.Context, id directory.ID, change flow.Change) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Fail != nil {
		return a.Fail
	}
	next, told, messages := change(a.known[id])
	a.known[id] = next
	if a.Told != nil {
		a.Told.tell(flow.Effects{Events: told, Messages: messages})
	}
	return nil
}

// Set changes a standing and tells nobody.
func (a *Accounts) Set(id directory.ID, change func(*access.Standing)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.known[id]
	change(&s)
	a.known[id] = s
}

// Put makes the links a message asks for, as the store does, and returns their
// tokens.
func (a *Accounts) Put(m notify.Message) (tokens []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range m.Links {
		token := fmt.Sprintf("token-%d", len(a.links))
		a.links[string(l.Kind)+token] = notify.Link{LinkTo: l}
		tokens = append(tokens, token)
	}
	return tokens
}

// PutAs makes a link with a token of the caller's.
func (a *Accounts) PutAs(token string, l notify.LinkTo) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.links[string(l.Kind)+token] = notify.Link{LinkTo: l}
}

func (a *Accounts) AddLink(_ context.Context, l notify.LinkTo) (string, error) {
	return l.Kind.Path() + a.Put(notify.Message{Links: []notify.LinkTo{l}})[0], a.Fail
}

func (a *Accounts) Link(_ context.Context, kind notify.LinkKind, token string) (notify.Link, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, found := a.links[string(kind)+token]
	if a.Fail != nil {
		return l, a.Fail
	}
	if !found {
		return l, notify.ErrNoLink
	}
	return l, nil
}

func (a *Accounts) SpendLink(ctx context.Context, kind notify.LinkKind, token string) (notify.Link, error) {
	l, err := a.Link(ctx, kind, token)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.links, string(kind)+token)
	}
	return l, err
}
