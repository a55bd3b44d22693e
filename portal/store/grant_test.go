package store_test

import (
	"net/url"
	"strings"
	"testing"

	"postern/portal/flow"
	"postern/portal/store/storetest"
)

// Security case 112: the role a portal works as can add to the record and read it. That
// it cannot change it is PostgreSQL's own answer, whatever becomes of the triggers.
func TestTheRoleOfAPortalMayOnlyAddToTheRecord(t *testing.T) {
	p := storetest.Postgres(t)
	owner := p.Open(t)
	raw := p.Raw(t)
	const role = `por"tal`
	if _, err := raw.Exec(`CREATE ROLE "por""tal" LOGIN`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := raw.Exec(`DROP OWNED BY "por""tal"; DROP ROLE "por""tal"`); err != nil {
			t.Error(err)
		}
	})
	if who, tables, err := owner.MayRewrite(t.Context()); err != nil || who != "postgres" || len(tables) != 5 {
		t.Errorf("the owner: %s %v %v", who, tables, err)
	}
	if _, err := raw.Exec(`GRANT ALL ON audit_events TO "por""tal"`); err != nil { // by mistake
		t.Fatal(err)
	}
	for range 2 { // as after the next migration
		if err := owner.Grant(t.Context(), role); err != nil {
			t.Fatal(err)
		}
	}
	u, err := url.Parse(p.Config.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	p.Config.Postgres = u.String()
	db := p.Open(t) // migrates: there is nothing to do
	if err := db.MarkKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if who, tables, err := db.MayRewrite(t.Context()); err != nil || who != role || len(tables) != 0 {
		t.Errorf("the role: %s %v %v", who, tables, err)
	}
	s, k := signer(t)
	c := create(t, db, newCase(alice), flow.Effects{})
	if _, err := db.Case(t.Context(), c.ID); err != nil {
		t.Error(err)
	}
	record(t, db, "first")
	sealAll(t, db, s)
	record(t, db, "second")
	sealAll(t, db, s)
	exported(t, db, k)
	if _, err := db.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := db.Reseal(t.Context()); err != nil {
		t.Error(err)
	}
	thief := p.Raw(t)
	for _, table := range []string{"audit_events", "log_entries", "log_hashes", "log_checkpoints"} {
		column := map[string]string{"audit_events": "at", "log_entries": "idx", "log_hashes": "pos", "log_checkpoints": "at"}[table]
		for _, statement := range []string{"UPDATE " + table + " SET " + column + " = 1", "DELETE FROM " + table, "TRUNCATE " + table,
			"ALTER TABLE " + table + " DISABLE TRIGGER ALL", "DROP TABLE " + table, "ALTER TABLE " + table + " ADD COLUMN x INT"} {
			if _, err := thief.Exec(statement); err == nil || !strings.Contains(err.Error(), "permission denied") && !strings.Contains(err.Error(), "must be owner") {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
	if err := storetest.SQLite(t).Open(t).Grant(t.Context(), role); err == nil {
		t.Error("SQLite grants")
	}
}
