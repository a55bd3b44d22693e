package enrol

import (
	"context"
	"errors"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/limit"
	"postern/portal/notify"
)

// Limits count what somebody asks for (*limit.Limiter).
type Limits interface {
	Take(ctx context.Context, name limit.Name, key string) error
}

// Spent are the forms that were acted on (*store.DB). See desk.Spent.
type Spent interface {
	Spent(ctx context.Context, mark string) (bool, error)
	Once(ctx context.Context, mark string, work func(context.Context) error) (first bool, err error)
}

// Keeping is what acts on the methods that a directory keeps need besides.
type Keeping struct {
	Limits Limits
	Spent  Spent
	Rules  Rules // how long a proof is too new to be worth a pass
}

func (k Keeping) whole() bool { return k.Limits != nil && k.Spent != nil && k.Rules != nil }

// Kept is what the directory keeps of how somebody signs in elsewhere.
type Kept struct {
	Methods []directory.Method
	// Passes: a temporary pass can be asked for.
	Passes bool
}

// Undone is an act of which the directory did not say that it was done. Code is one of
// denied, unsupported, gone, unavailable, and uncertain: perhaps it was.
type Undone struct {
	Code string
	Err  error
}

func (e *Undone) Error() string { return "enrol: not done: " + e.Code + ": " + e.Err.Error() }
func (e *Undone) Unwrap() error { return e.Err }

func undone(err error) error {
	for _, known := range []struct {
		err  error
		code string
	}{
		// A write nobody knows the end of is both; the first is worse.
		{directory.ErrUncertain, "uncertain"}, {directory.ErrUnavailable, "unavailable"}, {directory.ErrNotFound, "gone"},
		{directory.ErrDenied, "denied"}, {directory.ErrUnsupported, "unsupported"},
	} {
		if errors.Is(err, known.err) {
			return &Undone{known.code, err}
		}
	}
	if err != nil {
		return &Undone{"uncertain", err} // it was sent, and nobody knows this answer
	}
	return nil
}

// lookTime bounds the one question whose answer a page can do without.
const lookTime = 4 * time.Second

// Kept lists what w's directory keeps. directory.ErrUnsupported where it keeps nothing,
// and where it may not be seen: what nobody may see nobody may act on.
func (s *Service) Kept(ctx context.Context, w Who) (Kept, error) {
	k, err := s.keeper(w)
	if err != nil {
		return Kept{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	all, err := k.Methods(ctx, w.Principal.User)
	if err != nil {
		return Kept{}, err
	}
	return Kept{Methods: all, Passes: s.gives(w.Principal.User)}, nil
}

func (s *Service) gives(u directory.User) bool {
	g, ok := s.Directory.(directory.PassGiver)
	return ok && g.GivesPasses(u)
}

// keeper is the directory as one that keeps methods. A shared screen must show none of
// it: the next person reads over somebody's shoulder, or after them.
func (s *Service) keeper(w Who) (directory.MethodKeeper, error) {
	k, ok := s.Directory.(directory.MethodKeeper)
	if !ok || !s.Keeping.whole() || w.Principal.Door != access.Web {
		return nil, directory.ErrUnsupported
	}
	return k, nil
}

// RemoveKept takes one of w's methods away, by its id. ErrNoMethod when there is none
// that can be, whoever else has it; *Undone when the directory did not do it.
func (s *Service) RemoveKept(ctx context.Context, w Who, id string) error {
	k, err := s.keeper(w)
	if err != nil {
		return err
	}
	if err := s.calm(ctx); err != nil {
		return err
	}
	u, err := s.allow(ctx, w)
	if err != nil {
		return err
	}
	all, err := k.Methods(ctx, u)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(m directory.Method) bool { return m.ID == id && id != "" && m.Removable })
	if i < 0 {
		return ErrNoMethod
	}
	gone := all[i]
	e := s.event(w, u, "method.removed", "")
	// Not its name: that may be a number or an address.
	e.Detail = map[string]string{"method": gone.Kind, "id": gone.ID}
	d := deed{event: e, template: "method_removed", args: map[string]string{"method": gone.Kind}, only: w.Session}
	if err := s.tells(ctx, &d, w, u); err != nil {
		return err
	}
	if err := s.take(ctx, limit.Method, u.ID); err != nil {
		return err
	}
	return s.do(ctx, &d, s.Store.Commit, func(ctx context.Context) error { return k.RemoveMethod(ctx, u, gone) })
}

// take counts one more; a limiter that cannot answer is a no.
func (s *Service) take(ctx context.Context, name limit.Name, id directory.ID) error {
	err := s.Keeping.Limits.Take(ctx, name, string(id))
	if errors.As(err, new(*limit.Exceeded)) {
		return err
	}
	return unavailable(err)
}

// deed is an act on what a directory keeps, as it is recorded and told.
type deed struct {
	event    audit.Event
	template string
	args     map[string]string
	only     string // session that goes on, as Change.OnlySession
	tell     func() []notify.Message
}

// tells finds out who will hear of d, before it is done: what cannot be told is not done.
func (s *Service) tells(ctx context.Context, d *deed, w Who, u directory.User) error {
	known, err := s.Accounts.Standing(ctx, u.ID)
	if err != nil {
		return unavailable(err)
	}
	to := known.Addresses(u, s.Now())
	d.tell = func() []notify.Message {
		if len(to) == 0 {
			return nil
		}
		d.args["at"], d.args["address"], d.args["door"] = s.Now().UTC().Format(time.RFC3339), w.Address, string(w.Principal.Door)
		return []notify.Message{s.notice(u, to, d.template, w.Lang, d.args)}
	}
	return nil
}

// do lets the directory carry d out by write. That it will be tried is written down
// before, by begin, and what came of it after: a crash between the two can be seen. Once
// write was tried an error is an *Undone.
func (s *Service) do(ctx context.Context, d *deed, begin func(context.Context, Change) error, write func(context.Context) error) error {
	ctx = directory.Calm(context.WithoutCancel(ctx)) // once begun it does not end with the browser
	owner := d.event.Subject
	d.event.Outcome = audit.Intent
	if err := begin(ctx, Change{Owner: owner, Served: true, Calm: true, Events: []audit.Event{d.event}}); err != nil {
		return err
	}
	short, cancel := context.WithTimeout(ctx, writeTime)
	err := write(short)
	cancel()
	d.event.At, d.event.Outcome = s.Now(), audit.OK
	c := Change{Owner: owner, OnlySession: d.only}
	switch {
	case err == nil, errors.Is(err, directory.ErrUncertain):
		if err != nil {
			d.event.Outcome = audit.Unknown
		}
		// Told also where no answer came: better once too often than never.
		c.Messages = d.tell()
	default:
		c.OnlySession, d.event.Outcome, d.event.Reason = "", audit.Refused, "directory"
	}
	c.Events = []audit.Event{d.event}
	short, cancel = context.WithTimeout(ctx, writeTime)
	defer cancel()
	if err := undone(err); err != nil {
		return errors.Join(err, s.Store.Commit(short, c))
	}
	if err := s.Store.Commit(short, c); err != nil {
		return &Undone{"uncertain", err} // done, and in no record: not to be claimed
	}
	return nil
}
