package enrol

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/notify"
)

// Memory is what a Reminder asks of the store.
type Memory interface {
	// Remember changes what is remembered of an account under its lock, and what
	// change tells of it is in the same transaction. change may run again.
	Remember(ctx context.Context, id directory.ID, change func(access.Standing) (access.Standing, []audit.Event, []notify.Message)) error
}

// Reminder asks people who could not recover to enrol something. All parts are
// required.
type Reminder struct {
	Survey Survey
	Memory Memory
	Campaign
	Now func() time.Time
	// Most is how many are reminded at once; the others, who have waited less long,
	// come next time.
	Most int
}

// Due lists who would be reminded now, those who have waited longest first. It
// changes nothing but what the survey observes.
func (r Reminder) Due(ctx context.Context) ([]Covered, error) {
	if r.Memory == nil || r.Now == nil || r.Most < 1 || r.RemindEvery <= 0 {
		return nil, errors.New("enrol: a part is missing")
	}
	all, err := r.Survey.Coverage(ctx)
	if err != nil {
		return nil, err
	}
	now := r.Now()
	due := slices.DeleteFunc(all.People, func(p Covered) bool { return len(p.Ways) > 0 || !p.Mail || !r.due(p.Standing, now) })
	slices.SortStableFunc(due, func(a, b Covered) int {
		return cmp.Compare(a.Standing.Reminded.Unix(), b.Standing.Reminded.Unix())
	})
	return due[:min(len(due), r.Most)], nil
}

// due: neither lately nor snoozed, nor frozen, of which a mail would tell a thief
// nothing new and its owner nothing true.
func (r Reminder) due(s access.Standing, now time.Time) bool {
	return s.Frozen.IsZero() && !now.Before(s.Snoozed) && (s.Reminded.IsZero() || now.Sub(s.Reminded) >= r.RemindEvery)
}

// Remind sends everybody who is due a reminder, each in a transaction that also
// remembers it: nobody gets two, whatever crashes and however many do this at the
// same time. It stops at the first error. done, which may be nil, is told of each.
func (r Reminder) Remind(ctx context.Context, by audit.Event, done func(Covered)) error {
	people, err := r.Due(ctx)
	if err != nil {
		return err
	}
	for _, p := range people {
		if err := ctx.Err(); err != nil {
			return err
		}
		sent := false
		err := r.Memory.Remember(ctx, p.ID, func(s access.Standing) (access.Standing, []audit.Event, []notify.Message) {
			now := r.Now()
			if sent = r.due(s, now); !sent {
				return s, nil, nil // somebody else was first
			}
			s.Reminded = now
			return s, []audit.Event{r.event(p, by, now)}, []notify.Message{r.message(p, now)}
		})
		if err != nil {
			return unavailable(err)
		}
		if sent && done != nil {
			done(p)
		}
	}
	return nil
}

func (r Reminder) event(p Covered, by audit.Event, now time.Time) audit.Event {
	by.At, by.Kind, by.Subject, by.SubjectName, by.Outcome = now, "reminder.sent", p.ID, p.Login, audit.OK
	return by
}

func (r Reminder) message(p Covered, now time.Time) notify.Message {
	m := notify.Message{Channel: notify.Mail, Who: directory.User{ID: p.ID, Login: p.Login}, Template: "reminder", Lang: p.Lang, NotAfter: now.Add(r.RemindEvery),
		Args: map[string]string{"login": p.Login}}
	if !r.Deadline.IsZero() {
		m.Args["deadline"] = r.Deadline.UTC().Format(time.RFC3339)
	}
	if !r.until(now).IsZero() {
		m.Links = []notify.LinkTo{{Kind: notify.Snooze, Account: p.ID, Life: r.RemindEvery}}
	}
	return m
}
