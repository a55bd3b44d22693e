package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/portal/audit"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/notify"
	"postern/portal/session"
	"postern/portal/store"
	"postern/portal/store/storetest"
	"postern/verify"
)

func bump1(_ context.Context, c *flow.Case) (flow.Effects, error) {
	c.Misses++
	return flow.Effects{}, nil
}

// Security case 120: what is sealed is good in its own row only.
func TestMovedCiphertextCannotBeOpened(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db, raw := p.Open(t), p.Raw(t)
		a, b := create(t, db, newCase(alice), flow.Effects{}), create(t, db, newCase(bob), flow.Effects{})
		put(t, db, verify.Credential{ID: "a", Owner: alice, Kind: verify.TOTP, Handle: []byte("ha"), Secret: []byte("sa")},
			verify.Credential{ID: "b", Owner: bob, Kind: verify.TOTP, Handle: []byte("hb"), Secret: []byte("sb")})
		if err := db.HoldOffer(t.Context(), enrol.Offer{Owner: alice, Kind: verify.TOTP, Session: "s", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		exec := func(query string, args ...any) {
			t.Helper()
			if r, err := raw.Exec(query, args...); err != nil {
				t.Fatal(err)
			} else if n, err := r.RowsAffected(); err != nil || n != 1 {
				t.Fatalf("%d rows, %v: %s", n, err, query)
			}
		}
		caseOf := func(id string) func() error {
			return func() error { _, err := db.Case(t.Context(), id); return err }
		}
		credentials := func() error {
			_, err := db.Credentials(t.Context(), alice, verify.TOTP)
			_, err2 := db.ByHandle(t.Context(), verify.TOTP, []byte("ha"))
			return errors.Join(err, err2)
		}
		offer := func() error {
			_, err := db.TryOffer(t.Context(), alice, verify.TOTP)
			return err
		}
		for name, move := range map[string]struct {
			query, back string
			args        []any
			read        func() error
		}{
			"to another case":      {"UPDATE cases SET body = (SELECT body FROM cases WHERE id = $1) WHERE id = $2", "cases", []any{a.ID, b.ID}, caseOf(b.ID)},
			"to another person":    {"UPDATE credentials SET body = (SELECT body FROM credentials WHERE id = $1) WHERE id = $2", "credentials", []any{"b", "a"}, credentials},
			"to another table":     {"UPDATE cases SET body = (SELECT body FROM credentials WHERE id = $1) WHERE id = $2", "cases", []any{"a", a.ID}, caseOf(a.ID)},
			"row to another owner": {"UPDATE credentials SET owner = $1 WHERE id = $2", "credentials", []any{string(alice), "b"}, credentials},
			"row to another kind":  {"UPDATE credentials SET kind = $1, owner = $3 WHERE id = $2", "credentials", []any{"passkey", "a", string(alice)}, func() error { _, err := db.Methods(t.Context(), alice); return err }},
			"handle exchanged":     {"UPDATE credentials SET handle = $1 WHERE id = $2", "credentials", []any{[]byte("hx"), "a"}, credentials},
			"session exchanged":    {"UPDATE offers SET session = $1 WHERE owner = $2", "offers", []any{"mine", string(alice)}, offer},
			"emptied":              {"UPDATE cases SET body = $1 WHERE id = $2", "cases", []any{[]byte{}, a.ID}, caseOf(a.ID)},
			"put in the clear":     {"UPDATE cases SET body = $1 WHERE id = $2", "cases", []any{[]byte(`{"Proofs":[]}`), a.ID}, caseOf(a.ID)},
		} {
			t.Run(name, func(t *testing.T) {
				restore := remember(t, raw, move.back)
				defer restore()
				if err := move.read(); err != nil {
					t.Fatalf("before: %v", err)
				}
				exec(move.query, move.args...)
				if err := move.read(); err == nil || errors.Is(err, flow.ErrNoCase) || errors.Is(err, verify.ErrNoCredential) && !strings.Contains(err.Error(), "sealed") {
					t.Errorf("opened: %v", err)
				}
			})
		}
	})
}

