package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/store"
	"postern/verify/totp"
)

// restoring is how postern store restored was called.
type restoring struct {
	config, record  string
	distrust, force bool
}

func (c *cli) storeRestored() *cobra.Command {
	var r restoring
	cmd := &cobra.Command{
		Use:   "restored",
		Short: "Say that the database was restored from a backup: nothing used or removed since works again",
		Long: "Run it once after a backup was put back, before the portal is started, with the portal\n" +
			"stopped at every node. In one transaction it ends what may have been used since: open\n" +
			"cases, sessions, links, messages on their way, unfinished set-ups, codes of kiosks.\n\n" +
			"Which factors were removed since and which recovery codes were used nobody can know from\n" +
			"the backup. --record names what was recorded: the folder of a postern audit export that is\n" +
			"younger than the backup, or JSON Lines that reach back before it. Then what it says was\n" +
			"removed or used goes, accounts it ends with as frozen are frozen, kiosks it says were\n" +
			"revoked are, and the threat level is raised where it was.\n" +
			"Without it every factor of everybody is removed, and people set up new ones by an\n" +
			"invitation (postern invite) or with a technician. --distrust-factors=false leaves passkeys\n" +
			"and authenticator apps as the backup has them, removed ones too; recovery codes and\n" +
			"YubiKeys still go. Without --record look through postern account frozen, postern kiosk\n" +
			"list and postern threat show yourself.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.record != "" && cmd.Flags().Changed("distrust-factors") {
				return errors.New("--record says which factors go: leave --distrust-factors out")
			}
			return c.restored(cmd.Context(), r)
		},
	}
	configFlag(cmd, &r.config)
	cmd.Flags().StringVar(&r.record, "record", "", "`file or folder` with what was recorded since the backup")
	cmd.Flags().BoolVar(&r.distrust, "distrust-factors", true, "without a record: remove every factor of everybody")
	cmd.Flags().BoolVar(&r.force, "force", false, "also where nothing shows that the database is an old one, as after a whole machine was restored")
	return cmd
}

func (c *cli) restored(ctx context.Context, r restoring) error {
	cfg, err := c.load(r.config)
	if err != nil {
		return refused(r.config, err)
	}
	db, keys, err := cfg.openStore(ctx, time.Now)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := cfg.prepare(ctx, db); err != nil {
		return err
	}
	file, err := cfg.seen(keys)
	if err != nil {
		return err
	}
	was, err := file.read()
	if err != nil {
		return err
	}
	old := db.Follows(ctx, was, file.key)
	if old != nil && !errors.Is(old, store.ErrOlder) {
		return old
	}
	if old == nil && was != (store.Seen{}) && !r.force {
		return fmt.Errorf("the database is as new as what %s remembers, and people would lose their factors for nothing. If the whole machine was restored, that file with it, say --force", file.path)
	}
	what := store.Restoration{By: operator(), Seen: was, Step: totp.Step(time.Now()) + 1, KeepFactors: !r.distrust}
	last := ""
	if r.record != "" {
		if what.Since, last, err = eventsSince(ctx, r.record, db, file.key, was); err != nil {
			return fmt.Errorf("--record %s: %w", r.record, err)
		}
		what.Recorded, what.KeepFactors = true, false
	}
	done, err := db.Restored(ctx, what)
	if err != nil {
		return err
	}
	signer, err := recordSigner(keys)
	if err != nil {
		return err
	}
	if err := sealRest(ctx, db, signer); errors.Is(err, store.ErrLog) {
		fmt.Fprintln(c.err, "warning:", err)
	} else if err != nil {
		return err
	}
	c.tellRestored(what, done, last)
	now, err := db.Seen(ctx)
	if err == nil {
		err = file.write(now)
	}
	if err != nil {
		fmt.Fprintln(c.err, "warning: how far the database is could not be noted:", err)
	}
	return nil
}

func (c *cli) tellRestored(what store.Restoration, done store.Restored, last string) {
	fmt.Fprintf(c.out, "restored: epoch %d. Ended: %s, %s, %s, %s, %s, %s, %s\n", done.Epoch,
		count(done.Cases, "open case"), count(done.Sessions, "session"), count(done.Links, "link"), count(done.Messages, "message"),
		count(done.Offers, "unfinished set-up"), count(done.Errands, "errand"), count(done.Codes, "kiosk code"))
	fmt.Fprintf(c.out, "removed %s of %s\n", count(done.Factors, "factor"), count(done.People, "account"))
	switch {
	case what.Recorded:
		fmt.Fprintf(c.out, "by the record, which has %s the backup has not: %s frozen, %s revoked", count(len(what.Since), "event"), count(done.Frozen, "account"), count(done.Kiosks, "kiosk"))
		if done.Raised {
			fmt.Fprint(c.out, ", the threat level raised")
		}
		fmt.Fprintf(c.out, "\nit ends at %s: what was used or removed after that works again, and nobody can know of it\n", last)
	case what.KeepFactors:
		fmt.Fprintln(c.out, "passkeys and authenticator apps stay as the backup has them: those that were removed since work AGAIN")
	}
	if !what.Recorded {
		fmt.Fprintln(c.out, "accounts that were frozen and kiosks that were revoked since are not any more, and the threat level is that of the backup:\nsee postern account frozen, postern kiosk list and postern threat show")
	}
}
