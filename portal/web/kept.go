package web

import (
	"errors"
	"regexp"
	"slices"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/web/view"
)

// keptPath is the page of what the directory keeps of how somebody signs in elsewhere.
const keptPath = "/me/methods"

// keptIDs are ids that can stand in a path; one that cannot is not offered for removal.
var keptIDs = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// keeps is what the directory keeps, as pages list it; nil where it keeps nothing. A
// directory that does not answer takes nothing but the list away.
func (s *Site) keeps(v *visit, p access.Principal) *view.KeptList {
	k, err := s.Enrol.Kept(v.ctx(), v.who(p))
	switch {
	case errors.Is(err, directory.ErrUnsupported):
		return nil
	case err != nil:
		s.Log.WarnContext(v.ctx(), "sign-in methods could not be read", "request", v.id, "cause", err.Error())
		return &view.KeptList{Away: true}
	}
	list := &view.KeptList{Passes: k.Passes}
	for _, m := range k.Methods {
		one := view.KeptMethod{Kind: m.Kind, Name: m.Name}
		if m.Kind == "phone" || m.Kind == "email" {
			one.Name = mask(m.Name)
		}
		if m.Removable && keptIDs.MatchString(m.ID) {
			one.ID = m.ID
		}
		list.Methods = append(list.Methods, one)
	}
	return list
}

func (s *Site) kept(v *visit, p access.Principal) error {
	page, err := s.keptPage(v, p)
	if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, page)
}

func (s *Site) keptPage(v *visit, p access.Principal, faults ...view.Fault) (*view.Kept, error) {
	list := s.keeps(v, p)
	if list == nil {
		return nil, fiber.ErrNotFound
	}
	once, err := v.once()
	if err != nil {
		return nil, err
	}
	return &view.Kept{Frame: v.frame(keptPath, faults...), KeptList: *list, Once: once}, nil
}

func (s *Site) confirmRemoveKept(v *visit, p access.Principal) error {
	list := s.keeps(v, p)
	if list == nil {
		return fiber.ErrNotFound
	}
	if list.Away {
		return s.kept(v, p)
	}
	id := v.Params("id")
	i := slices.IndexFunc(list.Methods, func(m view.KeptMethod) bool { return m.ID == id && id != "" })
	if i < 0 {
		return enrol.ErrNoMethod
	}
	more := slices.ContainsFunc(list.Methods, func(m view.KeptMethod) bool {
		return m.ID != id && m.Kind != "password" && m.Kind != "temporaryAccessPass"
	})
	return v.page(fiber.StatusOK, &view.RemoveKept{Frame: v.frame(""), Method: list.Methods[i], Last: !more})
}

func (s *Site) removeKept(v *visit, _ form, p access.Principal) error {
	if err := s.Enrol.RemoveKept(v.ctx(), v.who(p), v.Params("id")); err != nil {
		return s.keptFault(v, p, err)
	}
	return v.to(keptPath)
}

// pass answers with the only page that ever shows the pass.
func (s *Site) pass(v *visit, f form, p access.Principal) error {
	got, err := s.Enrol.Pass(v.ctx(), v.who(p), f["once"])
	if err != nil {
		return s.keptFault(v, p, err)
	}
	return v.page(fiber.StatusOK, &view.Pass{Frame: v.frame(keptPath), Value: got.Value.Reveal(), Until: got.Until})
}

// keptFault is factorFault of this page.
func (s *Site) keptFault(v *visit, p access.Principal, err error) error {
	t := judge(err)
	switch {
	case errors.As(err, new(*enrol.StepUp)):
		return s.stepUpFor(v, p, keptPath)
	case errors.Is(err, enrol.ErrEnded):
		return s.signOut(v, nil)
	case t.status == fiber.StatusNotFound || len(t.faults) == 0:
		return err
	}
	page, perr := s.keptPage(v, p, t.faults...)
	if perr != nil {
		return err
	}
	s.tell(v, t, err)
	return v.page(t.status, page)
}
