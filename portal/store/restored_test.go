package store_test

import (
	"errors"
	"fmt"
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

// Whatever was under way in the backup is over; what only counts, names or stops stays.
func TestNothingOfABackupGoesOn(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		l := live(t, db, 3)
		done, err := db.Restored(t.Context(), store.Restoration{By: audit.Event{Actor: "operator"}, Step: 9, Seen: store.Seen{Epoch: 4}})
		want := store.Restored{Epoch: 5, Cases: 1, Sessions: 1, Links: 1, Errands: 1, Messages: 1, Offers: 1, Codes: 1, Factors: 7, People: 2}
		if err != nil || done != want {
			t.Errorf("%+v, want %+v; %v", done, want, err)
		}
		if c, err := db.Case(t.Context(), l.caseID); err != nil || c.Closed != flow.ReasonCancelled {
			t.Errorf("case: %+v, %v", c, err)
		}
		if _, err := db.Session(t.Context(), l.session); !errors.Is(err, session.ErrNone) {
			t.Errorf("session: %v", err)
		}
		if _, err := db.SpendLink(t.Context(), notify.Invite, l.invite); !errors.Is(err, notify.ErrNoLink) {
			t.Errorf("link: %v", err)
		}
		if _, err := db.Errand(t.Context(), "e", ""); !errors.Is(err, kiosk.ErrNone) {
			t.Errorf("errand: %v", err)
		}
		if _, err := db.TryOffer(t.Context(), alice, verify.TOTP); !errors.Is(err, enrol.ErrNoOffer) {
			t.Errorf("offer: %v", err)
		}
		if list, err := db.Claim(t.Context(), 10); err != nil || len(list) > 0 {
			t.Errorf("messages: %v, %v", list, err)
		}
		if _, err := db.Kiosk(t.Context(), kiosk.Index{Code: newKiosk("3").Code}); !errors.Is(err, kiosk.ErrNone) {
			t.Errorf("a kiosk's code: %v", err)
		}
		if d, err := db.Kiosk(t.Context(), kiosk.Index{ID: "3"}); err != nil || d.Code != "" || !d.Revoked.IsZero() {
			t.Errorf("a kiosk: %+v, %v", d, err)
		}
		for _, who := range []verify.Credential{{Owner: alice}, {Owner: bob}} {
			if all, err := db.Methods(t.Context(), who.Owner); err != nil || len(all) > 0 {
				t.Errorf("factors: %v, %v", all, err)
			}
		}
		if s, err := db.Strikes(t.Context(), alice, verify.TOTP); err != nil || s.Consecutive != 3 {
			t.Errorf("counted failures: %+v, %v", s, err)
		}
		if first, err := db.Once(t.Context(), "form", nil); err != nil || first {
			t.Errorf("a form: %v, %v", first, err)
		}
		if level, err := db.Threat(t.Context()); err != nil || level.Level != access.Raised {
			t.Errorf("%+v, %v", level, err)
		}
		told := map[string]int{}
		if err := db.Export(t.Context(), audit.Query{After: 3}, func(e audit.Event) error { told[e.Kind+" "+e.Factor]++; return nil }); err != nil {
			t.Error(err)
		}
		if fmt.Sprint(told) != "map[factor.removed passkey:1 factor.removed recovery_code:1 factor.removed totp:3 factor.removed yubikey:1 store.restored :1]" {
			t.Error(told)
		}
		if epoch, err := db.Epoch(t.Context()); err != nil || epoch != 5 {
			t.Error(epoch, err)
		}
		if done, err := db.Restored(t.Context(), store.Restoration{}); err != nil || done != (store.Restored{Epoch: 6}) {
			t.Errorf("once more: %+v, %v", done, err)
		}
	})
}

