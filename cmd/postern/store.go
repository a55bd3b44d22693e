package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/store"
)

func (c *cli) store() *cobra.Command {
	return group(&cobra.Command{
		Use:   "store",
		Short: "Move the database to another, or say that it was restored from a backup",
	}, c.storeCopy(), c.storeRestored())
}

func (c *cli) storeCopy() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "copy",
		Short: "Copy everything into an empty database of any kind, such as from SQLite to PostgreSQL",
		Long: "Copies everything from the database of one configuration into that of another, which must\n" +
			"be empty and have the same key file, and migrates that. Stop the portal before, at every\n" +
			"node: what the source gets meanwhile is noticed at the end, and then the copy is not\n" +
			"finished. Nothing in the source is changed.\n\n" +
			"Interrupted at any point, run it again: it goes on, and until it is done no portal starts\n" +
			"on the copy. At the end every table was read again on both sides and is the same. On\n" +
			"PostgreSQL run it as the owner of the database, then postern migrate --grant ROLE.\n" +
			"Jobs are not copied: every portal makes them anew at its start.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := c.load(from)
			if err != nil {
				return refused(from, err)
			}
			target, err := c.load(to)
			if err != nil {
				return refused(to, err)
			}
			if source.Store.Path == target.Store.Path && source.Store.Postgres == target.Store.Postgres {
				return fmt.Errorf("%s and %s name the same database", from, to)
			}
			return c.copyStore(cmd.Context(), source, target, to)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "configuration `file` whose database is copied")
	cmd.Flags().StringVar(&to, "to", "", "configuration `file` whose database is empty")
	for _, name := range []string{"from", "to"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}

func (c *cli) copyStore(ctx context.Context, source, target Config, file string) error {
	source.Store.ReadOnly = true
	a, _, err := source.openStore(ctx, time.Now)
	if err != nil {
		return fmt.Errorf("the source: %w", err)
	}
	defer a.Close()
	b, _, err := target.openStore(ctx, time.Now)
	if err != nil {
		return fmt.Errorf("the target: %w", err)
	}
	defer b.Close()
	list, again, err := store.Copy(ctx, a, b, copyProgress(c.err, time.Now))
	switch {
	case errors.Is(err, store.ErrOtherKeys):
		return fmt.Errorf("%w: both configurations need the one key file of the source", err)
	case err != nil:
		return err
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, t := range list {
		fmt.Fprintf(w, "%d\t  %s\n", t.Rows, t.Table)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if again {
		fmt.Fprintln(c.out, "the same; it was already, and nothing was done")
		return nil
	}
	fmt.Fprintf(c.out, "the same on both sides. From now on use %s, and never the old database again:\nwhat is used up in one of them is not in the other\n", quoted(file))
	return nil
}

// copyProgress says how far it is: at the end of each table, and each second within one.
func copyProgress(w io.Writer, now func() time.Time) func(table string, done, of int64) {
	var said time.Time
	return func(table string, done, of int64) {
		if t := now(); of > 0 && (done == of || t.Sub(said) >= time.Second) {
			said = t
			fmt.Fprintf(w, "%s: %d of %d\n", table, done, of)
		}
	}
}
