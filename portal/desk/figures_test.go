package desk

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
)

func berlin(t testing.TB) *time.Location {
	t.Helper()
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// story makes events of lines "12:03 case purpose kind outcome reason", the door
// web, for tally, newest last as they happened.
type story struct {
	now    time.Time
	events []audit.Event
}

func (s *story) at(ago time.Duration, kind string, o audit.Outcome, change ...func(*audit.Event)) {
	e := audit.Event{At: s.now.Add(-ago), Kind: kind, Outcome: o, Case: "c", Subject: "x:ann", Actor: "x:ann", Door: "web", Purpose: "reset"}
	for _, c := range change {
		c(&e)
	}
	s.events = append(s.events, e)
}

func in(id string) func(*audit.Event) { return func(e *audit.Event) { e.Case = id } }

func (s *story) tell(days int) Figures {
	t := newTally(days, s.now)
	for i := len(s.events) - 1; i >= 0; i-- {
		t.add(s.events[i])
	}
	return t.figures()
}

func because(r string) func(*audit.Event) { return func(e *audit.Event) { e.Reason = r } }
func purpose(p string) func(*audit.Event) { return func(e *audit.Event) { e.Purpose = p } }
func stranger(e *audit.Event)             { e.Subject = "decoy:00" }
func atDesk(id directory.ID) func(*audit.Event) {
	return func(e *audit.Event) { e.Door, e.Actor, e.ActorName = "desk", id, strings.TrimPrefix(string(id), "x:") }
}

func TestNothingHappenedIsAnAnswerToo(t *testing.T) {
	for _, days := range Spans {
		s := &story{now: time.Date(2026, 3, 12, 15, 4, 5, 0, berlin(t))}
		f := s.tell(days)
		if f.Count(Done) != 0 || f.Median != 0 || f.Ninety != 0 || len(f.Refusals)+len(f.Technicians) != 0 || len(f.Endings) != 15 || len(f.Times) != 8 {
			t.Errorf("%d days: %+v", days, f)
		}
		if want := map[int]int{1: 24, 30: 30}[days]; len(f.Slots) != want {
			t.Errorf("%d days: %d slots", days, len(f.Slots))
		}
	}
}

func TestEachRecoveryCountsOnceByHowItEnded(t *testing.T) {
	s := &story{now: time.Date(2026, 3, 12, 15, 0, 0, 0, berlin(t))}
	h := time.Hour
	// Done in 90 s; the lock it ended on the way is no recovery of its own.
	s.at(5*h, "case.started", audit.OK)
	s.at(5*h-60*time.Second, "proof.ok", audit.OK)
	s.at(5*h-80*time.Second, "password.intent", audit.Intent)
	s.at(5*h-90*time.Second, "password.reset", audit.OK)
	s.at(5*h-90*time.Second, "account.unlocked", audit.OK)
	s.at(4*h, "case.started", audit.OK, in("unlock"), purpose("unlock"))
	s.at(4*h-30*time.Second, "account.unlocked", audit.OK, in("unlock"), purpose("unlock"))
	// Refused by wrong answers; refused by the directory, and closed for it.
	s.at(3*h, "case.started", audit.OK, in("wrong"))
	s.at(3*h-time.Minute, "proof.failed", audit.Failed, in("wrong"), because("wrong"))
	s.at(3*h-2*time.Minute, "case.closed", audit.Refused, in("wrong"), because("too_many_tries"))
	s.at(2*h, "case.started", audit.OK, in("denied"), purpose("change"))
	s.at(2*h-time.Minute, "password.refused", audit.Refused, in("denied"), purpose("change"), because("too_short"))
	s.at(2*h-2*time.Minute, "password.changed", audit.Refused, in("denied"), purpose("change"), because("directory_denied"))
	// No answer; given up; never finished.
	s.at(h, "case.started", audit.OK, in("lost"))
	s.at(h-time.Minute, "password.reset", audit.Unknown, in("lost"), because("outcome_unknown"))
	s.at(h, "case.started", audit.OK, in("quit"))
	s.at(h-time.Minute, "case.closed", audit.OK, in("quit"), because("cancelled"))
	s.at(h, "case.started", audit.OK, in("open"))
	// Strangers: a name of nobody, wrong answers, the end of a case that was none.
	s.at(h, "case.started", audit.Refused, in("decoy"), stranger, because("unknown_account"))
	s.at(h, "proof.failed", audit.Failed, in("decoy"), stranger, because("wrong"))
	s.at(h, "case.closed", audit.Refused, in("decoy"), stranger, because("too_many_tries"))
	// What is no recovery.
	s.at(h, "case.started", audit.OK, in("in"), purpose("signin"))
	s.at(h, "signin", audit.OK, in("in"), purpose("signin"))
	s.at(h, "case.started", audit.Refused, in("in2"), purpose("signin"), stranger, because("disabled"))
	s.at(h, "never.heard.of", audit.Unknown, in("?"))
	s.at(h, "password.reset", audit.OK, in("")) // of no case

	f := s.tell(1)
	want := "[{reset done 1} {reset refused 1} {reset unknown 1} {reset left 2} {reset not_served 1} " +
		"{unlock done 1} {unlock refused 0} {unlock unknown 0} {unlock left 0} {unlock not_served 0} " +
		"{change done 0} {change refused 1} {change unknown 0} {change left 0} {change not_served 0}]"
	if got := fmt.Sprint(f.Endings); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if f.Slots[10].Done != [3]int{1, 0, 0} || f.Slots[11].Done != [3]int{0, 1, 0} || f.Slots[10].Unlocked != 1 || f.Slots[11].Unlocked != 1 || f.Alone != 2 {
		t.Errorf("%+v, alone %d", f.Slots, f.Alone)
	}
	if f.Median != 30*time.Second || f.Ninety != 90*time.Second || f.Times[0].N != 1 || f.Times[1].N != 1 || f.Timeless != 0 {
		t.Errorf("%v %v %v", f.Median, f.Ninety, f.Times)
	}
	noes := fmt.Sprint(f.Refusals)
	for _, want := range []string{"{start unknown_account 1}", "{start disabled 1}", "{proof wrong 1}", "{decoy wrong 1}", "{decoy too_many_tries 1}", "{end too_many_tries 1}",
		"{password too_short 1}", "{end directory_denied 1}"} {
		if !strings.Contains(noes, want) {
			t.Errorf("%s is missing in %s", want, noes)
		}
	}
	if len(f.Refusals) != 8 {
		t.Errorf("%s", noes)
	}
}

// A case that began before midnight and ended after counts where it ended, with its
// whole time; what ended before midnight is yesterday's.
func TestMidnightLosesNoCase(t *testing.T) {
	s := &story{now: time.Date(2026, 3, 12, 0, 30, 0, 0, berlin(t))}
	s.at(45*time.Minute, "case.started", audit.OK, in("yesterday"))
	s.at(40*time.Minute, "case.started", audit.OK, in("over"))
	s.at(35*time.Minute, "password.reset", audit.OK, in("yesterday"))
	s.at(32*time.Minute, "case.started", audit.OK, in("left"))
	s.at(20*time.Minute, "password.reset", audit.OK, in("over"))
	s.at(10*time.Minute, "password.reset", audit.OK, in("begun long ago"))
	f := s.tell(1)
	if f.Count(Done) != 2 || f.Count(Left) != 0 || f.Median != 20*time.Minute || f.Timeless != 1 || f.Slots[0].Done[0] != 2 {
		t.Errorf("%+v", f)
	}
}

// Days are those of the portal's zone: one has 23 hours, one 25, and in some zones
// one has no midnight.
func TestEveryHourOfEveryDayIsCountedOnce(t *testing.T) {
	zone := func(name string) *time.Location {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	for _, c := range []struct {
		zone  string
		noon  time.Time
		hours int
		first string
	}{
		{"Europe/Berlin", time.Date(2026, 3, 29, 12, 0, 0, 0, zone("Europe/Berlin")), 23, "2026-03-29T00:00:00+01:00"},
		{"Europe/Berlin", time.Date(2026, 10, 25, 12, 0, 0, 0, zone("Europe/Berlin")), 25, "2026-10-25T00:00:00+02:00"},
		{"Asia/Beirut", time.Date(2026, 3, 29, 12, 0, 0, 0, zone("Asia/Beirut")), 23, "2026-03-29T01:00:00+03:00"},
		{"America/Havana", time.Date(2026, 11, 1, 12, 0, 0, 0, zone("America/Havana")), 25, "2026-11-01T00:00:00-04:00"},
		{"Asia/Kolkata", time.Date(2026, 3, 1, 12, 0, 0, 0, zone("Asia/Kolkata")), 24, "2026-03-01T00:00:00+05:30"},
	} {
		f := newTally(1, c.noon).f
		if len(f.Slots) != c.hours || f.From.Format(time.RFC3339) != c.first {
			t.Errorf("%s: %d hours from %s", c.zone, len(f.Slots), f.From.Format(time.RFC3339))
		}
		later := newTally(30, c.noon.AddDate(0, 0, 7))
		n := 0
		for at := later.f.From; at.Before(later.f.Until); at = at.Add(15 * time.Minute) {
			s := later.slot(at)
			if s == nil || s.From.YearDay() != at.YearDay() {
				t.Fatalf("%s: %v is in %v", c.zone, at, s)
			}
			n++
		}
		if later.slot(later.f.From.Add(-1)) != nil || later.slot(later.f.Until) != nil || len(later.f.Slots) != 30 || n < 30*23*4 {
			t.Errorf("%s: %d quarters, %d days", c.zone, n, len(later.f.Slots))
		}
	}
}

func TestTechniciansAreCountedByWhatTheyDid(t *testing.T) {
	s := &story{now: time.Date(2026, 3, 12, 15, 0, 0, 0, berlin(t))}
	tech, other := atDesk("x:tech"), atDesk("x:other")
	caller := func(e *audit.Event) { e.Door = "desk" } // their own browser, in the desk's case
	h := time.Hour
	s.at(6*h, "case.started", audit.OK, in("1"), tech)
	s.at(6*h-time.Minute, "case.claimed", audit.OK, in("1"), caller)
	s.at(6*h-5*time.Minute, "password.reset", audit.OK, in("1"), caller)
	s.at(2*h, "case.started", audit.OK, in("2"), purpose("assist"), tech)
	s.at(2*h-time.Minute, "caller.verified", audit.OK, in("2"), purpose("assist"), caller)
	s.at(2*h-2*time.Minute, "account.frozen", audit.OK, in("2"), purpose("assist"), tech)
	s.at(2*h-3*time.Minute, "change.required", audit.Intent, in("2"), purpose("assist"), tech)
	s.at(2*h-3*time.Minute, "change.required", audit.OK, in("2"), purpose("assist"), tech)
	s.at(h, "case.started", audit.OK, in("3"), other)
	s.at(h, audit.DeskRefused, audit.Refused, in(""), purpose(""), other, because("velocity"))
	s.at(h, audit.DeskViewed, audit.OK, in(""), other)
	s.at(h, "factor.removed", audit.OK, in("")) // somebody's own, at the web door
	f := s.tell(1)
	if got := fmt.Sprint(f.Technicians); got != "[{x:tech tech 2 2 2 0} {x:other other 1 0 0 1}]" {
		t.Error(got)
	}
	if f.Hours[9] != 1 || f.Hours[13] != 1 || f.Hours[14] != 1 || f.Alone != 0 || f.Count(Done) != 1 || fmt.Sprint(f.Refusals) != "[{desk velocity 1}]" {
		t.Errorf("%v, alone %d, %v", f.Hours, f.Alone, f.Refusals)
	}
}

func TestWrongGuessesAtLockedAccountsAreSeen(t *testing.T) {
	s := &story{now: time.Date(2026, 3, 12, 15, 0, 0, 0, berlin(t))}
	s.at(time.Hour, "proof.failed", audit.Failed, purpose("signin"), because("locked"))
	s.at(time.Hour, "proof.failed", audit.Failed, because("wrong"))
	s.at(time.Minute, "account.unlocked", audit.Refused, purpose("unlock"), because("directory_denied"))
	if f := s.tell(1); f.Slots[14].Tried != 1 || f.Slots[14].Unlocked != 0 {
		t.Errorf("%+v", f.Slots[14])
	}
}

func TestHalfAndNineInTen(t *testing.T) {
	for _, c := range []struct {
		n              int
		median, ninety int
	}{{1, 1, 1}, {2, 1, 2}, {3, 2, 3}, {10, 5, 9}, {11, 6, 10}, {100, 50, 90}} {
		var all []time.Duration
		for i := c.n; i > 0; i-- {
			all = append(all, time.Duration(i)*time.Minute)
		}
		var f Figures
		f.times(all)
		if f.Median != time.Duration(c.median)*time.Minute || f.Ninety != time.Duration(c.ninety)*time.Minute {
			t.Errorf("of %d: %v and %v", c.n, f.Median, f.Ninety)
		}
		sum := 0
		for _, b := range f.Times {
			sum += b.N
		}
		if sum != c.n {
			t.Errorf("of %d, %d are in the buckets", c.n, sum)
		}
	}
}

// security case 113: a login is others' text, also in a file of numbers.
func TestEveryChartIsAnInertFile(t *testing.T) {
	s := &story{now: time.Date(2026, 3, 12, 15, 0, 0, 0, berlin(t))}
	s.at(time.Hour, "case.started", audit.OK, atDesk("x:=1+1"))
	s.at(time.Hour, "proof.failed", audit.Failed, because("=cmd|' /C calc'!A0"))
	f := s.tell(30)
	heads := map[Chart]string{Recoveries: "from,reset,unlock,change", Endings: "purpose,outcome,cases", Times: "from_seconds,until_seconds,recoveries",
		Refusals: "where,reason,times", Technicians: "login,cases,finished,acts,refused,id", Hours: "hour,cases", Lockouts: "from,unlocked,tried_while_locked"}
	for _, c := range Charts {
		var b bytes.Buffer
		if err := f.WriteCSV(&b, c); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil || len(rows) < 2 || strings.Join(rows[0], ",") != heads[c] {
			t.Errorf("%s: %v %v", c, rows, err)
		}
		for _, row := range rows {
			for _, field := range row {
				if strings.HasPrefix(field, "=") {
					t.Errorf("%s: %q", c, field)
				}
			}
		}
	}
}

func BenchmarkFigures100k(b *testing.B) {
	s := &story{now: time.Date(2026, 3, 12, 15, 0, 0, 0, time.UTC)}
	for i := range 100_000 / 6 {
		ago, id := 29*24*time.Hour-time.Duration(i)*2*time.Minute, in(fmt.Sprint(i))
		for j, kind := range []string{"case.started", "factor.chosen", "proof.ok", "proof.failed", "password.intent", "password.reset"} {
			s.at(ago-time.Duration(j)*10*time.Second, kind, audit.OK, id)
		}
	}
	for b.Loop() {
		if f := s.tell(30); f.Count(Done) == 0 {
			b.Fatal("nothing counted")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/100k")
}
