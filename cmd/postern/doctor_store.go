package main

import (
	"context"
	"errors"
	"fmt"
	"os"

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
	d.ok("keys", "%s can be read, and by its owner alone", cfg.Keys)
	if broken {
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
		if err := db.CheckKeys(ctx); err != nil {
			d.bad(directory.Failure, "keys", err.Error(), "postern serve refuses to start: nothing in the database could be opened",
				"bring back the "+cfg.Keys+" that was made for it")
			return
		}
		d.kiosks(ctx, db)
	}
}
