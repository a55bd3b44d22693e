package flow

import (
	"context"
	"errors"
	"time"

	"postern/directory"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/verify"
)

// ErrNoInvite: there is no such invitation, or not any more.
var ErrNoInvite = errors.New("flow: no such invitation")

// whom finds the account a sign-in or recovery is about: by the name that was
// typed, or by the invitation, which alone says whose it is.
func (s *Service) whom(ctx context.Context, r StartRequest) (directory.User, error) {
	if r.Invite == "" {
		return s.Directory.Find(ctx, r.Login)
	}
	l, err := s.Accounts.Link(ctx, notify.Invite, r.Invite)
	if errors.Is(err, notify.ErrNoLink) {
		return directory.User{}, ErrNoInvite
	} else if err != nil {
		return directory.User{}, unavailable(err)
	}
	u, err := s.Directory.Read(ctx, directory.User{ID: l.Account})
	if errors.Is(err, directory.ErrNotFound) || err == nil && u.ID != l.Account {
		return directory.User{}, ErrNoInvite
	}
	return u, err
}

// invited lets the invitation of c stand for the mailed code, in the transaction
// that records the right password. It is spent there and counts once; it does not
// count where a mailed code would not, nor for somebody who has anything enrolled
// by now: that would be a way round something stronger.
//
// First the link, then what is enrolled: binding a first factor ends the link in
// its own transaction, so that of the two whichever commits first is seen by the
// other.
func (s *Service) invited(ctx context.Context, c *Case, now time.Time, e *Effects) error {
	if c.Invite == "" || c.Purpose != policy.SignIn || c.Plan.Offer(verify.Email, c.Kinds()) != "" {
		return nil
	}
	l, err := s.Accounts.SpendLink(ctx, notify.Invite, c.Invite)
	switch {
	case errors.Is(err, notify.ErrNoLink):
		return nil // used meanwhile: this is an ordinary sign-in, with its other proof to come
	case err != nil:
		return unavailable(err)
	case l.Account != c.Key:
		return ErrConflict
	}
	for _, k := range []verify.Kind{verify.Passkey, verify.TOTP, verify.YubiKey, verify.RecoveryCode} {
		// Also of kinds that are not set up now: they may be again tomorrow.
		if have, err := s.Vault.Credentials(ctx, c.Key, k); err != nil {
			return unavailable(err)
		} else if len(have) > 0 {
			return nil
		}
	}
	c.Turn++
	c.Proofs = append(c.Proofs, Proof{Kind: verify.Email, At: now})
	e.Events = append(e.Events, s.event(c, "proof.ok", ok, withFactor(verify.Email), withReason("invitation")))
	return nil
}
