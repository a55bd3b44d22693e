// Package flow is the core: a Case is one person's attempt to prove who they
// are for one purpose, kept as one stored row. The pure function Next says
// what comes next; every page, door and device only asks it.
//
// It knows no HTTP, no SQL and no LDAP. Every decision about security is taken
// here, once, at the moment of the act.
package flow

import (
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/policy"
	"postern/verify"
)

// Case is one attempt. Only Service changes it, under the store's row lock.
type Case struct {
	ID      string // 128 random bits, for rows and logs; knowing it gives nothing
	Version int64  // raised by the store at every update
	Purpose policy.Purpose
	Door    access.Door
	Address string // client address at the start
	Lang    string
	// At is the registered device it is at; the zero Screen: a browser of the person's own.
	At access.Screen `json:",omitzero"`
	// Carried is when it was taken from that device to a phone; zero: it was not.
	Carried time.Time `json:",omitzero"`
	// By is who asked when it is not the person themselves, and for a step-up
	// who is signed in; the zero Principal for strangers.
	By access.Principal

	// Key is what counters and rows are keyed on: the person's directory.ID, or
	// "decoy:" and a keyed hash of what was typed.
	Key directory.ID
	// Person is nil for a decoy, which walks the same pages and opens no gate,
	// and for a sign-in before anybody is known.
	Person *directory.User
	Login  string // as typed, to show it again; never used to find anybody
	// Named is the login for the record: the directory's own, or, for a name
	// that nobody has, its beginning. People type passwords into the wrong field.
	Named string
	// Barred is the account a decoy stands for, for the record alone: whom
	// somebody tried to get at is what an auditor asks first.
	Barred directory.ID `json:",omitempty"`

	Plan   policy.Plan
	Proofs []Proof
	Open   *verify.Challenge
	// Turn rises with every challenge opened and every right answer. An answer
	// counts only in the turn it was given in, so that "use something else" in
	// another tab, or a second right answer, cannot open a gate twice or the
	// wrong one (Keycloak CVE-2026-18963).
	Turn   int64
	Misses int // answers taken and not (yet) found right; rises before the check
	// Held is the current password, sealed under a key that only this browser
	// has, for the true change at the end. Gone with the case.
	Held []byte
	// Invite is the token of the invitation it was begun with. Whoever reads the row
	// without its key learns nothing of it.
	Invite string `json:",omitempty"`
	// Contacts of the person as known when the case began.
	Contacts Contacts
	// Asked are the accounts an approval was asked of in this case. Each of them can
	// say no until something is written, also after another one said yes.
	Asked []directory.ID `json:",omitempty"`
	// Said is what the requester said happened, when they last asked: one of
	// verify.Whys, or empty.
	Said string `json:",omitempty"`
	// Votes are answers of those who were asked that were taken and not (yet) found
	// right, over all requests of the case: to ask again gives no more tries.
	Votes int `json:",omitempty"`
	// Of a case that a technician began: why, and the number in their own system.
	Cause, Ticket string `json:",omitempty"`
	// Code is what they read out for that, until it was used; nowhere else.
	Code string `json:",omitempty"`
	// Claimed is when the person on the telephone opened it in their browser.
	Claimed time.Time `json:",omitzero"`
	// Hold is why it waits for a second technician; nil: it never did.
	Hold *Hold `json:",omitempty"`
	// Send: the way in is mailed as well.
	Send bool `json:",omitempty"`
	// Tell are addresses beside the person's that hear of what comes of it.
	Tell []string `json:",omitempty"`
	// Note is why somebody said no, in their words.
	Note string `json:",omitempty"`

	// Also are the person's other accounts, from when the first of them was about to be
	// written. Each has a case of its own, of which Of is the id of the one that its proofs
	// were given in, and Owner whose they are. See FinishAll.
	Also  []Also       `json:",omitempty"`
	Of    string       `json:",omitempty"`
	Owner directory.ID `json:",omitempty"`

	// because is why the account is privileged, for the record of the start alone.
	because string

	Outcome Outcome
	Closed  Reason // why it ended without an outcome; empty while it runs
	Created time.Time
	Expires time.Time
}

// Proof is one gate opened.
type Proof struct {
	Kind     verify.Kind
	At       time.Time
	Evidence verify.Evidence
	// Settles is when what it rests on will be old enough to be the only proof; zero:
	// it is.
	Settles time.Time
	// Spoken: a technician typed it, as it was read to them.
	Spoken bool `json:",omitempty"`
}

// Status of the one directory write a case may do.
type Status string

const (
	Pending  Status = ""         // nothing was tried
	InFlight Status = "applying" // the intent is written; the answer is not known
	Applied  Status = "done"
	Declined Status = "refused" // the directory or the rules said no, for good
	Lost     Status = "unknown" // sent, no answer, and the account does not tell
)