// remember copies a table and returns how to put it back.
func remember(t *testing.T, raw *sql.DB, table string) func() {
	t.Helper()
	for _, q := range []string{"DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT * FROM " + table} {
		if _, err := raw.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, q := range []string{"DELETE FROM " + table, "INSERT INTO " + table + " SELECT * FROM kept"} {
			if _, err := raw.Exec(q); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Security case 120: keys rotate while the portal works, and the old one retires.
func TestKeysRotateWhileLive(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		old := p.Open(t)
		var cases []*flow.Case
		for range 150 { // more than one batch
			cases = append(cases, create(t, old, newCase(alice), flow.Effects{Messages: []notify.Message{{Template: "x", Args: map[string]string{"a": "b"}}}}))
		}
		put(t, old, verify.Credential{ID: "none", Owner: alice, Kind: verify.TOTP, Secret: []byte("seed")},
			verify.Credential{ID: "some", Owner: alice, Kind: verify.Passkey, Handle: []byte("h"), Public: []byte("{}")})
		if err := old.HoldOffer(t.Context(), enrol.Offer{Owner: alice, Kind: verify.TOTP, Session: "s", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		for i := range 70 {
			if err := old.ReplaceSession(t.Context(), nil, session.Row{Hash: []byte{0, byte(i)}, State: session.State{Case: "c"}}); err != nil {
				t.Fatal(err)
			}
		}
		before, err := store.LoadKeys(p.Keys)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.RotateKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		after, err := store.LoadKeys(p.Keys)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(before.Derive("csrf"), after.Derive("csrf")) {
			t.Error("rotation changed the subkeys: every form and decoy would change with them")
		}
		fresh := p.Open(t)
		// What the new node writes the old one reads, though it was started with the old file.
		c := create(t, fresh, newCase(bob), flow.Effects{})
		if _, err := old.Case(t.Context(), c.ID); err != nil {
			t.Errorf("the old node cannot read what the new one wrote: %v", err)
		}
		var wg sync.WaitGroup
		for _, c := range cases[:40] {
			wg.Go(func() {
				for range 3 {
					if _, err := fresh.Update(t.Context(), c.ID, bump1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		n, err := fresh.Reseal(t.Context())
		wg.Wait()
		if err != nil || n < 333 || n > 373 { // 70 sessions, 150 cases (of which 40 may be new already), 150 messages, 2 credentials, 1 offer
			t.Errorf("resealed %d: %v", n, err)
		}
		for range 3 { // until nothing is left, as the doc says
			if n, err = fresh.Reseal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n != 0 {
			t.Errorf("%d left", n)
		}
		if err := store.RetireKeys(p.Keys); err != nil {
			t.Fatal(err)
		}
		last := p.Open(t)
		for i, c := range cases {
			got, err := last.Case(t.Context(), c.ID)
			if err != nil || i < 40 && got.Misses != 3 {
				t.Fatalf("case %d: %+v %v", i, got, err)
			}
		}
		if list, err := last.Methods(t.Context(), alice); err != nil || len(list) != 2 {
			t.Errorf("%v %v", list, err)
		}
		if r, err := last.Session(t.Context(), []byte{0, 69}); err != nil || r.State.Case != "c" {
			t.Errorf("%+v %v", r, err)
		}
		if _, err := last.TryOffer(t.Context(), alice, verify.TOTP); err != nil {
			t.Error(err)
		}
		// The retired key opens nothing that is left.
		stale, err := store.Open(t.Context(), p.Config, before)
		if err != nil {
			t.Fatal(err)
		}
		defer stale.Close()
		if _, err := stale.Case(t.Context(), cases[0].ID); err != nil {
			t.Errorf("a node that can read the new file did not: %v", err)
		}
	})
}

func TestAnotherKeyOpensNothing(t *testing.T) {
	p := storetest.SQLite(t)
	c := create(t, p.Open(t), newCase(alice), flow.Effects{})
	p.Keys = filepath.Join(t.TempDir(), "other.json")
	if err := store.CreateKeys(p.Keys); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Open(t).Case(t.Context(), c.ID); err == nil {
		t.Errorf("opened: %+v", got)
	}
}

// Security case 118: a key file others may read, or that is none, is refused.
func TestKeyFileIsChecked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "keys.json")
	if err := store.CreateKeys(path); err != nil {
		t.Fatal(err)
	}
	if err := store.CreateKeys(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwritten: %v", err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		for mode, ok := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o660: false, 0o602: false, 0o610: false, 0o644: false} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			if _, err := store.LoadKeys(path); (err == nil) != ok {
				t.Errorf("mode %04o: %v", mode, err)
			}
			if err := store.RotateKeys(path); (err == nil) != ok {
				t.Errorf("rotate with mode %04o: %v", mode, err)
			}
		}
	}
	for name, text := range map[string]string{
		"empty": "", "not JSON": "hunter2-canary", "other JSON": `{"a":"hunter2-canary"}`, "later format": strings.Replace(string(good), `"postern_keys": 1`, `"postern_keys": 2`, 1),
		"cut": string(good[:len(good)/2]), "no keys": `{"postern_keys":1,"sealing":{"primaryKeyId":1,"key":[]},"derivation":{}}`,
	} {
		bad := filepath.Join(t.TempDir(), "keys.json")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.LoadKeys(bad); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := store.LoadKeys(t.TempDir()); err == nil {
		t.Error("a folder")
	}
	k, err := loadFresh(t)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, label := range []string{"csrf", "decoy", "limiter", "code"} {
		key := k.Derive(label)
		if len(key) != 32 || seen[string(key)] || !bytes.Equal(key, k.Derive(label)) {
			t.Errorf("%s: %d bytes, seen %v", label, len(key), seen[string(key)])
		}
		seen[string(key)] = true
	}
}

func loadFresh(t *testing.T) (*store.Keys, error) {
	path := filepath.Join(t.TempDir(), "k.json")
	if err := store.CreateKeys(path); err != nil {
		return nil, err
	}
	return store.LoadKeys(path)
}

// Security cases 24 and 113: no secret is found in a dump, in any spelling, also
// after it was removed.
func TestDumpHoldsNoSecret(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		canary := "canary-" + rand.Text()
		c := newCase(alice)
		c.Held = []byte(canary)
		c.Open = &verify.Challenge{Kind: verify.Email, State: []byte(canary), Expires: c.Expires, Deliver: []verify.Delivery{{Args: map[string]string{"code": canary}}}}
		create(t, db, c, flow.Effects{
			Events:   []audit.Event{event("case.started", c)},
			Messages: []notify.Message{{Channel: notify.Mail, Template: "code", Args: map[string]string{"code": canary}}}})
		update(t, db, c.ID, bump1)
		put(t, db, verify.Credential{ID: "x", Owner: alice, Kind: verify.TOTP, Secret: []byte(canary)})
		if err := db.HoldOffer(t.Context(), enrol.Offer{Owner: alice, Kind: verify.TOTP, Session: "s", Challenge: verify.Challenge{State: []byte(canary)}, Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if err := db.ReplaceSession(t.Context(), nil, session.Row{Hash: []byte("h"), State: session.State{Case: canary}}); err != nil {
			t.Fatal(err)
		}
		dump := dumpOf(t, p)
		if !bytes.Contains(dump, []byte(alice)) {
			t.Fatal("this is no dump: the person's id is not in it")
		}
		for name, spelling := range map[string]string{"plain": canary, "hex": hex.EncodeToString([]byte(canary)),
			"base64": base64.StdEncoding.EncodeToString([]byte(canary))[:24], "base64url": base64.RawURLEncoding.EncodeToString([]byte(canary))[:24]} {
			if bytes.Contains(dump, []byte(spelling)) {
				t.Errorf("the dump holds the secret (%s)", name)
			}
		}
	})
}

// dumpOf is every byte SQLite keeps on disk, or pg_dump's text.
func dumpOf(t *testing.T, p storetest.Place) []byte {
	t.Helper()
	if p.Config.Path == "" {
		dump := exec.Command("pg_dump", "--inserts", "-d", p.Config.Postgres)
		out, err := dump.Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var all []byte
	files, err := filepath.Glob(p.Config.Path + "*")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", filepath.Base(f), info.Mode().Perm())
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

func TestMigrate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, p storetest.Place) {
		db := p.Open(t)
		have, want, err := db.Schema(t.Context())
		if err != nil || have != want || want < 1 {
			t.Errorf("schema %d of %d, %v", have, want, err)
		}
		if err := db.Migrate(t.Context()); err != nil {
			t.Errorf("again: %v", err)
		}
		// Security case 120: an older program does not touch what a newer one left.
		if _, err := p.Raw(t).Exec(fmt.Sprintf("INSERT INTO goose_db_version (version_id, is_applied) VALUES (%d, TRUE)", want+1)); err != nil {
			t.Fatal(err)
		}
		if err := db.Migrate(t.Context()); !errors.Is(err, store.ErrNewer) {
			t.Errorf("a newer database: %v", err)
		}
	})
}
