package web

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/web/view"
	"postern/verify"
)

// mostStranded is how many the page names; the file names all.
const mostStranded = 200

// deskCoverage shows the last count. It never counts: that reads every account
// there is, and a request must not wait for it.
func (s *Site) deskCoverage(v *visit, _ access.Principal) error {
	t := s.Desk.Census.Last()
	page := &view.DeskCoverage{Frame: v.frame("/desk/coverage"), Running: t.Running, Since: t.Since, Failed: t.Failed != nil, Still: v.Query("refresh") == "off"}
	if !t.At.IsZero() {
		page.Count = counted(t)
	}
	return v.page(fiber.StatusOK, page)
}

// count asks for a new one. Two who press at once get the same.
func (s *Site) count(v *visit, _ form, _ access.Principal) error {
	if err := s.Desk.Census.Start(); err != nil && !errors.Is(err, enrol.ErrCounting) {
		return err
	}
	return v.to("/desk/coverage")
}

// coverageCSV is everybody, as `postern report coverage --csv` has them. Taking
// that away is recorded.
func (s *Site) coverageCSV(v *visit, p access.Principal) error {
	t := s.Desk.Census.Last()
	switch {
	case t.At.IsZero():
		return fiber.ErrNotFound
	case v.sentHere():
		return v.to("/desk/coverage")
	}
	if err := s.note(v, p, audit.Event{Kind: audit.CoverageExported}); err != nil {
		return err
	}
	v.Set(fiber.HeaderContentType, "text/csv; charset=utf-8")
	v.Set(fiber.HeaderContentDisposition, `attachment; filename="coverage-`+t.At.UTC().Format("2006-01-02")+`.csv"`)
	return t.Coverage.WriteCSV(v.Response().BodyWriter())
}

// counted is a count as the page shows it.
func counted(t enrol.Tally) *view.Count {
	f := t.Coverage.Figures()
	c := &view.Count{At: t.At, People: f.People, CanRecover: f.CanRecover, ByPasskeyAlone: f.ByPasskeyAlone, ByTwoGates: f.ByTwoGates,
		OneWay: f.OneWay, Stranded: f.CannotRecover, Gone: f.Gone, Everybody: t.Coverage.Everybody}
	if r := f.Registered; r != nil {
		c.Registered = &view.Registered{People: r.People, Ready: r.Ready, Failed: r.Failed != ""}
		for _, k := range slices.SortedFunc(maps.Keys(r.Kinds), func(a, b string) int { return cmp.Or(cmp.Compare(r.Kinds[b], r.Kinds[a]), cmp.Compare(a, b)) }) {
			c.Registered.Kinds = append(c.Registered.Kinds, view.RegisteredKind{Kind: k, N: r.Kinds[k]})
		}
	}
	for _, n := range f.NotServed {
		c.Unserved += n
	}
	for _, k := range slices.SortedFunc(maps.Keys(f.Factors), func(a, b verify.Kind) int {
		return cmp.Or(cmp.Compare(f.Factors[b], f.Factors[a]), cmp.Compare(a, b))
	}) {
		c.Factors = append(c.Factors, view.FactorCount{Kind: k, N: f.Factors[k]})
	}
	for _, g := range t.Coverage.Groups {
		in := t.Coverage.In(g)
		c.Groups = append(c.Groups, view.GroupCount{Group: g, People: in.People, CanRecover: in.CanRecover, Stranded: in.CannotRecover})
	}
	for _, p := range t.Coverage.People {
		switch {
		case len(p.Ways) > 0:
		case len(c.List) == mostStranded:
			c.More++
		default:
			c.List = append(c.List, stranded(p))
		}
	}
	return c
}

func stranded(p enrol.Covered) view.Stranded {
	s := view.Stranded{Login: p.Login, Name: p.Name}
	for _, h := range p.Holdings {
		s.Kinds = append(s.Kinds, h.Kind)
	}
	return s
}
