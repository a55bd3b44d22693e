package audit

import (
	"context"
	"time"

	"postern/directory"
)

// Query chooses events; a zero field does not restrict.
type Query struct {
	After   int64     // only those with a greater Seq
	From    time.Time // not before
	Until   time.Time // before
	Subject directory.ID
	Case    string
}

// Reader reads the record.
type Reader interface {
	// Recent returns up to n events about one account, newest first.
	Recent(ctx context.Context, subject directory.ID, n int) ([]Event, error)
	// Export calls each with every event, in the order of Seq, and stops at its
	// first error. A Seq it has passed will never be filled later, so the last
	// one seen can be given as After the next time.
	Export(ctx context.Context, q Query, each func(Event) error) error
}
