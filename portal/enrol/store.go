package enrol

import (
	"context"
	"errors"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
	"postern/verify"
)

// Store keeps what belongs to a person's own factors. Any error is a no.
type Store interface {
	// Methods lists a person's credentials of every kind, oldest first, without secrets.
	Methods(ctx context.Context, owner directory.ID) ([]verify.Credential, error)
	// HoldOffer keeps an unfinished set-up, in place of an earlier one of that
	// owner and kind.
	HoldOffer(ctx context.Context, o Offer) error
	// TryOffer counts one try and returns the offer, in one statement;
	// ErrNoOffer when there is none.
	TryOffer(ctx context.Context, owner directory.ID, kind verify.Kind) (Offer, error)
	// Commit applies one change whole or not at all.
	Commit(ctx context.Context, c Change) error
}

// Accounts is what is remembered of accounts, and the links in messages.
type Accounts interface {
	// Standing of one account; the zero value when it was never seen.
	Standing(ctx context.Context, id directory.ID) (access.Standing, error)
	// Frozen lists those that are, the longest first.
	Frozen(ctx context.Context) ([]Frozen, error)
	// Link reads one that can still be used; notify.ErrNoLink when there is none.
	Link(ctx context.Context, kind notify.LinkKind, token string) (notify.Link, error)
	// AddLink makes one and returns its path, which is nowhere else.
	AddLink(ctx context.Context, l notify.LinkTo) (path string, err error)
}

// Frozen is an account for which the portal does nothing.
type Frozen struct {
	ID    directory.ID
	Since time.Time
}

// Spend is a link that a change uses up; notify.ErrNoLink, and nothing happens,
// when it is gone.
type Spend struct {
	Kind  notify.LinkKind
	Token string
}

// Offer is a set-up that was begun and not yet confirmed.
type Offer struct {
	Owner     directory.ID
	Kind      verify.Kind
	Session   string // hash of the browser session it began in; works in no other
	Challenge verify.Challenge
	Replaces  string // credential that goes when this is confirmed; empty: none
	Tries     int
	Expires   time.Time
}

// Change is what happens to a person's factors in one transaction.
type Change struct {
	Owner directory.ID
	// Add binds something new: wrong answers of its kind so far are forgotten
	// (NIST SP 800-63B-4 section 3.2.2). verify.ErrDuplicate when a handle exists.
	Add        []verify.Credential
	ReplaceAll verify.Kind // credentials of this kind that were there before go away; empty: none
	Rename     string      // credential id, with Name
	Name       string
	Remove     string      // credential id
	DropOffer  verify.Kind // the offer this change finishes; ErrNoOffer when it is gone, and nothing happens
	// OnlySession is the one browser session of Owner that goes on, as a hash; every
	// other one ends. Empty: all go on.
	OnlySession string
	Spend       *Spend
	// Standing changes what is remembered of Owner, under its lock.
	Standing func(access.Standing) access.Standing
	// Served: ErrEnded, and nothing happens, when the account is frozen by now.
	Served bool
	// Calm: ErrThreat, and nothing happens, when the threat level is raised by now.
	Calm bool
	// EndAll ends every running case and every session of Owner.
	EndAll   bool
	Events   []audit.Event
	Messages []notify.Message
}

// ErrNoOffer: nothing was begun, or it was finished by another tab.
// ErrNoMethod: this person has no such credential.
var (
	ErrNoOffer  = errors.New("enrol: nothing to confirm")
	ErrNoMethod = errors.New("enrol: no such method")
)
