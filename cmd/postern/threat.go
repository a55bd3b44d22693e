package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/access"
	"postern/portal/desk"
	"postern/portal/i18n"
	"postern/portal/store"
)

func (c *cli) threat() *cobra.Command {
	return group(&cobra.Command{
		Use:   "threat",
		Short: "The threat level, which tightens the whole portal during an attack",
	}, c.threatShow(), c.threatTurn(access.Raised), c.threatTurn(access.Normal))
}

func (c *cli) threatShow() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Say how the level stands, since when and why",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withThreat(cmd.Context(), path, func(ctx context.Context, s desk.Switch) error { return c.tellThreat(ctx, s) })
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// threatTurn is raise or lower.
func (c *cli) threatTurn(to access.Level) *cobra.Command {
	var path string
	t := desk.Turn{To: to}
	cmd := &cobra.Command{
		Use:   "raise",
		Short: "From now on take no proof away, and ask for an approval for every reset and unlock",
		Long: "Raises the threat level, at every node at once. Until it is lowered no proof is cleared,\n" +
			"removed, replaced or made anew, and every reset and unlock needs an approval besides,\n" +
			"those under way too. Signing in goes on. Raised again it takes the new reason and end.\n" +
			"The record gets your name and the reason, and the addresses of alerts a mail.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withThreat(cmd.Context(), path, func(ctx context.Context, s desk.Switch) error {
				if err := s.TurnFrom(ctx, operator(), t); err != nil {
					return fmt.Errorf("--reason and --for: say why, in at most %d characters, and for 0s, or 1m to 720h: %w", access.MaxReason, err)
				}
				return c.tellThreat(ctx, s)
			})
		},
	}
	if to == access.Normal {
		cmd.Use, cmd.Short = "lower", "Go by the usual policy again"
		cmd.Long = "Lowers the threat level, at every node at once. Cases that began while it was raised\n" +
			"still need their approval. The record gets your name and the reason, and the addresses\n" +
			"of alerts a mail."
	} else {
		cmd.Flags().DurationVar(&t.For, "for", 0, "end by itself after this `time`; 0s: when somebody lowers it")
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&t.Reason, "reason", "", "`why`, for everybody at the desk and for the record")
	return cmd
}

func (c *cli) tellThreat(ctx context.Context, s desk.Switch) error {
	t, err := s.Threat(ctx)
	switch {
	case err != nil:
		return err
	case !t.Raised(s.Now()):
		fmt.Fprintln(c.out, "the threat level is normal")
		return nil
	}
	end := "until somebody lowers it"
	if !t.Until.IsZero() {
		end = "until " + t.Until.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(c.out, "the threat level is raised since %s, %s, by %s: %s\n", t.Since.UTC().Format(time.RFC3339), end, oneLine(t.Login), oneLine(t.Reason))
	return nil
}

// withThreat opens the store alone: the level must turn also while no directory
// answers.
func (c *cli) withThreat(ctx context.Context, path string, do func(context.Context, desk.Switch) error) error {
	cfg, err := c.load(path)
	if err != nil {
		return err
	}
	db, _, err := cfg.openReady(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(ctx, cfg.threat(db, time.Now))
}

// threat is the switch of the threat level.
func (c *Config) threat(db *store.DB, now func() time.Time) desk.Switch {
	return desk.Switch{Levels: db, Roles: c.Access.Roles, Alerts: c.Alerts.Mail, Lang: i18n.Fallback, Now: now}
}
