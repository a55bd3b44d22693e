package portal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/directory"
	helpdesk "postern/portal/desk"
	"postern/portal/flow"
)

// board is what the pages of figures and lists ask.
type board struct {
	asked []string
	fail  error
	lists []directory.List
	sheet helpdesk.Sheet
}

func (b *board) note(call string) error {
	b.asked = append(b.asked, call)
	return b.fail
}

func (b *board) Figures(_ context.Context, _ helpdesk.Who, days int) (helpdesk.Figures, error) {
	if !slices.Contains(helpdesk.Spans, days) {
		return helpdesk.Figures{}, &flow.Invalid{Field: "days", Code: "bad_days"}
	}
	f := helpdesk.Figures{Days: days, From: time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC), At: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC),
		Technicians: []helpdesk.Technician{{ID: "ad:t", Login: `<img src=x onerror=alert(1)>`, Begun: 3}}, Refusals: []helpdesk.Refusal{{Where: "proof", Reason: "wrong", N: 2}}}
	for _, p := range helpdesk.Purposes {
		for _, o := range helpdesk.Outcomes {
			f.Endings = append(f.Endings, helpdesk.Ending{Purpose: p, Outcome: o, N: 1})
		}
	}
	return f, b.note(fmt.Sprint("figures ", days))
}

func (b *board) ExportFigures(ctx context.Context, w helpdesk.Who, days int, c helpdesk.Chart) (helpdesk.Figures, error) {
	if !slices.Contains(helpdesk.Charts, c) {
		return helpdesk.Figures{}, helpdesk.ErrUnknown
	}
	return b.Figures(ctx, w, days)
}

func (b *board) Lists(helpdesk.Who) ([]directory.List, error) {
	if b.lists == nil {
		return directory.Lists(), nil
	}
	return b.lists, nil
}

func (b *board) Look(_ context.Context, _ helpdesk.Who, l directory.List) (helpdesk.Sheet, error) {
	s := b.sheet
	s.List = l
	return s, b.note("look " + string(l))
}

func (b *board) Export(_ context.Context, _ helpdesk.Who, l directory.List) (helpdesk.Sheet, error) {
	s := b.sheet
	s.List = l
	return s, b.note("export " + string(l))
}

func (b *board) Count(context.Context, helpdesk.Who) error { return b.note("count") }
