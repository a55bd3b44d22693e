package flow

import (
	"context"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

// Accounts is what the portal remembers of an account beside its credentials.
type Accounts interface {
	// Standing is the zero value for an account that was never seen. Within an
	// update's ctx it is read in its transaction.
	Standing(ctx context.Context, id directory.ID) (access.Standing, error)
	// Remember changes it under its lock.
	Remember(ctx context.Context, id directory.ID, change func(access.Standing) access.Standing) error
	// Link reads a link of a message; notify.ErrNoLink when there is none.
	Link(ctx context.Context, kind notify.LinkKind, token string) (notify.Link, error)
	// AddLink makes one and returns its path, which is nowhere else.
	AddLink(ctx context.Context, l notify.LinkTo) (path string, err error)
	// SpendLink uses it up, within ctx's transaction when there is one.
	SpendLink(ctx context.Context, kind notify.LinkKind, token string) (notify.Link, error)
}

// Contacts is what is known of how long the addresses of a person, and their
// manager, have been what they are.
type Contacts struct {
	MailAt, PhoneAt, ManagerAt time.Time // zero: as long as anybody knows
	Notify                     []string  // where notices go: theirs, and those replaced lately
}

// since is how long what a proof of kind rests on has been what it is.
func (k Contacts) since(kind verify.Kind, ev verify.Evidence) time.Time {
	switch kind {
	case verify.Email:
		return k.MailAt
	case verify.SMS:
		return k.PhoneAt
	}
	return ev.Since
}

// observe looks up what is remembered of the case's person, notes contacts that
// changed, and says whether the account is frozen. A change is told to the old
// addresses and the new: it may be the first step of a thief.
func (s *Service) observe(ctx context.Context, c *Case, u directory.User) (e Effects, frozen bool, err error) {
	now := s.Now()
	was, err := s.Accounts.Standing(ctx, u.ID)
	if err != nil {
		return e, true, unavailable(err)
	}
	next, changed := was.Observe(u, s.ContactKey, now)
	if was.Seen.IsZero() || changed.Any() {
		if err := s.Accounts.Remember(ctx, u.ID, func(now access.Standing) access.Standing {
			next, changed = now.Observe(u, s.ContactKey, s.Now())
			return next
		}); err != nil {
			return e, true, unavailable(err)
		}
	}
	c.Contacts = Contacts{MailAt: next.MailAt, PhoneAt: next.PhoneAt, ManagerAt: next.ManageAt, Notify: next.Addresses(u, now)}
	if changed.Any() {
		noticed := audit.Event{At: now, Kind: "contacts.changed", Case: c.ID, Subject: u.ID, SubjectName: u.Login, Door: string(c.Door), Outcome: ok}
		for what, is := range map[string]bool{"mail": changed.Mail, "phone": changed.Phone, "manager": changed.Manager} {
			withDetail(what, yes(is))(&noticed)
		}
		e.Events = events(noticed)
		e.Messages = s.tellAbout(c, u, "contacts_changed", map[string]string{"at": now.UTC().Format(time.RFC3339)})
	}
	return e, !was.Frozen.IsZero(), nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// frozen reads whether the portal may still act for an account. It is asked at
// every act, and in the transaction that writes down an intent.
func (s *Service) frozen(ctx context.Context, id directory.ID) (bool, error) {
	standing, err := s.Accounts.Standing(ctx, id)
	return err != nil || !standing.Frozen.IsZero(), unavailable(err)
}

// notMeLife is how long the button in a notice works.
const notMeLife = 14 * 24 * time.Hour

// tellAbout is a notice to every address of u, old ones too, with a link for
// "this wasn't me".
func (s *Service) tellAbout(c *Case, u directory.User, template string, args map[string]string) []notify.Message {
	to := c.Contacts.Notify
	if len(to) == 0 {
		to = u.Mail
	}
	if len(to) == 0 {
		return nil
	}
	lang := u.Language
	if lang == "" {
		lang = c.Lang
	}
	args["login"], args["address"], args["door"] = u.Login, c.Address, string(c.Door)
	u.Groups = nil
	return []notify.Message{{Channel: notify.Mail, To: to, Who: u, Template: template, Lang: lang, Case: c.ID, Args: args,
		Links: []notify.LinkTo{{Kind: notify.NotMe, Account: u.ID, Case: c.ID, Life: notMeLife}}}}
}

// toldOnce is how often somebody hears that a limit stopped answers for their
// account: a stranger who goes on guessing must not fill their mailbox.
const toldOnce = day

// told reports whether the limit notice of today was sent.
func (s *Service) told(st Strikes) bool {
	return !st.Since.IsZero() && s.Now().Sub(st.Since) < toldOnce
}

// tellLimited is limitNotice for an answer that was not even taken. Once it is
// told it costs a read: a flood must not become a flood of writes.
func (s *Service) tellLimited(ctx context.Context, c *Case) {
	if c == nil || c.Key == "" || c.Open == nil {
		return
	}
	st, err := s.Counters.Strikes(ctx, c.Key, toldLimit)
	if err == nil && s.told(st) {
		return
	}
	kind := c.Open.Kind
	if err == nil {
		_, err = s.Store.Update(ctx, c.ID, func(ctx context.Context, c *Case) (e Effects, err error) {
			e.Messages, err = s.limitNotice(ctx, c, kind)
			return e, err
		})
	}
	if err != nil {
		s.Log.WarnContext(ctx, "a limit could not be told", "case", c.ID, "cause", err.Error())
	}
}

// toldLimit is the counter that says when.
const toldLimit verify.Kind = "told:limit"

// limitNotice tells the person, once a day, that a limit stopped wrong answers
// for their account. In ctx's transaction. A decoy's goes to nobody, so that it
// costs the same.
func (s *Service) limitNotice(ctx context.Context, c *Case, kind verify.Kind) (messages []notify.Message, err error) {
	if c.Key == "" {
		return nil, nil
	}
	now, told := s.Now(), false
	if err := s.Counters.Strike(ctx, c.Key, toldLimit, func(st Strikes) Strikes {
		if told = s.told(st); told {
			return st
		}
		return Strikes{Since: now, Last: now}
	}); err != nil || told {
		return nil, err
	}
	args := map[string]string{"at": now.UTC().Format(time.RFC3339), "kind": string(kind)}
	p := c.Somebody()
	if p == nil {
		return []notify.Message{{Channel: notify.Mail, Template: "limit_reached", Lang: c.Lang, Case: c.ID, Args: args}}, nil
	}
	return s.tellAbout(c, *p, "limit_reached", args), nil
}

// given are the proofs as the plan judges them.
func (c *Case) given() []policy.Given {
	list := make([]policy.Given, len(c.Proofs))
	for i, p := range c.Proofs {
		list[i] = policy.Given{Kind: p.Kind, Cooling: !p.Settles.IsZero()}
	}
	return list
}

// Settles is when proofs that would be enough, were they not so new, will be; zero
// when that is not what is missing.
func (c *Case) Settles() time.Time {
	var first time.Time
	if c.Somebody() == nil || c.Proven() || !c.Plan.Enough(c.Kinds()) {
		return first
	}
	for _, p := range c.Proofs {
		if !p.Settles.IsZero() && (first.IsZero() || p.Settles.Before(first)) {
			first = p.Settles
		}
	}
	return first
}
