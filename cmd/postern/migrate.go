package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/store"
)

func (c *cli) migrate() *cobra.Command {
	var path, role string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to this program's schema",
		Long: "Brings the database to this program's schema. Several nodes may run it at once;\none of them does the work. There is no way back: make a backup first.\n\n" +
			"On PostgreSQL --grant gives a role what a portal needs. Run it as the owner of the\ndatabase, and let store.postgres of the nodes name that role: of what is recorded it can\nadd and read, and change nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			db, _, err := cfg.openStore(cmd.Context(), time.Now)
			if err != nil {
				return err
			}
			defer db.Close()
			have, want, err := db.Schema(cmd.Context())
			if err != nil {
				return err
			}
			if have == want {
				fmt.Fprintf(c.out, "the schema is %d already\n", want)
			} else {
				if err := db.Migrate(cmd.Context()); err != nil {
					return err
				}
				fmt.Fprintf(c.out, "migrated from schema %d to %d\n", have, want)
			}
			if role == "" {
				return nil
			}
			if err := db.Grant(cmd.Context(), role); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s may do what a portal does, and of the record only add and read\n", role)
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&role, "grant", "", "`role` of PostgreSQL that the portal works as")
	return cmd
}

// openStore loads the keys and opens the database, and changes nothing in it.
func (c *Config) openStore(ctx context.Context, now func() time.Time) (*store.DB, *store.Keys, error) {
	keys, err := store.LoadKeys(c.Keys)
	if err != nil {
		return nil, nil, fmt.Errorf("%w (postern keys create %s makes new ones)", err, c.Keys)
	}
	settings := c.Store.Config
	settings.Now = now
	db, err := store.Open(ctx, settings, keys)
	if err != nil {
		return nil, nil, err
	}
	return db, keys, nil
}

// errOldSchema is a database that somebody must migrate first.
var errOldSchema = errors.New("the database has an older schema: run postern migrate, or set store.auto_migrate")

// schema is what prepare asks of a database (*store.DB).
type schema interface {
	Schema(ctx context.Context) (have, want int64, err error)
	Migrate(ctx context.Context) error
	MarkKeys(ctx context.Context) error
}

// prepare migrates where that needs no asking. Several nodes share a PostgreSQL,
// and an older one of them may still be at work in it. It also sees that the key
// file is the database's: with another one the portal would start and help nobody.
func (c *Config) prepare(ctx context.Context, db schema) error {
	have, want, err := db.Schema(ctx)
	if err != nil {
		return err
	}
	if have < want && c.Store.Postgres != "" && !c.Store.AutoMigrate {
		return fmt.Errorf("%w (schema %d, this program's is %d)", errOldSchema, have, want)
	}
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	err = db.MarkKeys(ctx)
	if errors.Is(err, store.ErrOtherKeys) {
		return fmt.Errorf("%w: bring back the %s that was made for it", err, c.Keys)
	}
	return err
}
