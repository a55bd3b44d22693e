package portaltest

import (
	"path/filepath"
	"testing"

	"postern/portal/audit"
	"postern/portal/store"
)

// record is everything a portal with its data in dir wrote down so far, oldest first,
// read with its keys: without them nobody's name is legible.
func record(t testing.TB, dir string) []audit.Event {
	t.Helper()
	keys, err := store.LoadKeys(filepath.Join(dir, "keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), store.Config{Path: filepath.Join(dir, "postern.db"), ReadOnly: true}, keys)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var events []audit.Event
	err = db.Export(t.Context(), audit.Query{}, func(e audit.Event) error { events = append(events, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return events
}
