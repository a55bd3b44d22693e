package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

// Rules say whom the portal serves, and what a sign-in asks of them.
type Rules interface {
	Policy
	For(door access.Door, purpose policy.Purpose, u directory.User) policy.Plan
}

// Inviter invites people who have nothing enrolled to their first sign-in. The
// link stands for the code by mail there: without the password it opens nothing.
// All parts are required.
type Inviter struct {
	Directory directory.Directory
	Rules     Rules
	Store     Store
	Accounts  Accounts
	Life      time.Duration // of the link
	Now       func() time.Time
}

// Invitee finds whom a login names. why, in words for an operator, is not empty
// when they must not be invited; hand says that the link would be handed over, so
// that they need no address.
func (i Inviter) Invitee(ctx context.Context, login string, hand bool) (u directory.User, why string, err error) {
	u, err = i.Directory.Find(ctx, login)
	if errors.Is(err, directory.ErrNotFound) {
		return u, "nobody, or more than one, has this login", nil
	} else if err != nil {
		return u, "", err
	}
	why, err = i.refuse(ctx, u, hand)
	return u, why, err
}

func (i Inviter) refuse(ctx context.Context, u directory.User, hand bool) (why string, err error) {
	if why := i.Rules.Eligible(u); why != "" {
		return fmt.Sprintf("the portal does not serve this account (%s)", strings.ReplaceAll(why, "_", " ")), nil
	}
	known, err := i.Accounts.Standing(ctx, u.ID)
	if err != nil {
		return "", unavailable(err)
	}
	if !known.Frozen.IsZero() {
		return "the account is frozen", nil
	}
	have, err := i.Store.Methods(ctx, u.ID)
	if err != nil {
		return "", unavailable(err)
	}
	if len(have) > 0 {
		// An invitation must never be a way round something stronger.
		var kinds []string
		for _, c := range have {
			if !slices.Contains(kinds, string(c.Kind)) {
				kinds = append(kinds, string(c.Kind))
			}
		}
		return "has something enrolled already: " + strings.Join(kinds, ", "), nil
	}
	if !i.Rules.For(access.Web, policy.SignIn, u).Enough([]verify.Kind{verify.Password, verify.Email}) {
		return "a password and a mailed code are not enough for them to sign in, and the link would stand for the code", nil
	}
	if len(u.Mail) == 0 && !hand {
		return "has no mail address; with --print the link can be handed over", nil
	}
	return "", nil
}

// Invite sends u an invitation, or returns its path to be handed over. Earlier
// ones of theirs end. by is who does it, for the record. why is as of Invitee: the
// account is read again, for minutes may have passed.
func (i Inviter) Invite(ctx context.Context, u directory.User, hand bool, by audit.Event) (path, why string, err error) {
	id := u.ID
	if u, err = i.Directory.Read(ctx, u); err != nil {
		return "", "", err
	}
	if u.ID != id {
		return "", "", errors.New("enrol: the directory answered with another account")
	}
	if why, err = i.refuse(ctx, u, hand); why != "" || err != nil {
		return "", why, err
	}
	now, link := i.Now(), notify.LinkTo{Kind: notify.Invite, Account: u.ID, Life: i.Life}
	until := now.Add(i.Life).UTC().Format(time.RFC3339)
	by.At, by.Kind, by.Subject, by.SubjectName, by.Outcome = now, "invitation.sent", u.ID, u.Login, audit.OK
	by.Detail = map[string]string{"by": "mail", "until": until}
	c := Change{Owner: u.ID}
	if hand {
		by.Detail["by"] = "hand"
		// It is shown to nobody before the record has it.
		if path, err = i.Accounts.AddLink(ctx, link); err != nil {
			return "", "", unavailable(err)
		}
	} else {
		u.Groups = nil
		c.Messages = []notify.Message{{Channel: notify.Mail, Who: u, Template: "invitation", Lang: u.Language, NotAfter: now.Add(i.Life),
			Args: map[string]string{"login": u.Login, "until": until}, Links: []notify.LinkTo{link}}}
	}
	c.Events = []audit.Event{by}
	if err := i.Store.Commit(ctx, c); err != nil {
		return "", "", unavailable(err)
	}
	return path, "", nil
}
