package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"postern/directory"
)

// Standing is what the portal remembers of an account beside its credentials.
// The zero value is an account it has never seen.
type Standing struct {
	// Frozen is since when the portal does nothing for it, because somebody said
	// "this wasn't me"; zero: it does. A technician ends it.
	Frozen time.Time `json:"-"` // a column of its own
	// NotMe is when that was last said, also of an account that was frozen already.
	NotMe time.Time `json:",omitzero"`
	// Seen is when its contacts were first looked at; zero: never.
	Seen     time.Time
	Mail     []string // as last seen, to tell the old address when there is a new one
	MailAt   time.Time
	Phone    []byte // keyed hash: no number is needed to notice another one
	PhoneAt  time.Time
	Manager  []byte // keyed hash
	ManageAt time.Time
	Former   []Former `json:",omitempty"`
	// Reminded is when they were last asked to enrol something; Snoozed until when
	// they asked not to be.
	Reminded time.Time
	Snoozed  time.Time
}

// Former is an address that was theirs until lately. Notices still go there: who
// put another one in its place may be a thief (NIST SP 800-63B-4 section 4.6).
type Former struct {
	Address string
	Until   time.Time // until when it was known to be
}

// keepFormer is how long notices go to an address that was replaced too.
const keepFormer = 30 * 24 * time.Hour

// Changed says which contacts of an account were found changed.
type Changed struct{ Mail, Phone, Manager bool }

// Any reports whether one of them was.
func (c Changed) Any() bool { return c.Mail || c.Phone || c.Manager }

// Observe compares what the directory says now with what was seen before, and
// returns what to remember. The first sight of an account is no change: nobody
// can tell how old that is. key must not be in the database.
func (s Standing) Observe(u directory.User, key []byte, now time.Time) (next Standing, changed Changed) {
	next = s
	phone, manager := keyed(key, u.ID, u.Phone), keyed(key, u.ID, []string{strings.ToLower(u.Manager)})
	mail := slices.Clone(u.Mail)
	if s.Seen.IsZero() {
		next.Seen, next.Mail, next.Phone, next.Manager = now, mail, phone, manager
		return next, changed
	}
	if changed.Mail = !sameAddresses(s.Mail, mail); changed.Mail {
		next.Former = s.former(now)
		next.Mail, next.MailAt = mail, now
	}
	if changed.Phone = !hmac.Equal(s.Phone, phone); changed.Phone {
		next.Phone, next.PhoneAt = phone, now
	}
	if changed.Manager = !hmac.Equal(s.Manager, manager); changed.Manager {
		next.Manager, next.ManageAt = manager, now
	}
	return next, changed
}

// former adds what is the mail now to what was, before there is another. An address
// is kept also while it is back, and the newest is left out when there are too
// many: else whoever writes eight of their own, gives the owner's back and takes it
// again would have the owner hear of nothing.
func (s Standing) former(now time.Time) []Former {
	list := slices.DeleteFunc(slices.Clone(s.Former), func(f Former) bool { return now.Sub(f.Until) > keepFormer })
	for _, old := range s.Mail {
		i := slices.IndexFunc(list, func(f Former) bool { return strings.EqualFold(f.Address, old) })
		switch {
		case i >= 0:
			list[i].Until = now
		case len(list) < maxFormer:
			list = append(list, Former{Address: old, Until: now})
		}
	}
	return list
}

// maxFormer bounds what somebody can make us write to by changing an address
// again and again.
const maxFormer = 8

// Addresses are all that a notice about u goes to: theirs, and those that were
// theirs until lately.
func (s Standing) Addresses(u directory.User, now time.Time) []string {
	all := slices.Clone(u.Mail)
	add := func(a string) {
		if !slices.ContainsFunc(all, sameAs(a)) {
			all = append(all, a)
		}
	}
	for _, f := range s.Former {
		if now.Sub(f.Until) <= keepFormer {
			add(f.Address)
		}
	}
	if !sameAddresses(s.Mail, u.Mail) {
		// Read a moment ago and not compared yet.
		for _, a := range s.Mail {
			add(a)
		}
	}
	return all
}

func sameAs(a string) func(string) bool {
	return func(b string) bool { return strings.EqualFold(a, b) }
}

func sameAddresses(a, b []string) bool {
	return slices.EqualFunc(a, b, strings.EqualFold)
}

// keyed is a hash that tells nothing to who has the database alone.
func keyed(key []byte, id directory.ID, values []string) []byte {
	m := hmac.New(sha256.New, key)
	for _, v := range append([]string{string(id)}, values...) {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(v))))
		m.Write([]byte(v))
	}
	return m.Sum(nil)[:16]
}
