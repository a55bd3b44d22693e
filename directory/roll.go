package directory

import (
	"cmp"
	"slices"
	"time"
)

// List names one list of people who will need help, or already do.
type List string

const (
	Locked     List = "locked"     // locked out now
	Expiring   List = "expiring"   // the password expires within ExpiringIn
	MustChange List = "mustchange" // in by a true change alone: it must be changed, or has expired
	Stranded   List = "stranded"   // no way back in is open: the portal's own to say
)

// Lists are all there are, the most urgent first.
func Lists() []List { return []List{Locked, Expiring, MustChange, Stranded} }

// ExpiringIn is how long before its end a password is on the list.
const ExpiringIn = 14 * 24 * time.Hour

// MostListed is how many people one Roll keeps; beyond that they are only counted.
const MostListed = 1000

// Has reports whether somebody in this state is on the list at that moment. Of
// Stranded no state tells.
func (l List) Has(s State, now time.Time) bool {
	change := s.MustChange || s.PasswordExpired
	switch l {
	case Locked:
		return s.Locked && (s.LockedUntil.IsZero() || s.LockedUntil.After(now))
	case Expiring:
		return !change && s.PasswordExpires.After(now) && !s.PasswordExpires.After(now.Add(ExpiringIn))
	case MustChange:
		return change
	}
	return false
}

// Listed is what is kept of somebody on a list.
type Listed struct {
	ID                     ID
	Directory, Login, Name string
	// At is until when they are locked, when their password expires or has expired;
	// zero: until somebody acts, or there is no such moment.
	At time.Time
}

// Entry is u on the list.
func (l List) Entry(u User) Listed {
	e := Listed{ID: u.ID, Directory: u.Directory, Login: u.Login, Name: u.Name}
	switch {
	case l == Locked:
		e.At = u.State.LockedUntil
	case l == Expiring, l == MustChange && u.State.PasswordExpired && !u.State.MustChange:
		e.At = u.State.PasswordExpires
	}
	return e
}

// Roll is one list: the first of them, and how many are not in it.
type Roll struct {
	List []Listed
	More int
}

// Rolls are all lists of one count.
type Rolls map[List]Roll

// NewRoll orders a list by its moment, whoever has none first, and keeps the
// beginning. It may change the order of all.
func NewRoll(all []Listed) Roll {
	slices.SortFunc(all, func(a, b Listed) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Login, b.Login), cmp.Compare(a.ID, b.ID))
	})
	kept := min(len(all), MostListed)
	return Roll{List: slices.Clone(all[:kept]), More: len(all) - kept}
}