// Outcome is what came of a case.
type Outcome struct {
	Status Status
	Intent time.Time // when it was about to be written
	At     time.Time // when it was known
	Reason Reason
	// Before is the account's PasswordSet at the intent, to tell afterwards
	// whether the write happened.
	Before   time.Time
	Unlocked bool // a lock was ended on the way
	// StillLocked: the password is set and the lock could not be ended.
	StillLocked bool
	// Unconfirmed: no answer came, but the account shows that it happened.
	Unconfirmed bool
	// SessionsEnded: the directory ended the sessions it had given out; SessionsLeft:
	// it could not. Neither where it has no such thing.
	SessionsEnded bool `json:",omitempty"`
	SessionsLeft  bool `json:",omitempty"`
	// ChangeAgain: the directory will ask for another change at sign-in.
	ChangeAgain bool
	Receipt     string // short code a person can quote
	Saves       int    // passwords the directory refused in this case
}

// Reason is a code for the audit log and for choosing a sentence; never shown as it is.
type Reason string

const (
	ReasonTries        Reason = "too_many_tries"
	ReasonCancelled    Reason = "cancelled"
	ReasonSuperseded   Reason = "superseded" // another case of this account succeeded
	ReasonChanged      Reason = "account_changed"
	ReasonNotEligible  Reason = "not_eligible"
	ReasonDenied       Reason = "directory_denied"
	ReasonUnsupported  Reason = "unsupported"
	ReasonUnknown      Reason = "outcome_unknown"
	ReasonNotApplied   Reason = "not_applied"
	ReasonRefusedSaves Reason = "too_many_refused_passwords"
	ReasonTooOften     Reason = "too_often"
	ReasonFrozen       Reason = "frozen"   // somebody said "this wasn't me"
	ReasonDeclined     Reason = "declined" // the one who was asked said no
)

// Step is what comes next. The values are the data-step of the page.
type Step string

const (
	StepChoose      Step = "choose"
	StepAnswer      Step = "answer"
	StepWait        Step = "wait"
	StepNewPassword Step = "new-password"
	StepApplying    Step = "applying"
	StepDone        Step = "done"
	StepRefused     Step = "refused"
	StepExpired     Step = "expired"
)

// Next says what comes next, from the row and the clock alone.
func (c *Case) Next(now time.Time) Step {
	switch c.Outcome.Status {
	case Applied:
		return StepDone
	case Declined, Lost:
		return StepRefused
	case InFlight:
		return StepApplying
	}
	if c.Closed != "" && !c.Ghost() {
		return StepRefused
	}
	if !now.Before(c.Expires) {
		return StepExpired
	}
	if c.Proven() {
		switch c.Purpose {
		case policy.Reset, policy.Change:
			return StepNewPassword
		}
		// Unlock and sign-in are settled in the transaction that records the
		// last proof; a row that says otherwise is not to be trusted.
		return StepRefused
	}
	if c.Open != nil && now.Before(c.Open.Expires) {
		if c.Open.Kind == verify.Approval || c.Open.Kind == verify.Handover {
			return StepWait
		}
		return StepAnswer
	}
	return StepChoose
}

// Ghost is a case that was ended from outside, by another one's success or by
// "this wasn't me", before anything was proved in it. It goes on as a decoy: were
// it refused, a stranger who merely typed a name and waited would learn that its
// owner exists and has just got back in.
func (c *Case) Ghost() bool {
	return (c.Closed == ReasonSuperseded || c.Closed == ReasonFrozen) && len(c.Proofs) == 0
}

// end closes the case. How it was closed first stays; a ghost ends like a decoy.
func (c *Case) end(why Reason) {
	c.Open, c.Held = nil, nil
	if c.Ghost() {
		c.Outcome = Outcome{Status: Declined, Reason: why}
		return
	}
	c.Closed = why
}

// Why is the reason it ended for; empty while it runs.
func (c *Case) Why() Reason {
	if c.Outcome.Reason != "" {
		return c.Outcome.Reason
	}
	return c.Closed
}

// Somebody is the person a factor may know of; nil for a decoy.
func (c *Case) Somebody() *directory.User {
	if c.Ghost() {
		return nil
	}
	return c.Person
}

// Proven reports whether the proofs in the row satisfy the plan in the row. A
// decoy never does, nor a case that waits for a second technician.
func (c *Case) Proven() bool {
	return c.Somebody() != nil && !c.OnHold() && (c.Plan.Satisfied(c.given()) || c.Heard())
}

// Kinds of the proofs so far, in order.
func (c *Case) Kinds() []verify.Kind {
	kinds := make([]verify.Kind, len(c.Proofs))
	for i, p := range c.Proofs {
		kinds[i] = p.Kind
	}
	return kinds
}

// VotesLeft is how many numbers may still be tried.
func (c *Case) VotesLeft() int { return max(0, maxVotes-c.Votes) }

// TriesLeft is how many wrong answers the case still bears.
func (c *Case) TriesLeft() int { return max(0, c.Plan.Tries-c.Misses) }

// Live reports whether the case can still go on.
func (c *Case) Live(now time.Time) bool {
	return !slices.Contains([]Step{StepDone, StepRefused, StepExpired}, c.Next(now))
}
