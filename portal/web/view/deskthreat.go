package view

import "time"

// Threat is that the level is raised: since when, by whom and why.
type Threat struct {
	Since         time.Time
	Login, Reason string
	Until         time.Time // it ends by itself then; zero: it does not
}

// DeskThreat is GET /desk/threat; posts level (raised or normal), cause and for
// (hours) to the same.
type DeskThreat struct {
	Frame
	Spans []time.Duration // to choose from, whole hours; or 0: until somebody lowers it
	For   time.Duration
	Cause string // as typed
}

func (*DeskThreat) file() string { return "desk-threat" }
