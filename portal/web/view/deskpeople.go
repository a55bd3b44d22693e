package view

import (
	"time"

	"postern/directory"
	"postern/portal/policy"
	"postern/verify"
)

// Link is GET /link and /claim/{code}; posts code to /link. Opening it claims
// nothing: mail scanners open everything.
type Link struct {
	Frame
	Typed string
}

// DeskPeople is GET /desk/people?q=; its form GETs the same.
type DeskPeople struct {
	Frame
	Asked  string
	Looked bool // Found is the answer
	Found  []Hit
	More   bool      // than are shown
	Mine   []Ringing // the shared screens whose calls their reader has taken
}

// Hit is somebody who was found. Where Refused says why nobody helps them here, self
// or staff, there is the name alone.
type Hit struct{ ID, Login, Name, Directory, Refused string }

// DeskPerson is GET /desk/people/{id}; posts purpose, cause, ticket, send and once
// to …/open. Without Shown nothing but the name is there.
type DeskPerson struct {
	Frame
	Once               string // what its form carries, to act once
	ID                 string // as it stands in addresses
	Login, Name        string
	Directory, Manager string
	Shown              bool
	Refused            string // why no case can be begun; empty: one can
	State              directory.State
	Frozen             time.Time
	Methods            []Method
	Recent             []Activity
	Mail, Phone        []string // masked
	Cases              []PastCase
	Notices            []NoticeLine
	Case               string // one that goes on; empty: none
	Can                bool   // the form is there
	Purpose            policy.Purpose
	Purposes           []policy.Purpose
	Cause, Ticket      string
	Mine               []Ringing // the shared screens whose calls their reader has taken
}

// DeskCase is GET /desk/cases/{id} for who began it. Stage is one of code,
// proving, match, approval, password, applying, done, refused, expired. Posts
// number and once to …/match, act, which and once to …/act, nothing to …/cancel.
type DeskCase struct {
	Frame
	Once          string // what its forms carry, to act once
	ID, Whom      string // as they stand in addresses
	Login, Name   string
	Purpose       policy.Purpose
	Cause, Ticket string
	Stage         string
	Screen        string // the shared screen that opens it; empty: a code does
	Code          string // to read out; gone once it was used
	Link          string // where they type it
	Proofs        []verify.Kind
	Until         time.Time
	Reason        string // refused: that of flow
	Receipt       string
	Acts          time.Time // what may be done, until then; zero: nothing
	Frozen        bool
	Did           []Activity    // what was done, the first one first
	Lost          []Method      // what can be cleared
	Codes         int           // recovery codes that can be cleared
	Bare          bool          // nothing is set up: they can be invited
	Still         bool          // no looking by itself
	Hold          []string      // why it waits for a second technician; empty: it does not
	Denied        bool          // …who said no
	Second        string        // who said yes
	Hear          []verify.Kind // codes of which the caller may read out
	Heard         bool          // verified by such a code alone
	After         *After        // how what was written stands; nil: it is not looked after
	Evidence      bool          // there is evidence to hand on
}

// Waiting is a case that waits for a second technician.
type Waiting struct {
	ID, Login, Name string
	Technician      string // who asks
	Reasons         []string
	Since           time.Time
}

// DeskHold is GET /desk/cases/{id} for a second technician; posts decision yes or no
// to …/second.
type DeskHold struct {
	Frame
	Waiting
	ID, Whom      string // as they stand in addresses
	Purpose       policy.Purpose
	Cause, Ticket string
	Proofs        []verify.Kind
}

// troubles is what is wrong with an account.
func troubles(p *DeskPerson) (list []Text) {
	is := func(wrong bool, key string) {
		if wrong {
			list = append(list, Text{Key: "person." + key})
		}
	}
	is(p.State.Disabled, "disabled")
	is(p.State.AccountExpired, "account_expired")
	if p.State.Locked && !p.State.LockedUntil.IsZero() {
		list = append(list, Text{Key: "person.locked_until", Args: map[string]any{"Time": p.State.LockedUntil}})
	} else {
		is(p.State.Locked, "locked")
	}
	is(p.State.MustChange, "must_change")
	is(p.State.PasswordExpired && !p.State.MustChange, "password_expired")
	is(p.State.CannotChange, "cannot_change")
	if !p.Frozen.IsZero() {
		list = append(list, Text{Key: "person.frozen", Args: map[string]any{"Time": p.Frozen}})
	}
	return list
}

// wrongs is from which wrong passwords an account stands as it does, as far as the
// directory tells.
func wrongs(s directory.State) Text {
	args := map[string]any{"N": s.BadPasswords, "First": s.FirstBad, "Time": s.LastBad}
	switch {
	case s.BadPasswords == 0:
		return Text{Key: "person.bad_none"}
	case s.LastBad.IsZero():
		return Text{Key: "person.bad_only", Args: map[string]any{"N": s.BadPasswords}}
	case s.FirstBad.IsZero() || s.FirstBad.Equal(s.LastBad):
		return Text{Key: "person.bad_last", Args: args}
	}
	return Text{Key: "person.bad_between", Args: args}
}

// moves says which stages go on by themselves. Not under somebody who types a number.
func moves(p *DeskCase) bool { return running(p) && p.Stage != "match" || p.Stage == "applying" }

// running says whether the case can be ended.
func running(p *DeskCase) bool {
	switch p.Stage {
	case "held", "code", "proving", "match", "approval", "password":
		return true
	}
	return false
}

func (*Link) file() string       { return "link" }
func (*DeskPeople) file() string { return "desk-people" }
func (*DeskPerson) file() string { return "desk-person" }
func (*DeskCase) file() string   { return "desk-case" }
func (*DeskHold) file() string   { return "desk-hold" }
