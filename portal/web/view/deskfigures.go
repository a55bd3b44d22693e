package view

import (
	"time"

	"postern/directory"
)

// DeskFigures is GET /desk/figures?days=; Shown is nil beside a fault.
type DeskFigures struct {
	Frame
	Days  int
	Spans []int // what can be asked for
	Shown *Figures
}

// Figures are what happened. Files of its charts are GET /desk/figures/{chart}.csv.
type Figures struct {
	Today            bool // hours of today, else days
	From, At         time.Time
	Cut              time.Time // zero, or before when nothing is counted
	Done, Alone      int       // recoveries; of those, without a technician
	Refused          int
	Median, Ninety   time.Duration
	Timeless         int    // done, with a beginning too far back to say how long it took
	Recoveries       []Slot // reset, unlock, change
	Lockouts         []Slot // ended, tried while locked
	LockedNow        int    // when it was last counted, see Coverage
	Times            []Slot
	Hours            []Slot
	Outcomes         []OutcomeRow
	Refusals         []RefusalRow
	OtherReasons     int // not in Refusals
	Technicians      []TechnicianRow
	OtherTechnicians int
	Coverage         *Count // nil: not counted yet
}

// Slot is one place on the axis of a chart: a moment, an hour of the day, or a
// length of time from Least up to Most (zero: any longer).
type Slot struct {
	At          time.Time
	Hour        int
	Least, Most time.Duration
	N           []int // one for each series
}

// OutcomeRow is how many recoveries ended so: reset, unlock, change.
type OutcomeRow struct {
	Outcome string
	N       []int
}

// RefusalRow is how often one thing was refused.
type RefusalRow struct {
	Where, Reason string
	N             int
}

// TechnicianRow is what one did.
type TechnicianRow struct {
	Login                          string
	Begun, Finished, Acts, Refused int
}

// DeskLists is GET /desk/lists; posts nothing to the same path.
type DeskLists struct {
	Frame
	Lists     []ListRow
	At        time.Time // of the last count; zero: there was none
	Everybody bool      // the directories were listed
	Running   bool
	Since     time.Time
	Failed    bool
	Every     int // as in DeskCoverage
	Still     bool
}

// ListRow is one list, and how many were on it; -1 is not told.
type ListRow struct {
	List directory.List
	N    int
}

// DeskList is GET /desk/lists/{list}; the same as a file with .csv.
type DeskList struct {
	Frame
	List      directory.List
	At        time.Time
	Everybody bool
	Mine      bool // whom the reader may help, and nobody else
	People    []ListedRow
	Rest      int // counted and not shown; -1: there may be some
}

// ListedRow is somebody; ID is empty for those the reader may not help.
type ListedRow struct {
	ID, Login, Name, Directory string
	At                         time.Time // until when locked, when it expires or has
}

func (*DeskFigures) file() string { return "desk-figures" }
func (*DeskLists) file() string   { return "desk-lists" }
func (*DeskList) file() string    { return "desk-list" }

func listIcon(l directory.List) string {
	switch l {
	case directory.Locked:
		return "lock"
	case directory.Expiring:
		return "clock"
	case directory.MustChange:
		return "turn"
	}
	return "warn"
}
