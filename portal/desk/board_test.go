package desk_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/flow"
	"postern/verify"
)

// counted is a census and a record for a board over the rig.
type counted struct {
	*rig
	rolls     directory.Rolls
	at        time.Time
	everybody bool
	starts    int
	past      []audit.Event // newest first
	asked     int
	broken    error // of the past
}

func (c *counted) Rolls() (directory.Rolls, time.Time, bool) { return c.rolls, c.at, c.everybody }

func (c *counted) Read(ctx context.Context, u directory.User) (directory.User, error) {
	if c.down != nil {
		return directory.User{}, c.down
	}
	return people{c.rig}.Read(ctx, u)
}

func (c *counted) Start() error { c.starts++; return nil }

func (c *counted) Record(ctx context.Context, e ...audit.Event) error { return c.Note(ctx, e, nil) }

func (c *counted) Backwards(_ context.Context, from, until time.Time, most int, each func(audit.Event) error) (bool, error) {
	c.asked++
	for i, e := range c.past {
		if i == most {
			return true, c.broken
		}
		if e.At.Before(from) || !e.At.Before(until) {
			continue
		}
		if err := each(e); err != nil {
			return false, err
		}
	}
	return false, c.broken
}

func newBoard(t testing.TB) (*desk.Board, *counted) {
	t.Helper()
	r := newRig(t)
	c := &counted{rig: r, at: r.now.Add(-time.Hour), everybody: true, rolls: directory.Rolls{}}
	r.users["x:op"] = directory.User{ID: "x:op", Login: "op", Directory: "x", DN: "CN=op,OU=Staff,DC=x", Groups: []string{"CN=Ops,DC=x"}}
	r.users["x:both"] = directory.User{ID: "x:both", Login: "both", Directory: "x", DN: "CN=both,OU=Staff,DC=x", Groups: slices.Concat(techs, []string{"CN=Audit,DC=x"})}
	roles := access.Roles{Technician: []string{"Desk"}, Senior: []string{"Leads"}, Auditor: []string{"Audit"}, Operator: []string{"Ops"}}
	r.scope.Scope = access.Scope{Technician: access.Reach{OUs: []string{"OU=Staff,DC=x"}}, Senior: access.Reach{OUs: []string{"OU=Staff,DC=x", "OU=Board,DC=x"}}}
	b, err := desk.NewBoard(desk.BoardOptions{People: c, Roles: roles, Scope: areas{r}, Policy: r, Past: c, Noter: c, Counts: c, Zone: time.UTC, Now: func() time.Time { return r.now }})
	if err != nil {
		t.Fatal(err)
	}
	return b, c
}

// lock makes people locked, and puts them on the list of an hour ago.
func (c *counted) lock(ids ...directory.ID) {
	var all []directory.Listed
	for _, id := range ids {
		u, ok := c.users[id]
		if ok {
			u.State.Locked = true
			c.users[id] = u
		} else {
			u = directory.User{ID: id, Login: "gone", Directory: "x"}
		}
		all = append(all, directory.Locked.Entry(u))
	}
	c.rolls[directory.Locked] = directory.NewRoll(all)
}

