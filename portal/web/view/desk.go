package view

import (
	"time"

	"postern/portal/access"
	"postern/portal/policy"
	"postern/verify"
)

// Rooms are the pages of the desk that the person may see, for the menu.
type Rooms struct {
	Open     bool // the desk itself
	Help     bool // people, and their cases
	Policy   bool
	Coverage bool
	Threat   bool // the switch
	Kiosks   bool
	Doctor   bool
	Figures  bool
	Lists    bool
}

// DeskIndex is GET /desk.
type DeskIndex struct {
	Frame
	Waiting []Waiting // for a second technician
	Calls   []Ringing // of shared screens; posts number to /desk/calls/{id}
	Mine    []Ringing // those their reader has taken; posts nothing to …/end
}

// Ringing is a shared screen that calls.
type Ringing struct {
	ID, Name, Site string
	Since          time.Time
	Lang           string
}

// DeskProof stands in place of a page of the desk until its reader has proved
// themselves by something they hold; posts at, where to come back to, to /desk/prove.
type DeskProof struct {
	Frame
	At string
}

// DeskPolicy is GET /desk/policy; its form GETs the same with login, purpose and
// door. Of Who and Chapters there is one at most, and none beside a fault.
type DeskPolicy struct {
	Frame
	Login    string // as typed
	Purpose  policy.Purpose
	Door     access.Door
	Purposes []policy.Purpose
	Doors    []access.Door
	Who      *Explained
	Chapters []policy.Chapter
}

// Explained is what the policy means for one person.
type Explained struct {
	Login, Name string
	Means       policy.Means
	Verdict     policy.Verdict
}

// DeskCoverage is GET /desk/coverage; posts nothing to the same path.
type DeskCoverage struct {
	Frame
	Count   *Count // nil: not counted yet
	Running bool
	Since   time.Time // of the count that runs
	Failed  bool      // the newest count came to nothing
	Every   int       // seconds between two looks while it runs; 0: 5
	Still   bool      // no looking by itself
}

// Count is who could recover.
type Count struct {
	At             time.Time
	People         int // whom the portal serves
	CanRecover     int
	ByPasskeyAlone int
	ByTwoGates     int // some of them by a passkey alone as well
	OneWay         int
	Stranded       int
	Unserved, Gone int  // in none of the above
	Everybody      bool // the directory was listed: who never enrolled is counted too
	Factors        []FactorCount
	Groups         []GroupCount
	List           []Stranded // not all when there are too many
	More           int        // how many are not in List
	Registered     *Registered
}

// Registered is what people have registered with a directory itself, as its own
// report has it; Failed: it could not be read.
type Registered struct {
	People, Ready int
	Kinds         []RegisteredKind
	Failed        bool
}

// RegisteredKind is how many have one kind of method, by the directory's own name.
type RegisteredKind struct {
	Kind string
	N    int
}

// FactorCount is how many people have a factor.
type FactorCount struct {
	Kind verify.Kind
	N    int
}

// GroupCount is how the members of a group stand.
type GroupCount struct {
	Group                        string
	People, CanRecover, Stranded int
}

// Stranded is somebody no way is open to.
type Stranded struct {
	Login, Name string
	Kinds       []verify.Kind // what they have enrolled all the same
}

func (*DeskIndex) file() string    { return "desk" }
func (*DeskProof) file() string    { return "desk-proof" }
func (*DeskPolicy) file() string   { return "desk-policy" }
func (*DeskCoverage) file() string { return "desk-coverage" }
