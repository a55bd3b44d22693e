package flow

import (
	"context"
	"fmt"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/policy"
	"postern/verify"
)

// linker is a directory that knows which accounts are one person's: directory.Set.
type linker interface {
	// Linked are the others of u's person, and the names of directories that could not
	// be asked.
	Linked(ctx context.Context, u directory.User) (found []directory.User, unreached []string, err error)
}

// linkedTimeout bounds the search for them, so that a directory that hangs keeps nobody
// from their account elsewhere.
const linkedTimeout = 5 * time.Second

// Also is another account of the person a case is about.
type Also struct {
	Case      string // its own case; empty: it is left out for good
	Directory string
	Login     string
	Left      Reason // why it is left out: ReasonProofs; or ReasonUnreached, then without a login
}

// Why an account of the same person is left out.
const (
	ReasonProofs    Reason = "more_proofs" // the policy asks for more there
	ReasonUnreached Reason = "unreached"   // its directory could not be asked
)

// other is an account found beside the one of a case; one is its case, not stored yet.
type other struct {
	Also
	one *Case
}

// others are the person's other accounts, and what the record says of them.
type others struct {
	list   []other
	events []audit.Event
}

// named is what may be told of them.
func (o others) named() (list []Also) {
	for _, found := range o.list {
		list = append(list, found.Also)
	}
	return list
}

// others finds the accounts that are linked with u, the account of c, as read last. Only
// a reset has any that somebody made for themselves: who vouched, or called the help
// desk, spoke of one account. Each is admitted as if its owner had begun there, and the
// proofs of c must be enough under its own policy. Those that the portal must not help
// are named to nobody.
func (s *Service) others(ctx context.Context, c *Case, u directory.User) (o others, err error) {
	l, can := s.Directory.(linker)
	if !can || u.Link == "" || c.Purpose != policy.Reset || c.By.ID != "" || c.Of != "" || slices.Contains(c.Kinds(), verify.Approval) {
		return o, nil
	}
	within, cancel := context.WithTimeout(ctx, linkedTimeout)
	defer cancel()
	found, unreached, err := l.Linked(within, u)
	if err != nil {
		s.Log.WarnContext(ctx, "other accounts of a person could not be looked for", "case", c.ID, "cause", err.Error())
		return o, nil
	}
	for _, v := range found {
		if err := s.addOther(ctx, c, v, &o); err != nil {
			return others{}, err
		}
	}
	for _, name := range unreached {
		// A case of nobody yet. What ends the owner's cases meanwhile ends it too.
		one := s.caseOf(c)
		one.Key, one.Plan = s.decoyID("other:"+c.ID+"\x00"+name), c.Plan
		o.list = append(o.list, other{Also{Directory: name, Left: ReasonUnreached}, one})
	}
	return o, nil
}

// caseOf is a case that rests on the proofs of c.
func (s *Service) caseOf(c *Case) *Case {
	return &Case{Of: c.ID, Owner: c.Key, Purpose: c.Purpose, Door: c.Door, Address: c.Address, Lang: c.Lang, At: c.At, Carried: c.Carried,
		Created: s.Now(), Expires: c.Expires, Turn: 1, Proofs: slices.Clone(c.Proofs)}
}

func (s *Service) addOther(ctx context.Context, c *Case, v directory.User, o *others) error {
	one := s.caseOf(c)
	one.Login = v.Login
	why, err := s.admit(ctx, one, v)
	if err == nil {
		err = s.tighten(ctx, one)
	}
	if err != nil {
		return err
	}
	linked := s.event(c, "case.linked", ok, withDetail("account", string(v.ID)), withDetail("login", v.Login), withDetail("why", one.because))
	if one.Person == nil {
		linked.Outcome, linked.Reason = refused, why
		o.events = append(o.events, linked)
		return nil
	}
	for i, p := range one.Proofs {
		if until := c.Contacts.settles(p.Kind, p.Evidence, one.Plan, p.At); until.After(p.Settles) {
			one.Proofs[i].Settles = until
		}
	}
	found := other{Also{Directory: v.Directory, Login: v.Login}, one}
	if !one.Proven() {
		linked.Outcome, linked.Reason = refused, string(ReasonProofs)
		found.Left, found.one = ReasonProofs, nil
	}
	o.list, o.events = append(o.list, found), append(o.events, linked)
	return nil
}

// judgeAll judges a password by the rules of every other account. Where they cannot be
// read now its own turn will tell.
func (s *Service) judgeAll(ctx context.Context, pw directory.Secret, with others) error {
	for _, found := range with.list {
		if found.Left != "" {
			continue
		}
		rules, err := s.Directory.Rules(ctx, *found.one.Person)
		if err != nil {
			continue
		}
		if problems := s.Judge.Judge(pw, rules, *found.one.Person); len(problems) > 0 {
			return &Weak{Problems: problems}
		}
	}
	return nil
}

// enlist writes the cases of the other accounts down, in the transaction of c's intent.
func (s *Service) enlist(ctx context.Context, c *Case, with others) error {
	for i, found := range with.list {
		if found.one != nil {
			found.one.ID = fmt.Sprintf("%s-%d", c.ID, i+1) // named after it: see Effects.EndCases
			found.Case = found.one.ID
			if err := s.Store.Create(ctx, found.one, Effects{Events: events(s.startEvent(found.one, ""))}); err != nil {
				return err
			}
		}
		c.Also = append(c.Also, found.Also)
	}
	return nil
}