func names(s desk.Sheet) string {
	var list []string
	for _, p := range s.People {
		name := p.Login
		if p.Helped {
			name += "*"
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}

// security case 99: whom a technician may not help is in no list of theirs, and the
// number of those is not told either. Auditors and operators see everybody.
func TestAListShowsWhoeverMayBeSeenAndNobodyElse(t *testing.T) {
	b, c := newBoard(t)
	c.lock("x:ann", "x:far", "x:root", "x:off", "x:gone", "x:bea")
	bea := c.users["x:bea"]
	bea.State.Locked = false // unlocked since
	c.users["x:bea"] = bea
	for who, want := range map[directory.ID]string{"x:tech": "ann*", "x:lead": "ann* far*", "x:aud": "ann far", "x:op": "ann far", "x:both": "ann* far"} {
		for name, open := range map[string]func(context.Context, desk.Who, directory.List) (desk.Sheet, error){"look": b.Look, "export": b.Export} {
			c.event = nil
			s, err := open(t.Context(), c.who(who, time.Minute), directory.Locked)
			if err != nil || names(s) != want || s.Rest != 0 || !s.At.Equal(c.at) || !s.Everybody {
				t.Errorf("%s, %s: %s, rest %d, %v; want %s", who, name, names(s), s.Rest, err, want)
			}
			if len(c.event) != 1 || c.event[0].Actor != who || !strings.HasPrefix(c.event[0].Kind, "list.") || c.event[0].Detail["list"] != "locked" || c.event[0].Detail["shown"] != fmt.Sprint(len(s.People)) ||
				c.event[0].Address != "192.0.2.9" || c.event[0].Subject != "" {
				t.Errorf("%s, %s: %+v", who, name, c.event)
			}
		}
	}
	// Moved out of reach a moment ago.
	ann := c.users["x:ann"]
	ann.DN = "CN=ann,OU=Board,DC=x"
	c.users["x:ann"] = ann
	if s, err := b.Look(t.Context(), c.who("x:tech", time.Minute), directory.Locked); err != nil || names(s) != "" {
		t.Errorf("%s, %v", names(s), err)
	}
}

// Whoever has no role, or proved nothing they hold, gets nothing, and it is not read.
func TestTheBoardIsForThoseWhoMayReadIt(t *testing.T) {
	b, c := newBoard(t)
	c.lock("x:ann")
	type call func(w desk.Who) error
	calls := map[string]call{
		"figures":  func(w desk.Who) error { _, err := b.Figures(t.Context(), w, 30); return err },
		"file":     func(w desk.Who) error { _, err := b.ExportFigures(t.Context(), w, 1, desk.Hours); return err },
		"locked":   func(w desk.Who) error { _, err := b.Look(t.Context(), w, directory.Locked); return err },
		"stranded": func(w desk.Who) error { _, err := b.Export(t.Context(), w, directory.Stranded); return err },
		"count":    func(w desk.Who) error { return b.Count(t.Context(), w) },
		"lists":    func(w desk.Who) error { _, err := b.Lists(w); return err },
	}
	may := map[directory.ID]string{"x:ann": "", "x:tech": "count lists locked", "x:lead": "count figures file lists locked stranded", "x:aud": "count figures file lists locked stranded",
		"x:op": "count figures file lists locked stranded"}
	for who, want := range may {
		var can []string
		for name, do := range calls {
			c.event = nil
			switch err := do(c.who(who, time.Minute)); {
			case err == nil:
				can = append(can, name)
			case !errors.Is(err, desk.ErrUnknown) || len(c.event) > 0:
				t.Errorf("%s, %s: %v, recorded %v", who, name, err, c.event)
			}
			if err := do(c.who(who, time.Minute, verify.Password, verify.Email)); !errors.Is(err, desk.ErrUnknown) && !errors.Is(err, desk.ErrStale) || strings.Contains(want, name) && !errors.Is(err, desk.ErrStale) {
				t.Errorf("%s, %s, by a password and a mailed code: %v", who, name, err)
			}
		}
		slices.Sort(can)
		if got := strings.Join(can, " "); got != want {
			t.Errorf("%s may: %s, want %s", who, got, want)
		}
	}
	if _, err := b.Look(t.Context(), c.who("x:op", time.Minute), "everybody"); !errors.Is(err, desk.ErrUnknown) {
		t.Errorf("a list there is not: %v", err)
	}
	if _, err := b.ExportFigures(t.Context(), c.who("x:op", time.Minute), 30, "secrets"); !errors.Is(err, desk.ErrUnknown) {
		t.Errorf("a chart there is not: %v", err)
	}
	var invalid *flow.Invalid
	for _, days := range []int{0, -1, 2, 31, 36500} {
		if _, err := b.Figures(t.Context(), c.who("x:op", time.Minute), days); !errors.As(err, &invalid) || invalid.Field != "days" {
			t.Errorf("%d days: %v", days, err)
		}
	}
}

// What cannot be recorded is not shown, and what cannot be read is not half shown.
func TestTheBoardFailsClosed(t *testing.T) {
	b, c := newBoard(t)
	c.lock("x:ann", "x:bea")
	op := c.who("x:op", time.Minute)
	c.mute = errors.New("disk full")
	if s, err := b.Look(t.Context(), op, directory.Locked); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("%v %v", s, err)
	}
	if _, err := b.Figures(t.Context(), op, 1); !errors.Is(err, flow.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	c.at = time.Time{}
	if err := b.Count(t.Context(), op); !errors.Is(err, flow.ErrUnavailable) || c.starts != 0 {
		t.Errorf("%v, %d counts", err, c.starts)
	}
	c.mute, c.broken = nil, errors.New("no such table")
	c.now = c.now.Add(time.Hour)
	if _, err := b.Figures(t.Context(), op, 1); !errors.Is(err, flow.ErrUnavailable) || len(c.event) != 0 {
		t.Errorf("%v, %v", err, c.event)
	}
	c.down = directory.ErrUnavailable
	if s, err := b.Look(t.Context(), op, directory.Locked); !errors.Is(err, directory.ErrUnavailable) || len(s.People) != 0 || len(c.event) != 0 {
		t.Errorf("%v %v %v", s, err, c.event)
	}
}

// A list as long as a list can be costs a page a bounded number of reads.
func TestALongListIsReadInPart(t *testing.T) {
	b, c := newBoard(t)
	var all []directory.ID
	for i := range 1100 {
		id := directory.ID(fmt.Sprintf("x:%04d", i))
		ou := "Board"
		if i >= 900 {
			ou = "Staff"
		}
		c.users[id] = directory.User{ID: id, Login: fmt.Sprintf("u%04d", i), Directory: "x", DN: "CN=u,OU=" + ou + ",DC=x"}
		all = append(all, id)
	}
	c.lock(all...)
	for _, one := range []struct {
		who                directory.ID
		shown, reads, rest int
	}{
		{"x:op", 50, 50, 1050},
		{"x:tech", 0, 200, -1}, // theirs are at the end; a page says that there may be some
		{"x:lead", 50, 50, -1},
	} {
		c.reads = 0
		if s, err := b.Look(t.Context(), c.who(one.who, time.Minute), directory.Locked); err != nil || len(s.People) != one.shown || c.reads != one.reads || s.Rest != one.rest {
			t.Errorf("%s: %d people, %d reads, rest %d, %v", one.who, len(s.People), c.reads, s.Rest, err)
		}
	}
	c.reads = 0
	s, err := b.Export(t.Context(), c.who("x:tech", time.Minute), directory.Locked)
	if err != nil || len(s.People) != 100 || c.reads != directory.MostListed || s.Rest != -1 {
		t.Errorf("the file: %d people, %d reads, rest %d, %v", len(s.People), c.reads, s.Rest, err)
	}
}

// Another count reads everybody: pressing again soon is no reason for one.
func TestCountingAgainWaits(t *testing.T) {
	b, c := newBoard(t)
	tech := c.who("x:tech", time.Minute)
	c.at = c.now.Add(-4 * time.Minute)
	if err := b.Count(t.Context(), tech); err != nil || c.starts != 0 || len(c.event) != 0 {
		t.Errorf("%v, %d counts", err, c.starts)
	}
	for n, at := range []time.Time{c.now.Add(-5 * time.Minute), {}} {
		c.at = at
		if err := b.Count(t.Context(), tech); err != nil || c.starts != n+1 || c.event[n].Kind != audit.CountStarted || c.event[n].Actor != "x:tech" {
			t.Errorf("%v, %d counts, %v", err, c.starts, c.event)
		}
	}
}

// Many who look at once read the record once; each of them is recorded.
func TestFiguresAreCountedOnceForManyWhoLook(t *testing.T) {
	b, c := newBoard(t)
	c.past = []audit.Event{{At: c.now.Add(-time.Minute), Kind: "password.reset", Case: "1", Subject: "x:ann", Purpose: "reset", Outcome: audit.OK, Door: "web"}}
	for range 3 {
		f, err := b.Figures(t.Context(), c.who("x:aud", time.Minute), 1)
		if err != nil || f.Count(desk.Done) != 1 || f.Timeless != 1 || !f.Cut.IsZero() {
			t.Fatalf("%+v %v", f, err)
		}
	}
	if c.asked != 1 || len(c.event) != 3 || c.event[0].Kind != audit.FiguresViewed || c.event[0].Detail["days"] != "1" {
		t.Errorf("read %d times, %+v", c.asked, c.event)
	}
	if _, err := b.ExportFigures(t.Context(), c.who("x:aud", time.Minute), 30, desk.Refusals); err != nil || c.asked != 2 || c.event[3].Kind != audit.FiguresExported || c.event[3].Detail["chart"] != "refusals" {
		t.Errorf("%v, read %d times, %+v", err, c.asked, c.event)
	}
	c.now = c.now.Add(time.Minute)
	if _, err := b.Figures(t.Context(), c.who("x:aud", time.Minute), 1); err != nil || c.asked != 3 {
		t.Errorf("%v, read %d times", err, c.asked)
	}
}

// Where there is more than is counted, the figures say since when they are.
func TestFiguresOfTooMuchSaySo(t *testing.T) {
	b, c := newBoard(t)
	for i := range 250_001 {
		c.past = append(c.past, audit.Event{At: c.now.Add(-time.Duration(i) * time.Second), Kind: "proof.ok"})
	}
	f, err := b.Figures(t.Context(), c.who("x:aud", time.Minute), 30)
	if want := c.now.Add(-249_999 * time.Second); err != nil || !f.Cut.Equal(want) {
		t.Errorf("%v, want %v; %v", f.Cut, want, err)
	}
	if f, err := b.Figures(t.Context(), c.who("x:aud", time.Minute), 1); err != nil || !f.Cut.IsZero() {
		t.Errorf("all of today is there: %v %v", f.Cut, err)
	}
}

// security case 113.
func TestTheFileOfAListIsInert(t *testing.T) {
	s := desk.Sheet{At: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC), People: []desk.Row{{Listed: directory.Listed{ID: "x:1", Login: `=HYPERLINK("http://evil","x")`, Name: "@SUM(1)", Directory: "x"}}}}
	var b bytes.Buffer
	if err := s.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 2 || strings.Join(rows[0], ",") != "login,name,directory,until,id,counted_at" || rows[1][0] != `'=HYPERLINK("http://evil","x")` || rows[1][1] != "'@SUM(1)" ||
		rows[1][3] != "" || rows[1][5] != "2026-05-04T09:00:00Z" {
		t.Errorf("%q %v", rows, err)
	}
}

func TestABoardNeedsAllItsParts(t *testing.T) {
	if _, err := desk.NewBoard(desk.BoardOptions{}); err == nil {
		t.Error("one of nothing")
	}
}
