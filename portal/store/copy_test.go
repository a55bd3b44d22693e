package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/portal/access"
	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/kiosk"
	"postern/portal/notify"
	"postern/portal/session"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

// lived is a database with something in every table, and what of it can still be used.
type lived struct {
	caseID, invite string
	session        []byte
	events         int
}

func live(t testing.TB, db *store.DB, events int) (l lived) {
	t.Helper()
	ctx, now := t.Context(), time.Now().UTC().Truncate(time.Microsecond)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(db.MarkKeys(ctx))
	l.caseID = create(t, db, newCase(alice), flow.Effects{Messages: []notify.Message{{Template: "x", Args: map[string]string{"a": nasty}}}}).ID
	put(t, db, verify.Credential{ID: "app", Owner: alice, Kind: verify.TOTP, Secret: []byte("seed"), Counter: 5},
		verify.Credential{ID: "key", Owner: alice, Kind: verify.Passkey, Handle: []byte{0, 1, 255}, Public: []byte("{}")},
		verify.Credential{ID: "otp", Owner: alice, Kind: verify.YubiKey, Handle: []byte("cccccc"), Counter: 7},
		verify.Credential{ID: "c1", Owner: alice, Kind: verify.RecoveryCode, Handle: []byte("h1")},
		verify.Credential{ID: "c2", Owner: alice, Kind: verify.RecoveryCode, Handle: []byte("h2")},
		verify.Credential{ID: "é", Owner: bob, Kind: verify.TOTP, Secret: []byte("seed")}, verify.Credential{ID: "Z", Owner: bob, Kind: verify.TOTP, Secret: []byte("seed")})
	_, err := db.Handle(ctx, alice)
	must(err)
	must(db.HoldOffer(ctx, enrol.Offer{Owner: alice, Kind: verify.TOTP, Session: "s", Expires: now.Add(time.Hour)}))
	l.session = []byte("hash")
	must(db.ReplaceSession(ctx, nil, session.Row{Hash: l.session, Owner: alice, State: session.State{Principal: access.Principal{ID: alice}}, Created: now, Used: now, Expires: now.Add(time.Hour)}))
	l.invite, err = db.AddLink(ctx, notify.LinkTo{Kind: notify.Invite, Account: bob, Life: time.Hour})
	must(err)
	l.invite = strings.TrimPrefix(l.invite, notify.Invite.Path())
	must(db.Strike(ctx, alice, verify.TOTP, func(s flow.Strikes) flow.Strikes { s.Consecutive = 3; return s }))
	_, err = db.Once(ctx, "form", nil)
	must(err)
	must(db.Ships(ctx, map[string]int{"siem": 1000}))
	must(db.AddKiosk(ctx, newKiosk("3"), kiosk.Effects{}))
	must(db.AddErrand(ctx, newErrand("e", kiosk.ToDesk), kiosk.Effects{}))
	must(db.Remember(ctx, alice, func(s access.Standing) (access.Standing, []audit.Event, []notify.Message) {
		s.Mail = []string{"a@example.org"}
		return s, nil, nil
	}))
	raise(t, db, now)
	l.events = events
	for from := 0; from < events; from += 500 {
		var list []audit.Event
		for i := from; i < min(from+500, events); i++ {
			list = append(list, audit.Event{Kind: fmt.Sprintf("e%d", i), Subject: alice, SubjectName: nasty, Case: l.caseID, Detail: map[string]string{"receipt": fmt.Sprint("P-", i)}})
		}
		must(db.Record(ctx, list...))
	}
	return l
}

