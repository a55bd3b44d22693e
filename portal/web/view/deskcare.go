package view

import (
	"time"

	"postern/portal/policy"
	"postern/verify"
)

// After is how a change stands on the servers of the directory.
type After struct {
	Until, Looked time.Time
	Failed        bool      // it cannot be told now
	Tried         time.Time // the last wrong password since; zero: none
	Relocked      bool
	Servers       []ServerState
}

// ServerState is one server. Arrival is one of arrived, waiting, absent, silent.
type ServerState struct {
	Name, Arrival string
	Locked        bool
	Bad           int       // wrong passwords it counts
	LastBad       time.Time // since the change; zero: none
}

// PastCase is a case of a person, open or over.
type PastCase struct {
	ID      string
	Purpose string
	Door    string
	Began   time.Time
	By      string // the technician's login; empty: the person
	Status  string // running, done, refused, expired, unknown
	Reason  string
	Path    string // where it is seen; empty: not by whoever looks
}

// NoticeLine is a message that was sent, or was not.
type NoticeLine struct {
	At        time.Time
	Template  string
	Channel   string // mail, sms
	Delivered bool
	Person    bool // false: to the manager, to security
}

// DeskEvidence is GET /desk/cases/{id}/evidence, for paper too. It is of the record,
// and posts nothing.
type DeskEvidence struct {
	Frame
	Case, Path             string
	Made                   time.Time
	MadeBy                 string
	Purpose                policy.Purpose
	Door                   string
	Login, Name, Directory string
	Asked                  string // login of who began it
	Began                  time.Time
	From, Cause, Ticket    string
	Claimed                time.Time // zero: nobody opened it
	ClaimedFrom            string
	Proofs                 []EvidenceProof
	Number                 string // that matched; empty: none did
	Matched                time.Time
	Wrong                  int
	Approvals              []EvidenceApproval
	Others                 []EvidenceOther
	Acts                   []EvidenceAct
	Notices                []NoticeLine
	Status, Reason         string
	Ended                  time.Time // zero: not known
	Receipts               []string
	Complete               bool
	Events                 []EvidenceEvent
}

// EvidenceProof is a proof that was accepted.
type EvidenceProof struct {
	Kind                verify.Kind
	At                  time.Time
	Address, Credential string
}

// EvidenceApproval is what somebody said who was asked. Decision is one of given,
// denied, failed; Record the signed statement as it is kept.
type EvidenceApproval struct {
	By, Decision, Note, Address string
	At                          time.Time
	Record                      string
}

// EvidenceOther is somebody else, and kinds of events.
type EvidenceOther struct {
	Login string
	Did   []string
}

// EvidenceAct is what was done to the account.
type EvidenceAct struct {
	Activity
	By, Reason, Credential string
	Seq                    int64
}

// EvidenceEvent is one line of the record, in its own words.
type EvidenceEvent struct {
	Seq                                               int64
	ID, Kind, Outcome, Reason, Factor, Actor, Address string
	At                                                time.Time
}

// still reports whether something goes on trying.
func still(a *After) bool { return a != nil && (!a.Tried.IsZero() || a.Relocked) }

// suspects are what keeps old passwords.
func suspects() []string { return []string{"mail", "wifi", "drives", "session", "service", "browser"} }

// noticeName is what a message is called: its subject where that says it.
func (w *words) noticeName(template string) string {
	if key := "notice.of_" + template; w.bundle.Has(key) {
		return w.say(key, nil)
	}
	if s, ok := w.bundle.Plain(w.lang.Tag, "mail."+template+".subject"); ok {
		return s
	}
	return w.say("notice.of_some", nil)
}

func (*DeskEvidence) file() string { return "desk-evidence" }
