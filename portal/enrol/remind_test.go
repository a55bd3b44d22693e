package enrol_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/notify"
	"postern/verify"
)

// diary remembers standings, and what was told, one transaction at a time.
type diary struct {
	mu       sync.Mutex
	known    map[directory.ID]access.Standing
	events   []audit.Event
	messages []notify.Message
	fail     error // of what would be committed
}

func (d *diary) standing(_ context.Context, id directory.ID) (access.Standing, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known[id], nil
}

func (d *diary) Remember(_ context.Context, id directory.ID, change func(access.Standing) (access.Standing, []audit.Event, []notify.Message)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next, events, messages := change(d.known[id])
	if d.fail != nil {
		return d.fail
	}
	d.known[id], d.events, d.messages = next, append(d.events, events...), append(d.messages, messages...)
	return nil
}

func (d *diary) told() (logins []string) {
	for _, m := range d.messages {
		logins = append(logins, m.Args["login"])
	}
	return logins
}

// newReminder surveys some people, of whom "ready" alone could recover.
func newReminder(t *testing.T) (enrol.Reminder, *diary, *time.Time) {
	t.Helper()
	off, mute, ice, lazy := one("off", "o@example.org"), one("mute"), one("ice", "i@example.org"), one("lazy", "l@example.org")
	off.State.Disabled = true
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	d := &diary{known: map[directory.ID]access.Standing{"test:ice": {Frozen: now}, "test:lazy": {Snoozed: now.Add(20 * 24 * time.Hour)}}}
	s, r := newSurvey(t, stock{{Owner: "test:ready", Kind: verify.Passkey, Count: 1}}, one("ready", "r@example.org"), one("ada", "a@example.org"), one("bob", "b@example.org"), off, mute, ice, lazy)
	s.Directory, s.Standing, s.Now = listed{roll: r}, d.standing, func() time.Time { return now }
	return enrol.Reminder{Survey: s, Memory: d, Now: s.Now, Most: 100,
		Campaign: enrol.Campaign{RemindEvery: 7 * 24 * time.Hour, Snooze: 14 * 24 * time.Hour, Deadline: now.Add(30 * 24 * time.Hour)}}, d, &now
}

func TestARemindersRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, now := newReminder(t)
		by := audit.Event{Door: "job"}
		round := func(want ...string) {
			t.Helper()
			d.messages, d.events = nil, nil
			var done []string
			if err := r.Remind(t.Context(), by, func(p enrol.Covered) { done = append(done, p.Login) }); err != nil {
				t.Fatal(err)
			}
			if got := d.told(); !slices.Equal(got, want) || !slices.Equal(done, want) || len(d.events) != len(want) {
				t.Errorf("told %v, done %v, %d events; want %v", got, done, len(d.events), want)
			}
		}
		round("ada", "bob") // not who is ready, disabled, without mail, frozen or asleep
		m, e := d.messages[0], d.events[0]
		if m.Template != "reminder" || len(m.To) != 0 || m.Who.ID != "test:ada" || m.Args["deadline"] == "" || len(m.Links) != 1 || m.Links[0].Kind != notify.Snooze || m.Links[0].Account != "test:ada" {
			t.Errorf("%+v", m)
		}
		if e.Kind != "reminder.sent" || e.Subject != "test:ada" || e.Door != "job" || e.Outcome != audit.OK {
			t.Errorf("%+v", e)
		}
		round()
		*now = now.Add(7*24*time.Hour - time.Second)
		round()
		*now = now.Add(time.Second)
		round("ada", "bob")
		*now = now.Add(13 * 24 * time.Hour)
		round("lazy", "ada", "bob") // who has waited longest first, and nobody snoozes any more
		*now = now.Add(30 * 24 * time.Hour)
		if round("ada", "bob", "lazy"); len(d.messages[0].Links) != 0 || d.messages[0].Args["deadline"] == "" {
			t.Errorf("after the deadline a reminder can be put off: %+v", d.messages[0])
		}
		*now = now.Add(30 * 24 * time.Hour)
		r.Most = 1
		round("ada")
		round("bob")
	})
}

// Nobody gets two: what was not committed was not sent, and of several who remind
// at the same time one does.
func TestNobodyIsRemindedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newReminder(t)
		d.fail = errors.New("power cut")
		if err := r.Remind(t.Context(), audit.Event{}, func(enrol.Covered) { t.Error("told of one that was not sent") }); !errors.Is(err, enrol.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		d.fail = nil
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if err := r.Remind(t.Context(), audit.Event{}, nil); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := slices.Sorted(slices.Values(d.told())); !slices.Equal(got, []string{"ada", "bob"}) {
			t.Errorf("told %v", got)
		}
	})
}

// Who cannot be asked about must not look like somebody with nothing enrolled.
func TestWithoutTheDirectoryNobodyIsReminded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, d, _ := newReminder(t)
		l := r.Survey.Directory.(listed)
		l.err = directory.ErrUnavailable
		r.Survey.Directory = l
		if err := r.Remind(t.Context(), audit.Event{}, nil); !errors.Is(err, directory.ErrUnavailable) || len(d.messages) > 0 {
			t.Errorf("%v, told %v", err, d.told())
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		r, d, _ = newReminder(t)
		if err := r.Remind(ended, audit.Event{}, nil); err == nil || len(d.messages) > 0 {
			t.Errorf("after the end: %v, told %v", err, d.told())
		}
	})
}

func TestCampaignIsReadInItsZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	c := enrol.DefaultConfig()
	if got := c.Campaign(berlin); !got.Deadline.IsZero() || got.RemindEvery != 0 {
		t.Errorf("%+v", got)
	}
	c.Deadline = "2026-03-29" // of 23 hours there
	if got, want := c.Campaign(berlin).Deadline, time.Date(2026, 3, 29, 21, 59, 59, 0, time.UTC); !got.Equal(want) {
		t.Errorf("%v, want %v", got.UTC(), want)
	}
}
