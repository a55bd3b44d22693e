package enrol

import (
	"time"

	"postern/directory"
)

// onList is somebody on one list.
type onList struct {
	list directory.List
	directory.Listed
}

// lists are those the directory's own state puts u on.
func lists(u directory.User, now time.Time) (on []onList) {
	for _, l := range directory.Lists() {
		if l.Has(u.State, now) {
			on = append(on, onList{l, l.Entry(u)})
		}
	}
	return on
}

// rolls makes the lists of everybody who was read. Whoever is stranded is on one
// for that; a frozen account is not, since it has its ways and may not use them.
func rolls(answers []answer) directory.Rolls {
	all := map[directory.List][]directory.Listed{}
	for _, a := range answers {
		for _, o := range a.on {
			all[o.list] = append(all[o.list], o.Listed)
		}
		if !a.gone && a.Unserved == "" && len(a.Ways) == 0 {
			all[directory.Stranded] = append(all[directory.Stranded], directory.Listed{ID: a.ID, Directory: a.directory, Login: a.Login, Name: a.Name})
		}
	}
	out := directory.Rolls{}
	for _, l := range directory.Lists() {
		out[l] = directory.NewRoll(all[l])
	}
	return out
}

// Rolls are the lists of the last count, when that was, and whether the
// directories could be listed, so that whoever never enrolled is on them too. A
// zero time: there was no count yet.
func (c *Census) Rolls() (r directory.Rolls, at time.Time, everybody bool) {
	t := c.Last()
	return t.Coverage.Rolls, t.At, t.Coverage.Everybody
}