// lookAgain asks the directories that could not be asked when c was about to be written.
func (s *Service) lookAgain(ctx context.Context, c *Case, u directory.User) (*Case, others, error) {
	with, err := s.others(ctx, c, u)
	if err != nil {
		return c, with, err
	}
	next := slices.Clone(c.Also)
	for i, a := range c.Also {
		if a.Left != ReasonUnreached {
			continue
		}
		at := slices.IndexFunc(with.list, func(f other) bool { return f.Directory == a.Directory })
		if at < 0 {
			next[i].Case, next[i].Left = "", ReasonNotEligible // there is none, or none that may be told of
			continue
		}
		if found := with.list[at]; found.Left != ReasonUnreached {
			next[i] = found.Also
			if found.one != nil {
				next[i].Case = a.Case
				if err := s.meet(ctx, a.Case, found.one); err != nil {
					return c, with, err
				}
			}
		}
	}
	next = slices.DeleteFunc(next, func(a Also) bool { return a.Left == ReasonNotEligible })
	if slices.Equal(next, c.Also) {
		return c, with, nil
	}
	c, err = s.Store.Update(ctx, c.ID, func(_ context.Context, c *Case) (Effects, error) {
		c.Also = next
		return Effects{Events: with.events}, nil
	})
	return c, with, err
}

// meet gives a case of nobody yet its person. ErrConflict when it is over.
func (s *Service) meet(ctx context.Context, id string, found *Case) error {
	_, err := s.Store.Update(ctx, id, func(_ context.Context, c *Case) (Effects, error) {
		if c.Closed != "" || c.Outcome.Status != Pending || c.Person != nil && c.Person.ID != found.Person.ID {
			return Effects{}, ErrConflict
		}
		c.Key, c.Person, c.Plan, c.Contacts = found.Key, found.Person, found.Plan, found.Contacts
		c.Login, c.Named, c.Proofs = found.Login, found.Named, found.Proofs
		return Effects{Events: events(s.startEvent(c, ""))}, nil
	})
	return err
}

// FinishAll is Finish for the account of a case and for the person's other accounts,
// which are linked with it by what their directories say (directory.Set.Linked). The
// password is judged by the rules of all of them before the first is written to. Each is
// a case of its own from then on: with its own intent and outcome, limits, notice and
// record. What comes of one changes nothing about another.
//
// Called again once the case is settled, it tries those once more that nothing came of
// yet. The error is then the first of theirs.
func (s *Service) FinishAll(ctx context.Context, id string, pw directory.Secret, hold []byte) (*Case, error) {
	c, err := s.Store.Case(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.Next(s.Now()) == StepNewPassword {
		if c, err = s.finish(ctx, id, pw, hold, true); err != nil || !c.Settled() {
			return c, err
		}
		for _, a := range c.Also {
			if _, err := s.finishOther(ctx, a, pw); err != nil {
				s.Log.WarnContext(ctx, "another account of the person waits", "case", a.Case, "cause", err.Error())
			}
		}
		return c, nil
	}
	if !c.Settled() || len(c.Also) == 0 {
		return c, ErrConflict
	}
	if slices.ContainsFunc(c.Also, func(a Also) bool { return a.Left == ReasonUnreached }) {
		u, err := s.Directory.Read(ctx, *c.Person)
		if err != nil {
			return c, err
		}
		if c, _, err = s.lookAgain(ctx, c, u); err != nil {
			return c, err
		}
	}
	tried, first := false, error(nil)
	for _, a := range c.Also {
		did, err := s.finishOther(ctx, a, pw)
		tried = tried || did
		if first == nil {
			first = err
		}
	}
	if !tried && first == nil {
		return c, ErrConflict
	}
	return c, first
}

// Settled reports whether what came of the write is known.
func (c *Case) Settled() bool {
	return slices.Contains([]Status{Applied, Declined, Lost}, c.Outcome.Status)
}

func (s *Service) finishOther(ctx context.Context, a Also, pw directory.Secret) (tried bool, err error) {
	if a.Case == "" {
		return false, nil
	}
	one, err := s.Store.Case(ctx, a.Case)
	if err != nil {
		return true, err
	}
	if one.Next(s.Now()) != StepNewPassword {
		return false, nil
	}
	_, err = s.finish(ctx, a.Case, pw, nil, false)
	return true, err
}

// Other is what came of another account of the person.
type Other struct {
	Also
	Step    Step // of its case; empty when it is left out for good
	Outcome Outcome
	Why     Reason
}

// Waits reports whether FinishAll may still do something for it.
func (o Other) Waits() bool {
	return o.Step == StepNewPassword || o.Left == ReasonUnreached && o.Step == StepChoose
}

// Others reads it for every one of c's, and settles what can be.
func (s *Service) Others(ctx context.Context, c *Case) ([]Other, error) {
	list := make([]Other, 0, len(c.Also))
	for _, a := range c.Also {
		o := Other{Also: a}
		if a.Case != "" {
			one, err := s.Settle(ctx, a.Case)
			if err != nil {
				return nil, err
			}
			o.Step, o.Outcome, o.Why = one.Next(s.Now()), one.Outcome, one.Why()
		}
		list = append(list, o)
	}
	return list, nil
}
