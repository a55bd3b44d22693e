package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal/enrol"
	"postern/portal/store"
)

func (c *cli) auditErase() *cobra.Command {
	var path, before string
	cmd := &cobra.Command{
		Use:   "erase [LOGIN|ID]",
		Short: "Make who somebody is unreadable in the record, for ever",
		Long: "Throws away the key under which the record holds somebody's name, addresses and the\n" +
			"words written about them, in everything recorded until now. What happened stays, with\n" +
			"the account's id, and the record can still be checked. There is no way back.\n\n" +
			"An account that is gone from its directory is erased by its id. Those whose account\n" +
			"nobody knew are erased by the month: --strangers-before 2026-01-01.\n\n" +
			"Backups of the database from before, what was exported, and what was shipped elsewhere\n" +
			"without personal: false still say who it was.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (before != "") {
				return errors.New("give a login, an id, or --strangers-before, and one of them")
			}
			if before != "" {
				return c.eraseStrangers(cmd.Context(), path, before)
			}
			return c.withAccounts(cmd.Context(), path, func(ctx context.Context, people directory.Directory, db *store.DB, _ *enrol.Service) error {
				id := directory.ID(args[0])
				if !strings.Contains(args[0], ":") {
					u, err := people.Find(ctx, args[0])
					if err != nil {
						return fmt.Errorf("%s: %w", oneLine(args[0]), err)
					}
					id = u.ID
				}
				erased, err := db.Erase(ctx, id, operator())
				if err != nil {
					return err
				}
				if !erased {
					return fmt.Errorf("the record holds nothing personal of %s", oneLine(args[0]))
				}
				fmt.Fprintf(c.out, "who %s is can no longer be read in what was recorded until now\n", oneLine(string(id)))
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&before, "strangers-before", "", "those whose account nobody knew, in every month that was over before this `date`")
	return cmd
}

func (c *cli) eraseStrangers(ctx context.Context, path, before string) error {
	until, err := time.Parse(time.DateOnly, before)
	if err != nil {
		return fmt.Errorf("--strangers-before %s: is not a date, like 2026-01-31", before)
	}
	cfg, err := c.load(path)
	if err != nil {
		return err
	}
	db, _, err := cfg.openStore(ctx, time.Now)
	if err != nil {
		return err
	}
	defer db.Close()
	erased, err := db.EraseStrangers(ctx, until, operator())
	switch {
	case err != nil:
		return err
	case !erased:
		return errors.New("there is nothing personal of strangers from before")
	}
	fmt.Fprintln(c.out, "who they were can no longer be read")
	return nil
}
