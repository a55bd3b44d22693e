package desk_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/portal/policy"
)

// care is what the doubles have of the servers and of the past.
type care struct {
	seen  []directory.Sighting
	blind error
	looks int
	past  []audit.Event
	lost  error // of the past
}

func (r *rig) Watch(context.Context, directory.User) ([]directory.Sighting, error) {
	r.looks++
	return r.seen, r.blind
}

func (r *rig) OfCase(_ context.Context, id string, n int) (list []audit.Event, err error) {
	for _, e := range r.past {
		if e.Case == id && len(list) < n {
			list = append(list, e)
		}
	}
	return list, r.lost
}

func (r *rig) CaseEnds(_ context.Context, id directory.ID, _ int) (list []audit.Event, err error) {
	for _, e := range slices.Backward(r.past) {
		if e.Subject == id {
			list = append(list, e)
		}
	}
	return list, r.lost
}

func (r *rig) Notices(_ context.Context, id directory.ID, _ int) (list []audit.Event, err error) {
	for _, e := range slices.Backward(r.past) {
		if e.Subject == id && strings.HasPrefix(e.Kind, "message.") {
			list = append(list, e)
		}
	}
	return list, r.lost
}

// done is a case of the technician's that was applied a minute ago.
func (r *rig) done(id string, p policy.Purpose) *flow.Case {
	c := &flow.Case{ID: id, Key: "x:ann", Named: "ann", Door: access.Desk, By: access.Principal{ID: "x:tech"}, Purpose: p, Expires: r.now.Add(10 * time.Minute),
		Outcome: flow.Outcome{Status: flow.Applied, At: r.now.Add(-time.Minute), Before: r.now.Add(-90 * 24 * time.Hour), Receipt: "P-1"}}
	r.cases[id] = c
	return c
}

func (r *rig) after(c *flow.Case) desk.After {
	r.t.Helper()
	a, err := r.After(r.t.Context(), r.who("x:tech", 0), c)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func TestAfterAResetEveryServerIsSpokenOf(t *testing.T) {
	r := newRig(t)
	c := r.done("C1", policy.Reset)
	set := c.Outcome.At.Add(-time.Second) // by the directory's clock
	r.seen = []directory.Sighting{
		{Server: "dc1", PasswordSet: set, BadPasswords: 3, LastBad: set.Add(-time.Hour)},
		{Server: "dc2", PasswordSet: c.Outcome.Before},
		{Server: "dc3", Err: directory.ErrUnavailable},
		{Server: "dc4", Err: directory.ErrNotFound},
		{Server: "dc5", Err: directory.ErrDenied},
	}
	a := r.after(c)
	for i, want := range []desk.Arrival{desk.Arrived, desk.Waiting, desk.Silent, desk.Absent, desk.Silent} {
		if a.Servers[i].Arrival != want || a.Servers[i].Name != r.seen[i].Server {
			t.Errorf("%s: %+v, want %s", r.seen[i].Server, a.Servers[i], want)
		}
	}
	if a.Still() || a.Failed || !a.Until.Equal(c.Outcome.At.Add(30*time.Minute)) {
		t.Errorf("an old wrong password counts: %+v", a)
	}
	r.now = r.now.Add(10 * time.Second)
	tried := set.Add(20 * time.Second)
	r.seen[1].LastBad, r.seen[1].BadPasswords = tried, 1
	if a = r.after(c); !a.Still() || !a.Tried.Equal(tried) || !a.Servers[1].LastBad.Equal(tried) || !a.Servers[0].LastBad.IsZero() {
		t.Errorf("%+v", a)
	}
	// The server forgets it as the right one comes; the page does not.
	r.now = r.now.Add(10 * time.Second)
	r.seen[1] = directory.Sighting{Server: "dc2", PasswordSet: set}
	if a = r.after(c); !a.Still() || a.Servers[1].Arrival != desk.Arrived {
		t.Errorf("%+v", a)
	}
	var kinds []string
	for _, e := range r.event {
		if e.Kind == audit.DeskWatched {
			kinds = append(kinds, e.Reason)
			if e.Case != "C1" || e.Subject != "x:ann" || e.Actor != "x:tech" {
				t.Errorf("%+v", e)
			}
		}
	}
	if !slices.Equal(kinds, []string{"", "still_trying"}) {
		t.Errorf("recorded %q", kinds)
	}
	r.now = c.Outcome.At.Add(30 * time.Minute)
	if a = r.after(c); !a.Until.IsZero() || len(a.Servers) != 0 {
		t.Errorf("half an hour later: %+v", a)
	}
}

// Our clock and the directory's are not the same: what is compared are its own times.
func TestAClockThatIsFastAccusesNobody(t *testing.T) {
	r := newRig(t)
	c := r.done("C1", policy.Reset)
	fast := c.Outcome.At.Add(4 * time.Minute)
	r.seen = []directory.Sighting{{Server: "dc1", PasswordSet: fast, BadPasswords: 1, LastBad: fast.Add(-time.Minute)}}
	if a := r.after(c); a.Still() || a.Servers[0].Arrival != desk.Arrived {
		t.Errorf("%+v", a)
	}
}

func TestAfterAnUnlockAndARequiredChange(t *testing.T) {
	r := newRig(t)
	c := r.done("C1", policy.Unlock)
	at := c.Outcome.At
	r.seen = []directory.Sighting{{Server: "dc1"}, {Server: "dc2", Locked: true, LockedAt: at.Add(-time.Hour)}}
	if a := r.after(c); a.Still() || a.Servers[0].Arrival != desk.Arrived || a.Servers[1].Arrival != desk.Waiting || !a.Servers[1].Locked {
		t.Errorf("%+v", a)
	}
	r.now = r.now.Add(10 * time.Second)
	r.seen[1].LockedAt = at.Add(5 * time.Second)
	if a := r.after(c); !a.Relocked || !a.Still() || a.Servers[1].Arrival != desk.Arrived {
		t.Errorf("locked again: %+v", a)
	}

	c = r.done("C2", policy.Assist)
	if a := r.after(c); !a.Until.IsZero() {
		t.Errorf("nothing was written: %+v", a)
	}
	act := r.now
	r.past = []audit.Event{{Case: "C2", Kind: "change.required", Outcome: audit.Intent, At: act}, {Case: "C2", Kind: "change.required", Outcome: audit.OK, At: act},
		{Case: "C2", Kind: "change.required", Outcome: audit.Refused, At: act.Add(time.Second)}}
	r.seen = []directory.Sighting{{Server: "dc1", MustChange: true}, {Server: "dc2", PasswordSet: act.Add(-time.Hour)}, {Server: "dc3", PasswordSet: act.Add(time.Minute)}}
	a := r.after(c)
	if !a.Changed.Equal(act) || a.Servers[0].Arrival != desk.Arrived || a.Servers[1].Arrival != desk.Waiting || a.Servers[2].Arrival != desk.Arrived {
		t.Errorf("%+v", a)
	}
	r.lost = errors.New("database is locked")
	if _, err := r.After(t.Context(), r.who("x:tech", 0), c); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("without the record: %v", err)
	}
}

