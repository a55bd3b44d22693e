package kiosk

import "time"

// State is how a device stands, in a word.
type State string

const (
	Waiting State = "waiting" // for somebody to enter its code, until Device.Until
	Lapsed  State = "lapsed"  // nobody did
	InUse   State = "in_use"
	Quiet   State = "quiet" // in use, and not seen for a week
	Revoked State = "revoked"
	Copied  State = "copied" // revoked, because its key was in two devices
)

const quietAfter = 7 * 24 * time.Hour

// State is how d stands at now.
func (d Device) State(now time.Time) State {
	last := d.Registered
	if d.Seen.After(last) {
		last = d.Seen
	}
	switch {
	case d.Why == copied:
		return Copied
	case !d.Revoked.IsZero():
		return Revoked
	case d.Registered.IsZero() && now.Before(d.Until):
		return Waiting
	case d.Registered.IsZero():
		return Lapsed
	case now.Sub(last) > quietAfter:
		return Quiet
	}
	return InUse
}
