package view

import "time"

// DeskDoctor is GET /desk/doctor; posts nothing to the same path.
type DeskDoctor struct {
	Frame
	At      time.Time      // of the last examination; zero: there was none
	Groups  []FindingGroup // of that, the worst first; none is empty
	Running bool
	Since   time.Time // of the one that runs
	Failed  bool      // the newest one came to nothing
	Every   int       // seconds between two looks while it runs; 0: 3
	Still   bool      // no looking by itself
}

// FindingGroup are the findings of one severity: failure, warning or ok.
type FindingGroup struct {
	Severity string
	Findings []Finding
}

// Finding is a line of the doctor, in English: its commands are.
type Finding struct {
	Check, What string
	Why, Mend   string // empty where all is well
}

func (*DeskDoctor) file() string { return "desk-doctor" }

func findingTone(severity string) string {
	switch severity {
	case "ok":
		return "ok"
	case "failure":
		return "bad"
	}
	return "warn"
}

func findingIcon(severity string) string {
	switch severity {
	case "ok":
		return "check"
	case "failure":
		return "cross"
	}
	return "warn"
}
