package view

import (
	"time"

	"postern/portal/policy"
	"postern/verify"
)

// ApproveFirst is GET /approve/{token} for whoever is not signed in, or not well
// enough (Weak); posts to the same path. It says nothing about the request.
type ApproveFirst struct {
	Frame
	Token string
	Weak  bool
}

// Approve is a request as the one who was asked sees it. A yes posts
// decision=yes, number, factor and answer; a no posts decision=no or alarm, and
// note.
type Approve struct {
	Frame
	Token         string
	Name, Login   string // who asks
	Purpose       policy.Purpose
	Asked, Until  time.Time
	Door, Address string
	Screen        string        // the shared screen they are at; empty: none
	Why           string        // what happened, as they say: one of verify.Whys, or empty
	Helper        string        // the technician who began it; empty: none
	Proofs        []verify.Kind // what they proved already
	Passkey       string        // options to sign with, as JSON; empty: no passkey of theirs may
	TOTP          bool          // a code of their app will do
	Open          bool          // it can be answered with yes
	Mine          bool          // …or with no
	Vouched       bool          // somebody said yes
	Declined      bool          // somebody said no
}

// ApproveUnfit is a request that is not this person's to answer. Reason is that
// of verify.Unfit.
type ApproveUnfit struct {
	Frame
	Reason string
}

// NotMe is GET /notme/{token}; posts to the same path. Done answers the POST.
type NotMe struct {
	Frame
	Token string
	Login string // whose account; empty: not known now
	Done  bool
}

// Welcome is GET /link/{token} of an invitation; posts current to the same path. It
// says no more of the account than a first name.
type Welcome struct {
	Frame
	Token string
	Given string // empty: not known now
}

// Snooze is GET /link/{token} of a reminder; posts to the same path. Done answers
// the POST.
type Snooze struct {
	Frame
	Token string
	Until time.Time
	Done  bool
}

func (*ApproveFirst) file() string { return "approve-first" }
func (*Approve) file() string      { return "approve" }
func (*ApproveUnfit) file() string { return "approve-unfit" }
func (*NotMe) file() string        { return "notme" }

func (*Welcome) file() string { return "welcome" }
func (*Snooze) file() string  { return "snooze" }
