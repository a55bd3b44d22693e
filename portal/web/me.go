package web

import (
	"errors"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/policy"
	"postern/portal/session"
	"postern/portal/web/view"
	"postern/verify"
)

// own guards a page that belongs to somebody signed in. Whose account was
// disabled since is somebody no longer; what is shown is as it is now.
func (s *Site) own(page func(*visit, access.Principal) error) func(*visit) error {
	return func(v *visit) error {
		p, in, err := v.principal()
		if err != nil {
			return err
		}
		if !in {
			return v.to(signin.path)
		}
		p.User, err = s.Enrol.Still(v.ctx(), v.who(p))
		switch {
		case errors.Is(err, enrol.ErrEnded):
			return s.signOut(v, nil)
		case err != nil:
			return err
		}
		v.roles = s.roles(p.User)
		return page(v, p)
	}
}

// owned guards an action the same way.
func (s *Site) owned(action func(*visit, form, access.Principal) error) func(*visit, form) error {
	return func(v *visit, f form) error {
		return s.own(func(v *visit, p access.Principal) error { return action(v, f, p) })(v)
	}
}

// signOut ends the session; there is always one identity afterwards, a new one.
func (s *Site) signOut(v *visit, _ form) error {
	token, err := newToken(s.Rand)
	if err != nil {
		return err
	}
	if err := v.become(token, session.State{}); err != nil {
		return err
	}
	return v.to("/")
}

const recentOnMe, recentOnPage = 5, 200

func (s *Site) me(v *visit, p access.Principal) error {
	methods, have, err := s.methods(v, p)
	if err != nil {
		return err
	}
	recent, err := s.Records.Recent(v.ctx(), p.ID, recentOnMe)
	if err != nil {
		return &down{err}
	}
	return v.page(fiber.StatusOK, &view.Me{Frame: v.frame(""), Name: p.User.Name, Login: p.User.Login,
		Methods: methods, Ways: s.ways(p, have), Recent: lines(recent)})
}

func (s *Site) factors(v *visit, p access.Principal) error {
	page, err := s.factorsPage(v, p)
	if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, page)
}

func (s *Site) factorsPage(v *visit, p access.Principal, faults ...view.Fault) (*view.Factors, error) {
	methods, have, err := s.methods(v, p)
	return &view.Factors{Frame: v.frame("/me/factors", faults...), Methods: methods, Ways: s.ways(p, have), Addable: s.Enrol.Kinds()}, err
}

func (s *Site) activity(v *visit, p access.Principal) error {
	rows, err := s.Records.Recent(v.ctx(), p.ID, recentOnPage)
	if err != nil {
		return &down{err}
	}
	return v.page(fiber.StatusOK, &view.ActivityLog{Frame: v.frame(""), Rows: lines(rows)})
}

func (s *Site) confirmRemove(v *visit, p access.Principal) error {
	methods, have, err := s.methods(v, p)
	if err != nil {
		return err
	}
	id := v.Params("id")
	i := slices.IndexFunc(methods, func(m view.Method) bool { return m.ID == id && id != "" })
	if i < 0 {
		return enrol.ErrNoMethod
	}
	gone := slices.Index(have, methods[i].Kind)
	return v.page(fiber.StatusOK, &view.Remove{Frame: v.frame(""), Method: methods[i], Ways: s.ways(p, slices.Delete(have, gone, gone+1))})
}

func (s *Site) remove(v *visit, _ form, p access.Principal) error {
	if err := s.Enrol.Remove(v.ctx(), v.who(p), v.Params("id")); err != nil {
		return s.factorFault(v, p, err)
	}
	return v.to("/me/factors")
}

func (s *Site) rename(v *visit, f form, p access.Principal) error {
	err := s.Enrol.Rename(v.ctx(), v.who(p), v.Params("id"), f["name"])
	if !errors.Is(err, enrol.ErrBadName) {
		if err != nil {
			return s.factorFault(v, p, err)
		}
		return v.to("/me/factors")
	}
	t := judge(err)
	page, perr := s.factorsPage(v, p, t.faults...)
	if perr != nil {
		return perr
	}
	page.Editing, page.Typed = v.Params("id"), f["name"]
	return v.page(t.status, page)
}

// offer begins a set-up. Its answer is the only page that ever shows the secret.
func (s *Site) offer(v *visit, _ form, p access.Principal) error {
	kind := verify.Kind(v.Params("kind"))
	ch, err := s.Enrol.Offer(v.ctx(), v.who(p), kind)
	if err != nil {
		return s.factorFault(v, p, err)
	}
	page, err := s.offerPage(v, p, kind, ch, "")
	if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, page)
}

