package enrol

import (
	"context"
	"errors"
	"time"

	"postern/directory"
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

// Offer is a set-up that was begun and not yet confirmed.
type Offer struct {
	Owner     directory.ID
	Kind      verify.Kind
	Session   string // hash of the browser session it began in; works in no other
	Challenge verify.Challenge
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
	Events      []audit.Event
	Messages    []notify.Message
}

// ErrNoOffer: nothing was begun, or it was finished by another tab.
// ErrNoMethod: this person has no such credential.
var (
	ErrNoOffer  = errors.New("enrol: nothing to confirm")
	ErrNoMethod = errors.New("enrol: no such method")
)
