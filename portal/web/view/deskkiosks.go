package view

import "time"

// KioskRow is one shared screen as operators see it.
type KioskRow struct {
	ID, Name, Site string
	Way            string   // key, certificate, launch
	Rights         []string // reset, unlock, change, help
	State          string   // waiting, lapsed, in_use, quiet, revoked, copied
	Until          time.Time
	Seen           time.Time // zero: never
	From           string
	Shut           bool // for good
}

// KioskRight is one box of the form.
type KioskRight struct {
	Right string
	On    bool
}

// DeskKiosks is GET /desk/kiosks; posts name, site, way and allow_… to the same.
type DeskKiosks struct {
	Frame
	Kiosks          []KioskRow
	Name, Site, Way string // as typed
	Rights          []KioskRight
}

// DeskKiosk is GET /desk/kiosks/{id}; posts name and site to …/rename, and nothing to
// …/code and …/revoke.
type DeskKiosk struct {
	Frame
	Row KioskRow
}

// DeskKioskGiven answers what made a code or a key. It is shown this once.
type DeskKioskGiven struct {
	Frame
	Row      KioskRow
	Secret   string // the code of way key, the line of the key file of way launch
	Register string // address of the page that takes the code
}

func (*DeskKiosks) file() string     { return "desk-kiosks" }
func (*DeskKiosk) file() string      { return "desk-kiosk" }
func (*DeskKioskGiven) file() string { return "desk-kiosk-given" }

// kioskTone is how a state is shown, besides its word.
func kioskTone(state string) string {
	switch state {
	case "in_use":
		return "ok"
	case "revoked":
		return "none"
	case "copied":
		return "bad"
	}
	return "warn"
}

func kioskIcon(state string) string {
	switch state {
	case "in_use":
		return "check"
	case "waiting":
		return "clock"
	case "revoked":
		return "cross"
	}
	return "warn"
}
