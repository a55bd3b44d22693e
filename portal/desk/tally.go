package desk

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/policy"
)

// tally counts events that come newest first. What it does not know it leaves out:
// the record has more kinds than figures.
type tally struct {
	f       Figures
	cases   map[string]*walk
	endings map[Ending]int // with N zero
	noes    map[Refusal]int
	techs   map[directory.ID]*Technician
}

// walk is what the record says of one case.
type walk struct {
	purpose  policy.Purpose
	desk     bool
	started  time.Time
	ended    Outcome // empty: it has no end
	at       time.Time
	verified bool // the caller was
}

func newTally(days int, now time.Time) *tally {
	t := &tally{cases: map[string]*walk{}, endings: map[Ending]int{}, noes: map[Refusal]int{}, techs: map[directory.ID]*Technician{}}
	t.f = Figures{Days: days, At: now, From: midnight(now, 1-days), Until: midnight(now, 1)}
	if days == 1 {
		for at := t.f.From; at.Before(t.f.Until); at = at.Add(time.Hour) {
			t.f.Slots = append(t.f.Slots, Slot{From: at})
		}
		return t
	}
	for i := range days {
		t.f.Slots = append(t.f.Slots, Slot{From: midnight(now, 1-days+i)})
	}
	return t
}

// slot is where a moment belongs; nil before the first.
func (t *tally) slot(at time.Time) *Slot {
	i, found := slices.BinarySearchFunc(t.f.Slots, at, func(s Slot, at time.Time) int { return s.From.Compare(at) })
	if !found {
		i--
	}
	if i < 0 || !at.Before(t.f.Until) {
		return nil
	}
	return &t.f.Slots[i]
}

// walked is the case of an event.
func (t *tally) walked(e audit.Event) *walk {
	w := t.cases[e.Case]
	if w == nil {
		w = &walk{purpose: policy.Purpose(e.Purpose)}
		t.cases[e.Case] = w
	}
	w.desk = w.desk || e.Door == string(access.Desk)
	return w
}

func (t *tally) add(e audit.Event) {
	slot := t.slot(e.At)
	if e.Kind == "case.started" && e.Outcome == audit.OK && e.Case != "" {
		t.begin(e, slot != nil)
	}
	if slot == nil {
		return // only the beginnings of cases are looked for so far back
	}
	t.ending(e, slot)
	t.refusal(e)
	t.lockout(e, slot)
	t.technician(e)
}

func (t *tally) begin(e audit.Event, counts bool) {
	recovers := slices.Contains(Purposes, policy.Purpose(e.Purpose))
	if !recovers && e.Door != string(access.Desk) || !counts && t.cases[e.Case] == nil {
		return // a sign-in, or a case of before
	}
	w := t.walked(e)
	w.started = e.At
	if !counts || !w.desk {
		return
	}
	one := t.who(e)
	one.Begun++
	if w.verified || w.ended == Done {
		one.Finished++
	}
	t.f.Hours[e.At.In(t.f.From.Location()).Hour()]++
}

// verbs are what stands in the record where a recovery reached the directory.
var verbs = map[policy.Purpose]string{policy.Reset: "password.reset", policy.Change: "password.changed", policy.Unlock: "account.unlocked"}

// ending notes how a recovery ended. Of decoys only that somebody began one counts:
// whatever came of it is among the refusals.
func (t *tally) ending(e audit.Event, slot *Slot) {
	purpose := policy.Purpose(e.Purpose)
	i := slices.Index(Purposes, purpose)
	switch {
	case e.Kind == "caller.verified" && e.Case != "":
		t.walked(e).verified = true
		return
	case i < 0 || e.Case == "":
		return
	case e.Kind == "case.started" && e.Outcome == audit.Refused:
		t.endings[Ending{Purpose: purpose, Outcome: Unserved}]++
		return
	case decoy(e):
		return
	}
	var o Outcome
	switch {
	case e.Kind == verbs[purpose] && e.Outcome == audit.OK:
		o = Done
	case e.Kind == verbs[purpose] && e.Outcome == audit.Refused, e.Kind == "case.closed" && e.Outcome == audit.Refused:
		o = RefusedThen
	case e.Kind == verbs[purpose] && e.Outcome == audit.Unknown:
		o = Unanswered
	default:
		return
	}
	w := t.walked(e)
	if w.ended != "" {
		return // the last word holds
	}
	w.ended, w.at = o, e.At
	if o == Done {
		slot.Done[i]++
	}
}

