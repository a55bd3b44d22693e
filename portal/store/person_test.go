package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"postern/directory"
	"postern/portal/audit"
	"postern/portal/flow"
	"postern/portal/store"
	"postern/portal/store/storetest"
)

// about is an event with everything that could tell who somebody is.
func about(subject, actor directory.ID) audit.Event {
	return audit.Event{At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Kind: "password.reset", Case: "c", Subject: subject, SubjectName: "name-of-" + string(subject),
		Actor: actor, ActorName: "name-of-" + string(actor), Address: "192.0.2.77", Outcome: audit.OK, Reason: "r", Factor: "totp",
		Detail: map[string]string{"note": "personal-note", "login": "personal-login", "ticket": "T-1"}, Proof: json.RawMessage(`{"who":"personal-proof"}`)}
}

func recordAll(t testing.TB, db *store.DB, events ...audit.Event) {
	t.Helper()
	if err := db.Record(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

// everything reads the record as an operator would.
func everything(t testing.TB, db *store.DB) (list []audit.Event) {
	t.Helper()
	if err := db.Export(t.Context(), audit.Query{}, func(e audit.Event) error { list = append(list, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

// Somebody with the database alone does not learn who anybody is; the portal does, and
// reads back to the letter what was recorded.
func TestTheRecordNamesNobodyToWhoHasTheDatabaseAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		sent := []audit.Event{about(alice, alice), about(alice, bob), about("", ""), about("decoy:0a", "decoy:0a"),
			{At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Kind: "doctor.started", ActorName: "root", Outcome: audit.OK}}
		recordAll(t, db, sent...)
		dump := dumpOf(t, p)
		for _, word := range []string{"name-of-", "192.0.2.77", "personal-", "root\""} {
			if bytes.Contains(dump, []byte(word)) {
				t.Errorf("the database says %s", word)
			}
		}
		if !bytes.Contains(dump, []byte("T-1")) {
			t.Error("this is no dump: what is not personal is not in it")
		}
		got := everything(t, p.Open(t))
		if len(got) != len(sent) {
			t.Fatalf("%d events", len(got))
		}
		for i, e := range got {
			e.ID, e.Seq = "", 0
			if !reflect.DeepEqual(e, sent[i]) {
				t.Errorf("read back:\n%+v\n%+v", e, sent[i])
			}
		}
		if list, err := db.OfCase(t.Context(), "c", 10); err != nil || len(list) != 4 || list[1].ActorName != "name-of-"+string(bob) || list[1].Address != "192.0.2.77" {
			t.Errorf("%+v %v", list, err)
		}
		if list, err := db.Recent(t.Context(), alice, 10); err != nil || len(list) != 2 || list[0].SubjectName != "name-of-"+string(alice) {
			t.Errorf("%+v %v", list, err)
		}
	})
}

// GDPR article 17 against a record of which nothing may be removed: the key goes, the
// record stays and verifies, also for who kept a checkpoint from before.
func TestErasingAPersonLeavesARecordThatVerifies(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db, other := p.Open(t), p.Open(t)
		s, k := signer(t)
		recordAll(t, db, about(alice, alice), about(bob, alice), about(bob, bob))
		recordAll(t, other, about(alice, bob))
		sealAll(t, db, s)
		_, kept, err := db.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if erased, err := db.Erase(t.Context(), "corp:nobody", audit.Event{}); err != nil || erased {
			t.Errorf("nobody: %v %v", erased, err)
		}
		if erased, err := db.Erase(t.Context(), alice, audit.Event{Door: "cli", ActorName: "root"}); err != nil || !erased {
			t.Fatalf("%v %v", erased, err)
		}
		for _, node := range []*store.DB{db, other, p.Open(t)} {
			list := everything(t, node)
			if len(list) != 5 {
				t.Fatalf("%d events", len(list))
			}
			text, err := json.Marshal(list)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(text, []byte("name-of-"+string(alice))) {
				t.Errorf("her name can still be read: %s", text)
			}
			if e := list[0]; e.Subject != alice || e.Kind != "password.reset" || e.Reason != "r" || e.Address != "" || e.Proof != nil || e.Detail["note"] != "" || e.Detail["ticket"] != "T-1" {
				t.Errorf("%+v", e)
			}
			// What she did to Bob is his too; that it was her is not said.
			if e := list[1]; e.SubjectName != "name-of-"+string(bob) || e.ActorName != "" || e.Address != "" || e.Detail["note"] != "personal-note" {
				t.Errorf("%+v", e)
			}
			if e := list[3]; e.ActorName != "name-of-"+string(bob) || e.Address != "192.0.2.77" || e.SubjectName != "" {
				t.Errorf("%+v", e)
			}
			if e := list[4]; e.Kind != audit.PersonErased || e.Subject != alice || e.ActorName != "root" {
				t.Errorf("%+v", e)
			}
		}
		sealAll(t, db, s)
		if _, err := audit.Verify(exported(t, db, k), k, []audit.Witness{{Name: "kept", Text: strings.NewReader(kept)}}, nil); err != nil {
			t.Error(err)
		}
		// Whoever comes again is somebody new.
		recordAll(t, db, about(alice, alice))
		if e := everything(t, db); e[5].SubjectName == "" || e[0].SubjectName != "" {
			t.Errorf("%+v", e[5])
		}
	})
}

// A node that had the key in memory when another one erased it writes nothing that could
// be read by either.
func TestANodeThatStillHadAnErasedKeyTellsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db, other := p.Open(t), p.Open(t)
		recordAll(t, other, about(alice, alice)) // other knows the key
		if _, err := db.Erase(t.Context(), alice, audit.Event{}); err != nil {
			t.Fatal(err)
		}
		recordAll(t, other, about(alice, alice))
		recordAll(t, db, about(alice, alice)) // under a new key
		list := everything(t, other)
		if list[0].SubjectName != "" || list[2].SubjectName != "" || list[3].SubjectName == "" {
			t.Errorf("%+v", list)
		}
	})
}

