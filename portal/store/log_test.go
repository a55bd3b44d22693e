package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

func signer(t testing.TB) (*audit.Signer, audit.Key) {
	t.Helper()
	s, err := audit.NewSigner(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	k, err := audit.ParseKey(s.Key())
	if err != nil {
		t.Fatal(err)
	}
	return s, k
}

// sealAll seals until nothing is left.
func sealAll(t testing.TB, db *store.DB, s *audit.Signer) (n int) {
	t.Helper()
	for {
		k, err := db.Seal(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		n += k
		if k == 0 {
			return n
		}
	}
}

func exported(t testing.TB, db *store.DB, k audit.Key) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "export")
	if _, err := audit.WriteBundle(t.Context(), dir, db, k); err != nil {
		t.Fatal(err)
	}
	return dir
}

func record(t testing.TB, db *store.DB, kind string) {
	t.Helper()
	if err := db.Record(t.Context(), audit.Event{Kind: kind, Subject: alice, SubjectName: "al\u202eice\u009b"}); err != nil {
		t.Fatal(err)
	}
}

// Two nodes write and seal at once: every event is in the log once, and what is
// exported verifies.
func TestTwoNodesSealOneLog(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		s, k := signer(t)
		nodes := []*store.DB{p.Open(t), p.Open(t)}
		const writers, each = 8, 40
		var writing, sealing sync.WaitGroup
		stop := make(chan struct{})
		for _, db := range nodes {
			sealing.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := db.Seal(t.Context(), s); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		for w := range writers {
			db := nodes[w%2]
			writing.Go(func() {
				for i := range each {
					if err := db.Record(t.Context(), audit.Event{Kind: fmt.Sprintf("w%d.%d", w, i), Subject: alice}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writing.Wait()
		close(stop)
		sealing.Wait()
		sealAll(t, nodes[0], s)
		sealAll(t, nodes[1], s)
		r, err := audit.Verify(exported(t, nodes[1], k), k, nil, nil)
		if err != nil || r.Entries != writers*each {
			t.Errorf("%d entries, %v", r.Entries, err)
		}
		raw := p.Raw(t)
		var n, notes int
		if err := raw.QueryRow(`SELECT count(DISTINCT seq), (SELECT count(*) FROM log_checkpoints) FROM log_entries`).Scan(&n, &notes); err != nil || n != writers*each || notes < 2 {
			t.Errorf("%d events, %d checkpoints, %v", n, notes, err)
		}
		if n, err := nodes[0].Seal(t.Context(), s); n != 0 || err != nil {
			t.Errorf("with nothing new: %d, %v", n, err)
		}
	})
}

// PostgreSQL gives out an event's number before its commit: what was slow is sealed
// when it appears, behind what was quick, also long after.
func TestASlowTransactionIsSealedLater(t *testing.T) {
	p := storetest.Postgres(t)
	s, k := signer(t)
	db := p.Open(t)
	raw := p.Raw(t)
	slow, err := raw.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Exec(`INSERT INTO audit_events (at, case_id, subject, event) VALUES (1, '', '', '{"kind":"slow"}')`); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		record(t, db, fmt.Sprintf("quick.%d", i))
		if n, err := db.Seal(t.Context(), s); n != 1 || err != nil {
			t.Fatalf("round %d: %d, %v", i, n, err)
		}
	}
	if err := slow.Commit(); err != nil {
		t.Fatal(err)
	}
	if n := sealAll(t, db, s); n != 1 {
		t.Errorf("%d events", n)
	}
	var last string
	if err := db.Entries(t.Context(), 0, 7, func(e audit.Entry) error { last = string(e.Leaf); return nil }); err != nil || !strings.Contains(last, "slow") {
		t.Errorf("the last entry is %s, %v", last, err)
	}
	// The mark moves on: there is nothing to look through any more.
	sealAll(t, db, s)
	record(t, db, "after")
	sealAll(t, db, s)
	for range 3 {
		sealAll(t, db, s)
	}
	var low, top int64
	if err := raw.QueryRow(`SELECT low, (SELECT max(seq) FROM audit_events) FROM log_head`).Scan(&low, &top); err != nil || low != top {
		t.Errorf("the mark is at %d of %d, %v", low, top, err)
	}
	if r, err := audit.Verify(exported(t, db, k), k, nil, nil); err != nil || r.Entries != 8 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Security case 112: the owner of the database, who can take the triggers away,
// rewrites events, or the log with them. Verifying names the event; sealing refuses a
// log that does not continue what was signed.
func TestTheOwnerOfTheDatabaseIsFoundOut(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		for _, statement := range []string{"UPDATE log_entries SET idx = 9", "DELETE FROM log_entries", "UPDATE log_hashes SET pos = 9", "DELETE FROM log_hashes",
			"UPDATE log_checkpoints SET at = 1", "DELETE FROM log_checkpoints"} {
			s, _ := signer(t)
			db := p.Open(t)
			record(t, db, "first")
			sealAll(t, db, s)
			if _, err := p.Raw(t).Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: %v", statement, err)
			}
		}
	})
	for name, c := range map[string]struct {
		statements []string
		says       string
		stops      bool
	}{
		"an event": {[]string{`UPDATE audit_events SET event = '{"kind":"nothing happened"}' WHERE seq = 3`}, "entry 3 was changed", false},
		"an event and its hash": {[]string{`UPDATE audit_events SET event = '{"kind":"nothing happened"}' WHERE seq = 3`,
			`UPDATE log_hashes SET hash = zeroblob(32) WHERE pos = 3`}, "entry 3 ", false},
		"the last hash":      {[]string{`UPDATE log_hashes SET hash = zeroblob(32) WHERE pos = (SELECT max(pos) FROM log_hashes)`}, "damaged", true},
		"the tail":           {[]string{`DELETE FROM log_entries WHERE idx >= 4`}, "is missing in the database", true},
		"an event is gone":   {[]string{`DELETE FROM audit_events WHERE seq = 2`}, "entry 2 is missing in the database", false},
		"the last signature": {[]string{`DELETE FROM log_checkpoints WHERE size = 5`}, "", true},
		"no signature":       {[]string{`DELETE FROM log_checkpoints`}, "nothing is sealed", true},
		"the mark":           {[]string{`UPDATE log_head SET low = 1000`}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			p := storetest.SQLite(t)
			s, k := signer(t)
			db := p.Open(t)
			for i := range 5 {
				record(t, db, fmt.Sprintf("event.%d", i))
				sealAll(t, db, s)
			}
			raw := p.Raw(t)
			for _, table := range []string{"audit_events", "log_entries", "log_hashes", "log_checkpoints"} {
				for _, act := range []string{"update", "delete"} {
					if _, err := raw.Exec("DROP TRIGGER " + table + "_no_" + act); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, statement := range c.statements {
				if _, err := raw.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			dir := filepath.Join(t.TempDir(), "export")
			_, err := audit.WriteBundle(t.Context(), dir, db, k)
			if err == nil {
				_, err = audit.Verify(dir, k, nil, nil)
			}
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, not %q", err, c.says)
			}
			record(t, db, "after")
			if _, err := db.Seal(t.Context(), s); errors.Is(err, store.ErrLog) != c.stops {
				t.Errorf("sealing goes on, or stops: %v", err)
			}
		})
	}
}

// Another key file's portal does not go on with this log.
func TestOnlyItsOwnKeySealsALog(t *testing.T) {
	db := storetest.SQLite(t).Open(t)
	s, _ := signer(t)
	record(t, db, "first")
	sealAll(t, db, s)
	other, err := audit.NewSigner(bytes.Repeat([]byte{8}, 32))
	if err != nil {
		t.Fatal(err)
	}
	record(t, db, "second")
	if _, err := db.Seal(t.Context(), other); !errors.Is(err, store.ErrLog) {
		t.Errorf("%v", err)
	}
}

func TestACommitWakesWhoSeals(t *testing.T) {
	db := storetest.SQLite(t).Open(t)
	woken := make(chan struct{}, 8)
	db.Recorded(func() { woken <- struct{}{} })
	record(t, db, "first")
	if len(woken) != 1 {
		t.Errorf("woken %d times", len(woken))
	}
	db.Recorded(nil)
	record(t, db, "second")
	if len(woken) != 1 {
		t.Errorf("woken %d times", len(woken))
	}
}

// What sealing costs, for each event, and reading one proof at that size.
func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := storetest.SQLite(b)
			db := p.Open(b)
			s, _ := signer(b)
			raw := p.Raw(b)
			fill(b, raw, n)
			from := time.Now()
			sealAll(b, db, s)
			b.ReportMetric(float64(time.Since(from).Microseconds())/float64(n), "µs/event-in-bulk")
			for b.Loop() {
				for range 8 { // a case
					record(b, db, "one")
				}
				b.StopTimer()
				b.StartTimer()
				sealAll(b, db, s)
			}
		})
	}
}