func (s *Site) enrol(v *visit, f form, p access.Principal) error {
	kind := verify.Kind(v.Params("kind"))
	o, err := s.Enrol.Enrol(v.ctx(), v.who(p), kind, []byte(f["answer"]), f["name"])
	switch {
	case err == nil:
		token, err := newToken(s.Rand)
		if err != nil {
			return err
		}
		if err := v.become(token, session.State{Principal: p.Enrolled(kind, s.Now())}); err != nil {
			return err
		}
		return v.to("/me/factors")
	case errors.Is(err, enrol.ErrBadReply) && kind == verify.Passkey:
		err = errBadPasskey // its challenge is spent: back to the list, to begin anew
	case errors.Is(err, enrol.ErrBadReply):
		t := judge(err)
		page, perr := s.offerPage(v, p, kind, o.Challenge, f["name"], t.faults...)
		if perr != nil {
			return perr
		}
		return v.page(t.status, page)
	}
	return s.factorFault(v, p, err)
}

// factorFault is what can come of an action on one's own factors: a fresh proof
// is needed first, the account is closed to the portal, or something was wrong.
func (s *Site) factorFault(v *visit, p access.Principal, err error) error {
	var up *enrol.StepUp
	switch t := judge(err); {
	case errors.As(err, &up):
		return s.stepUp(v, p)
	case errors.Is(err, enrol.ErrEnded):
		return s.signOut(v, nil)
	case t.status == fiber.StatusNotFound || len(t.faults) == 0:
		return err
	default:
		for i := range t.faults {
			t.faults[i].Field = "" // the form it was typed into is not on this page
		}
		page, perr := s.factorsPage(v, p, t.faults...)
		if perr != nil {
			return err
		}
		s.tell(v, t, err)
		return v.page(t.status, page)
	}
}

// methods lists what a person can prove themselves with, and each kind once for
// every way to have it.
func (s *Site) methods(v *visit, p access.Principal) (list []view.Method, have []verify.Kind, err error) {
	creds, err := s.Enrol.Methods(v.ctx(), v.who(p))
	if err != nil {
		return nil, nil, &down{err}
	}
	var codes *view.Method
	for _, c := range creds {
		have = append(have, c.Kind)
		if c.Kind != verify.RecoveryCode {
			list = append(list, view.Method{ID: c.ID, Kind: c.Kind, Name: c.Name, Created: c.Created, Used: c.Used})
			continue
		}
		if codes == nil {
			codes = &view.Method{Kind: c.Kind, Created: c.Created, Total: recoveryCodes}
		}
		codes.Left++
	}
	if codes != nil {
		list = append(list, *codes)
	}
	for _, m := range p.User.Mail {
		list, have = append(list, view.Method{Kind: verify.Email, Masked: mask(m)}), append(have, verify.Email)
	}
	for _, n := range p.User.Phone {
		list, have = append(list, view.Method{Kind: verify.SMS, Masked: mask(n)}), append(have, verify.SMS)
	}
	return list, have, nil
}

// recoveryCodes is how many codes one set has.
const recoveryCodes = 10

// ways counts the smallest sets of what a person has that would be enough to
// reset a forgotten password.
func (s *Site) ways(p access.Principal, have []verify.Kind) int {
	plan := s.Plans.For(access.Web, policy.Reset, p.User)
	kinds := slices.Compact(slices.Sorted(slices.Values(have)))
	n := 0
	for set := 1; set < 1<<len(kinds); set++ {
		var proofs []verify.Kind
		for i, k := range kinds {
			if set&(1<<i) != 0 {
				proofs = append(proofs, k)
			}
		}
		if plan.Enough(proofs) && minimal(plan, proofs) {
			n++
		}
	}
	return n
}

func minimal(plan policy.Plan, proofs []verify.Kind) bool {
	for i := range proofs {
		if plan.Enough(slices.Delete(slices.Clone(proofs), i, i+1)) {
			return false
		}
	}
	return true
}

// mask leaves enough of an address to know one's own by.
func mask(a string) string {
	const dots = "••••"
	if name, domain, ok := strings.Cut(a, "@"); ok {
		r := []rune(name)
		if len(r) < 3 {
			return dots + "@" + domain
		}
		return string(r[:1]) + dots + "@" + domain
	}
	r := []rune(a)
	if len(r) < 6 {
		return dots
	}
	return dots + string(r[len(r)-2:])
}
