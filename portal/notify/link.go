package notify

import (
	"errors"
	"time"

	"postern/directory"
)

// LinkKind is what a link in a message is for. It is part of the row: a link
// opens no page but its own (security case 22).
type LinkKind string

const (
	NotMe   LinkKind = "notme"   // /notme/…: freezes recovery for the account
	Approve LinkKind = "approve" // /approve/…: one approver's page of one request
	Invite  LinkKind = "invite"  // /link/…: takes the place of the mailed code at a first sign-in
	Snooze  LinkKind = "snooze"  // /link/…: no reminder for a while
	// Claim is a code to be read out on the telephone. It opens a case that a
	// technician began, for whoever types it first; proofs are asked for there.
	Claim LinkKind = "claim" // /claim/…, or typed at /link
)

// Path below which links of a kind open.
func (k LinkKind) Path() string {
	switch k {
	case NotMe, Approve, Claim:
		return "/" + string(k) + "/"
	}
	return "/link/"
}

// LinkTo asks for a link in a message. The store makes the token when it writes
// the message, keeps its hash, and puts the path into Args under the kind.
type LinkTo struct {
	Kind    LinkKind
	Account directory.ID // whose page it opens
	Case    string
	Life    time.Duration
}

// Link is a link as it was found by its token.
type Link struct {
	LinkTo
	Created time.Time
	Expires time.Time
}

// ErrNoLink: there is none of that kind by this token, it is too old, or it was
// used.
var ErrNoLink = errors.New("notify: no such link")
