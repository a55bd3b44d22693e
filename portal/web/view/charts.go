package view

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"postern/portal/i18n"
)

// axis is what the slots of a chart are.
type axis string

const (
	days  axis = "days"
	hours axis = "hours" // of today
	clock axis = "clock" // hours of the day
	spans axis = "spans" // lengths of time
)

// The drawing's own units. Text keeps its size while the drawing shrinks on a
// telephone, so that there is room for it beside and below the bars.
const (
	plotWidth  = 560
	plotHeight = 220
	plotLeft   = 46
	plotTop    = 26
	plotBase   = 188
)

// drawing is a chart, placed. Every number in it is in the table below it too.
type drawing struct {
	Lines  string // across, for Grid
	Floor  string // the lowest of them
	Grid   []tick
	Marks  []mark // under the bars
	Values []mark // above them
	Shapes []shape
}

// tick is a step of the axis: its line, and where its label stands.
type tick struct {
	Y, X, At float64
	Label    string
}

type mark struct {
	X, Y float64
	Text string
}

// shape is all of one series.
type shape struct{ Class, Path string }

// plot draws slots as small doors, the series of a slot on top of one another. In a
// script that runs from right to left, so does the axis.
func (w *words) plot(of axis, slots []Slot) drawing {
	most := 0
	for _, s := range slots {
		most = max(most, sum(s.N))
	}
	d := drawing{Shapes: []shape{{Class: "b1"}, {Class: "b2"}, {Class: "b3"}}}
	step, top := scale(most)
	line := func(y float64) string {
		return fmt.Sprintf("M%v %vh%v", w.mirror(plotLeft, plotWidth-plotLeft), y, plotWidth-plotLeft)
	}
	d.Floor = line(plotBase)
	for n := 0; n <= top; n += step {
		y := tenth(height(n, top))
		d.Grid = append(d.Grid, tick{Y: y, X: w.mirror(plotLeft-8, 0), At: y + 5, Label: strconv.Itoa(n)})
		d.Lines += line(y)
	}
	if len(slots) == 0 {
		return d
	}
	pitch := float64(plotWidth-plotLeft) / float64(len(slots))
	wide := min(pitch*.7, 40)
	for i, s := range slots {
		x := w.mirror(plotLeft+float64(i)*pitch+(pitch-wide)/2, wide)
		if text := w.short(of, s, i, len(slots)); text != "" {
			d.Marks = append(d.Marks, mark{X: min(max(tenth(x+wide/2), 14), plotWidth-14), Y: plotHeight - 6, Text: text})
		}
		at := 0
		for j, n := range s.N {
			if n > 0 && j < len(d.Shapes) {
				d.Shapes[j].Path += door(x, wide, height(at, top), height(at+n, top), j > 0, at+n == sum(s.N))
			}
			at += n
		}
		if of == spans && at > 0 {
			d.Values = append(d.Values, mark{X: tenth(x + wide/2), Y: tenth(height(at, top) - 6), Text: strconv.Itoa(at)})
		}
	}
	return d
}

// tenth is fine enough for a drawing, and short to write.
func tenth(x float64) float64 { return math.Round(x*10) / 10 }

func sum(all []int) (n int) {
	for _, one := range all {
		n += one
	}
	return n
}

// mirror is where something so wide begins, given where it does from left to right.
func (w *words) mirror(x, wide float64) float64 {
	if w.lang.Dir == "rtl" {
		return plotWidth - x - wide
	}
	return x
}

func height(n, top int) float64 {
	return plotBase - float64(n)/float64(top)*(plotBase-plotTop)
}

