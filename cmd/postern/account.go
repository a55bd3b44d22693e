package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/policy"
	"postern/portal/store"
)

func (c *cli) account() *cobra.Command {
	return group(&cobra.Command{
		Use:   "account",
		Short: "Accounts that are frozen after \"this wasn't me\"",
	}, c.accountFrozen(), c.accountUnfreeze())
}

func (c *cli) accountFrozen() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "frozen",
		Short: "List the accounts for which recovery is stopped",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withAccounts(cmd.Context(), path, func(ctx context.Context, people directory.Directory, db *store.DB, _ *enrol.Service) error {
				list, err := db.Frozen(ctx)
				if err != nil {
					return err
				}
				for _, f := range list {
					login := "(cannot be read)"
					if u, err := people.Read(ctx, directory.User{ID: f.ID}); err == nil {
						login = u.Login
					} else if errors.Is(err, directory.ErrNotFound) {
						login = "(gone)"
					}
					fmt.Fprintf(c.out, "%s  since %s  %s\n", oneLine(login), f.Since.UTC().Format(time.RFC3339), oneLine(string(f.ID)))
				}
				fmt.Fprintf(c.out, "%s frozen\n", count(len(list), "account"))
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func (c *cli) accountUnfreeze() *cobra.Command {
	var path, why string
	cmd := &cobra.Command{
		Use:   "unfreeze LOGIN|ID",
		Short: "Let the portal act for an account again",
		Long: "Lets the portal act for an account again. Speak to its owner first: somebody said that\n" +
			"what happened was not their doing. The record gets your name and the reason, and the\n" +
			"owner a mail.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(why) == "" {
				return errors.New("--reason: say why, for the record")
			}
			return c.withAccounts(cmd.Context(), path, func(ctx context.Context, people directory.Directory, _ *store.DB, own *enrol.Service) error {
				id := directory.ID(args[0])
				if !strings.Contains(args[0], ":") {
					u, err := people.Find(ctx, args[0])
					if err != nil {
						return fmt.Errorf("%s: %w", oneLine(args[0]), err)
					}
					id = u.ID
				}
				if err := own.Unfreeze(ctx, id, operator(), why); err != nil {
					return err
				}
				fmt.Fprintf(c.out, "%s is served again\n", oneLine(args[0]))
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&why, "reason", "", "`why`, for the record")
	return cmd
}

// withAccounts opens what a command about accounts needs.
func (c *cli) withAccounts(ctx context.Context, path string, do func(context.Context, directory.Directory, *store.DB, *enrol.Service) error) error {
	cfg, err := c.load(path)
	if err != nil {
		return err
	}
	s := &survey{door: access.Web, purpose: policy.Reset}
	done, err := s.open(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	db, ok := s.db.(*store.DB)
	if !ok {
		return fmt.Errorf("%T keeps no accounts", s.db)
	}
	rules, err := policy.New(cfg.Policy)
	if err != nil {
		return err
	}
	own, err := enrol.New(enrol.Options{Directory: s.people, Policy: rules, Store: db, Accounts: db, Threats: db, Now: time.Now, Rand: rand.Reader, Fresh: freshProof, Operators: cfg.Alerts.Mail})
	if err != nil {
		return err
	}
	return do(ctx, s.people, db, own)
}
