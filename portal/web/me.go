package web

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"postern/directory"
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
	if err := v.anew(session.State{}); err != nil {
		return err
	}
	return v.to("/")
}

const recentOnMe, recentOnPage = 5, 200

func (s *Site) me(v *visit, p access.Principal) error {
	have, err := s.arsenal(v, p)
	if err != nil {
		return err
	}
	recent, err := s.Records.Recent(v.ctx(), p.ID, recentOnMe)
	if err != nil {
		return &down{err}
	}
	return v.page(fiber.StatusOK, &view.Me{Frame: v.frame(""), Name: p.User.Name, Login: p.User.Login,
		Methods: have.list, Ways: have.ways(""), Strong: have.strong(), Kept: s.keeps(v, p), Recent: lines(recent)})
}

func (s *Site) factors(v *visit, p access.Principal) error {
	page, err := s.factorsPage(v, p)
	if err != nil {
		return err
	}
	return v.page(fiber.StatusOK, page)
}

func (s *Site) factorsPage(v *visit, p access.Principal, faults ...view.Fault) (*view.Factors, error) {
	have, err := s.arsenal(v, p)
	if err != nil {
		return nil, err
	}
	return &view.Factors{Frame: v.frame("/me/factors", faults...), Methods: have.list, Ways: have.ways(""), Strong: have.strong(), Addable: s.Enrol.Kinds()}, nil
}

func (s *Site) activity(v *visit, p access.Principal) error {
	rows, err := s.Records.Recent(v.ctx(), p.ID, recentOnPage)
	if err != nil {
		return &down{err}
	}
	return v.page(fiber.StatusOK, &view.ActivityLog{Frame: v.frame(""), Rows: lines(rows)})
}

func (s *Site) confirmRemove(v *visit, p access.Principal) error {
	have, err := s.arsenal(v, p)
	if err != nil {
		return err
	}
	id := v.Params("id")
	i := slices.IndexFunc(have.list, func(m view.Method) bool { return m.ID == id && id != "" })
	if i < 0 {
		return enrol.ErrNoMethod
	}
	return v.page(fiber.StatusOK, &view.Remove{Frame: v.frame(""), Method: have.list[i], Ways: have.ways(id)})
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
func (s *Site) offer(v *visit, f form, p access.Principal) error {
	kind := verify.Kind(v.Params("kind"))
	ch, err := s.Enrol.Offer(v.ctx(), v.who(p), kind, f["replace"])
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
		if err := v.anew(session.State{Principal: p.Enrolled(kind, s.Now())}); err != nil {
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

// arsenal is what a person can prove themselves with, as the page lists it and as
// the policy counts it.
type arsenal struct {
	list  []view.Method
	creds []verify.Credential
	known access.Standing
	plan  policy.Plan // for a forgotten password
	user  directory.User
	now   time.Time
}

func (s *Site) arsenal(v *visit, p access.Principal) (a arsenal, err error) {
	a = arsenal{plan: s.Plans.For(access.Web, policy.Reset, p.User), user: p.User, now: s.Now()}
	if a.creds, err = s.Enrol.Methods(v.ctx(), v.who(p)); err != nil {
		return a, &down{err}
	}
	if a.known, err = s.Enrol.Standing(v.ctx(), v.who(p)); err != nil {
		return a, &down{err}
	}
	a.enlist()
	return a, nil
}

// enlist makes the list of what there is.
func (a *arsenal) enlist() {
	var codes *view.Method
	for _, c := range a.creds {
		if c.Kind != verify.RecoveryCode {
			a.list = append(a.list, view.Method{ID: c.ID, Kind: c.Kind, Name: c.Name, Created: c.Created, Used: c.Used, Cooling: a.cools(c.Created)})
			continue
		}
		if codes == nil {
			codes = &view.Method{Kind: c.Kind, Created: c.Created, Total: recoveryCodes, Cooling: a.cools(c.Created)}
		}
		codes.Left++
	}
	if codes != nil {
		a.list = append(a.list, *codes)
	}
	for _, m := range a.user.Mail {
		a.list = append(a.list, view.Method{Kind: verify.Email, Masked: mask(m), Cooling: a.cools(a.known.MailAt)})
	}
	for _, n := range a.user.Phone {
		a.list = append(a.list, view.Method{Kind: verify.SMS, Masked: mask(n), Cooling: a.cools(a.known.PhoneAt)})
	}
}

// cools is until when something that is what it is since then cannot be the only
// proof; zero when it can.
func (a arsenal) cools(since time.Time) time.Time {
	if until := since.Add(a.plan.CoolingOff); !since.IsZero() && a.now.Before(until) {
		return until
	}
	return time.Time{}
}

// strong reports whether a passkey is among them: who has none is asked to add one.
func (a arsenal) strong() bool {
	return slices.ContainsFunc(a.creds, func(c verify.Credential) bool { return c.Kind.PhishingResistant() })
}

// ways counts the smallest sets of proofs that would be enough to reset a
// forgotten password now, without the credential of that id.
func (a arsenal) ways(without string) int {
	m := policy.Means{Mail: len(a.user.Mail) > 0, Phone: len(a.user.Phone) > 0, Manager: a.user.Manager != "" || len(a.plan.Ask.Approvers) > 0}
	settled := map[verify.Kind]bool{verify.Email: a.cools(a.known.MailAt).IsZero(), verify.SMS: a.cools(a.known.PhoneAt).IsZero()}
	for _, c := range a.creds {
		if c.ID != without {
			m.Enrolled = append(m.Enrolled, c.Kind)
			settled[c.Kind] = settled[c.Kind] || a.cools(c.Created).IsZero()
		}
	}
	for k, is := range settled {
		if !is {
			m.Cooling = append(m.Cooling, k)
		}
	}
	n := 0
	for _, path := range policy.Explain(a.plan, m).Paths {
		if len(path.Missing) == 0 {
			n++
		}
	}
	return n
}

// recoveryCodes is how many codes one set has.
const recoveryCodes = 10

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
