package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/portal/audit"
	"postern/portal/store"
)

func (v *vault) event(p *program) {
	v.t.Helper()
	if err := p.db.Record(v.t.Context(), audit.Event{Kind: "x"}); err != nil {
		v.t.Fatal(err)
	}
}

// Each node has a mark of its own that says "at least": one that was away meanwhile starts
// on a newer database, and on one that was restored and said to be; it does not start on
// one that was restored, has outgrown its mark by then, and of which nobody said so.
func TestEachNodeHasAMarkOfItsOwn(t *testing.T) {
	eachVault(t, func(v *vault) {
		mark := filepath.Join(v.dir, "keys.json.seen")
		swap := func(text []byte) (was []byte) {
			was, err := os.ReadFile(mark)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				v.t.Fatal(err)
			}
			if text == nil {
				os.Remove(mark)
			} else {
				writeFile(v.t, mark, string(text), 0o600)
			}
			return was
		}
		v.use(v.event)
		back := v.save()
		v.use(v.event)
		b := swap(nil) // of node b, which is away from now on
		v.use(v.event)
		a := swap(b)
		v.use(func(*program) {}) // b is back
		b = swap(nil)
		// Restored, and started at a node that knows nothing; it outgrows b's mark.
		back()
		v.use(func(p *program) {
			for range 5 {
				v.event(p)
			}
		})
		for _, m := range [][]byte{a, b} {
			swap(m)
			v.refusedToStart()
		}
		if _, err := v.command("store", "restored"); err != nil {
			v.t.Fatal(err)
		}
		v.use(func(*program) {})
		swap(b)
		v.use(func(*program) {}) // b hears of the epoch from the database
	})
}

func TestAMarkThatCannotBeKept(t *testing.T) {
	t.Run("its folder is not there", func(t *testing.T) {
		v := &vault{house: newHouse(t, "  path: data/postern.db", "  path: data/postern.db\n  seen: nowhere/seen")}
		var log bytes.Buffer
		p, err := v.open(&log)
		if err != nil {
			t.Fatal(err)
		}
		v.event(p)
		v.serveOnce(p)
		if n := strings.Count(log.String(), "may go unnoticed"); n != 1 || !strings.Contains(log.String(), "WARN") {
			t.Errorf("%d warnings: %s", n, &log)
		}
	})
	t.Run("somebody wrote over it", func(t *testing.T) {
		v := &vault{house: newHouse(t)}
		v.use(v.event)
		writeFile(t, filepath.Join(v.dir, "keys.json.seen"), "x", 0o600)
		if _, err := v.open(io.Discard); err == nil || !strings.Contains(err.Error(), "keys.json.seen cannot be read: remove it if you know") {
			t.Error(err)
		}
	})
	t.Run("it is another key file's", func(t *testing.T) {
		v := &vault{house: newHouse(t)}
		v.use(v.event)
		os.Remove(filepath.Join(v.dir, "keys.json"))
		os.RemoveAll(filepath.Join(v.dir, "data"))
		if err := store.CreateKeys(filepath.Join(v.dir, "keys.json")); err != nil {
			t.Fatal(err)
		}
		v.use(v.event)
	})
}

// Exchanged under a running portal, an old database is told of, loudly and once.
func TestAnExchangedDatabaseIsToldOf(t *testing.T) {
	v := &vault{house: newHouse(t)}
	v.use(v.event)
	var log bytes.Buffer
	p, err := v.open(&log)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.seen.read()
	if err != nil {
		t.Fatal(err)
	}
	s.Epoch++ // as another node has left it
	if err := (&seenFile{path: p.seen.path, key: p.seen.key}).write(s); err != nil {
		t.Fatal(err)
	}
	v.serveOnce(p)
	if n := strings.Count(log.String(), "exchanged for an older one"); n != 1 || !strings.Contains(log.String(), "ERROR") {
		t.Errorf("%d times: %s", n, &log)
	}
}

// serveOnce runs the program and ends it as soon as it serves.
func (v *vault) serveOnce(p *program) {
	v.t.Helper()
	stop := v.run(p)
	v.status("/healthz")
	stop()
}

// Exchanged under a running portal, an old database does not lower the mark.
func TestAnOldDatabaseDoesNotLowerTheMark(t *testing.T) {
	eachVault(t, func(v *vault) {
		v.use(v.event)
		back := v.save()
		v.use(v.event)
		back()
		cfg := v.load()
		db, keys, err := cfg.openStore(v.t.Context(), nil)
		if err != nil {
			v.t.Fatal(err)
		}
		defer db.Close()
		file, err := cfg.seen(keys)
		if err != nil {
			v.t.Fatal(err)
		}
		was, err := file.read()
		if err != nil {
			v.t.Fatal(err)
		}
		if err := file.note(v.t.Context(), db); !errors.Is(err, store.ErrOlder) {
			v.t.Error(err)
		}
		if is, err := file.read(); err != nil || is != was {
			v.t.Errorf("%+v, %v", is, err)
		}
		out, err := v.command("doctor", "--json")
		if err == nil || !strings.Contains(out, "postern store restored") {
			v.t.Errorf("the doctor: %v %s", err, out)
		}
	})
}
