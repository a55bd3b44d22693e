package web

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/policy"
	"postern/portal/web/view"
)

// at is who is at the desk, read in this very request.
func (v *visit) at(p access.Principal) desk.Who {
	return desk.Who{Principal: p, Address: v.client.String(), Lang: v.lang}
}

// idPattern is what ids of every back end look like. Anything else is nobody, and
// never part of an address we write.
var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}:[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// personID is the person an address names.
func (v *visit) personID() (directory.ID, string, error) {
	id, err := url.PathUnescape(v.Params("id"))
	if err != nil || !idPattern.MatchString(id) {
		return "", "", desk.ErrUnknown
	}
	return directory.ID(id), personPath(directory.ID(id)), nil
}

func personPath(id directory.ID) string { return "/desk/people/" + string(id) }

// people looks somebody up; without a question it is the form alone.
func (s *Site) people(v *visit, p access.Principal) error {
	page := &view.DeskPeople{Frame: v.frame("/desk/people")}
	q, err := decode(v.Request().URI().QueryString(), fieldSearch, maybe(fieldLang))
	if err != nil {
		return err
	}
	if _, page.Mine, err = s.ringing(v, p); err != nil {
		return err
	}
	if page.Asked = strings.TrimSpace(q["q"]); page.Asked == "" || v.sentHere() {
		return v.page(fiber.StatusOK, page)
	}
	found, err := s.Desk.Help.Find(v.ctx(), v.at(p), page.Asked)
	if t := judge(err); err != nil && len(t.faults) > 0 && t.status < fiber.StatusInternalServerError {
		page.Faults = t.faults
		s.tell(v, t, err)
		return v.page(t.status, page)
	} else if err != nil {
		return err
	}
	page.Looked, page.More = true, found.More
	for _, u := range found.People {
		page.Found = append(page.Found, view.Hit{ID: string(u.ID), Login: u.Login, Name: u.Name, Directory: u.Directory, Refused: u.Refused})
	}
	return v.page(fiber.StatusOK, page)
}

// person is one account at a glance.
func (s *Site) person(v *visit, p access.Principal) error {
	id, path, err := v.personID()
	if err != nil {
		return err
	}
	if v.sentHere() {
		return v.to("/desk/people") // looking writes a record: see sentHere
	}
	page, err := s.personPage(v, p, id, path)
	if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, page)
}

func (s *Site) personPage(v *visit, p access.Principal, id directory.ID, path string, faults ...view.Fault) (*view.DeskPerson, error) {
	a, err := s.Desk.Help.See(v.ctx(), v.at(p), id)
	if err != nil {
		return nil, err
	}
	u := a.User
	once, err := v.once()
	if err != nil {
		return nil, err
	}
	page := &view.DeskPerson{Once: once, Frame: v.frame(path, faults...), ID: string(u.ID), Login: u.Login, Name: u.Name, Refused: a.Refused, Shown: u.Directory != "",
		Purpose: policy.Reset, Purposes: slices.DeleteFunc([]policy.Purpose{policy.Reset, policy.Unlock, policy.Assist}, func(p policy.Purpose) bool { return !s.serves(p) })}
	if !page.Shown {
		return page, nil
	}
	have := arsenal{plan: s.Plans.For(access.Desk, policy.Assist, u), user: u, now: s.Now(), creds: a.Methods, known: a.Standing}
	have.enlist()
	page.Directory, page.Manager, page.State, page.Frozen = u.Directory, a.Manager, u.State, a.Standing.Frozen
	page.Methods, page.Recent, page.Can = have.list, lines(a.Recent), a.Refused == ""
	page.Cases, page.Notices = pastCases(a.Cases), noticeLines(a.Notices)
	for _, m := range u.Mail {
		page.Mail = append(page.Mail, mask(m))
	}
	for _, n := range u.Phone {
		page.Phone = append(page.Phone, mask(n))
	}
	for i := range page.Methods {
		page.Methods[i].ID = "" // here it is neither renamed nor removed
	}
	if !page.Frozen.IsZero() {
		page.Purpose, page.Purposes = policy.Assist, []policy.Purpose{policy.Assist}
	} else if u.State.Locked && s.serves(policy.Unlock) {
		page.Purpose = policy.Unlock
	}
	if _, page.Mine, err = s.ringing(v, p); err != nil {
		return nil, err
	}
	if a.Open != nil {
		page.Case, page.Can = a.Open.ID, false
	}
	return page, nil
}

// openCase begins a case, and goes to its page.
func (s *Site) openCase(v *visit, f form, p access.Principal) error {
	id, path, err := v.personID()
	if err != nil {
		return err
	}
	o := desk.Order{Purpose: policy.Purpose(f["purpose"]), Cause: f["cause"], Ticket: f["ticket"], Send: f["send"] == "yes", Call: f["call"], Once: f["once"]}
	c, err := s.Desk.Help.Open(v.ctx(), v.at(p), id, o)
	if err == nil {
		return v.to(casePath(c.ID))
	}
	if errors.Is(err, desk.ErrStale) {
		return s.stepUpFor(v, p, path)
	}
	t := judge(err)
	if len(t.faults) == 0 || t.status >= fiber.StatusInternalServerError {
		return err
	}
	page, perr := s.personPage(v, p, id, path, t.faults...)
	if perr != nil {
		return perr
	}
	if slices.Contains(page.Purposes, o.Purpose) {
		page.Purpose = o.Purpose
	}
	page.Cause, page.Ticket = o.Cause, o.Ticket
	s.tell(v, t, err)
	return v.page(t.status, page)
}