// A record takes away, and never gives: it does not unfreeze, lower or bring back.
func TestARecordOnlyTakesAway(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		live(t, db, 1)
		at := time.Now().UTC().Truncate(time.Microsecond)
		freeze := func(who enrol.Change) { // before the backup
			who.Standing = func(s access.Standing) access.Standing { s.Frozen = at; return s }
			if err := db.Commit(t.Context(), who); err != nil {
				t.Fatal(err)
			}
		}
		freeze(enrol.Change{Owner: alice})
		credential := func(id string) map[string]string { return map[string]string{"credential": id} }
		done, err := db.Restored(t.Context(), store.Restoration{Recorded: true, Step: 9, Since: []audit.Event{
			{Kind: "proof.failed", Subject: alice, Factor: "recovery_code", Detail: credential("c1")},
			{Kind: "proof.ok", Subject: alice, Factor: "passkey", Detail: credential("key")},
			{Kind: "factor.added", Subject: bob, Factor: "totp"},
			{Kind: "factor.removed", Subject: bob, Factor: "totp", Detail: credential("Z")},
			{Kind: "factor.added", Subject: alice, Factor: "recovery_code"}, // a new set
			{Kind: "account.unfrozen", Subject: alice},
			{At: at, Kind: "account.frozen", Subject: bob},
			{At: at, Kind: "kiosk.copied", Outcome: audit.Refused, Detail: map[string]string{"device": "3"}},
			{Kind: audit.ThreatRaised, Detail: map[string]string{"why": "x"}},
			{Kind: audit.ThreatLowered},
		}})
		if err != nil || done.Factors != 3 || done.People != 2 || done.Frozen != 1 || done.Kiosks != 1 || done.Raised {
			t.Errorf("%+v, %v", done, err)
		}
		left := ""
		for _, who := range []verify.Credential{{Owner: alice}, {Owner: bob}} {
			all, err := db.Methods(t.Context(), who.Owner)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				left += c.ID + " "
			}
			if s, err := db.Standing(t.Context(), who.Owner); err != nil || !s.Frozen.Equal(at) {
				t.Errorf("%s: %+v, %v", who.Owner, s, err)
			}
		}
		for _, id := range []string{"app", "key", "otp", "é"} {
			if !strings.Contains(left, id+" ") {
				t.Errorf("%s is gone: %s", id, left)
			}
		}
		if d, err := db.Kiosk(t.Context(), kiosk.Index{ID: "3"}); err != nil || d.State(at) != kiosk.Copied {
			t.Errorf("%+v, %v", d, err)
		}
		if level, err := db.Threat(t.Context()); err != nil || level.Level != access.Raised {
			t.Errorf("the level of the backup: %+v, %v", level, err)
		}
		app := verify.Credential{ID: "app", Owner: alice, Kind: verify.TOTP}
		if err := db.Spend(t.Context(), app, 9); !errors.Is(err, verify.ErrReplayed) {
			t.Errorf("a step that may have been used: %v", err)
		}
		if err := db.Spend(t.Context(), app, 10); err != nil {
			t.Error(err)
		}
	})
}

// The level is raised again where it was, and not where its end has come.
func TestTheLevelIsRaisedAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		for i, until := range []string{"", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339)} {
			db := p.Open(t)
			setLevel(t, db, access.Threat{Level: access.Normal})
			done, err := db.Restored(t.Context(), store.Restoration{Recorded: true, Since: []audit.Event{{At: time.Now(), Kind: audit.ThreatRaised, Detail: map[string]string{"why": "x", "until": until}}}})
			level, err2 := db.Threat(t.Context())
			if want := i != 1; err != nil || err2 != nil || done.Raised != want || level.Raised(time.Now()) != want {
				t.Errorf("%q: %+v %+v, %v %v", until, done, level, err, err2)
			}
		}
	})
}

// What was seen is held against the database: its epoch, how far its record goes, and that
// it is that record.
func TestADatabaseFollowsWhatWasSeen(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		s, k := signer(t)
		db := p.Open(t)
		grow := func(n int) store.Seen {
			t.Helper()
			for range n {
				record(t, db, "x")
			}
			sealAll(t, db, s)
			seen, err := db.Seen(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return seen
		}
		follows := func(seen store.Seen, want bool) {
			t.Helper()
			err := db.Follows(t.Context(), seen, k)
			if (err == nil) != want || err != nil && !errors.Is(err, store.ErrOlder) {
				t.Errorf("%+v: %v", seen, err)
			}
		}
		follows(store.Seen{}, true)
		var all []store.Seen
		for n := range 9 {
			all = append(all, grow(n))
			for _, seen := range all {
				follows(seen, true)
			}
		}
		last := all[8]
		follows(store.Seen{Epoch: 1}, false)
		follows(store.Seen{Epoch: 1, Checkpoint: last.Checkpoint}, false)

		// Of another database, as long and longer, with these keys.
		old := storetest.SQLite(t)
		old.Keys = p.Keys
		mine := db
		db = old.Open(t)
		grow(40)
		follows(last, false)
		other := grow(1)
		follows(other, true)
		db = mine
		follows(other, false)
		if _, err := db.Restored(t.Context(), store.Restoration{}); err != nil {
			t.Fatal(err)
		}
		follows(other, true)
		follows(store.Seen{Epoch: 1, Checkpoint: other.Checkpoint}, false)

		// Not of this key file: nobody can say.
		s2, err := audit.NewSigner(make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		text, err := s2.Sign(1, audit.Hash{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Follows(t.Context(), store.Seen{Epoch: 1, Checkpoint: text}, k); err == nil || errors.Is(err, store.ErrOlder) {
			t.Error(err)
		}
	})
}

// What a running portal does every few seconds so that a restored database is noticed.
func BenchmarkSeen(b *testing.B) {
	for name, place := range map[string]func(testing.TB) storetest.Place{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			db := place(b).Open(b)
			s, k := signer(b)
			live(b, db, 20_000)
			sealAll(b, db, s)
			for b.Loop() {
				seen, err := db.Seen(b.Context())
				if err == nil {
					err = db.Follows(b.Context(), seen, k)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
