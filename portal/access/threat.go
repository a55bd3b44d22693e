package access

import (
	"context"
	"time"

	"postern/directory"
)

// Level is how much the portal takes on trust.
type Level string

const (
	Normal Level = "normal"
	Raised Level = "raised"
)

// Threat is how careful the portal is at the moment, and who said so. The zero
// value is as careful as ever.
type Threat struct {
	Level  Level
	Since  time.Time
	By     directory.ID // as in the record; "operator": from the command line
	Login  string       // of By, or the name on the machine
	Reason string       // at most MaxReason code points, printable
	Until  time.Time    // it ends by itself then; zero: it does not
}

// MaxReason is the length of a reason, in code points.
const MaxReason = 200

// Raised reports whether the level is raised at now.
func (t Threat) Raised(now time.Time) bool {
	return t.Level == Raised && (t.Until.IsZero() || now.Before(t.Until))
}

// Threats says how the level stands (*store.DB). Whoever acts by it asks anew at
// every act: it may have been raised at another node a moment ago. An error is a no.
type Threats interface {
	// Threat is the zero value where nobody has ever raised it. Within an update's
	// ctx it is read in its transaction.
	Threat(ctx context.Context) (Threat, error)
}