func raise(t testing.TB, db *store.DB, now time.Time) {
	t.Helper()
	if err := db.SetThreat(t.Context(), func(access.Threat) (access.Threat, []audit.Event, []notify.Message, error) {
		return access.Threat{Level: access.Raised, Since: now, Reason: "x"}, nil, nil, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// pairs runs test over every pair of kinds; both have one key file.
func pairs(t *testing.T, test func(t *testing.T, from, to storetest.Place)) {
	kinds := map[string]func(testing.TB) storetest.Place{"sqlite": storetest.SQLite, "postgres": storetest.Postgres}
	for a, source := range kinds {
		for b, target := range kinds {
			t.Run(a+"-"+b, func(t *testing.T) {
				from, to := source(t), target(t)
				to.Keys = from.Keys
				test(t, from, to)
			})
		}
	}
}

// opened is without migrating; readOnly as the command opens a source.
func opened(t testing.TB, p storetest.Place, readOnly bool) *store.DB {
	t.Helper()
	keys, err := store.LoadKeys(p.Keys)
	if err != nil {
		t.Fatal(err)
	}
	p.Config.ReadOnly = readOnly
	db, err := store.Open(t.Context(), p.Config, keys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// A copy is the portal: what could be opened, used and checked still can, and only once;
// the record goes on behind where it ended and verifies against what a witness kept.
func TestACopyIsTheSame(t *testing.T) {
	pairs(t, func(t *testing.T, from, to storetest.Place) {
		s, k := signer(t)
		old := from.Open(t)
		l := live(t, old, 700)
		sealAll(t, old, s)
		_, kept, err := old.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		source, db := opened(t, from, true), opened(t, to, false)
		var told []string
		list, again, err := store.Copy(t.Context(), source, db, func(table string, done, of int64) { told = append(told, fmt.Sprint(table, done, of)) })
		if err != nil || again || len(told) < len(list) {
			t.Fatal(again, told, err)
		}
		for _, c := range list {
			if c.Rows == 0 && c.Table != "store_state" {
				t.Errorf("%s: nothing to copy: the test says nothing of it", c.Table)
			}
		}
		if _, again, err := store.Copy(t.Context(), source, db, nil); err != nil || !again {
			t.Errorf("once more: %v, %v", again, err)
		}
		if err := db.MarkKeys(t.Context()); err != nil {
			t.Error(err)
		}
		if c, err := db.Case(t.Context(), l.caseID); err != nil || c.Login != nasty {
			t.Errorf("%+v, %v", c, err)
		}
		if all, err := db.Methods(t.Context(), alice); err != nil || len(all) != 5 {
			t.Errorf("%v, %v", all, err)
		}
		if _, err := db.Burn(t.Context(), alice, verify.RecoveryCode, []byte("h1")); err != nil {
			t.Error(err)
		}
		if _, err := db.Burn(t.Context(), alice, verify.RecoveryCode, []byte("h1")); !errors.Is(err, verify.ErrWrong) {
			t.Errorf("twice: %v", err)
		}
		if err := db.Spend(t.Context(), verify.Credential{ID: "app", Owner: alice, Kind: verify.TOTP}, 5); !errors.Is(err, verify.ErrReplayed) {
			t.Errorf("a step of before: %v", err)
		}
		if _, err := db.SpendLink(t.Context(), notify.Invite, l.invite); err != nil {
			t.Error(err)
		}
		if first, err := db.Once(t.Context(), "form", nil); err != nil || first {
			t.Errorf("a form of before: %v, %v", first, err)
		}
		if level, err := db.Threat(t.Context()); err != nil || level.Level != access.Raised {
			t.Errorf("%+v, %v", level, err)
		}
		// The record goes on.
		record(t, db, "after")
		if n := sealAll(t, db, s); n != 1 {
			t.Errorf("%d sealed", n)
		}
		n := 0
		if err := db.Export(t.Context(), audit.Query{}, func(audit.Event) error { n++; return nil }); err != nil || n != l.events+1 {
			t.Errorf("%d events, %v", n, err)
		}
		r, err := audit.Verify(exported(t, db, k), k, []audit.Witness{{Name: "kept", Text: strings.NewReader(kept)}}, []string{exported(t, old, k)})
		if err != nil || r.Entries != int64(n) {
			t.Errorf("%+v, %v", r, err)
		}
		if raw := from.Raw(t); from.Config.Path != "" {
			var mode string
			if err := raw.QueryRow(`PRAGMA integrity_check`).Scan(&mode); err != nil || mode != "ok" {
				t.Error(mode, err)
			}
		}
		// Now it is another's.
		if _, _, err := store.Copy(t.Context(), source, db, nil); !errors.Is(err, store.ErrOccupied) || !strings.Contains(err.Error(), "audit_events (700 and 701 rows)") {
			t.Errorf("over a database at work: %v", err)
		}
	})
}

// Interrupted anywhere, no portal starts on it, and another run makes it whole.
func TestAnInterruptedCopyGoesOn(t *testing.T) {
	pairs(t, func(t *testing.T, from, to storetest.Place) {
		s, k := signer(t)
		old := from.Open(t)
		live(t, old, 2100)
		sealAll(t, old, s)
		source := opened(t, from, true)
		// Each round gets one transaction further than the one before.
		rounds, resumed := 0, false
		for stop := 2; ; stop++ {
			ctx, cancel := context.WithCancel(t.Context())
			calls := 0
			db := opened(t, to, false)
			_, _, err := store.Copy(ctx, source, db, func(table string, done, of int64) {
				if calls++; calls == 1 && done > 0 {
					resumed = true
				}
				if calls == stop {
					cancel()
				}
			})
			cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%d: %v", stop, err)
			}
			if err := db.MarkKeys(t.Context()); !errors.Is(err, store.ErrHalfCopied) {
				t.Fatalf("%d: a portal starts on half a copy: %v", stop, err)
			}
			rounds++
			if stop > 8 {
				stop += 20
			}
		}
		if rounds < 5 || !resumed {
			t.Errorf("%d rounds, went on: %v", rounds, resumed)
		}
		db := opened(t, to, false)
		if err := db.MarkKeys(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := audit.Verify(exported(t, db, k), k, nil, []string{exported(t, old, k)}); err != nil {
			t.Error(err)
		}
	})
}

// What the target holds and the source does not is never written over.
func TestACopyIsRefused(t *testing.T) {
	pairs(t, func(t *testing.T, from, to storetest.Place) {
		s, _ := signer(t)
		old := from.Open(t)
		live(t, old, 2500)
		sealAll(t, old, s)
		source, db := opened(t, from, true), opened(t, to, false)
		refused := func(name string, want error, says string) {
			t.Helper()
			if _, _, err := store.Copy(t.Context(), source, db, nil); !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), says) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Other keys, before anything is written.
		other := to
		other.Keys = filepath.Join(t.TempDir(), "other.json")
		if err := store.CreateKeys(other.Keys); err != nil {
			t.Fatal(err)
		}
		mine := db
		db = opened(t, other, false)
		refused("another key file", store.ErrOtherKeys, "the target")
		db = mine

		// The source is at work: the last row of the first table is on its way.
		done := false
		_, _, err := store.Copy(t.Context(), source, db, func(table string, n, of int64) {
			if !done && n == of && n > 0 {
				done = true
				record(t, old, "meanwhile")
				if _, err := old.Burn(t.Context(), alice, verify.RecoveryCode, []byte("h1")); err != nil {
					t.Error(err)
				}
			}
		})
		if !errors.Is(err, store.ErrChanged) || !strings.Contains(err.Error(), "stop the portal") || !strings.Contains(err.Error(), "audit_events (2500 and 2501 rows)") || !strings.Contains(err.Error(), "credentials (7 and 6 rows)") {
			t.Errorf("at work: %v", err) // and what arrived was of one moment all the same
		}
		if err := db.MarkKeys(t.Context()); !errors.Is(err, store.ErrHalfCopied) {
			t.Error(err)
		}
		// A row of the copy is not what was sent.
		raw := to.Raw(t)
		if _, err := raw.Exec(`INSERT INTO audit_events (at, case_id, subject, event) VALUES (1, '', '', '{}')`); err != nil {
			t.Fatal(err)
		}
		refused("another's event", store.ErrOccupied, "audit_events")
	})
}

// A target with a stranger's data is not even migrated.
func TestACopyLeavesStrangersAlone(t *testing.T) {
	from, to := storetest.SQLite(t), storetest.SQLite(t)
	to.Keys = from.Keys
	live(t, from.Open(t), 3)
	raw := to.Raw(t)
	if _, err := raw.Exec(`CREATE TABLE "their own" (x TEXT); INSERT INTO "their own" VALUES ('y')`); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Copy(t.Context(), opened(t, from, true), opened(t, to, false), nil); !errors.Is(err, store.ErrOccupied) || !strings.Contains(err.Error(), "their own has 1 rows") {
		t.Error(err)
	}
	var tables int
	if err := raw.QueryRow(`SELECT count(*) FROM sqlite_master`).Scan(&tables); err != nil || tables != 1 {
		t.Error(tables, err)
	}
}

// What a portal leaves behind that was killed is a file and its log, and both are read.
func TestTheSourceOfAKilledPortalIsRead(t *testing.T) {
	from, left, to := storetest.SQLite(t), storetest.SQLite(t), storetest.SQLite(t)
	left.Keys, to.Keys = from.Keys, from.Keys
	live(t, from.Open(t), 50)
	for _, end := range []string{"", "-wal"} {
		text, err := os.ReadFile(from.Config.Path + end)
		if err != nil || len(text) == 0 {
			t.Fatal(end, len(text), err)
		}
		if err := os.WriteFile(left.Config.Path+end, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, _, err := store.Copy(t.Context(), opened(t, left, true), opened(t, to, false), nil)
	if err != nil || list[0] != (store.Copied{Table: "audit_events", Rows: 50}) {
		t.Error(list, err)
	}
}

// A target with a portal's own data is named and left alone.
func TestACopyLeavesOthersAlone(t *testing.T) {
	pairs(t, func(t *testing.T, from, to storetest.Place) {
		live(t, from.Open(t), 3)
		source, db := opened(t, from, true), to.Open(t)
		put(t, db, verify.Credential{ID: "theirs", Owner: bob, Kind: verify.TOTP, Secret: []byte("s")})
		if _, _, err := store.Copy(t.Context(), source, db, nil); !errors.Is(err, store.ErrOccupied) || !strings.Contains(err.Error(), "credentials 1") {
			t.Error(err)
		}
		if all, err := db.Methods(t.Context(), bob); err != nil || len(all) != 1 || all[0].ID != "theirs" {
			t.Error(all, err)
		}
		if err := db.MarkKeys(t.Context()); err != nil {
			t.Error("it was marked as a copy:", err)
		}
	})
}
