package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"postern/portal/audit"
	"postern/portal/store"
)

// maxRecordLine is more than one event can have.
const maxRecordLine = 1 << 20

// eventsSince reads the events that a database restored from a backup does not have, and
// when the last of them was. A folder is an exported log: it is verified, must go on where
// the database's log ends and reach what was seen. A file is JSON Lines: it must hold the
// last event the database has, so that none is missing in between.
func eventsSince(ctx context.Context, path string, db *store.DB, key audit.Key, seen store.Seen) (since []audit.Event, last string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	file := path
	if info.IsDir() {
		if err := verifySince(ctx, path, db, key, seen); err != nil {
			return nil, "", err
		}
		file = filepath.Join(path, "events.jsonl")
	}
	known, newest := map[string]bool{}, ""
	if err := db.Export(ctx, audit.Query{}, func(e audit.Event) error {
		known[e.ID], newest = true, e.ID
		return nil
	}); err != nil {
		return nil, "", err
	}
	overlaps := info.IsDir() || newest == ""
	var at time.Time
	err = eachEvent(file, func(e audit.Event) {
		overlaps = overlaps || e.ID == newest
		if !known[e.ID] {
			since = append(since, e)
		}
		if e.At.After(at) {
			at = e.At
		}
	})
	switch {
	case err != nil:
		return nil, "", err
	case !overlaps:
		return nil, "", errors.New("does not hold the last event of the backup, so that some may be missing in between: it must reach back further")
	case at.IsZero():
		return nil, "", errors.New("holds no event")
	}
	return since, at.UTC().Format(time.RFC3339), nil
}

// verifySince sees that a log is this database's, whole, and goes at least as far as what
// was seen.
func verifySince(ctx context.Context, dir string, db *store.DB, key audit.Key, seen store.Seen) error {
	_, mine, err := db.Checkpoint(ctx)
	if err != nil {
		return err
	}
	var kept []audit.Witness
	for _, w := range []struct{ name, text string }{{"of the backup", mine}, {"that was seen last", seen.Checkpoint}} {
		if w.text != "" {
			kept = append(kept, audit.Witness{Name: w.name, Text: strings.NewReader(w.text)})
		}
	}
	_, err = audit.Verify(dir, key, kept, nil)
	if audit.IsFault(err) {
		return fmt.Errorf("is NOT the whole record from the backup on: %w", err)
	}
	return err
}

func eachEvent(path string, do func(audit.Event)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 0, 64<<10), maxRecordLine)
	for n := 1; lines.Scan(); n++ {
		var e audit.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.ID == "" || e.Kind == "" {
			return fmt.Errorf("line %d is no event", n)
		}
		do(e)
	}
	return lines.Err()
}
