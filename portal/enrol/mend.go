package enrol

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

// Mender are acts of technicians on what somebody can prove with, that leave them a
// way to set up something new themselves. That way is never more than the policy
// gives for a sign-in: with what they still have, or, where nothing is left, with
// their password and an invitation to the address on file.
type Mender struct {
	*Service
	Rules Rules
	Life  time.Duration // of an invitation
}

// ClearCodesFor takes every recovery code of u away, and ends their sessions. by and
// tell are as in UnfreezeFor. ErrNoMethod when there is none.
func (m Mender) ClearCodesFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error {
	all, err := m.Store.Methods(ctx, u.ID)
	if err != nil {
		return err
	}
	if _, gone := without(all, func(c verify.Credential) bool { return c.Kind == verify.RecoveryCode }); len(gone) == 0 {
		return ErrNoMethod
	}
	by.Factor = string(verify.RecoveryCode)
	return m.forDesk(ctx, Change{Owner: u.ID, ReplaceAll: verify.RecoveryCode, OnlySession: noSession, Calm: true}, u, by, "factor.removed", "factor_removed", tell)
}

// ReplaceFor takes a lost factor away as ClearFor does, and in the same transaction
// mails u how to sign in and set up another one. why is not empty, and nothing is
// changed, when they could not: see fit.
func (m Mender) ReplaceFor(ctx context.Context, u directory.User, credential string, by audit.Event, tell []string) (why string, err error) {
	all, err := m.Store.Methods(ctx, u.ID)
	if err != nil {
		return "", err
	}
	left, gone := without(all, func(c verify.Credential) bool { return c.ID == credential })
	if len(gone) == 0 {
		return "", ErrNoMethod
	}
	if why, err = m.fit(ctx, u, left); why != "" || err != nil {
		return why, err
	}
	by.Factor, by.Detail["credential"] = string(gone[0].Kind), gone[0].ID
	c := Change{Owner: u.ID, Remove: gone[0].ID, OnlySession: noSession, Calm: true}
	if len(left) == 0 {
		m.invite(&c, u, by)
	} else {
		c.Messages = []notify.Message{{Channel: notify.Mail, To: u.Mail[:1], Who: bare(u), Template: "factor_replace", Lang: u.Language, Case: by.Case,
			Args: map[string]string{"login": u.Login, "kind": by.Factor, "technician": by.ActorName}}}
	}
	return "", m.forDesk(ctx, c, u, by, "factor.removed", "factor_removed", tell)
}

// InviteFor mails u, who has nothing enrolled, an invitation; earlier ones end. why is
// as of ReplaceFor.
func (m Mender) InviteFor(ctx context.Context, u directory.User, by audit.Event, tell []string) (why string, err error) {
	all, err := m.Store.Methods(ctx, u.ID)
	if err != nil {
		return "", err
	}
	if len(all) > 0 {
		return "invite_enrolled", nil // an invitation must never be a way round something stronger
	}
	if why, err = m.fit(ctx, u, nil); why != "" || err != nil {
		return why, err
	}
	c := Change{Owner: u.ID}
	m.invite(&c, u, by)
	sent := c.Events[0]
	c.Events, by.Detail = nil, sent.Detail
	return "", m.forDesk(ctx, c, u, by, sent.Kind, "invitation_sent", tell)
}

// fit says why u could not sign in with what is left, to set up something new:
// frozen, invite_weak (the policy asks for more than a password and a mail), and of
// the address invite_no_mail, and invite_new_mail while whoever has taken it over
// could be the one who reads it.
func (m Mender) fit(ctx context.Context, u directory.User, left []verify.Credential) (why string, err error) {
	known, err := m.Accounts.Standing(ctx, u.ID)
	if err != nil {
		return "", unavailable(err)
	}
	plan := m.Rules.For(access.Web, policy.SignIn, u)
	kinds := []verify.Kind{verify.Password}
	for _, c := range left {
		kinds = append(kinds, c.Kind)
	}
	enough := plan.Enough(kinds) || plan.Enough(kinds[1:])
	if len(left) == 0 {
		enough = plan.Enough([]verify.Kind{verify.Password, verify.Email})
	}
	switch {
	case !known.Frozen.IsZero():
		return "frozen", nil
	case !enough:
		return "invite_weak", nil
	case len(u.Mail) == 0:
		return "invite_no_mail", nil
	case !known.MailAt.IsZero() && m.Now().Before(known.MailAt.Add(plan.CoolingOff)):
		return "invite_new_mail", nil
	}
	return "", nil
}

// invite adds an invitation and its event to c.
func (m Mender) invite(c *Change, u directory.User, by audit.Event) {
	now := m.Now()
	until := now.Add(m.Life).UTC().Format(time.RFC3339)
	sent := by
	sent.At, sent.Kind, sent.Subject, sent.SubjectName, sent.Outcome, sent.Factor = now, "invitation.sent", u.ID, u.Login, audit.OK, ""
	sent.Detail = map[string]string{"by": "mail", "until": until}
	for _, k := range []string{"cause", "ticket", "receipt"} {
		if v := by.Detail[k]; v != "" {
			sent.Detail[k] = v
		}
	}
	c.Events = append(c.Events, sent)
	c.Messages = append(c.Messages, notify.Message{Channel: notify.Mail, Who: bare(u), Template: "invitation", Lang: u.Language, Case: by.Case, NotAfter: now.Add(m.Life),
		Args: map[string]string{"login": u.Login, "until": until}, Links: []notify.LinkTo{{Kind: notify.Invite, Account: u.ID, Life: m.Life}}})
}

// bare is u as a message needs them.
func bare(u directory.User) directory.User {
	u.Groups = nil
	return u
}

func without(all []verify.Credential, is func(verify.Credential) bool) (left, gone []verify.Credential) {
	for _, c := range all {
		if is(c) {
			gone = append(gone, c)
		} else {
			left = append(left, c)
		}
	}
	return left, gone
}
