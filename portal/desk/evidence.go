package desk

import (
	"encoding/json"
	"time"
)

// EvidenceFormat names the form of Evidence as JSON. Within it no field is renamed or
// taken away, and none changes its meaning; there may be more of them.
const EvidenceFormat = "postern evidence 1"

// Evidence is all that is recorded of one case, for the ticket it was about. It is made
// of the audit record, in which each line is found again by its seq and id (`postern
// audit export` has both). It holds no password, no code, no address of mail and no
// telephone number.
//
// As JSON, times are RFC 3339, lists are never null, and what is not known is left out.
// Purposes, kinds of proof, outcomes, reasons and kinds of events are the codes of the
// record and not sentences.
type Evidence struct {
	Format string    `json:"format"` // EvidenceFormat
	Case   string    `json:"case"`
	Made   time.Time `json:"made"`
	MadeBy Party     `json:"made_by"` // who looks, which is in the record too

	Purpose string    `json:"purpose"` // reset, unlock, assist, change
	Door    string    `json:"door"`    // desk, or where the person began it themselves
	Person  Party     `json:"person"`  // whose account
	Asked   Party     `json:"asked"`   // who began it: the technician
	Began   time.Time `json:"began"`
	From    string    `json:"from,omitempty"` // client address it was begun from
	Cause   string    `json:"cause,omitempty"`
	Ticket  string    `json:"ticket,omitempty"`

	// Claimed is when and from where the person opened it on a device of their own.
	Claimed   *Moment    `json:"claimed,omitempty"`
	Proofs    []Proved   `json:"proofs"`
	Number    *Number    `json:"number,omitempty"` // of a case whose number was tried at all
	Approvals []Approval `json:"approvals"`
	Others    []Other    `json:"others"`  // who else did something: a second technician
	Acts      []Deed     `json:"acts"`    // what was done to the account, or tried
	Notices   []Notice   `json:"notices"` // who was told
	Outcome   Result     `json:"outcome"`
	Receipts  []string   `json:"receipts"` // what people can quote

	// Complete is false where the record has more lines of the case than are here.
	Complete bool    `json:"complete"`
	Events   []Entry `json:"events"`
}

// Party is somebody, as the record names them.
type Party struct {
	ID        string `json:"id"`
	Login     string `json:"login,omitempty"`
	Name      string `json:"name,omitempty"`
	Directory string `json:"directory,omitempty"`
}

// Moment is when something was done, and from which client address.
type Moment struct {
	At      time.Time `json:"at"`
	Address string    `json:"address,omitempty"`
}

// Proved is one proof that was accepted.
type Proved struct {
	Kind string `json:"kind"` // passkey, totp, …
	Moment
	// Credential is the beginning of the id of what it was given with.
	Credential string `json:"credential,omitempty"`
}

// Number is the two digits that were compared by telephone.
type Number struct {
	Matched bool      `json:"matched"`
	Number  string    `json:"number,omitempty"` // the one that matched; it was spent by that
	At      time.Time `json:"at,omitzero"`
	Wrong   int       `json:"wrong"` // how many others were typed
}

// Approval is what somebody said who was asked to vouch.
type Approval struct {
	By Party `json:"by"`
	Moment
	Decision string `json:"decision"` // given, denied, failed
	Reason   string `json:"reason,omitempty"`
	Note     string `json:"note,omitempty"` // in their words
	// Record is the statement with its signature, whole: `postern audit verify-approval`
	// checks it without the portal.
	Record json.RawMessage `json:"record,omitempty"`
}

// Other is somebody beside the person, who began it, and those who vouched.
type Other struct {
	Party
	Did []string `json:"did"` // kinds of events
}

// Deed is something that was done, or not: see its outcome.
type Deed struct {
	Seq        int64     `json:"seq"`
	ID         string    `json:"id"`
	At         time.Time `json:"at"`
	Kind       string    `json:"kind"`
	Outcome    string    `json:"outcome"`
	Reason     string    `json:"reason,omitempty"`
	By         Party     `json:"by"`
	Factor     string    `json:"factor,omitempty"`
	Credential string    `json:"credential,omitempty"`
	Receipt    string    `json:"receipt,omitempty"`
}

// Notice is a message about it.
type Notice struct {
	At        time.Time `json:"at"`
	Template  string    `json:"template"`
	Channel   string    `json:"channel"` // mail, sms
	Delivered bool      `json:"delivered"`
	Reason    string    `json:"reason,omitempty"` // why not
	// Person is false for what went to others: the manager, security.
	Person bool `json:"person"`
}

// Result is how it ended.
type Result struct {
	Status string    `json:"status"` // running, done, refused, expired, unknown
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// Entry is one line of the record.
type Entry struct {
	Seq     int64             `json:"seq"`
	ID      string            `json:"id"`
	At      time.Time         `json:"at"`
	Kind    string            `json:"kind"`
	Outcome string            `json:"outcome"`
	Reason  string            `json:"reason,omitempty"`
	Factor  string            `json:"factor,omitempty"`
	Actor   Party             `json:"actor,omitzero"`
	Door    string            `json:"door,omitempty"`
	Address string            `json:"address,omitempty"`
	Detail  map[string]string `json:"detail,omitempty"`
}
