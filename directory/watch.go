package directory

import (
	"context"
	"time"
)

// Watcher is the optional ability to say how an account stands on every server of a
// directory, for the time after something was written: one server has it at once, the
// others when it reaches them.
//
// Watch asks each server itself, side by side, and none of them for long. There is one
// Sighting for each configured server, in the order of the configuration. One that does
// not answer says so in its own, and hides no other. ErrUnavailable, with the list beside
// it, when none of them told anything; ErrNotFound when the account is on none.
type Watcher interface {
	Watch(ctx context.Context, u User) ([]Sighting, error)
}

// Sighting is what one server has of an account. Times are by the clocks of the
// directory, not by ours.
type Sighting struct {
	Server string // host:port
	// Err is why nothing else is here: ErrUnavailable, ErrDenied, or ErrNotFound where
	// the account has not arrived yet. nil: the server answered.
	Err error

	Locked      bool
	LockedAt    time.Time // zero: not locked, or not told
	LockedUntil time.Time // zero: not locked, or until somebody acts
	// BadPasswords counts wrong passwords on this server, and LastBad is when the last
	// one came; zero where there was none, or a right one made the server forget it.
	BadPasswords int
	LastBad      time.Time
	PasswordSet  time.Time // zero: never, or must change
	MustChange   bool
}
