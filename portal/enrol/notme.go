package enrol

import (
	"context"
	"errors"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
)

// notMeLife is how long the button in a notice works.
const notMeLife = 14 * 24 * time.Hour

// Reported is an account somebody says something happened to that was not they.
type Reported struct {
	ID    directory.ID
	Login string // empty while the directory cannot be asked
}

// Report shows whose account a notice's link is about; ErrNoLink when it opens
// nothing. Nothing is changed by looking: mail scanners look at everything.
func (s *Service) Report(ctx context.Context, token string) (Reported, error) {
	l, err := s.Accounts.Link(ctx, notify.NotMe, token)
	if err != nil {
		return Reported{}, noLink(err)
	}
	r := Reported{ID: l.Account}
	if u, err := s.Directory.Read(ctx, directory.User{ID: l.Account}); err == nil {
		r.Login = u.Login
	}
	return r, nil
}

// NotMe freezes the account of a notice's link: from now on the portal does
// nothing for it, until a technician ends that. Whoever has the link got the
// notice; to stop recovery they need prove nothing more. It does not need the
// directory: an attack and an outage may well come together.
func (s *Service) NotMe(ctx context.Context, token, address, lang string) error {
	l, err := s.Accounts.Link(ctx, notify.NotMe, token)
	if err != nil {
		return noLink(err)
	}
	u, err := s.Directory.Read(ctx, directory.User{ID: l.Account})
	if err != nil {
		u = directory.User{ID: l.Account}
	}
	e := audit.Event{At: s.Now(), Kind: "account.frozen", Case: l.Case, Subject: l.Account, SubjectName: u.Login, Actor: l.Account, ActorName: u.Login,
		Door: string(access.Web), Address: address, Outcome: audit.OK, Reason: "not_me", Detail: map[string]string{"by": "link"}}
	return s.freeze(ctx, u, e, lang, &Spend{Kind: notify.NotMe, Token: token})
}

// NotMine is NotMe by somebody signed in who sees something that is not theirs.
func (s *Service) NotMine(ctx context.Context, w Who) error {
	u, err := s.Still(ctx, w)
	if err != nil {
		return err
	}
	e := s.event(w, u, "account.frozen", "")
	e.Reason, e.Detail = "not_me", map[string]string{"by": "session"}
	return s.freeze(ctx, u, e, w.Lang, nil)
}

func (s *Service) freeze(ctx context.Context, u directory.User, e audit.Event, lang string, spend *Spend) error {
	now := s.Now()
	standing, err := s.Accounts.Standing(ctx, u.ID)
	if err != nil {
		return unavailable(err)
	}
	args := map[string]string{"login": u.Login, "at": now.UTC().Format(time.RFC3339), "address": e.Address, "door": e.Door}
	if u.Language != "" {
		lang = u.Language
	}
	c := Change{Owner: u.ID, Spend: spend, EndAll: true, Events: []audit.Event{e}, Standing: func(was access.Standing) access.Standing {
		was.NotMe = now
		if was.Frozen.IsZero() {
			was.Frozen = now
		}
		return was
	}}
	if to := standing.Addresses(u, now); len(to) > 0 {
		c.Messages = append(c.Messages, notify.Message{Channel: notify.Mail, To: to, Who: u, Template: "account_frozen", Lang: lang, Args: args})
	}
	if len(s.Operators) > 0 {
		c.Messages = append(c.Messages, notify.Message{Channel: notify.Mail, To: s.Operators, Template: "incident", Lang: lang, Case: e.Case,
			Args: map[string]string{"login": u.Login, "account": string(u.ID), "at": args["at"], "address": e.Address, "door": e.Door}})
	}
	err = s.Store.Commit(ctx, c)
	if errors.Is(err, notify.ErrNoLink) {
		return ErrNoLink
	}
	if err != nil {
		return err
	}
	if s.Incident != nil {
		s.Incident()
	}
	if u.Login != "" {
		s.endPass(ctx, u, e, "not_me") // with which whoever it was could still sign in elsewhere
	}
	return nil
}

// ErrNoLink: the link opens nothing, or not any more.
var ErrNoLink = errors.New("enrol: no such link")

func noLink(err error) error {
	if errors.Is(err, notify.ErrNoLink) {
		return ErrNoLink
	}
	return unavailable(err)
}

// ErrNotFrozen: there is nothing to end.
var ErrNotFrozen = errors.New("enrol: the account is not frozen")

// Unfreeze lets the portal act for an account again. It is a technician's act,
// after they have spoken to its owner: by and why stand in the record.
func (s *Service) Unfreeze(ctx context.Context, id directory.ID, by audit.Event, why string) error {
	now := s.Now()
	standing, err := s.Accounts.Standing(ctx, id)
	if err != nil {
		return unavailable(err)
	}
	if standing.Frozen.IsZero() {
		return ErrNotFrozen
	}
	u, err := s.Directory.Read(ctx, directory.User{ID: id})
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return err
	}
	by.At, by.Kind, by.Subject, by.SubjectName, by.Outcome, by.Reason = now, "account.unfrozen", id, u.Login, audit.OK, "technician"
	by.Detail = map[string]string{"why": why}
	// What began just before the freeze, and came to be just after it, would wake up.
	c := Change{Owner: id, EndAll: true, Events: []audit.Event{by}, Standing: func(was access.Standing) access.Standing {
		was.Frozen = time.Time{}
		return was
	}}
	if to := standing.Addresses(u, now); len(to) > 0 {
		c.Messages = []notify.Message{s.notice(u, to, "account_unfrozen", u.Language, map[string]string{"at": now.UTC().Format(time.RFC3339), "door": by.Door})}
	}
	return s.Store.Commit(ctx, c)
}

// notice is mail to every address of u, with a link for "this wasn't me".
func (s *Service) notice(u directory.User, to []string, template, lang string, args map[string]string) notify.Message {
	if u.Language != "" {
		lang = u.Language
	}
	args["login"] = u.Login
	u.Groups = nil
	return notify.Message{Channel: notify.Mail, To: to, Who: u, Template: template, Lang: lang, Args: args,
		Links: []notify.LinkTo{{Kind: notify.NotMe, Account: u.ID, Life: notMeLife}}}
}
