package desk

import (
	"context"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/policy"
)

const (
	// mostCounted is how many events figures are made of; a page says when there are
	// more, and since when it counts then.
	mostCounted = 250_000
	// before is how much further back the beginnings of cases are looked for.
	before = 2 * time.Hour
	// reuse is how long figures serve for the next who asks, such as a file of the
	// page just seen.
	reuse = 10 * time.Second
)

// Spans of figures, in days with today.
var Spans = []int{1, 30}

// Outcome is how a recovery ended.
type Outcome string

const (
	Done        Outcome = "done"
	RefusedThen Outcome = "refused"    // by the rules, the directory, wrong answers or another person
	Unanswered  Outcome = "unknown"    // sent to the directory, which gave no answer
	Left        Outcome = "left"       // given up, run out, or still going on
	Unserved    Outcome = "not_served" // the name was nobody's the portal serves
	decoyBegin          = "decoy:"
)

// Purposes are those that are recoveries, in the order of the series.
var Purposes = []policy.Purpose{policy.Reset, policy.Unlock, policy.Change}

// Outcomes in the order they are told.
var Outcomes = []Outcome{Done, RefusedThen, Unanswered, Left, Unserved}

// Slot is one day, or one hour of today.
type Slot struct {
	From     time.Time // in the board's zone
	Done     [3]int    // recoveries, by Purposes
	Unlocked int       // locks ended here
	Tried    int       // passwords tried here on an account that was locked
}

// Ending is how many recoveries for one purpose came to one end.
type Ending struct {
	Purpose policy.Purpose
	Outcome Outcome
	N       int
}

// Bucket counts recoveries that took From and longer, and less than Until; zero
// Until: any longer.
type Bucket struct {
	From, Until time.Duration
	N           int
}

// Refusal is how often something was refused for one reason. Where is start, proof,
// end, password or desk; or decoy, for names nobody is served by.
type Refusal struct {
	Where, Reason string
	N             int
}

// Technician is what one did at the desk.
type Technician struct {
	ID       directory.ID
	Login    string
	Begun    int // cases
	Finished int // of those: the caller was verified, or is back in
	Acts     int // for callers who were verified
	Refused  int // asked for and not given
}

// Figures are what happened from From to Until.
type Figures struct {
	Days        int
	From, Until time.Time
	At          time.Time // when it was counted
	Cut         time.Time // zero, or the moment before which nothing is counted: there was too much

	Slots       []Slot
	Endings     []Ending
	Alone       int // recoveries done without a technician
	Times       []Bucket
	Median      time.Duration // of the times; zero where there are none
	Ninety      time.Duration // nine in ten took no longer
	Timeless    int           // recoveries whose beginning lies too far back
	Refusals    []Refusal     // the most frequent first
	Technicians []Technician  // who began the most first
	Hours       [24]int       // desk cases begun, by the hour of the day
}

// Count is how many recoveries came to an end, for all purposes.
func (f Figures) Count(o Outcome) (n int) {
	for _, e := range f.Endings {
		if e.Outcome == o {
			n += e.N
		}
	}
	return n
}

// Figures counts the last days, today among them. It writes down that w looked.
// *flow.Invalid names a number of days there are no figures for.
func (b *Board) Figures(ctx context.Context, w Who, days int) (Figures, error) {
	return b.figures(ctx, w, days, audit.FiguresViewed)
}

// ExportFigures are the same for a file of one chart.
func (b *Board) ExportFigures(ctx context.Context, w Who, days int, c Chart) (Figures, error) {
	if !slices.Contains(Charts, c) {
		return Figures{}, ErrUnknown
	}
	return b.figures(ctx, w, days, audit.FiguresExported, "chart", string(c))
}

func (b *Board) figures(ctx context.Context, w Who, days int, kind string, more ...string) (Figures, error) {
	if _, err := b.sees(w, seers); err != nil {
		return Figures{}, err
	}
	if !slices.Contains(Spans, days) {
		return Figures{}, &flow.Invalid{Field: "days", Code: "bad_days"}
	}
	f, err := b.count(ctx, days)
	if err != nil {
		return Figures{}, unavailable(err)
	}
	return f, b.note(ctx, w, kind, append(more, "days", number(days))...)
}

// count reads the record, one at a time: several who open the page at once must not
// read it as often.
func (b *Board) count(ctx context.Context, days int) (Figures, error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return Figures{}, ctx.Err()
	}
	now := b.Now().In(b.Zone)
	if f, ok := b.last[days]; ok && now.Sub(f.At) < reuse && !now.Before(f.At) && now.Before(f.Until) {
		return f, nil
	}
	t := newTally(days, now)
	var oldest time.Time
	cut, err := b.Past.Backwards(ctx, t.f.From.Add(-before), t.f.Until, mostCounted, func(e audit.Event) error {
		oldest = e.At
		t.add(e)
		return nil
	})
	if err != nil {
		return Figures{}, err
	}
	f := t.figures()
	if cut && oldest.After(f.From) {
		f.Cut = oldest
	}
	b.last[days] = f
	return f, nil
}

// midnight is the first moment of the day that t is in, or of that many days later.
// In some zones there is no midnight on the day the clock goes forward.
func midnight(t time.Time, later int) time.Time {
	noon := time.Date(t.Year(), t.Month(), t.Day()+later, 12, 0, 0, 0, t.Location())
	const step = 30 * time.Minute
	m := time.Date(noon.Year(), noon.Month(), noon.Day(), 0, 0, 0, 0, t.Location())
	for m.Day() != noon.Day() {
		m = m.Add(step)
	}
	for m.Add(-step).Day() == noon.Day() {
		m = m.Add(-step) // the hour after midnight comes twice
	}
	return m
}
