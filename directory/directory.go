// Package directory says what Postern needs of a directory of people: find one
// person, read the account's state and effective password policy, set a
// password. Back ends (directory/ad, directory/openldap, directory/entra) are
// adapters of one dialect each.
//
// It never decides whether somebody may do something: that is the core's work
// (portal/flow). It never stores anything.
package directory

import (
	"context"
	"errors"
	"time"
)

// ID names one account for ever: the configured name of the directory, a colon,
// and the back end's immutable id in lower case (objectGUID and entryUUID in
// 8-4-4-4-12 form, the Graph object id). Every counter, lock, case and audit
// row is keyed on it, never on a typed name (Vault CVE-2025-6004 and Authelia
// CVE-2025-24806 are what happens otherwise).
type ID string

// Directory is what every back end can do.
//
// Every method honours ctx's deadline and returns ErrUnavailable, wrapped, when
// the directory could not be asked or its answer is not known.
type Directory interface {
	// Find resolves what a person typed to exactly one account. It returns
	// ErrNotFound when nobody or more than one matches. The amount of work is
	// the same for a name that exists and for one that does not.
	Find(ctx context.Context, login string) (User, error)
	// Read reads the account again by its immutable id, preferably on the
	// server u.Server names; ErrNotFound when it is gone.
	Read(ctx context.Context, u User) (User, error)
	// Rules returns the password policy in force for u, to show before asking;
	// for the zero User, the one that holds for everybody else.
	Rules(ctx context.Context, u User) (Rules, error)
	// SetPassword is an administrative reset: it writes to u.ID and returns
	// nil only when the server said yes. Errors: *Refusal (the password was
	// refused, and why), ErrDenied (rights missing), ErrUnavailable with
	// ErrUncertain inside when the request was sent and no answer came.
	SetPassword(ctx context.Context, u User, pw Secret) error
}

// Changer is the optional ability to carry a true change with the old password,
// through the service connection, so that people who may not bind (expired, must
// change) can still change. History and minimum age hold, unlike in a reset.
// A wrong old password is ErrWrongPassword.
type Changer interface {
	ChangePassword(ctx context.Context, u User, old, pw Secret) error
}

// Unlocker is the optional ability to end a lockout without touching the password.
type Unlocker interface {
	Unlock(ctx context.Context, u User) error
}

// Expirer is the optional ability to make a person choose a new password at the
// next sign-in, without touching the one in force. Errors are SetPassword's, and
// ErrUnsupported, with the reason, where the directory would not act on it (the
// password never expires, no policy looks at the mark) or the person could not
// obey (may not change the password): a mark that does nothing would be taken for
// a rotation that is on its way.
type Expirer interface {
	RequireChange(ctx context.Context, u User) error
}

// Authenticator is the optional ability to check the directory's own password.
// nil, ErrPasswordExpired and ErrMustChange all mean that the password was right.
// ErrWrongPassword is everything that must look like a wrong one; wrapped
// *BindDenied tells the audit log the precise reason.
// An empty password is refused before the wire (RFC 4513 section 5.1.2).
type Authenticator interface {
	Authenticate(ctx context.Context, u User, pw Secret) error
}

// Resolver is the optional ability to follow a reference from one account to
// another of the same directory: User.Manager. It returns what Read would.
//
// A reference is attribute data, and in many directories people may write some of
// their own. So it leads nowhere but to an account that Find could find: ErrNotFound
// when it names nothing, something that is no person's account, or something
// outside of where people are looked for. It may name from itself, somebody
// disabled, or anybody: whom to trust is the core's decision.
type Resolver interface {
	Resolve(ctx context.Context, from User, ref string) (User, error)
}

// Lister is the optional ability to go through everybody, for counts and reports.
//
// People calls each for the ID of every person's account that Find could find and
// that is where accounts may be touched, whatever its state, in no order and from
// one goroutine. It returns nil only when that was everybody; the first error of
// each ends it and comes back as it is. Who is made or deleted meanwhile may be
// missing, given, or gone when it is read.
type Lister interface {
	People(ctx context.Context, each func(ID) error) error
}

// Examiner is the optional ability of the doctor: look at everything, change nothing.
type Examiner interface {
	Examine(ctx context.Context) []Finding
}

// Revoker is the optional ability to end the sessions the directory itself gave out.
type Revoker interface {
	RevokeSessions(ctx context.Context, u User) error
}