// However often a page is loaded, the directory is asked every ten seconds; what it
// does not tell, or what cannot be recorded, is not shown, and ends nothing else.
func TestLookingAfterIsBoundedAndMayFail(t *testing.T) {
	r := newRig(t)
	c := r.done("C1", policy.Reset)
	r.seen = []directory.Sighting{{Server: "dc1", PasswordSet: r.now}}
	for range 50 {
		r.after(c)
	}
	if r.looks != 1 {
		t.Errorf("%d looks", r.looks)
	}
	r.now, r.blind, r.seen = r.now.Add(10*time.Second), directory.ErrUnavailable, nil
	for range 50 {
		if a := r.after(c); !a.Failed || a.Until.IsZero() || len(a.Servers) != 0 {
			t.Fatalf("%+v", a)
		}
	}
	if r.looks != 2 {
		t.Errorf("%d looks while it is down", r.looks)
	}
	// None of them told anything: each is said to be silent.
	r.now, r.seen = r.now.Add(10*time.Second), []directory.Sighting{{Server: "dc1", Err: directory.ErrUnavailable}}
	if a := r.after(c); a.Failed || a.Servers[0].Arrival != desk.Silent {
		t.Errorf("%+v", a)
	}
	other := r.done("C2", policy.Reset)
	r.mute = errors.New("disk full")
	if a := r.after(other); !a.Failed || len(a.Servers) != 0 {
		t.Errorf("shown without a record: %+v", a)
	}
	r.mute = nil
	r.users["x:ann"] = directory.User{ID: "x:ann", Login: "ann", Directory: "x", DN: "CN=ann,OU=Board,DC=x"}
	third, looks := r.done("C3", policy.Reset), r.looks
	if a := r.after(third); !a.Until.IsZero() || r.looks != looks {
		t.Errorf("moved out of reach: %+v after %d looks", a, r.looks-looks)
	}
	for _, w := range []desk.Who{r.who("x:two", 0), r.who("x:lead", 0), r.who("x:aud", 0), r.who("x:ann", 0), {}} {
		if _, err := r.After(t.Context(), w, third); err != desk.ErrUnknown {
			t.Errorf("%s looks after another's case: %v", w.Principal.ID, err)
		}
	}
}

const canary = "C4nary-otter-lantern"

// Many tabs at once are one look.
func TestOneLookServesEverybodyWhoWaits(t *testing.T) {
	r := newRig(t)
	c, w := r.done("C1", policy.Reset), r.who("x:tech", 0)
	r.seen = []directory.Sighting{{Server: "dc1", PasswordSet: r.now}}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if a, err := r.After(t.Context(), w, c); err != nil || len(a.Servers) != 1 {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
	all.Wait()
	if r.looks != 1 || len(r.event) != 1 {
		t.Errorf("%d looks, %d lines of the record", r.looks, len(r.event))
	}
}

// What was done in a case stands on its page, also when nothing more can be done, and
// what was only tried does not: else it is done twice, or believed done.
func TestTheCaseShowsWhatWasDoneInIt(t *testing.T) {
	r := newRig(t)
	c := r.done("C1", policy.Assist)
	for _, e := range []audit.Event{{Kind: "caller.verified", Outcome: audit.OK}, {Kind: "account.unlocked", Outcome: audit.Intent}, {Kind: "account.unlocked", Outcome: audit.OK},
		{Kind: "change.required", Outcome: audit.Refused}, {Kind: "message.sent", Outcome: audit.OK}, {Kind: "invitation.sent", Outcome: audit.OK}} {
		e.Case, e.Subject = "C1", "x:ann"
		r.past = append(r.past, e)
	}
	shown := func() (list []string) {
		o, err := r.Choices(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range o.Did {
			list = append(list, e.Kind+" "+string(e.Outcome))
		}
		return list
	}
	want := []string{"account.unlocked ok", "change.required refused", "invitation.sent ok"}
	if got := shown(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	r.now = r.now.Add(time.Hour)
	if got := shown(); !slices.Equal(got, want) {
		t.Errorf("later: %q", got)
	}
	r.lost = errors.New("database is locked")
	if _, err := r.Choices(t.Context(), c); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("without the record: %v", err)
	}
}
