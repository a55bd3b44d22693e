package desk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/flow"
	"postern/portal/policy"
	"postern/verify"
)

// Order is what a technician begins a case with.
type Order struct {
	Purpose policy.Purpose // reset, unlock or assist
	Cause   string
	Ticket  string
	Send    bool   // mail the way in as well
	Call    string // of a shared screen, which opens it; empty: who calls does, by a code
	// Once is what the form carries, so that sent twice it begins one case.
	Once string
}

// maxCause is the length of a reason, in code points.
const maxCause = 200

func (o *Order) check(s *Service) error {
	o.Cause, o.Ticket = strings.TrimSpace(o.Cause), strings.TrimSpace(o.Ticket)
	plain := func(text string, most int) bool {
		return text != "" && utf8.ValidString(text) && utf8.RuneCountInString(text) <= most &&
			!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
	}
	switch {
	case !slices.Contains([]policy.Purpose{policy.Reset, policy.Unlock, policy.Assist}, o.Purpose):
		return &flow.Invalid{Field: "purpose", Code: "bad_choice"}
	case !plain(o.Cause, maxCause):
		return &flow.Invalid{Field: "cause", Code: "bad_cause"}
	case !plain(o.Ticket, maxCause) || !s.Tickets.MatchString(o.Ticket):
		return &flow.Invalid{Field: "ticket", Code: "bad_ticket"}
	case o.Send && o.Call != "": // it opens at that screen alone: there is no way in to mail
		return &flow.Invalid{Code: "call_mailed"}
	}
	return nil
}

// Open begins a case for somebody, or returns the one that this very order began.
// *Refused says why not, ErrUnknown that there is nobody, *flow.Invalid what of the
// order is wrong.
func (s *Service) Open(ctx context.Context, w Who, id directory.ID, o Order) (*flow.Case, error) {
	return s.openOnce(ctx, w, id, o.Once, func(caseID string) (*flow.Case, error) { return s.open(ctx, w, id, o, caseID) })
}

func (s *Service) open(ctx context.Context, w Who, id directory.ID, o Order, caseID string) (*flow.Case, error) {
	roles, err := s.acts(w)
	if err != nil {
		return nil, err
	}
	u, why, err := s.admit(ctx, w, roles, id)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return nil, s.refused(ctx, w, u, why, &Refused{why})
	}
	if err := o.check(s); err != nil {
		return nil, err
	}
	if o.Purpose == policy.Reset {
		if err := s.apart(ctx, w, u, resets, clears); err != nil {
			return nil, err
		}
	}
	if much, err := s.count(ctx, w.Principal.ID, begun, time.Hour, mostBegun); err != nil {
		return nil, err
	} else if much {
		return nil, s.refused(ctx, w, u, Velocity, &Refused{Velocity})
	}
	hold, err := s.reasons(ctx, w, roles, u, o.Purpose)
	if err != nil {
		return nil, err
	}
	tell, err := s.tell(ctx, u)
	if err != nil {
		return nil, err
	}
	call, err := s.at(ctx, w, o.Call)
	if err != nil {
		return nil, err
	}
	c, err := s.Cases.Assist(ctx, flow.AssistRequest{ID: caseID, At: call.Screen, Purpose: o.Purpose, By: w.by(), Target: u, Cause: o.Cause, Ticket: o.Ticket,
		Address: w.Address, Lang: w.Lang, Tell: tell, Send: o.Send, Hold: hold})
	var not *flow.NotServed
	if errors.As(err, &not) {
		return nil, s.refused(ctx, w, u, not.Reason, &Refused{not.Reason})
	}
	if err == nil && call.ID != "" {
		err = s.attach(ctx, w, call.ID, c.ID)
	}
	return c, err
}

// by is the technician, at this door.
func (w Who) by() access.Principal {
	p := w.Principal
	p.Door = access.Desk
	return p
}

// tell is who hears of every act beside the person: their manager and the security
// mailbox. That the manager cannot be asked stops the act: nobody may be helped
// unseen because a server was down (security case 106).
func (s *Service) tell(ctx context.Context, u directory.User) ([]string, error) {
	m, err := s.boss(ctx, u)
	if err != nil {
		return nil, err
	}
	to := slices.Clone(s.Alerts)
	if m.ID != u.ID && len(m.Mail) > 0 && !slices.Contains(to, m.Mail[0]) {
		to = append(to, m.Mail[0])
	}
	return to, nil
}

// Case is one that w began; everybody else's is ErrUnknown.
func (s *Service) Case(ctx context.Context, w Who, id string) (*flow.Case, error) {
	if _, err := s.helps(w); err != nil {
		return nil, err
	}
	c, err := s.Cases.Load(ctx, id)
	if errors.Is(err, flow.ErrNoCase) || err == nil && (c.Door != access.Desk || c.By.ID != w.Principal.ID) {
		return nil, ErrUnknown
	}
	return c, err
}

// Match takes the number the caller reads out. *flow.Wrong when it is another; the
// case then comes beside it. The same form sent twice costs one try.
func (s *Service) Match(ctx context.Context, w Who, id, number, once string) (*flow.Case, error) {
	c, _, _, err := s.mine(ctx, w, id)
	if err != nil {
		return c, err
	}
	return s.matchOnce(ctx, w, c, once, func() (*flow.Case, error) { return s.Cases.Match(ctx, c.ID, w.by(), number, w.Address) })
}

// Hear takes a code that the caller reads to w, where the policy allows that.
// *flow.Wrong when it is another; the case then comes beside it.
func (s *Service) Hear(ctx context.Context, w Who, id string, k verify.Kind, code []byte) (*flow.Case, error) {
	c, roles, u, err := s.mine(ctx, w, id)
	if err != nil {
		return c, err
	}
	// First, or what does nothing would make a caller wait who is on the way.
	if !c.OnHold() && (!c.Live(s.Now()) || !slices.Contains(c.Hearable(), k)) {
		return c, flow.ErrNotOffered
	}
	if err := s.holdsUp(ctx, w, c, roles, u, ""); err != nil {
		return c, err
	}
	return s.Cases.Spoken(ctx, c.ID, w.by(), k, code, w.Address)
}

// Cancel ends a case.
func (s *Service) Cancel(ctx context.Context, w Who, id string) error {
	c, err := s.Case(ctx, w, id)
	if err != nil {
		return err
	}
	return s.Cases.Withdraw(ctx, c.ID, w.by(), w.Address) // to end something needs no fresh proof
}

// mine is a case of w's to act in, with everything looked at again: the account may
// have been moved out of reach since the case began.
func (s *Service) mine(ctx context.Context, w Who, id string) (c *flow.Case, roles []access.Role, u directory.User, err error) {
	if c, err = s.Case(ctx, w, id); err != nil {
		return nil, nil, u, err
	}
	if roles, err = s.acts(w); err != nil {
		return c, nil, u, err
	}
	u, why, err := s.admit(ctx, w, roles, c.Key)
	if err == nil && why != "" {
		err = s.refused(ctx, w, u, why, &Refused{why})
	}
	return c, roles, u, err
}