// scale divides what must fit in four steps at most, of 1, 2 or 5 and noughts.
func scale(most int) (step, top int) {
	step = 1
	for i := 0; step*4 < most; i++ {
		step = []int{2, 5, 10}[i%3] * pow10(i/3)
	}
	return step, max(step, (most+step-1)/step*step)
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

// door is one part of a bar from its bottom to its top, rounded like the mark where
// it is the last. A hollow one is drawn within its stroke, and one that is not
// nothing can be seen.
func door(x, wide, bottom, top float64, hollow, last bool) string {
	top = min(top, bottom-3)
	if hollow {
		x, wide, bottom, top = x+1, wide-2, bottom-1.5, min(top+1, bottom-2)
	}
	x, wide = tenth(x), tenth(wide)
	b, y := math.Round(bottom), math.Round(top)
	if !last {
		return fmt.Sprintf("M%v %vV%vh%vV%vz", x, b, y, wide, b)
	}
	arch := math.Round(min(wide/2, b-y))
	return fmt.Sprintf("M%v %vV%va%v %v 0 0 1 %v 0V%vz", x, b, y+arch, tenth(wide/2), arch, wide, b)
}

// short is what stands under a slot; not under each, where there are many.
func (w *words) short(of axis, s Slot, i, n int) string {
	switch of {
	case days:
		if (n-1-i)%5 == 0 {
			return strconv.Itoa(s.At.Day())
		}
	case hours:
		if s.At.Hour()%4 == 0 && s.At.Minute() == 0 {
			return strconv.Itoa(s.At.Hour())
		}
	case clock:
		if s.Hour%4 == 0 {
			return strconv.Itoa(s.Hour)
		}
	case spans:
		switch from, to := minutes(s.Least), minutes(s.Most); {
		case s.Most == 0:
			return strconv.Itoa(from) + "+"
		case s.Least == 0:
			return "<" + strconv.Itoa(to)
		default:
			return strconv.Itoa(from) + "–" + strconv.Itoa(to)
		}
	}
	return ""
}

func minutes(d time.Duration) int { return int(d / time.Minute) }

// long is a slot's name in the table.
func (w *words) long(of axis, s Slot) string {
	switch of {
	case days:
		return w.say("figures.day", i18n.Args{"Day": s.At.Day(), "Month": i18n.Msg("month.m" + strconv.Itoa(int(s.At.Month())))})
	case hours:
		return w.bundle.Clock(w.lang.Tag, s.At)
	case clock:
		return fmt.Sprintf("%02d:00", s.Hour)
	}
	switch {
	case s.Most == 0:
		return w.say("figures.span_over", i18n.Args{"From": minutes(s.Least)})
	case s.Least == 0:
		return w.say("figures.span_under", i18n.Args{"To": minutes(s.Most)})
	}
	return w.say("figures.span_between", i18n.Args{"From": minutes(s.Least), "To": minutes(s.Most)})
}

// took is a length of time to the second: "1 min 12 s".
func (w *words) took(d time.Duration) string {
	sec := int(d.Round(time.Second) / time.Second)
	switch {
	case sec < 60:
		return w.say("figures.seconds", i18n.Args{"Sec": sec})
	case sec < 3600:
		return w.say("figures.minutes", i18n.Args{"Min": sec / 60, "Sec": sec % 60})
	}
	return w.say("figures.hours_long", i18n.Args{"Hour": sec / 3600, "Min": sec / 60 % 60})
}

// chart is one chart for its template: what is drawn, the table behind it, and the
// names of its series.
type chart struct {
	ID     string // of its heading, which names the drawing; also its file
	Axis   axis
	Days   int
	Slots  []Slot
	Series []series
}

type series struct {
	Key   string
	Class string
	N     int // of all slots
}

// charted puts together a chart; its heading, lead and "nothing" are sentences of
// figures.ID.
func charted(id string, of axis, days int, slots []Slot, keys ...string) chart {
	c := chart{ID: id, Axis: of, Days: days, Slots: slots}
	for j, key := range keys {
		one := series{Key: key, Class: "b" + strconv.Itoa(j+1)}
		for _, s := range slots {
			if j < len(s.N) {
				one.N += s.N[j]
			}
		}
		c.Series = append(c.Series, one)
	}
	return c
}

// Any reports whether there is something to draw.
func (c chart) Any() bool {
	for _, s := range c.Series {
		if s.N > 0 {
			return true
		}
	}
	return false
}

// over are the slots a chart of one page has: days or hours of today.
func over(f *Figures) axis {
	if f.Today {
		return hours
	}
	return days
}

// because is the sentence of a reason, and of its code where nobody has written one.
func (w *words) because(r RefusalRow) string {
	key := "why." + r.Reason
	if r.Reason == "other" { // which in a file of sentences is a plural
		key = "why.any"
	}
	if w.bundle.Has(key) {
		return w.say(key, nil)
	}
	return w.say("why.code", i18n.Args{"Code": r.Reason})
}

// most is the largest of refusals, for their bars.
func most(rows []RefusalRow) int {
	n := 0
	for _, r := range rows {
		n = max(n, r.N)
	}
	return n
}
