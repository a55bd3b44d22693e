// Package access says who is at which door.
package access

import (
	"slices"
	"time"

	"postern/directory"
	"postern/verify"
)

// Door is where somebody came in.
type Door string

const (
	Web   Door = "web"
	Kiosk Door = "kiosk"
	Desk  Door = "desk"
	API   Door = "api"
)

// Principal is a person who has signed in to the portal itself.
type Principal struct {
	ID       directory.ID
	User     directory.User // as read at sign-in; acts read it again
	Door     Door
	SignedIn time.Time
	// Proven is when the last fresh proof was given, and By what.
	Proven time.Time
	By     []verify.Kind
}

// Strong reports whether the last proof included something bound or saved, not
// just a password and a mailed code.
func (p Principal) Strong() bool {
	for _, k := range p.By {
		if c := k.Class(); c == verify.Possession || c == verify.Saved {
			return true
		}
	}
	return false
}

// Bound reports whether the last proof included something bound to a thing the
// person holds. Saved codes are not: a photograph of the sheet proves as well.
func (p Principal) Bound() bool {
	return slices.ContainsFunc(p.By, func(k verify.Kind) bool { return k.Class() == verify.Possession })
}

// Fresh reports whether the last proof is at most max old.
func (p Principal) Fresh(now time.Time, max time.Duration) bool {
	return !p.Proven.IsZero() && now.Sub(p.Proven) <= max && !now.Before(p.Proven)
}

// Enrolled is the principal after they set up a factor and confirmed it. What
// was confirmed is a fresh proof of possession; saved codes prove nothing by
// being shown.
func (p Principal) Enrolled(k verify.Kind, now time.Time) Principal {
	if k.Class() == verify.Possession {
		p.Proven = now
		p.By = append(slices.Clone(p.By), k)
	}
	return p
}
