package web

import (
	"context"
	"io"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/web/view"
)

// Figured are figures of what happened (*desk.Board).
type Figured interface {
	Figures(ctx context.Context, w desk.Who, days int) (desk.Figures, error)
	ExportFigures(ctx context.Context, w desk.Who, days int, c desk.Chart) (desk.Figures, error)
}

// seers see figures.
var seers = []access.Role{access.Senior, access.Auditor, access.Operator}

var fieldDays = field{name: "days", max: 8, optional: true}

// usualDays are shown where nothing is asked for.
const usualDays = 30

// days reads the query as strictly as a form. What is no number is no span either:
// zero, which the desk says no to.
func (v *visit) days() (int, error) {
	q, err := decode(v.Request().URI().QueryString(), fieldDays, maybe(fieldLang))
	if err != nil {
		return 0, err
	}
	text, said := q["days"]
	if !said {
		return usualDays, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text {
		return 0, nil
	}
	return n, nil
}

// deskFigures are the figures of some days.
func (s *Site) deskFigures(v *visit, p access.Principal) error {
	if v.sentHere() {
		return v.to("/desk") // looking writes a record: see sentHere
	}
	page := &view.DeskFigures{Frame: v.frame("/desk/figures"), Spans: desk.Spans}
	days, err := v.days()
	var f desk.Figures
	if err == nil {
		f, err = s.Desk.Board.Figures(v.ctx(), v.at(p), days)
	}
	if err != nil {
		return v.asksWrong(page, &page.Faults, err)
	}
	page.Days, page.Shown = days, s.figured(f)
	return v.page(fiber.StatusOK, page)
}

// figuresCSV is one chart as a file.
func (s *Site) figuresCSV(v *visit, p access.Principal) error {
	if v.sentHere() {
		return v.to("/desk")
	}
	chart := desk.Chart(v.Params("chart"))
	days, err := v.days()
	var f desk.Figures
	if err == nil {
		f, err = s.Desk.Board.ExportFigures(v.ctx(), v.at(p), days, chart)
	}
	if err != nil {
		page := &view.DeskFigures{Frame: v.frame("/desk/figures"), Spans: desk.Spans}
		return v.asksWrong(page, &page.Faults, err)
	}
	name := string(chart) + "-" + strconv.Itoa(days) + "d-" + f.At.Format("2006-01-02")
	return v.csv(name, func(w io.Writer) error { return f.WriteCSV(w, chart) })
}

// csv sends a file. name has no characters but those of our own.
func (v *visit) csv(name string, write func(io.Writer) error) error {
	v.Set(fiber.HeaderContentType, "text/csv; charset=utf-8")
	v.Set(fiber.HeaderContentDisposition, `attachment; filename="`+name+`.csv"`)
	return write(v.Response().BodyWriter())
}

// figured are figures as the page shows them.
func (s *Site) figured(f desk.Figures) *view.Figures {
	out := &view.Figures{Today: f.Days == 1, From: f.From, At: f.At, Cut: f.Cut, Done: f.Count(desk.Done), Alone: f.Alone, Refused: f.Count(desk.RefusedThen),
		Median: f.Median, Ninety: f.Ninety, Timeless: f.Timeless}
	for _, slot := range f.Slots {
		out.Recoveries = append(out.Recoveries, view.Slot{At: slot.From, N: slot.Done[:]})
		out.Lockouts = append(out.Lockouts, view.Slot{At: slot.From, N: []int{slot.Unlocked, slot.Tried}})
	}
	for _, b := range f.Times {
		out.Times = append(out.Times, view.Slot{Least: b.From, Most: b.Until, N: []int{b.N}})
	}
	for h, n := range f.Hours {
		out.Hours = append(out.Hours, view.Slot{Hour: h, N: []int{n}})
	}
	for i, o := range desk.Outcomes {
		row := view.OutcomeRow{Outcome: string(o)}
		for j := range desk.Purposes {
			row.N = append(row.N, f.Endings[j*len(desk.Outcomes)+i].N)
		}
		out.Outcomes = append(out.Outcomes, row)
	}
	for i, r := range f.Refusals {
		if i < mostReasons {
			out.Refusals = append(out.Refusals, view.RefusalRow{Where: r.Where, Reason: r.Reason, N: r.N})
		}
	}
	out.OtherReasons = max(0, len(f.Refusals)-mostReasons)
	for i, one := range f.Technicians {
		if i < mostTechnicians {
			out.Technicians = append(out.Technicians, view.TechnicianRow{Login: one.Login, Begun: one.Begun, Finished: one.Finished, Acts: one.Acts, Refused: one.Refused})
		}
	}
	out.OtherTechnicians = max(0, len(f.Technicians)-mostTechnicians)
	if t := s.Desk.Census.Last(); !t.At.IsZero() {
		out.Coverage = counted(t)
		out.Coverage.List = nil // names are on the lists, and recorded there
		rolls := t.Coverage.Rolls[directory.Locked]
		out.LockedNow = len(rolls.List) + rolls.More
	}
	return out
}

// How many rows the page has; the file has all.
const (
	mostReasons     = 12
	mostTechnicians = 20
)
