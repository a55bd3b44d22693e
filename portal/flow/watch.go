package flow

import (
	"context"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
)

// Memory is what a Watch asks of the store.
type Memory interface {
	// Standing is the zero value for an account that was never seen. Within an
	// update's ctx it is read in its transaction.
	Standing(ctx context.Context, id directory.ID) (access.Standing, error)
	// Remember changes it under its lock, and what change tells of it is in the same
	// transaction. change may run again; what an earlier run told is forgotten.
	Remember(ctx context.Context, id directory.ID, change Change) error
}

// Change is what becomes of a standing, and what is told of that.
type Change = func(access.Standing) (access.Standing, []audit.Event, []notify.Message)

// Watch notices that contacts of an account are not what they were. All parts are
// required.
type Watch struct {
	Memory Memory
	// Key makes hashes of contacts worthless without it. 32 bytes or more, and the
	// same for ever: with another one everything would look changed.
	Key []byte
	Now func() time.Time
}

// Observe compares u's contacts, as just read, with what was seen before. A change
// is told to the old addresses and the new, for it may be the first step of a
// thief: in the transaction that remembers it, so that it is told exactly once,
// however many look at the same time and whatever crashes.
func (w Watch) Observe(ctx context.Context, u directory.User) (access.Standing, error) {
	return w.observe(ctx, u, sighting{})
}

// sighting is where an account was looked at; the zero value: nowhere anybody was.
type sighting struct{ id, door, address, lang string }

func (c *Case) sighting() sighting { return sighting{c.ID, string(c.Door), c.Address, c.Lang} }

func (w Watch) observe(ctx context.Context, u directory.User, at sighting) (access.Standing, error) {
	now := w.Now()
	was, err := w.Memory.Standing(ctx, u.ID)
	if err != nil {
		return was, unavailable(err)
	}
	next, changed := was.Observe(u, w.Key, now)
	if !was.Seen.IsZero() && !changed.Any() {
		return was, nil // nearly always: nothing is written
	}
	err = w.Memory.Remember(ctx, u.ID, func(was access.Standing) (access.Standing, []audit.Event, []notify.Message) {
		next, changed = was.Observe(u, w.Key, now)
		if !changed.Any() {
			return next, nil, nil // somebody else was first
		}
		noticed := audit.Event{At: now, Kind: "contacts.changed", Case: at.id, Subject: u.ID, SubjectName: u.Login, Door: at.door, Outcome: ok}
		for what, is := range map[string]bool{"mail": changed.Mail, "phone": changed.Phone, "manager": changed.Manager} {
			withDetail(what, yes(is))(&noticed)
		}
		return next, events(noticed), at.tell(u, next.Addresses(u, now), "contacts_changed", map[string]string{"at": now.UTC().Format(time.RFC3339)})
	})
	return next, unavailable(err)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// notMeLife is how long the button in a notice works.
const notMeLife = 14 * 24 * time.Hour

// tell is a notice about u with a link for "this wasn't me"; none without addresses.
func (at sighting) tell(u directory.User, to []string, template string, args map[string]string) []notify.Message {
	if len(to) == 0 {
		return nil
	}
	lang := u.Language
	if lang == "" {
		lang = at.lang
	}
	args["login"], args["address"], args["door"] = u.Login, at.address, at.door
	u.Groups = nil
	return []notify.Message{{Channel: notify.Mail, To: to, Who: u, Template: template, Lang: lang, Case: at.id, Args: args,
		Links: []notify.LinkTo{{Kind: notify.NotMe, Account: u.ID, Case: at.id, Life: notMeLife}}}}
}
