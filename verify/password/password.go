// Package password is the directory's own password as a factor: to change it,
// and as the first proof of a sign-in.
//
// It asks the directory and keeps nothing. It never lets the portal be the way
// to lock somebody out: it stops asking two wrong passwords short of the
// directory's own lockout, and no two questions about one account overlap.
// Counting wrong answers over nodes and days is portal/flow's work.
package password

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"postern/directory"
	"postern/verify"
)

const (
	life = 15 * time.Minute
	// fresh is how old a snapshot may be for its count of wrong passwords to be
	// believed. It covers the way from the search that found the account to the
	// bind in the same request, so that a change of a known password costs the
	// directory one search and one bind.
	fresh = 2 * time.Second
	// reserve is how many wrong passwords stay the person's own before the
	// directory locks the account (case 18).
	reserve = 2
	// maxBytes bounds what is sent on: 256 characters of four bytes.
	maxBytes = 1024
)

// ErrNotChecked is an account whose directory lets nobody check its password.
var ErrNotChecked = fmt.Errorf("password: the directory checks no passwords: %w", verify.ErrWrong)

// ErrNearLockout is an account so close to the directory's lockout that its
// password was not tried. To the person it is a wrong answer.
var ErrNearLockout = fmt.Errorf("password: too close to the directory's lockout to be tried: %w", verify.ErrWrong)

// Directory is what the factor asks.
type Directory interface {
	// Authenticate is directory.Authenticator's. For a stranger it costs what it
	// costs for a person with a wrong password and says ErrWrongPassword.
	Authenticate(ctx context.Context, u directory.User, pw directory.Secret) error
	// Rules is asked before every try: it should answer from memory as a rule.
	Rules(ctx context.Context, u directory.User) (directory.Rules, error)
	Read(ctx context.Context, u directory.User) (directory.User, error)
}

// Stranger makes, of a decoy's id, a user who does not exist: Directory and
// Server as those of real people, DN and UPN below the same base and free.
type Stranger func(directory.ID) directory.User

// Factor implements verify.Factor.
type Factor struct {
	directory Directory
	stranger  Stranger
	now       func() time.Time
	accounts  *accounts
}

var _ verify.Factor = (*Factor)(nil)

// New returns the factor.
func New(d Directory, stranger Stranger, now func() time.Time) *Factor {
	return &Factor{directory: d, stranger: stranger, now: now, accounts: newAccounts(fresh)}
}

// Kind implements verify.Factor.
func (f *Factor) Kind() verify.Kind { return verify.Password }

// opened is what a question remembers: when it was put. A decoy counts as read then.
type opened struct {
	At time.Time `json:"at"`
}

// Begin implements verify.Factor.
func (f *Factor) Begin(context.Context, verify.Subject) (verify.Challenge, error) {
	now := f.now()
	state, err := json.Marshal(opened{At: now})
	if err != nil {
		return verify.Challenge{}, fmt.Errorf("password: %w", err)
	}
	return verify.Challenge{Kind: verify.Password, State: state, Expires: now.Add(life)}, nil
}

// Check implements verify.Factor. The answer is the password, byte for byte. An
// expired password and one that must be changed are right. A wrong one is
// verify.ErrWrong with the directory's own error inside, for the audit log.
//
// Subject.User.ReadAt says how old the snapshot is: one that is at most two
// seconds old, and younger than the last failed try in this process, is believed;
// any other, and one without it, is read again first.
func (f *Factor) Check(ctx context.Context, s verify.Subject, c verify.Challenge, answer []byte) (verify.Evidence, error) {
	if !f.now().Before(c.Expires) {
		return verify.Evidence{}, verify.ErrExpired
	}
	if !sendable(answer) {
		return verify.Evidence{}, verify.ErrWrong
	}
	var o opened
	if err := json.Unmarshal(c.State, &o); err != nil {
		return verify.Evidence{}, errors.New("password: challenge cannot be read")
	}
	who := f.stranger(s.ID)
	who.ReadAt = o.At
	if s.User != nil {
		who = *s.User
	}
	account, err := f.accounts.enter(ctx, s.ID, f.now())
	if err != nil {
		return verify.Evidence{}, fmt.Errorf("password: %w", err)
	}
	right := false
	defer func() { f.accounts.leave(s.ID, account, right, f.now()) }()

	why, err := f.try(ctx, s, who, account.lastFailure, directory.NewSecret(string(answer)))
	switch {
	case err != nil:
		return verify.Evidence{}, fmt.Errorf("password: %w", err)
	case why != nil:
		return verify.Evidence{}, why
	}
	right = true
	return verify.Evidence{}, nil
}

// try asks the directory; why is a wrong answer's reason, err that it is unknown.
func (f *Factor) try(ctx context.Context, s verify.Subject, who directory.User, lastFailure time.Time, pw directory.Secret) (why, err error) {
	real := s.User != nil
	if !f.believed(who, lastFailure) {
		again, err := f.directory.Read(ctx, who)
		switch {
		case errors.Is(err, directory.ErrNotFound):
			// A decoy was never there. A person who is gone since is one now.
			if real {
				real, why, who = false, wrong(err), f.stranger(s.ID)
			}
		case err != nil:
			return nil, err
		case real:
			who = again
		}
	}
	rules, err := f.directory.Rules(ctx, who)
	if err != nil && real {
		return nil, err
	}
	if real && near(who.State, rules) {
		// The account is left alone. A stranger's bind goes out in its place, or
		// the quicker answer would tell that the account exists (case 5).
		real, why, who = false, ErrNearLockout, f.stranger(s.ID)
	}
	err = f.directory.Authenticate(ctx, who, pw)
	if real && errors.Is(err, directory.ErrUnsupported) {
		// This directory checks no passwords. A stranger's answer stands for it, or
		// what nobody can answer would tell that the account exists.
		real, why, who = false, ErrNotChecked, f.stranger(s.ID)
		err = f.directory.Authenticate(ctx, who, pw)
	}
	switch {
	case err == nil, errors.Is(err, directory.ErrPasswordExpired), errors.Is(err, directory.ErrMustChange):
		if real {
			return nil, nil
		}
	case errors.Is(err, directory.ErrWrongPassword):
		if why == nil {
			why = wrong(err)
		}
	default:
		return nil, err
	}
	if why == nil {
		why = wrong(errors.New("a stranger"))
	}
	return why, nil
}

// believed says whether the snapshot's count of wrong passwords can be relied on.
func (f *Factor) believed(u directory.User, lastFailure time.Time) bool {
	age := f.now().Sub(u.ReadAt)
	return !u.ReadAt.IsZero() && age >= 0 && age <= fresh && u.ReadAt.After(lastFailure)
}

// near says whether one more wrong password would eat into the reserve. Where
// the lockout comes after one or two, that is always.
func near(s directory.State, r directory.Rules) bool {
	return r.LockoutThreshold > 0 && s.BadPasswords >= r.LockoutThreshold-reserve
}

// sendable refuses, before the wire, what a server could take for no password at
// all: an empty bind is an anonymous success (RFC 4513 section 5.1.2), some
// servers end a password at a NUL, some trim blanks (case 59).
func sendable(answer []byte) bool {
	return len(answer) <= maxBytes && utf8.Valid(answer) &&
		strings.TrimSpace(string(answer)) != "" && strings.IndexByte(string(answer), 0) < 0
}

func wrong(reason error) error { return fmt.Errorf("%w: %w", verify.ErrWrong, reason) }
