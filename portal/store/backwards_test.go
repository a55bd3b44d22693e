package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/desk"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

var _ desk.Past = (*store.DB)(nil)

// Newest first, of that time alone, each once, whatever page it falls into; and cut
// where there are more than may be counted.
func TestEventsOfATimeAreReadBackwards(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		noon := time.Date(2026, 3, 12, 12, 0, 0, 0, time.UTC)
		var events []audit.Event
		const n = 4100 // three pages, several of one moment
		for i := range n {
			events = append(events, audit.Event{At: noon.Add(time.Duration(i/3) * time.Second), Kind: "proof.failed", Case: fmt.Sprint(i), Subject: "x:1", Actor: "x:2",
				ActorName: "nul\x00", Door: "desk", Purpose: "reset", Outcome: audit.Failed, Reason: "wrong", Address: "192.0.2.7", Detail: map[string]string{"a": "b"}})
		}
		if err := db.Record(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		read := func(from, until time.Time, most int) (got []audit.Event, cut bool) {
			t.Helper()
			cut, err := db.Backwards(t.Context(), from, until, most, func(e audit.Event) error {
				if len(got) > 0 && !e.At.Before(got[len(got)-1].At) && e.Seq >= got[len(got)-1].Seq {
					t.Fatalf("%v after %v", e, got[len(got)-1])
				}
				got = append(got, e)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return got, cut
		}
		got, cut := read(noon, noon.Add(time.Hour), n)
		if len(got) != n || cut {
			t.Fatalf("%d events, cut %v", len(got), cut)
		}
		if e := got[0]; e.Case != fmt.Sprint(n-1) || e.Kind != "proof.failed" || e.Subject != "x:1" || e.Actor != directory.ID("x:2") || e.ActorName != "nul\x00" || e.Door != "desk" ||
			e.Purpose != "reset" || e.Outcome != audit.Failed || e.Reason != "wrong" || e.Address != "" || e.Detail != nil {
			t.Errorf("%+v", e)
		}
		for most, whole := range map[int]bool{n - 1: false, 2000: false, 1: false, n + 1: true} {
			if got, cut := read(noon, noon.Add(time.Hour), most); len(got) != min(most, n) || cut == whole {
				t.Errorf("%d at most: %d, cut %v", most, len(got), cut)
			}
		}
		if got, cut := read(noon.Add(time.Second), noon.Add(2*time.Second), 100); len(got) != 3 || cut || got[0].Case != "5" || got[2].Case != "3" {
			t.Errorf("one second, its beginning and not its end: %v", got)
		}
		if got, _ := read(noon.Add(-time.Hour), noon, 100); len(got) != 0 {
			t.Errorf("before the first: %v", got)
		}
		stop := errors.New("stop")
		if _, err := db.Backwards(t.Context(), noon, noon.Add(time.Hour), n, func(audit.Event) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := db.Backwards(ended, noon, noon.Add(time.Hour), n, func(audit.Event) error { return nil }); err == nil {
			t.Error("nobody waits for it, and it is read all the same")
		}
	})
}

// Figures over 100,000 events: what the page costs the database and the program.
func BenchmarkBackwards100k(b *testing.B) {
	for name, open := range map[string]func(testing.TB) storetest.Place{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := open(b).Open(b)
			began := time.Now().Add(-30 * 24 * time.Hour)
			for range 100 {
				var events []audit.Event
				for i := range 1000 {
					began = began.Add(25 * time.Second)
					events = append(events, audit.Event{At: began, Kind: []string{"case.started", "factor.chosen", "proof.ok", "proof.failed", "password.intent", "password.reset"}[i%6],
						Case: fmt.Sprintf("%032d", i/6), Subject: alice, SubjectName: "alice", Actor: alice, ActorName: "alice", Door: "web", Address: "203.0.113.7", Purpose: "reset",
						Factor: "totp", Outcome: audit.OK, Detail: map[string]string{"plan": "default"}})
				}
				if err := db.Record(b.Context(), events...); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			for b.Loop() {
				if _, err := db.Backwards(b.Context(), time.Now().Add(-31*24*time.Hour), time.Now().Add(time.Hour), 250_000, func(audit.Event) error { n++; return nil }); err != nil {
					b.Fatal(err)
				}
			}
			if n != 100_000*b.N {
				b.Fatalf("%d events", n)
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/100k")
		})
	}
}