func fill(b *testing.B, raw *sql.DB, n int) {
	b.Helper()
	if _, err := raw.Exec(`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i < ?)
		INSERT INTO audit_events (at, case_id, subject, event) SELECT i, 'c'||i/8, 's'||i%1000, '{"id":"'||i||'","kind":"case.started","detail":{"x":"'||hex(randomblob(120))||'"}}' FROM c`, n); err != nil {
		b.Fatal(err)
	}
}

// What the doctor looks at: the end of the log, and what waits.
func TestTheEndOfTheLogIsChecked(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		s, _ := signer(t)
		db := p.Open(t)
		if size, waiting, err := db.CheckLog(t.Context(), s); size != 0 || !waiting.IsZero() || err != nil {
			t.Errorf("empty: %d %v %v", size, waiting, err)
		}
		record(t, db, "first")
		if size, waiting, err := db.CheckLog(t.Context(), s); size != 0 || waiting.IsZero() || err != nil {
			t.Errorf("one waits: %d %v %v", size, waiting, err)
		}
		sealAll(t, db, s)
		if size, waiting, err := db.CheckLog(t.Context(), s); size != 1 || !waiting.IsZero() || err != nil {
			t.Errorf("sealed: %d %v %v", size, waiting, err)
		}
		other, err := audit.NewSigner(bytes.Repeat([]byte{9}, 32))
		if err != nil {
			t.Fatal(err)
		}
		// Events that are kept out by the mark are missed.
		record(t, db, "hidden")
		raw := p.Raw(t)
		if _, err := raw.Exec(`UPDATE log_head SET low = 2`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Seal(t.Context(), s); !errors.Is(err, store.ErrLog) {
			t.Errorf("the mark hides an event: %v", err)
		}
		if _, err := raw.Exec(`INSERT INTO log_entries (idx, seq) VALUES (1, 3)`); err != nil {
			t.Fatal(err)
		}
		if _, _, err := db.CheckLog(t.Context(), s); !errors.Is(err, store.ErrLog) || !strings.Contains(err.Error(), "behind its mark") {
			t.Errorf("a hidden event: %v", err)
		}
		if _, _, err := db.CheckLog(t.Context(), other); !errors.Is(err, store.ErrLog) {
			t.Errorf("another's: %v", err)
		}
	})
}
