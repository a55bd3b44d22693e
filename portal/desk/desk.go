// Package desk is what technicians do for people who call: find them, see how
// their account stands, begin a case that the caller walks on a device of their
// own, and act on an account once the case says who is calling.
//
// It decides whom a technician may help, anew at every act. It never sees a
// password or a code of anybody, and has no field that could hold one: what
// proves a caller is portal/flow's, between them and their own browser.
package desk

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/verify"
)

// People are looked up and read (*directory.Set).
type People interface {
	Find(ctx context.Context, login string) (directory.User, error)
	Search(ctx context.Context, q directory.Query) (directory.Found, error)
	Read(ctx context.Context, u directory.User) (directory.User, error)
	Resolve(ctx context.Context, from directory.User, ref string) (directory.User, error)
}

// Roles of somebody who has just been read (access.Roles).
type Roles interface {
	Of(u directory.User) []access.Role
}

// Scope says whom a role may help: Of alone, Crosses with a second technician
// (access.Config).
type Scope interface {
	Of(roles []access.Role, u directory.User) bool
	Crosses(roles []access.Role, u directory.User) bool
}

// Policy says whom the portal serves at all (*policy.Policy).
type Policy interface {
	Eligible(u directory.User) string
}

// Cases are begun here and walked elsewhere (*flow.Service).
type Cases interface {
	Assist(ctx context.Context, r flow.AssistRequest) (*flow.Case, error)
	Match(ctx context.Context, id string, by access.Principal, number, address string) (*flow.Case, error)
	Withdraw(ctx context.Context, id string, by access.Principal, address string) error
	Load(ctx context.Context, id string) (*flow.Case, error)
	Spoken(ctx context.Context, id string, by access.Principal, k verify.Kind, code []byte, address string) (*flow.Case, error)
}

// Holds are cases that wait for a second technician (*flow.Service).
type Holds interface {
	Hold(ctx context.Context, id string, by access.Principal, reasons []string) error
	Release(ctx context.Context, id string, by access.Principal, address string) (*flow.Case, error)
	Refuse(ctx context.Context, id string, by access.Principal, address string) (*flow.Case, error)
}

// Circle is a part of the people (access.Part).
type Circle interface{ Holds(u directory.User) bool }

// Known is what the portal has of an account (*store.DB).
type Known interface {
	Standing(ctx context.Context, id directory.ID) (access.Standing, error)
	Methods(ctx context.Context, owner directory.ID) ([]verify.Credential, error)
	// Running are the ids of cases of an account that have no outcome.
	Running(ctx context.Context, id directory.ID) ([]string, error)
	// Held are the ids of cases that have waited since then, newest first.
	Held(ctx context.Context, since time.Time) ([]string, error)
}

// Record is the audit log, and mail that goes with an entry of it (*store.DB).
type Record interface {
	Recent(ctx context.Context, subject directory.ID, n int) ([]audit.Event, error)
	// Note commits both or none.
	Note(ctx context.Context, events []audit.Event, messages []notify.Message) error
}

// History is what the record has of the past (*store.DB), at most n events of it.
type History interface {
	// OfCase has the first ones first, the others the newest.
	OfCase(ctx context.Context, id string, n int) ([]audit.Event, error)
	// CaseEnds are those with which cases of an account began or ended.
	CaseEnds(ctx context.Context, account directory.ID, n int) ([]audit.Event, error)
	// Notices are what became of messages to an account.
	Notices(ctx context.Context, account directory.ID, n int) ([]audit.Event, error)
}

// Counters are durable (*store.DB).
type Counters interface {
	Strike(ctx context.Context, key directory.ID, kind verify.Kind, change func(flow.Strikes) flow.Strikes) error
}

// Hands act on an account and tell its owner, and those of tell (*enrol.Service).
// by has the actor, the case and the reasons; what and when are filled in.
type Hands interface {
	FreezeFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error
	UnfreezeFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error
	ClearFor(ctx context.Context, u directory.User, credential string, by audit.Event, tell []string) error
	EndSessionsFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error
}

// Writes are acts that the directory itself carries out (*enrol.Service).
type Writes interface {
	// RequireChangeFor returns directory.ErrUnsupported where it would do nothing.
	RequireChangeFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error
	UnlockFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error
}

// Options are the parts of a Service; all are required but Alerts and Log.
type Options struct {
	Limits    Limits
	Mends     Mends
	Spent     Spent
	People    People
	Roles     Roles
	Scope     Scope
	Policy    Policy
	Cases     Cases
	Holds     Holds
	Hours     func(t time.Time) bool // when one technician is enough
	FourEyes  Circle                 // whom it takes two to help, always
	Cooling   time.Duration          // for how long a factor is new (policy.Config.CoolingOff)
	Known     Known
	Record    Record
	History   History
	Sightings Sightings
	Counters  Counters
	Hands     Hands
	Writes    Writes
	Phone     Phone // of shared screens
	Threats   access.Threats
	Tickets   *regexp.Regexp // what a ticket number looks like
	Alerts    []string       // mail addresses that hear of every act
	Now       func() time.Time
	Log       *slog.Logger
}

// Service is safe for concurrent use.
type Service struct {
	Options
	outlooks outlooks
	shown    *sightings
	turns    *turns
}

// New checks that nothing is missing.
func New(o Options) (*Service, error) {
	if o.People == nil || o.Roles == nil || o.Scope == nil || o.Policy == nil || o.Cases == nil || o.Holds == nil || o.Hours == nil || o.FourEyes == nil || o.Known == nil || o.Record == nil || o.History == nil || o.Sightings == nil ||
		o.Counters == nil || o.Hands == nil || o.Writes == nil || o.Phone == nil || o.Threats == nil || o.Tickets == nil || o.Now == nil || o.Limits == nil || o.Mends == nil || o.Spent == nil {
		return nil, errors.New("desk: a part is missing")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{Options: o, shown: newSightings(), turns: newTurns()}, nil
}

// Who is a technician at the desk. Principal.User was read in this very request.
type Who struct {
	Principal access.Principal
	Address   string
	Lang      string
}

var (
	// ErrUnknown: there is no such person or case for whoever asks. Out of scope and
	// nowhere are the same (security case 99).
	ErrUnknown = errors.New("desk: nobody known here")
	// ErrStale: a fresh proof is needed first (security case 104).
	ErrStale = errors.New("desk: the last proof is too old for an act")
)

// Refused is a no that the technician may know the reason of: self, staff,
// held, velocity, second_technician, threat, no_approver, frozen, unsupported, or one of policy.Eligible.
type Refused struct{ Reason string }

func (e *Refused) Error() string { return "desk: refused: " + e.Reason }