// A transaction that ends in nothing leaves no key behind that others would seal under.
func TestAKeyThatWasNeverCommittedSealsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		c := create(t, db, newCase(alice), flow.Effects{})
		stop := errors.New("stop")
		if _, err := db.Update(t.Context(), c.ID, func(ctx context.Context, _ *flow.Case) (flow.Effects, error) {
			return flow.Effects{}, errors.Join(db.Record(ctx, about(alice, alice)), stop)
		}); !errors.Is(err, stop) {
			t.Fatal(err)
		}
		recordAll(t, db, about(alice, alice))
		if list := everything(t, p.Open(t)); len(list) != 1 || list[0].SubjectName == "" {
			t.Errorf("%+v", list)
		}
	})
}

// What was sealed for one event or one role is worth nothing in another.
func TestAPersonalPartCannotBeMovedToAnotherEvent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		recordAll(t, db, about(alice, alice), about(alice, bob))
		raw := p.Raw(t)
		texts := rawEvents(t, raw)
		var first, second audit.Event
		for i, e := range []*audit.Event{&first, &second} {
			if err := json.Unmarshal([]byte(texts[i]), e); err != nil {
				t.Fatal(err)
			}
		}
		for n, moved := range []map[string]string{
			{"subject": second.Personal["subject"]},
			{"subject": second.Personal["actor"], "actor": first.Personal["subject"]},
		} {
			e := first
			e.ID, e.Personal = first.ID, moved
			text, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := raw.Exec(`INSERT INTO audit_events (at, case_id, subject, event) VALUES ($1, '', $2, $3)`, n, string(alice), string(text)); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range everything(t, db)[2:] {
			if e.SubjectName != "" || e.ActorName != "" || e.Address != "" || len(e.Personal) == 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}

func rawEvents(t *testing.T, raw *sql.DB) (texts []string) {
	t.Helper()
	rows, err := raw.Query(`SELECT event FROM audit_events ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, s)
	}
	return texts
}

// Those whom nobody knows have a key for each month, not one each: a stranger cannot
// fill the table. They are erased by the month.
func TestStrangersAreErasedByTheMonth(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		var events []audit.Event
		for m := 1; m <= 3; m++ {
			for i := range 20 {
				e := about(directory.ID(fmt.Sprintf("decoy:%d", i)), directory.ID(fmt.Sprintf("decoy:%d", i)))
				e.At = time.Date(2026, time.Month(m), 28, 23, 0, 0, 0, time.UTC)
				events = append(events, e)
			}
		}
		recordAll(t, db, events...)
		var n int
		if err := p.Raw(t).QueryRow(`SELECT count(*) FROM person_keys`).Scan(&n); err != nil || n != 3 {
			t.Errorf("%d keys, %v", n, err)
		}
		if erased, err := db.EraseStrangers(t.Context(), time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC), audit.Event{}); err != nil || !erased {
			t.Fatalf("%v %v", erased, err)
		}
		for _, e := range everything(t, db)[:60] {
			if gone := e.At.Month() < 3; gone != (e.SubjectName == "") {
				t.Errorf("%v: %q", e.At, e.SubjectName)
			}
		}
		if erased, err := db.EraseStrangers(t.Context(), time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC), audit.Event{}); err != nil || erased {
			t.Errorf("again: %v %v", erased, err)
		}
	})
}

// The keys of people are sealed like everything else, and are sealed anew with it.
func TestTheKeysOfPeopleAreRotated(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		recordAll(t, db, about(alice, bob))
		if err := store.RotateKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		fresh := p.Open(t)
		if n, err := fresh.Reseal(t.Context()); err != nil || n < 2 {
			t.Errorf("%d %v", n, err)
		}
		if err := store.RetireKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		if list := everything(t, p.Open(t)); !strings.HasPrefix(list[0].SubjectName, "name-of-") || !strings.HasPrefix(list[0].ActorName, "name-of-") {
			t.Errorf("%+v", list)
		}
	})
}

// Whoever was erased stays so when a backup from before is restored with the record since.
func TestARestoredDatabaseErasesAgainWhomTheRecordSays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		recordAll(t, db, about(alice, alice), about(bob, bob), about("", ""))
		if _, err := db.Restored(t.Context(), store.Restoration{Recorded: true, Since: []audit.Event{
			{Kind: audit.PersonErased, Subject: alice}, {Kind: audit.PersonErased, Detail: map[string]string{"until": "strangers:2026-04"}}}}); err != nil {
			t.Fatal(err)
		}
		if list := everything(t, p.Open(t)); list[0].SubjectName != "" || list[1].SubjectName == "" || list[2].SubjectName != "" {
			t.Errorf("%+v", list)
		}
	})
}
