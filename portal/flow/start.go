package flow

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/limit"
	"postern/portal/policy"
	"postern/verify"
)

// StartRequest is what a door knows when somebody starts.
type StartRequest struct {
	Purpose policy.Purpose
	Door    access.Door
	At      access.Screen    // the device, at the kiosk door
	Carried bool             // it is begun on a phone that was before that device
	Login   string           // as typed; empty for a passkey sign-in without a name
	Current directory.Secret // the current password, where the form asks for it
	Address string
	Lang    string
	Hold    []byte           // 32 bytes that only this browser has
	By      access.Principal // who is signed in, for a step-up
	// Invite is the token of an invitation, for a sign-in with the password of its
	// account and no name. ErrNoInvite when it opens nothing.
	Invite string
}

// maxLogin is longer than any login a directory knows, in bytes.
const maxLogin = 256

// Start opens a case. Whoever the portal will not help gets a decoy. With a
// current password it is proved at once: a *Wrong then comes together with the
// case, which stands at its answer step.
func (s *Service) Start(ctx context.Context, r StartRequest) (*Case, error) {
	began := s.Now()
	c, err := s.start(ctx, r)
	if r.Login != "" && (r.Current.Empty() || err != nil) {
		s.pace(ctx, began)
	}
	return c, err
}

// pace waits until a whole multiple of s.Pace has passed since began, and up to a
// quarter of it more, at random. The work of finding a person and of finding
// nobody differs by some tenths of a millisecond, which a few hundred starts side
// by side bring to light (security case 2); the clock that wakes us is no finer
// than that, so that waiting alone would let through what is left over.
func (s *Service) pace(ctx context.Context, began time.Time) {
	if s.Pace <= 0 {
		return
	}
	var b [4]byte
	if _, err := io.ReadFull(s.Rand, b[:]); err != nil {
		panic("flow: no randomness: " + err.Error()) // nothing safe can be done without it
	}
	blur := s.Pace / 4 * time.Duration(binary.BigEndian.Uint32(b[:])) >> 32
	t := time.NewTimer(s.Pace - s.Now().Sub(began)%s.Pace + blur)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *Service) start(ctx context.Context, r StartRequest) (*Case, error) {
	if err := s.take(ctx, limit.Start, r.origin()); err != nil {
		return nil, err
	}
	c, reason, err := s.newCase(ctx, r)
	if err != nil {
		return nil, err
	}
	if c.Key != "" {
		// With the address, so that strangers elsewhere cannot keep a person out.
		if err := s.take(ctx, limit.StartAccount, limit.Key(string(s.shown(c)), r.origin())); err != nil {
			return nil, err
		}
	}
	first := verify.Kind("")
	switch {
	case r.Purpose == policy.SignIn && r.Invite == "" && !r.Current.Empty() && !slices.Contains(c.Plan.Allowed, verify.Password):
		// A password typed out of habit, where none is asked for: nobody looks at it.
	case !r.Current.Empty():
		first = verify.Password
	case r.Purpose == policy.SignIn && r.Login == "":
		first = verify.Passkey
	}
	if first != "" {
		if err := s.begin(ctx, c, first); err != nil {
			return nil, err
		}
	}
	if err := s.Store.Create(ctx, c, Effects{Events: events(s.startEvent(c, reason))}); err != nil {
		return nil, err
	}
	if first == verify.Password {
		return s.Prove(ctx, c.ID, []byte(r.Current.Reveal()), r.Hold)
	}
	return c, nil
}