// refusal counts every no, so that one case may be in several lines.
func (t *tally) refusal(e audit.Event) {
	where := ""
	switch {
	case e.Kind == "case.started" && e.Outcome == audit.Refused:
		where = "start"
	case e.Kind == "proof.failed", e.Kind == "number.failed", e.Kind == "approval.failed":
		where = "proof"
	case e.Kind == "password.refused":
		where = "password"
	case e.Kind == audit.DeskRefused:
		where = "desk"
	case e.Outcome == audit.Refused && (e.Kind == "case.closed" || e.Kind == verbs[policy.Purpose(e.Purpose)]):
		where = "end"
	default:
		return
	}
	if where != "start" && decoy(e) {
		where = "decoy"
	}
	t.noes[Refusal{Where: where, Reason: cmp.Or(e.Reason, "unknown")}]++
}

func decoy(e audit.Event) bool { return strings.HasPrefix(string(e.Subject), decoyBegin) }

func (t *tally) lockout(e audit.Event, slot *Slot) {
	switch {
	case e.Kind == "account.unlocked" && e.Outcome == audit.OK:
		slot.Unlocked++
	case e.Kind == "proof.failed" && e.Reason == "locked":
		slot.Tried++
	}
}

// acts are what is done at the desk for a caller who was verified.
var acts = []string{"account.frozen", "account.unfrozen", "factor.removed", "sessions.ended", "change.required", "account.unlocked", "invitation.sent"}

func (t *tally) technician(e audit.Event) {
	if e.Door != string(access.Desk) || e.Actor == "" || e.Actor == e.Subject {
		return
	}
	switch {
	case slices.Contains(acts, e.Kind) && e.Outcome == audit.OK:
		t.who(e).Acts++
	case e.Kind == audit.DeskRefused:
		t.who(e).Refused++
	}
}

// who acted; by the name of the newest event, since accounts are renamed.
func (t *tally) who(e audit.Event) *Technician {
	one := t.techs[e.Actor]
	if one == nil {
		one = &Technician{ID: e.Actor, Login: e.ActorName}
		t.techs[e.Actor] = one
	}
	return one
}

// figures is what came of it.
func (t *tally) figures() Figures {
	f := t.f
	var times []time.Duration
	for _, w := range t.cases {
		if !slices.Contains(Purposes, w.purpose) {
			continue
		}
		if w.ended == "" && w.started.Before(f.From) {
			continue // seen for its beginning alone
		}
		t.endings[Ending{Purpose: w.purpose, Outcome: cmp.Or(w.ended, Left)}]++
		if w.ended != Done {
			continue
		}
		if !w.desk {
			f.Alone++
		}
		if w.started.IsZero() {
			f.Timeless++
		} else {
			times = append(times, w.at.Sub(w.started))
		}
	}
	for _, p := range Purposes {
		for _, o := range Outcomes {
			f.Endings = append(f.Endings, Ending{p, o, t.endings[Ending{Purpose: p, Outcome: o}]})
		}
	}
	f.times(times)
	for r, n := range t.noes {
		f.Refusals = append(f.Refusals, Refusal{r.Where, r.Reason, n})
	}
	slices.SortFunc(f.Refusals, func(a, b Refusal) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Where, b.Where), cmp.Compare(a.Reason, b.Reason))
	})
	for _, one := range slices.Collect(maps.Values(t.techs)) {
		f.Technicians = append(f.Technicians, *one)
	}
	slices.SortFunc(f.Technicians, func(a, b Technician) int {
		return cmp.Or(cmp.Compare(b.Begun, a.Begun), cmp.Compare(a.Login, b.Login), cmp.Compare(a.ID, b.ID))
	})
	return f
}

// edges are where buckets of time begin.
var edges = []time.Duration{0, time.Minute, 2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute}

// times sorts how long it took into buckets, and finds the middle one and the one
// that nine in ten do not exceed (nearest rank).
func (f *Figures) times(all []time.Duration) {
	slices.Sort(all)
	for i, from := range edges {
		b := Bucket{From: from}
		if i+1 < len(edges) {
			b.Until = edges[i+1]
		}
		for _, took := range all {
			if (took >= from || i == 0) && (b.Until == 0 || took < b.Until) {
				b.N++
			}
		}
		f.Times = append(f.Times, b)
	}
	if n := len(all); n > 0 {
		f.Median, f.Ninety = all[(n-1)/2], all[(9*n+9)/10-1]
	}
}
