package web

import (
	"context"
	"errors"
	"slices"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/enrol"
	"postern/portal/web/view"
)

// Listing are lists of who will need help (*desk.Board).
type Listing interface {
	Lists(w desk.Who) ([]directory.List, error)
	Look(ctx context.Context, w desk.Who, l directory.List) (desk.Sheet, error)
	Export(ctx context.Context, w desk.Who, l directory.List) (desk.Sheet, error)
	Count(ctx context.Context, w desk.Who) error
}

// Board is what the desk has of everybody.
type Board interface {
	Figured
	Listing
}

// deskLists names the lists, and says how old they are. There is nobody on it.
func (s *Site) deskLists(v *visit, p access.Principal) error {
	q, err := decode(v.Request().URI().QueryString(), fieldRefresh, maybe(fieldLang))
	if err != nil {
		return err
	}
	may, err := s.Desk.Board.Lists(v.at(p))
	if err != nil {
		return err
	}
	t := s.Desk.Census.Last()
	page := &view.DeskLists{Frame: v.frame("/desk/lists"), At: t.At, Running: t.Running, Since: t.Since, Failed: t.Failed != nil, Everybody: t.Coverage.Everybody,
		Still: q["refresh"] == "off"}
	for _, l := range may {
		row := view.ListRow{List: l, N: -1}
		if roll := t.Coverage.Rolls[l]; v.has(readers) && !t.At.IsZero() {
			row.N = len(roll.List) + roll.More // of everybody: not for those who may help some
		}
		page.Lists = append(page.Lists, row)
	}
	return v.page(fiber.StatusOK, page)
}

var fieldRefresh = field{name: "refresh", max: 8, optional: true}

// countLists asks for new ones.
func (s *Site) countLists(v *visit, _ form, p access.Principal) error {
	if err := s.Desk.Board.Count(v.ctx(), v.at(p)); err != nil && !errors.Is(err, enrol.ErrCounting) {
		return err
	}
	return v.to("/desk/lists")
}

// list is the one an address names. Anything else is none.
func (v *visit) list() (directory.List, error) {
	l := directory.List(v.Params("list"))
	if i := slices.Index(directory.Lists(), l); i >= 0 {
		return directory.Lists()[i], nil // and not the request's own bytes
	}
	return "", desk.ErrUnknown
}

func (s *Site) deskList(v *visit, p access.Principal) error {
	l, err := v.list()
	switch {
	case err != nil:
		return err
	case v.sentHere():
		return v.to("/desk/lists") // looking writes a record: see sentHere
	}
	sheet, err := s.Desk.Board.Look(v.ctx(), v.at(p), l)
	if err != nil {
		return err
	}
	page := &view.DeskList{Frame: v.frame("/desk/lists/" + string(l)), List: l, At: sheet.At, Everybody: sheet.Everybody, Rest: sheet.Rest, Mine: !v.has(readers)}
	for _, one := range sheet.People {
		row := view.ListedRow{Login: one.Login, Name: one.Name, Directory: one.Directory, At: one.At}
		if one.Helped && idPattern.MatchString(string(one.ID)) {
			row.ID = string(one.ID)
		}
		page.People = append(page.People, row)
	}
	return v.page(fiber.StatusOK, page)
}

func (s *Site) listCSV(v *visit, p access.Principal) error {
	l, err := v.list()
	switch {
	case err != nil:
		return err
	case v.sentHere():
		return v.to("/desk/lists")
	}
	sheet, err := s.Desk.Board.Export(v.ctx(), v.at(p), l)
	if err != nil {
		return err
	}
	if sheet.At.IsZero() {
		return fiber.ErrNotFound
	}
	return v.csv(string(l)+"-"+s.Now().UTC().Format("2006-01-02"), sheet.WriteCSV)
}
