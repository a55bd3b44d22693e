package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"postern/portal/audit"
	"postern/portal/store"
)

// seenFile is what one node remembers of the database, beside the key file and so in
// another place than the database: a restored one comes back without it. Each node has
// its own, and each says only how far the database was at least.
type seenFile struct {
	path    string
	key     audit.Key
	last    *store.Seen // as this process wrote it; nil: not yet
	failing error       // of the last try, which was told
}

// seenEvery is how often a running portal looks. What happened in between a backup
// and a restore within that time is not noticed.
const seenEvery = 10 * time.Second

// maxSeen is more than a checkpoint needs.
const maxSeen = 64 << 10

func (c *Config) seen(keys *store.Keys) (*seenFile, error) {
	_, key, err := recordKey(keys)
	return &seenFile{path: cmp.Or(c.Store.Seen, c.Keys+".seen"), key: key}, err
}

// read gives the zero value where nothing was ever seen.
func (f *seenFile) read() (s store.Seen, err error) {
	text, err := readBounded(f.path, maxSeen)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	var kept seenText
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&kept); err != nil {
		return s, fmt.Errorf("%s cannot be read: remove it if you know that the database is the newest there is", f.path)
	}
	if kept.Key != f.key.String() {
		return s, nil // of a key file that was here before, and so of another database
	}
	return kept.Seen, nil
}

// seenText is the file.
type seenText struct {
	Key string `json:"key"` // public, of the record
	store.Seen
}

func (f *seenFile) write(s store.Seen) error {
	err := replaceFile(f.path, func(w io.Writer) error { return json.NewEncoder(w).Encode(seenText{f.key.String(), s}) })
	if err == nil {
		f.last = &s
	}
	return err
}

// check refuses a database that is older than what was seen.
func (f *seenFile) check(ctx context.Context, db *store.DB) error {
	s, err := f.read()
	if err != nil {
		return err
	}
	if err = db.Follows(ctx, s, f.key); errors.Is(err, store.ErrOlder) {
		return fmt.Errorf("%w (%s). Used codes, removed factors and old links would work again. If it was restored from a backup run postern store restored; else bring the newer database back", err, f.path)
	}
	return err
}

// note remembers how the database stands now; never less than before.
func (f *seenFile) note(ctx context.Context, db *store.DB) error {
	s, err := db.Seen(ctx)
	if err != nil || f.last != nil && s == *f.last {
		return err
	}
	if err := f.check(ctx, db); err != nil {
		return err
	}
	return f.write(s)
}

// watchSeen notes until ctx ends.
func (p *program) watchSeen(ctx context.Context) {
	tick := time.NewTicker(seenEvery)
	defer tick.Stop()
	for p.note(ctx); ; p.note(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// noteLast is for the end, when nothing is written any more.
func (p *program) noteLast() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	p.note(ctx)
}

// note says once when it begins to fail, and stops nobody: the portal notices less.
func (p *program) note(ctx context.Context) {
	err := p.seen.note(ctx, p.db)
	if err != nil && ctx.Err() != nil {
		return // told to end
	}
	was := p.seen.failing
	p.seen.failing = err
	older := errors.Is(err, store.ErrOlder)
	switch {
	case err == nil || was != nil && errors.Is(was, store.ErrOlder) == older:
	case older:
		p.metrics.Alarm("restored")
		p.log.Error("the database was exchanged for an older one while the portal ran; stop it", "error", err)
	default:
		p.log.Warn("how far the database is cannot be noted; one that is restored from a backup may go unnoticed", "error", err)
	}
}
