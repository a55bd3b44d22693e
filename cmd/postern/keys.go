package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/store"
)

func (c *cli) keys() *cobra.Command {
	return group(&cobra.Command{
		Use:   "keys",
		Short: "Make or change the keys that seal secrets in the database",
	}, c.keysCreate(), c.keysRotate())
}

func (c *cli) keysCreate() *cobra.Command {
	return &cobra.Command{
		Use:   "create FILE",
		Short: "Make new keys; an existing file is never overwritten",
		Long: "Makes new keys and writes them to FILE, for its owner alone. Without that file\n" +
			"nothing sealed in the database can ever be opened: keep a copy of it, elsewhere\n" +
			"than the copies of the database.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := store.CreateKeys(args[0]); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "made %s; keep a copy of it, elsewhere than those of the database\n", args[0])
			return nil
		},
	}
}

func (c *cli) keysRotate() *cobra.Command {
	var path string
	var retire, prepare bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Add a key, and seal everything in the database with it",
		Long: "Adds a key to the file, and seals everything in the database again with it. Older\n" +
			"keys go on reading. A running portal takes the file up within a minute.\n" +
			"Once every node has it, --retire seals what is left and removes the older keys.\n\n" +
			"Nodes that have a file of their own cannot read what is sealed with a key they do\n" +
			"not have: first --prepare adds one that only reads; copy the file to every node;\n" +
			"then rotate seals with it, and the file is copied once more.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			if prepare {
				if err := store.PrepareKeys(cfg.Keys); err != nil {
					return err
				}
				fmt.Fprintf(c.out, "added a key to %s that only reads; copy the file to every node, and then run postern keys rotate\n", cfg.Keys)
				return nil
			}
			if !retire {
				if err := store.RotateKeys(cfg.Keys); err != nil {
					return err
				}
				fmt.Fprintln(c.out, "added a key to", cfg.Keys, "that seals from now on")
			}
			db, _, err := cfg.openStore(cmd.Context(), time.Now)
			if err != nil {
				return err
			}
			defer db.Close()
			n, err := db.Reseal(cmd.Context())
			if err != nil {
				return fmt.Errorf("%w; the older keys stay, and nothing is lost", err)
			}
			fmt.Fprintf(c.out, "sealed %s with the newest key\n", count(n, "row"))
			if !retire {
				return nil
			}
			if err := store.RetireKeys(cfg.Keys); err != nil {
				return err
			}
			fmt.Fprintln(c.out, "removed the older keys from", cfg.Keys)
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&retire, "retire", false, "instead of adding a key, remove all but the newest")
	cmd.Flags().BoolVar(&prepare, "prepare", false, "only add a key that reads: see above")
	cmd.MarkFlagsMutuallyExclusive("retire", "prepare")
	return cmd
}
