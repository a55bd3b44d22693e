package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/audit"
	"postern/portal/store"
)

// recordSigner signs the checkpoints of this key file's portal. Its key is derived from
// the file: every node has it, and rotating keys does not change it.
func recordSigner(keys *store.Keys) (*audit.Signer, error) {
	return audit.NewSigner(keys.Derive(keyRecord))
}

// sealer is the database with the key to seal with.
type sealer struct {
	*store.DB
	signer *audit.Signer
}

func (s sealer) Seal(ctx context.Context) (int, error) { return s.DB.Seal(ctx, s.signer) }

// sealRest seals what no portal has sealed yet. With a portal at work there is next to
// nothing, and it may be the one that seals it.
func sealRest(ctx context.Context, db *store.DB, signer *audit.Signer) error {
	for {
		if n, err := db.Seal(ctx, signer); n == 0 || err != nil {
			return err
		}
	}
}

func (c *cli) exportLog(ctx context.Context, db *store.DB, keys *store.Keys, dir string) error {
	signer, key, err := recordKey(keys)
	if err != nil {
		return err
	}
	// A log that was tampered with is what an export is wanted for: what there is of it.
	if err := sealRest(ctx, db, signer); errors.Is(err, store.ErrLog) {
		fmt.Fprintln(c.err, "warning:", err)
	} else if err != nil {
		return err
	}
	size, err := audit.WriteBundle(ctx, dir, db, key)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "wrote %d entries to %s; anybody can check them:\n  postern audit verify %s --key %s\n", size, dir, quoted(dir), key)
	return nil
}

func recordKey(keys *store.Keys) (*audit.Signer, audit.Key, error) {
	signer, err := recordSigner(keys)
	if err != nil {
		return nil, audit.Key{}, err
	}
	key, err := audit.ParseKey(signer.Key())
	return signer, key, err
}

func (c *cli) auditVerify() *cobra.Command {
	var keyText string
	var witnesses, others []string
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check an exported log, without the portal and its database",
		Long: "Checks a folder that postern audit export --out DIR wrote: that every entry is the one\n" +
			"that was signed and stands in its place, that none is missing, added or changed, and that\n" +
			"every signed checkpoint follows from the one before. It needs the public key, which\n" +
			"postern audit key prints, and nothing else: no network, no portal, no configuration.\n\n" +
			"Whoever has the portal's keys and its database can write another history from the start,\n" +
			"or cut off its end. A checkpoint somebody kept finds that out: --witness names a file with\n" +
			"one or many, such as a mailbox or a log. --with names another export of the same portal.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := readKey(keyText)
			if err != nil {
				return fmt.Errorf("--key: %w", err)
			}
			var kept []audit.Witness
			for _, name := range witnesses {
				f, err := os.Open(name)
				if err != nil {
					return err
				}
				defer f.Close()
				kept = append(kept, audit.Witness{Name: name, Text: f})
			}
			r, err := audit.Verify(args[0], key, kept, others)
			if audit.IsFault(err) {
				return fmt.Errorf("NOT the record that was signed: %w", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "good: all %d entries, as signed at %s\n", r.Entries, r.Last.Format(time.RFC3339))
			fmt.Fprintf(c.out, "root %s, %s", r.Root, count(r.Checkpoints, "checkpoint"))
			if r.Witnessed > 0 {
				fmt.Fprintf(c.out, ", and %d that others kept", r.Witnessed)
			}
			fmt.Fprintln(c.out)
			return nil
		},
	}
	cmd.Flags().StringVar(&keyText, "key", "", "the public `key`, or a file that holds it")
	cmd.Flags().StringArrayVar(&witnesses, "witness", nil, "`file` with checkpoints somebody kept; may be given again")
	cmd.Flags().StringArrayVar(&others, "with", nil, "`folder` of another export of the same record; may be given again")
	if err := cmd.MarkFlagRequired("key"); err != nil {
		panic(err)
	}
	return cmd
}

// readKey takes a public key, or the name of a file that holds one.
func readKey(text string) (audit.Key, error) {
	if file, err := os.ReadFile(text); err == nil {
		text = string(file)
	}
	return audit.ParseKey(text)
}

func (c *cli) auditKey() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Print the public key the record is checked with",
		Long: "Prints the public key of this portal's record. Give it to whoever shall be able to check\n" +
			"the record, before they need it: it stays the same for as long as the key file lives.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			keys, err := store.LoadKeys(cfg.Keys)
			if err != nil {
				return err
			}
			_, key, err := recordKey(keys)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.out, key)
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func (c *cli) auditCheckpoint() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Print the newest signed checkpoint of the record, for somebody to keep",
		Long: "Prints how many entries the record has and the root over them, signed. Whoever keeps it\n" +
			"where the portal's administrators cannot reach can show later that the record was\n" +
			"rewritten or cut off: postern audit verify DIR --key KEY --witness FILE.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			db, keys, err := cfg.openStore(cmd.Context(), time.Now)
			if err != nil {
				return err
			}
			defer db.Close()
			signer, _, err := recordKey(keys)
			if err != nil {
				return err
			}
			if err := sealRest(cmd.Context(), db, signer); err != nil {
				return err
			}
			size, signed, err := db.Checkpoint(cmd.Context())
			if err != nil {
				return err
			}
			if size == 0 {
				return errors.New("nothing is recorded yet")
			}
			fmt.Fprint(c.out, signed)
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}
