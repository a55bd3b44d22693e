// Package audit says what an event is: who did what to whom, from where, on
// what proof, and how it ended. Events are written by portal/store in the same
// transaction as what they describe; a change without its event cannot happen.
//
// No event ever holds a password, code, token, or seed.
package audit

import (
	"encoding/json"
	"time"

	"postern/directory"
)

// Kinds of what is looked at and not changed.
const (
	PolicyExplained  = "policy.explained"  // how somebody gets in, told to another
	CoverageExported = "coverage.exported" // how everybody does
	DeskViewed       = "desk.viewed"       // an account, by a technician
	DeskSearched     = "desk.searched"     // somebody was looked for; the subject is who was found
	ThreatRaised     = "threat.raised"     // the level, for the whole portal
	ThreatLowered    = "threat.lowered"
	DeskRefused      = "desk.refused"  // what a technician asked for and did not get
	DeskWatched      = "desk.watched"  // whether a change has arrived, and who still tries; Reason "still_trying" when somebody does
	DeskEvidence     = "desk.evidence" // all that is recorded of a case, taken away for a ticket

	FiguresViewed   = "figures.viewed"   // what happened in a time, counted
	FiguresExported = "figures.exported" // one of its tables, as a file
	ListViewed      = "list.viewed"      // who will need help
	ListExported    = "list.exported"
	CountStarted    = "count.started" // everybody is read, for the lists

	PersonErased = "person.erased" // who somebody is can no longer be read in the record

	DoctorStarted = "doctor.started" // everything the portal stands on is examined

	StoreRestored = "store.restored" // the database is one from a backup; Detail says what ended with that
)

// MessageSent is a message that a relay took; Detail has its channel and template, and
// never an address. What could not be delivered is "message.failed".
const (
	MessageSent   = "message.sent"
	MessageFailed = "message.failed"
)

// Outcome of what an event describes.
type Outcome string

const (
	OK      Outcome = "ok"      // it happened
	Failed  Outcome = "failed"  // a wrong answer, a fault
	Refused Outcome = "refused" // the rules said no
	Intent  Outcome = "intent"  // about to be written to the directory
	Unknown Outcome = "unknown" // sent, and no answer came
)

// Event is one line of the record.
type Event struct {
	ID   string    `json:"id"`            // set by the store when empty
	Seq  int64     `json:"seq,omitempty"` // order of commit, set by the store
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // "case.started", "proof.failed", "password.reset", "factor.added", …

	Case        string       `json:"case,omitempty"`
	Subject     directory.ID `json:"subject,omitempty"` // whose account
	SubjectName string       `json:"subject_name,omitempty"`
	Actor       directory.ID `json:"actor,omitempty"` // who acted; the subject themselves at the web door
	ActorName   string       `json:"actor_name,omitempty"`
	Door        string       `json:"door,omitempty"`    // web, kiosk, desk, api, job, cli
	Address     string       `json:"address,omitempty"` // client address

	Purpose string            `json:"purpose,omitempty"`
	Factor  string            `json:"factor,omitempty"`
	Outcome Outcome           `json:"outcome"`
	Reason  string            `json:"reason,omitempty"` // code, never a sentence: "unknown_account", "privileged", "too_short"
	Detail  map[string]string `json:"detail,omitempty"`
	// Proof is something that can be checked again without the portal, such as the
	// signed statement of an approval. JSON, whole: a cut one would prove nothing.
	Proof json.RawMessage `json:"proof,omitempty"`
	// Personal is what tells who they are, sealed under keys of their own, for the subject
	// and for the actor: how an event is stored. Nobody else sees it, unless a key was
	// erased, and what was sealed under it with it.
	Personal map[string]string `json:"personal,omitempty"`
}