// newCase decides whom the case is about. The reason is for the audit log alone.
func (s *Service) newCase(ctx context.Context, r StartRequest) (c *Case, reason string, err error) {
	now := s.Now()
	c = &Case{ID: s.random(20), Purpose: r.Purpose, Door: r.Door, Address: r.Address, At: r.At, Lang: r.Lang, Login: r.Login, By: r.By, Invite: r.Invite, Created: now}
	if r.Carried {
		c.Carried = now
	}
	switch {
	case r.Purpose == policy.Assist || r.Door == access.Desk, r.At.Here() != (r.Door == access.Kiosk):
		return nil, "", ErrNotOffered // see Assist
	case r.Invite != "" && (r.Purpose != policy.SignIn || r.Login != ""):
		return nil, "", ErrNotOffered
	case r.Invite != "" && r.Current.Empty():
		return nil, "", &Invalid{Field: "current", Code: "required"}
	case r.Purpose == policy.StepUp:
		if r.By.ID == "" {
			return nil, "", ErrNotOffered
		}
		u, err := s.Directory.Read(ctx, r.By.User)
		if err != nil {
			return nil, "", err
		}
		if u.ID != r.By.ID || !u.State.PasswordSet.Equal(r.By.User.State.PasswordSet) {
			return nil, "", ErrNotOffered // that session is over: see enrol.Service.Still
		}
		c.Login = u.Login
		if reason, err = s.admit(ctx, c, u); err != nil {
			return nil, "", err
		}
		if c.Person != nil {
			have, err := s.enrolled(ctx, u.ID)
			if err != nil {
				return nil, "", err
			}
			c.Plan = s.Policy.StepUp(c.Door, u, have)
		}
	case r.Purpose == policy.SignIn && r.Login == "" && r.Invite == "":
		// Nobody is known yet: the passkey itself will say.
		c.Plan = policy.Plan{Name: "passkey", Allowed: []verify.Kind{verify.Passkey}, Alone: []verify.Kind{verify.Passkey}, Life: s.Policy.Decoy(r.Door, r.Purpose, nil).Life, Tries: 5}
	default:
		if r.Login == "" && r.Invite == "" || len(r.Login) > maxLogin {
			return nil, "", &Invalid{Field: "login", Code: "required"}
		}
		u, err := s.whom(ctx, r)
		switch {
		case errors.Is(err, directory.ErrNotFound):
			c.Key, c.Named, reason = s.decoyID(seedOf(r.Login)), veiled(r.Login), "unknown_account"
		case err != nil:
			return nil, "", err
		default:
			if r.Invite != "" {
				c.Login = u.Login // so that every limit is that of a sign-in by name
			}
			if reason, err = s.admit(ctx, c, u); err != nil {
				return nil, "", err
			}
		}
		if c.Person == nil && c.Plan.Life == 0 {
			c.Plan = s.Policy.Decoy(r.Door, r.Purpose, []byte(c.Key))
		}
	}
	if r.Purpose == policy.StepUp && c.Person == nil {
		return nil, "", ErrNotOffered
	}
	if c.Plan.Life <= 0 || c.Plan.Tries <= 0 {
		return nil, "", errors.New("flow: the policy gives no lifetime or no tries for " + string(r.Purpose))
	}
	c.Expires = now.Add(c.Plan.Life)
	return c, reason, s.tighten(ctx, c)
}

// admit makes u the person of the case, or a decoy when the portal must not
// act on that account. The decoy is keyed on the account, so that all its
// names share one counter.
func (s *Service) admit(ctx context.Context, c *Case, u directory.User) (reason string, err error) {
	c.Named, c.because = u.Login, u.Privileged
	reason = s.Policy.Eligible(u)
	if reason == "" {
		if frozen, err := s.observe(ctx, c, u); err != nil {
			return "", err
		} else if frozen {
			// The plan stays theirs, or a stranger who asks again would see it change.
			reason, c.Plan = string(ReasonFrozen), s.Policy.For(c.Door, c.Purpose, u)
		}
	}
	if reason != "" {
		c.Barred, c.Contacts = u.ID, Contacts{}
		c.Key = s.decoyID("id:" + string(u.ID))
		return reason, nil
	}
	c.Key = u.ID
	c.Plan = s.Policy.For(c.Door, c.Purpose, u)
	u.Groups = nil // asked for; every act reads them again, and there may be hundreds
	c.Person = &u
	return "", nil
}

// begin opens a challenge in c.
func (s *Service) begin(ctx context.Context, c *Case, k verify.Kind) error {
	f := s.factors[k]
	if f == nil || c.Plan.Offer(k, c.Kinds()) != "" {
		return ErrNotOffered
	}
	ch, err := f.Begin(ctx, s.subject(c))
	if err != nil {
		return unavailable(err)
	}
	c.Open = &ch
	c.Turn++
	return nil
}

// enrolled lists the kinds of which the person has something in the vault.
func (s *Service) enrolled(ctx context.Context, owner directory.ID) (kinds []verify.Kind, err error) {
	for k := range s.factors {
		if !inVault(k) {
			continue
		}
		have, err := s.Vault.Credentials(ctx, owner, k)
		if err != nil {
			return nil, unavailable(err)
		}
		if len(have) > 0 {
			kinds = append(kinds, k)
		}
	}
	return kinds, nil
}
