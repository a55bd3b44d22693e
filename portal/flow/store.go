package flow

import (
	"context"
	"errors"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/notify"
	"postern/verify"
)

// Store keeps cases. Any error is a no.
type Store interface {
	// Create stores a new case with what goes with it, in one transaction, that of ctx
	// when there is one; ErrExists when there is one of that id.
	Create(ctx context.Context, c *Case, e Effects) error
	// Case reads one; ErrNoCase when there is none.
	Case(ctx context.Context, id string) (*Case, error)
	// Update locks the row, calls change with it, and commits the changed case
	// and the effects together; when change fails nothing is written. The ctx
	// given to change carries the transaction: Strikes and Vault calls made
	// with it commit or vanish with the case. change must not wait for anything
	// but the store. It may be called again after a conflict.
	Update(ctx context.Context, id string, change func(context.Context, *Case) (Effects, error)) (*Case, error)
	// Unsettled lists cases whose write has no known outcome since before.
	Unsettled(ctx context.Context, before time.Time) ([]string, error)
}

// Counters are the durable counters of wrong answers, beside the short-lived
// limits: they survive a restart, and a flood of fresh sessions.
type Counters interface {
	// Strike locks the counter of one account and factor, calls change with its
	// value and stores the result, within ctx's transaction when there is one.
	Strike(ctx context.Context, key directory.ID, kind verify.Kind, change func(Strikes) Strikes) error
	// Strikes reads it.
	Strikes(ctx context.Context, key directory.ID, kind verify.Kind) (Strikes, error)
}

// Effects are what commits together with a change of a case.
type Effects struct {
	Events   []audit.Event
	Messages []notify.Message
	// EndCases closes every other running case of this account as superseded, also
	// those that rest on its owner's proofs (Case.Owner) unless they are of this very
	// case (their ids begin with its own and "-"); and EndSessions every browser
	// session of it.
	EndCases    directory.ID
	EndSessions directory.ID
}

// ErrNoCase: no such case. ErrConflict: somebody else moved it on first. ErrExists:
// it was begun before.
var (
	ErrNoCase   = errors.New("flow: no such case")
	ErrConflict = errors.New("flow: the case has moved on")
	ErrExists   = errors.New("flow: the case was begun before")
)
