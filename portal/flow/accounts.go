package flow

import (
	"context"
	"time"

	"postern/directory"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

// Accounts is what the portal remembers of an account beside its credentials.
type Accounts interface {
	Memory
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

// settles is until when a proof cannot be the only one under plan; zero: it can.
func (k Contacts) settles(kind verify.Kind, ev verify.Evidence, plan policy.Plan, now time.Time) time.Time {
	if since := k.since(kind, ev); !since.IsZero() && now.Before(since.Add(plan.CoolingOff)) {
		return since.Add(plan.CoolingOff)
	}
	return time.Time{}
}

// observe looks up what is remembered of the case's person, notes contacts that
// changed, and says whether the account is frozen.
func (s *Service) observe(ctx context.Context, c *Case, u directory.User) (frozen bool, err error) {
	known, err := Watch{Memory: s.Accounts, Key: s.ContactKey, Now: s.Now}.observe(ctx, u, c.sighting())
	if err != nil {
		return true, err
	}
	c.Contacts = Contacts{MailAt: known.MailAt, PhoneAt: known.PhoneAt, ManagerAt: known.ManageAt, Notify: known.Addresses(u, s.Now())}
	return !known.Frozen.IsZero(), nil
}

// stopped is frozen of an account that c would write to, and of the one whose owner gave
// the proofs.
func (s *Service) stopped(ctx context.Context, c *Case, id directory.ID) (bool, error) {
	frozen, err := s.frozen(ctx, id)
	if frozen || err != nil || c.Owner == "" {
		return frozen, err
	}
	return s.frozen(ctx, c.Owner)
}

// frozen reads whether the portal may still act for an account. It is asked at
// every act, and in the transaction that writes down an intent.
func (s *Service) frozen(ctx context.Context, id directory.ID) (bool, error) {
	standing, err := s.Accounts.Standing(ctx, id)
	return err != nil || !standing.Frozen.IsZero(), unavailable(err)
}

// tellAbout is a notice to every address of u, old ones too.
func (s *Service) tellAbout(c *Case, u directory.User, template string, args map[string]string) []notify.Message {
	to := c.Contacts.Notify
	if len(to) == 0 {
		to = u.Mail
	}
	return c.sighting().tell(u, to, template, args)
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

// The counters that say when.
const (
	toldLimit verify.Kind = "told:limit"
	toldOften verify.Kind = "told:often"
)

// limitNotice tells the person, once a day, that a limit stopped wrong answers
// for their account. In ctx's transaction.
func (s *Service) limitNotice(ctx context.Context, c *Case, kind verify.Kind) ([]notify.Message, error) {
	return s.tellOnce(ctx, c, toldLimit, "limit_reached", kind)
}

// oftenNotice tells them, once a day, that somebody proved to be them once too often
// in it. In ctx's transaction.
func (s *Service) oftenNotice(ctx context.Context, c *Case) ([]notify.Message, error) {
	return s.tellOnce(ctx, c, toldOften, "too_often", "")
}

// tellOnce tells nobody's to nobody, so that it costs the same.
func (s *Service) tellOnce(ctx context.Context, c *Case, counter verify.Kind, template string, kind verify.Kind) (messages []notify.Message, err error) {
	if c.Key == "" {
		return nil, nil
	}
	now, told := s.Now(), false
	if err := s.Counters.Strike(ctx, c.Key, counter, func(st Strikes) Strikes {
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
		return []notify.Message{{Channel: notify.Mail, Template: template, Lang: c.Lang, Case: c.ID, Args: args}}, nil
	}
	return s.tellAbout(c, *p, template, args), nil
}

// given are the proofs as the plan judges them.
func (c *Case) given() []policy.Given {
	list := make([]policy.Given, len(c.Proofs))
	for i, p := range c.Proofs {
		list[i] = policy.Given{Kind: p.Kind, Cooling: !p.Settles.IsZero(), Spoken: p.Spoken}
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
