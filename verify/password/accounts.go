package password

import (
	"context"
	"sync"
	"time"

	"postern/directory"
)

// accounts lets one question at a time be asked about one account. Without it,
// fifty at once would all read the same count of wrong passwords and all be let
// through (case 18).
type accounts struct {
	keep time.Duration // how long a failure is remembered

	mu   sync.Mutex
	of   map[directory.ID]*account
	past []failure // in the order they happened: what to forget, and when
}

type account struct {
	turn  chan struct{} // holds one token: the right to ask
	users int           // who asks or waits
	// lastFailure is read and written by whoever has the turn. Snapshots older
	// than it do not know of it.
	lastFailure time.Time
}

type failure struct {
	id directory.ID
	at time.Time
}

func newAccounts(keep time.Duration) *accounts {
	return &accounts{keep: keep, of: map[directory.ID]*account{}}
}

// enter waits for the account's turn, no longer than ctx lasts.
func (a *accounts) enter(ctx context.Context, id directory.ID, now time.Time) (*account, error) {
	a.mu.Lock()
	a.forget(now)
	acc := a.of[id]
	if acc == nil {
		acc = &account{turn: make(chan struct{}, 1)}
		acc.turn <- struct{}{}
		a.of[id] = acc
	}
	acc.users++
	a.mu.Unlock()
	select {
	case <-acc.turn:
		return acc, nil
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		acc.users--
		a.drop(id, acc, now)
		return nil, ctx.Err()
	}
}

// leave passes the turn on. Whatever was not right may have counted.
func (a *accounts) leave(id directory.ID, acc *account, right bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !right {
		acc.lastFailure = now
		a.past = append(a.past, failure{id, now})
	}
	acc.users--
	acc.turn <- struct{}{}
	a.drop(id, acc, now)
}

// forget ends the memory of failures that are older than any snapshot that
// would still be believed, so that the map stays as small as the traffic.
func (a *accounts) forget(now time.Time) {
	n := 0
	for n < len(a.past) && now.Sub(a.past[n].at) > a.keep {
		if acc := a.of[a.past[n].id]; acc != nil {
			a.drop(a.past[n].id, acc, now)
		}
		n++
	}
	if n > 0 {
		a.past = append(a.past[:0], a.past[n:]...)
	}
}

// drop removes an account that nobody asks about and nothing recent is known of.
func (a *accounts) drop(id directory.ID, acc *account, now time.Time) {
	if acc.users == 0 && (acc.lastFailure.IsZero() || now.Sub(acc.lastFailure) > a.keep) && a.of[id] == acc {
		delete(a.of, id)
	}
}