// Original is the optional ability of a directory that is synced into a tenant: find
// the account by its SID. The answer is Find's.
type Original interface {
	BySID(ctx context.Context, sid string) (User, error)
}

// Copier is the optional ability of a tenant: find the copy of an account by its SID.
// The answer is Find's; ErrNotFound where there is none (yet).
type Copier interface {
	CopyOf(ctx context.Context, sid string) (User, error)
}

// Linker is the optional ability to find an account by its Link, where one is
// configured (ErrUnsupported where not). The answer is Find's.
type Linker interface {
	ByLink(ctx context.Context, link string) (User, error)
}

// Errors that cross the room's border. Compare with errors.Is.
var (
	ErrNotFound        = errors.New("directory: nobody, or more than one, by that name")
	ErrUnavailable     = errors.New("directory: cannot be reached")
	ErrUncertain       = errors.New("directory: the request was sent and no answer came")
	ErrDenied          = errors.New("directory: the service account lacks a right")
	ErrWrongPassword   = errors.New("directory: wrong password")
	ErrPasswordExpired = errors.New("directory: the password is right and has expired")
	ErrMustChange      = errors.New("directory: the password is right and must be changed")
	ErrUnsupported     = errors.New("directory: this back end cannot do that")
)

// BindDenied is a bind that failed for a reason other than a wrong password; it
// is also ErrWrongPassword, so that nobody outside the audit log can tell.
type BindDenied struct {
	// Reason is one of: disabled, locked, account_expired, logon_hours, workstation, other.
	Reason string
	// PasswordRight says that the server checked the password first and found it right.
	PasswordRight bool
	Err           error
}

func (e *BindDenied) Error() string        { return "directory: bind denied: " + e.Reason }
func (e *BindDenied) Unwrap() error        { return e.Err }
func (e *BindDenied) Is(target error) bool { return target == ErrWrongPassword }

// User is one account as it was when it was read.
type User struct {
	ID        ID
	Directory string // configured name of the directory
	DN        string // for people to read; never written to blindly
	Server    string // host:port that answered: the server this case is pinned to
	Login     string // sAMAccountName, uid
	UPN       string
	Name      string // display name
	GivenName string
	Surname   string
	Mail      []string // first is the one codes go to
	Phone     []string // as the directory has it
	Language  string   // BCP 47, or empty
	Manager   string   // DN or id of the manager, or empty
	Groups    []string // DNs or names of groups, direct and (where the back end can tell) nested
	State     State
	// Privileged is why this account must never be touched (built-in group,
	// adminCount, configured group, machine account, denied OU), for the audit
	// log alone; empty for everybody else.
	Privileged string
	// SID is the security identifier of an account in Active Directory, as text;
	// empty elsewhere. A tenant knows its copies of accounts by it.
	SID string
	// CopyOf is the SID of the account that this one is a copy of, synced into a
	// tenant: nothing is ever done to a copy. Set finds the original.
	CopyOf string
	// Link is what accounts of one person in several directories have in common, like a
	// number of staff; empty: nothing is known.
	Link string
	// ReadAt is when the reading of this snapshot began (before the search was
	// sent); zero means "of unknown age" and counts as stale.
	ReadAt time.Time
}

// State is what the directory says of the account.
type State struct {
	Disabled       bool
	Locked         bool
	LockedAt       time.Time // since when; zero: not locked, or the directory does not tell
	LockedUntil    time.Time // zero: not locked, or until somebody acts
	AccountExpired bool
	// PasswordExpired and MustChange: the person can only get in by a true change.
	PasswordExpired bool
	MustChange      bool
	CannotChange    bool      // "user cannot change password"
	PasswordSet     time.Time // zero: never, or must change
	PasswordExpires time.Time // zero: never
	// BadPasswords is how many wrong passwords count towards the lockout now
	// (zero when the observation window is over).
	BadPasswords int
	// FirstBad and LastBad are when the first and the last of them was tried, as the
	// server that answered knows it; zero: there is none, or it is not told.
	FirstBad, LastBad time.Time
}

// Finding is one line of the doctor.
type Finding struct {
	Severity Severity
	Check    string // what was looked at: "tls", "bind", "rights"
	What     string // what was found
	Why      string // why it matters; empty when all is well
	Mend     string // the command that mends it; empty when all is well
}

// Severity orders findings.
type Severity int

const (
	OK Severity = iota
	Warning
	Failure
)

func (s Severity) String() string { return [...]string{"ok", "warning", "failure"}[s] }
