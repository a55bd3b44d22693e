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

// noSession is the hash of no browser's session: with it in Change.OnlySession
// every one ends.
const noSession = "0000000000000000000000000000000000000000000000000000000000000000"

// FreezeFor stops all recovery for u, at the word of somebody verified. by and tell
// are as in UnfreezeFor.
func (s *Service) FreezeFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error {
	now := s.Now()
	c := Change{Owner: u.ID, EndAll: true, Standing: func(was access.Standing) access.Standing {
		if was.Frozen.IsZero() {
			was.Frozen = now
		}
		return was
	}}
	by.Reason = "technician"
	return s.forDesk(ctx, c, u, by, "account.frozen", "desk_frozen", tell)
}

// UnfreezeFor lets the portal act for u again. by has the technician, the case and
// the reasons; tell are addresses that hear of it beside u's own.
func (s *Service) UnfreezeFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error {
	known, err := s.Accounts.Standing(ctx, u.ID)
	if err != nil {
		return unavailable(err)
	}
	if known.Frozen.IsZero() {
		return ErrNotFrozen
	}
	// What began just before the freeze, and came to be just after it, would wake up.
	c := Change{Owner: u.ID, EndAll: true, Standing: func(was access.Standing) access.Standing {
		was.Frozen = time.Time{}
		return was
	}}
	by.Reason = "technician"
	return s.forDesk(ctx, c, u, by, "account.unfrozen", "account_unfrozen", tell)
}

// ClearFor takes a lost factor away and ends every session of u: whoever found it
// may have signed in with it. ErrNoMethod when there is none, ErrThreat while the
// threat level is raised.
func (s *Service) ClearFor(ctx context.Context, u directory.User, credential string, by audit.Event, tell []string) error {
	cred, _, err := s.find(ctx, Who{Principal: access.Principal{ID: u.ID}}, credential)
	if err != nil {
		return err
	}
	by.Factor, by.Detail["credential"] = string(cred.Kind), cred.ID
	return s.forDesk(ctx, Change{Owner: u.ID, Remove: cred.ID, OnlySession: noSession, Calm: true}, u, by, "factor.removed", "factor_removed", tell)
}

// EndSessionsFor signs u out of this portal everywhere.
func (s *Service) EndSessionsFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error {
	return s.forDesk(ctx, Change{Owner: u.ID, OnlySession: noSession}, u, by, "sessions.ended", "sessions_ended", tell)
}

// writeTime bounds the one write; it does not end when the browser goes away.
const writeTime = 10 * time.Second

// RequireChangeFor makes u choose a new password at the next sign-in. Errors are those
// of directory.Expirer.
func (s *Service) RequireChangeFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error {
	can, ok := s.Directory.(directory.Expirer)
	if !ok {
		return directory.ErrUnsupported
	}
	return s.writeFor(ctx, Change{Owner: u.ID, OnlySession: noSession}, u, by, "change.required", "change_required", tell, can.RequireChange)
}

// UnlockFor ends the lock of u. Errors are those of directory.Unlocker.
func (s *Service) UnlockFor(ctx context.Context, u directory.User, by audit.Event, tell []string) error {
	can, ok := s.Directory.(directory.Unlocker)
	if !ok {
		return directory.ErrUnsupported
	}
	return s.writeFor(ctx, Change{Owner: u.ID}, u, by, "account.unlocked", "account_unlocked", tell, can.Unlock)
}

// writeFor lets the directory carry an act out. That it will be tried is written down
// before, and what came of it after, with c.
func (s *Service) writeFor(ctx context.Context, c Change, u directory.User, by audit.Event, what, template string, tell []string, write func(context.Context, directory.User) error) error {
	ctx, cancel := context.WithTimeout(directory.Calm(context.WithoutCancel(ctx)), writeTime)
	defer cancel()
	by.At, by.Kind, by.Subject, by.SubjectName, by.Outcome = s.Now(), what, u.ID, u.Login, audit.Intent
	if err := s.Store.Commit(ctx, Change{Owner: u.ID, Events: []audit.Event{by}}); err != nil {
		return err
	}
	err := write(ctx, u)
	if uncertain := errors.Is(err, directory.ErrUncertain); err == nil || uncertain {
		if uncertain {
			by.Outcome = audit.Unknown
		}
		// Told also where no answer came: better once too often than never.
		return errors.Join(err, s.forDesk(ctx, c, u, by, what, template, tell))
	}
	by.At, by.Outcome, by.Reason = s.Now(), audit.Refused, "directory"
	return errors.Join(err, s.Store.Commit(ctx, Change{Owner: u.ID, Events: []audit.Event{by}}))
}

// forDesk commits a change with its event and who hears of it: every address of the
// person, those replaced lately too, and tell. A technician can leave nobody out.
func (s *Service) forDesk(ctx context.Context, c Change, u directory.User, by audit.Event, what, template string, tell []string) error {
	now := s.Now()
	if by.Actor == "" || by.Actor == u.ID {
		return errors.New("enrol: an act for somebody needs somebody else")
	}
	known, err := s.Accounts.Standing(ctx, u.ID)
	if err != nil {
		return unavailable(err)
	}
	by.At, by.Kind, by.Subject, by.SubjectName = now, what, u.ID, u.Login
	if by.Outcome != audit.Unknown {
		by.Outcome = audit.OK
	}
	c.Events = append([]audit.Event{by}, c.Events...)
	at := now.UTC().Format(time.RFC3339)
	if to := known.Addresses(u, now); len(to) > 0 {
		c.Messages = append(c.Messages, s.notice(u, to, template, u.Language, map[string]string{"at": at, "door": by.Door, "kind": by.Factor, "technician": by.ActorName}))
	}
	if len(tell) > 0 {
		c.Messages = append(c.Messages, notify.Message{Channel: notify.Mail, To: tell, Template: "desk_done", Lang: u.Language, Case: by.Case, Args: map[string]string{"login": u.Login,
			"technician": by.ActorName, "what": what, "ticket": by.Detail["ticket"], "note": by.Detail["cause"], "receipt": by.Detail["receipt"], "at": at}})
	}
	return s.Store.Commit(ctx, c)
}
