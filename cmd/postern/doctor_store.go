package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/store"
)

func (d *examination) store(ctx context.Context, cfg Config, broken bool) {
	keys, err := store.LoadKeys(cfg.Keys)
	if err != nil {
		mend := "postern keys create " + cfg.Keys
		if _, missing := os.Stat(cfg.Keys); missing == nil {
			mend = "chmod 600 " + cfg.Keys + ", or bring it back from the backup"
		}
		d.bad(directory.Failure, "keys", err.Error(), "nothing in the database can be opened without it", mend)
		return
	}
	d.keyAge(cfg)
	if broken {
		return
	}
	if d.own != nil {
		d.schema(ctx, cfg, d.own)
		return
	}
	// Opening a SQLite file makes it; looking must not.
	if path := cfg.Store.Path; path != "" {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			d.bad(directory.Warning, "store", "there is no "+path+" yet", "postern serve makes it at its first start", "nothing")
			return
		}
	}
	db, err := store.Open(ctx, cfg.Store.Config, keys)
	if err != nil {
		d.bad(directory.Failure, "store", err.Error(), "the portal cannot start", "check store, and that the database runs")
		return
	}
	defer db.Close()
	d.schema(ctx, cfg, db)
}

// schema says whether the database fits this program and its keys, and what is in it
// that somebody should look after.
func (d *examination) schema(ctx context.Context, cfg Config, db *store.DB) {
	have, want, err := db.Schema(ctx)
	switch {
	case err != nil:
		d.bad(directory.Failure, "store", err.Error(), "the portal cannot start", "check the rights of the database user")
	case have > want:
		d.bad(directory.Failure, "store", fmt.Sprintf("its schema is %d, and this program knows %d", have, want),
			"an older program would not know what it must keep", "run the newer program again")
	case have < want && cfg.Store.Postgres != "" && !cfg.Store.AutoMigrate:
		d.bad(directory.Failure, "store", fmt.Sprintf("its schema is %d, this program's is %d", have, want),
			"postern serve refuses to start", "postern migrate")
	case have < want:
		d.bad(directory.Warning, "store", fmt.Sprintf("its schema is %d, this program's is %d", have, want),
			"postern serve migrates it at its start", "make a backup first")
	default:
		d.ok("store", "answers, schema %d", have)
		d.rights(ctx, db)
		d.record(ctx, cfg, db)
		d.shipments(ctx, cfg, db)
		d.age(ctx, cfg, db)
		if err := db.CheckKeys(ctx); err != nil {
			d.bad(directory.Failure, "keys", err.Error(), "postern serve refuses to start: nothing in the database could be opened",
				"bring back the "+cfg.Keys+" that was made for it")
			return
		}
		d.kiosks(ctx, db)
	}
}

// keysOld is how long one key should seal everything.
const keysOld = 400 * 24 * time.Hour

// keyAge says how old the newest key is at least. Keys have no date of their own: the
// file's is that of the last change, which no key in it is younger than.
func (d *examination) keyAge(cfg Config) {
	info, err := os.Stat(cfg.Keys)
	if err != nil {
		return // read a moment ago; whatever it is now, the next examination says
	}
	age := d.now().Sub(info.ModTime())
	if age <= keysOld {
		d.ok("keys", "%s can be read, and by its owner alone", cfg.Keys)
		return
	}
	rotate := "postern keys rotate"
	if cfg.file != "" {
		rotate += " --config " + quoted(cfg.file)
	}
	d.bad(directory.Warning, "keys", fmt.Sprintf("%s was last changed on %s, %s ago: its newest key is at least that old", cfg.Keys, info.ModTime().UTC().Format(time.DateOnly), days(age)),
		"the longer one key seals everything, the more a stolen copy of it opens", rotate+"\nand when every node has it, after a minute: "+rotate+" --retire")
}

// rights sees that the portal's role could not rewrite the record.
func (d *examination) rights(ctx context.Context, db *store.DB) {
	role, tables, err := db.MayRewrite(ctx)
	switch {
	case err != nil:
		d.bad(directory.Warning, "store", err.Error(), "whether the record could be rewritten is not known", "check the rights of the database user")
	case len(tables) > 0:
		d.bad(directory.Warning, "store", fmt.Sprintf("its role %s may change %s", role, strings.Join(tables, ", ")),
			"whoever takes the portal over can rewrite what is recorded of it", `psql -c 'CREATE ROLE "postern-portal" LOGIN', then postern migrate --grant postern-portal, and name that role in store.postgres`)
	}
}

// age sees that the database is whole, and no older than this machine has seen it.
func (d *examination) age(ctx context.Context, cfg Config, db *store.DB) {
	if err := db.CheckWhole(ctx); errors.Is(err, store.ErrHalfCopied) {
		d.bad(directory.Failure, "store", err.Error(), "postern serve refuses to start", "postern store copy, again as before")
		return
	}
	keys, err := store.LoadKeys(cfg.Keys)
	if err != nil {
		return // told with the keys
	}
	file, err := cfg.seen(keys)
	if err != nil {
		return // told with the record
	}
	if err := file.check(ctx, db); err != nil {
		d.bad(directory.Failure, "store", err.Error(), "postern serve refuses to start: used codes and removed factors would work again",
			"postern store restored, once, if it was restored from a backup")
	}
}

// sealedLate is when somebody should look why events wait.
const sealedLate = time.Minute

// record sees that what is sealed ends as it was signed.
func (d *examination) record(ctx context.Context, cfg Config, db *store.DB) {
	keys, err := store.LoadKeys(cfg.Keys)
	if err != nil {
		return // told with the keys
	}
	signer, err := recordSigner(keys)
	if err != nil {
		d.bad(directory.Failure, "record", err.Error(), "nothing can be sealed", "bring back the key file")
		return
	}
	size, waiting, err := db.CheckLog(ctx, signer)
	switch {
	case err != nil:
		d.bad(directory.Failure, "record", err.Error(), "somebody may have rewritten what is recorded, or the disk is failing",
			"postern audit export --out DIR, then postern audit verify DIR --key KEY names what was changed; keep both, and compare with a backup")
	case !waiting.IsZero() && time.Since(waiting) > sealedLate:
		d.bad(directory.Warning, "record", fmt.Sprintf("%d events are sealed; since %s none is", size, waiting.Format(time.RFC3339)),
			"what is not sealed can be changed without a trace", "start the portal, which seals within a second; its log says why where it does not")
	default:
		d.ok("record", "%d events are sealed, and end as they were signed", size)
	}
}
