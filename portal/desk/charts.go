package desk

import (
	"io"
	"slices"
	"time"

	"postern/portal/audit"
)

// Chart names one table of figures, as a file has it.
type Chart string

const (
	Recoveries  Chart = "recoveries" // done, by day or hour and purpose
	Endings     Chart = "outcomes"
	Times       Chart = "times"
	Refusals    Chart = "refusals"
	Technicians Chart = "technicians"
	Hours       Chart = "hours"
	Lockouts    Chart = "lockouts"
)

// Charts are all there are.
var Charts = []Chart{Recoveries, Endings, Times, Refusals, Technicians, Hours, Lockouts}

// WriteCSV writes one chart, a line for each of its numbers' rows. Times are UTC,
// RFC 3339; no field is one that a spreadsheet would run (audit.Field).
func (f Figures) WriteCSV(w io.Writer, c Chart) error {
	head, rows := f.table(c)
	return audit.WriteTable(w, head, slices.Values(rows))
}

func (f Figures) table(c Chart) (head []string, rows [][]string) {
	add := func(row ...string) { rows = append(rows, row) }
	switch c {
	case Recoveries:
		head = []string{"from", "reset", "unlock", "change"}
		for _, s := range f.Slots {
			add(stamp(s.From), number(s.Done[0]), number(s.Done[1]), number(s.Done[2]))
		}
	case Endings:
		head = []string{"purpose", "outcome", "cases"}
		for _, e := range f.Endings {
			add(string(e.Purpose), string(e.Outcome), number(e.N))
		}
	case Times:
		head = []string{"from_seconds", "until_seconds", "recoveries"}
		for _, b := range f.Times {
			until := ""
			if b.Until > 0 {
				until = number(int(b.Until / time.Second))
			}
			add(number(int(b.From/time.Second)), until, number(b.N))
		}
	case Refusals:
		head = []string{"where", "reason", "times"}
		for _, r := range f.Refusals {
			add(r.Where, r.Reason, number(r.N))
		}
	case Technicians:
		head = []string{"login", "cases", "finished", "acts", "refused", "id"}
		for _, one := range f.Technicians {
			add(one.Login, number(one.Begun), number(one.Finished), number(one.Acts), number(one.Refused), string(one.ID))
		}
	case Hours:
		head = []string{"hour", "cases"}
		for h, n := range f.Hours {
			add(number(h), number(n))
		}
	case Lockouts:
		head = []string{"from", "unlocked", "tried_while_locked"}
		for _, s := range f.Slots {
			add(stamp(s.From), number(s.Unlocked), number(s.Tried))
		}
	}
	return head, rows
}
