package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"postern/portal/kiosk"
)

// kioskAct is a command about one kiosk.
func (c *cli) kioskAct(use, short string, do func(context.Context, *Config, kiosk.Registry, string) error) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   use + " ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.withKiosks(cmd.Context(), path, func(ctx context.Context, cfg *Config, r kiosk.Registry) error { return do(ctx, cfg, r, args[0]) })
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func (c *cli) kioskRename() *cobra.Command {
	var name, site string
	var cmd *cobra.Command
	cmd = c.kioskAct("rename", "Call a kiosk by another name; what is not said stays", func(ctx context.Context, _ *Config, r kiosk.Registry, id string) error {
		was, err := r.Find(ctx, id)
		if err != nil {
			return err
		}
		if !cmd.Flags().Changed("name") {
			name = was.Name
		}
		if !cmd.Flags().Changed("site") {
			site = was.Site
		}
		d, err := r.Rename(ctx, operator(), id, name, site)
		if err == nil {
			fmt.Fprintf(c.out, "%s is %s now\n", d.ID, oneLine(d.Screen().Label()))
		}
		return err
	})
	cmd.Flags().StringVar(&name, "name", "", "how people call it")
	cmd.Flags().StringVar(&site, "site", "", "where it is")
	return cmd
}

func (c *cli) kioskAllow() *cobra.Command {
	var allow, keyboard string
	var cmd *cobra.Command
	cmd = c.kioskAct("allow", "Change what people may do at a kiosk; what is not said stays", func(ctx context.Context, _ *Config, r kiosk.Registry, id string) error {
		was, err := r.Find(ctx, id)
		if err != nil {
			return err
		}
		// Whoever turns the keys on must not let people do more by it.
		rights, keys := was.Rights, was.Keyboard
		if cmd.Flags().Changed("allow") {
			rights = rightsOf(allow)
		}
		if cmd.Flags().Changed("keyboard") {
			keys = kiosk.Keyboard(keyboard)
		}
		d, err := r.SetRights(ctx, operator(), id, rights, keys)
		if err == nil {
			fmt.Fprintf(c.out, "%s: %v, keyboard %s\n", oneLine(d.Screen().Label()), d.Rights, d.Keyboard)
		}
		return err
	})
	cmd.Flags().StringVar(&allow, "allow", "", "what people may do there, with commas: some of "+allRights)
	cmd.Flags().StringVar(&keyboard, "keyboard", "", "keys on the screen: auto, on, off")
	return cmd
}

func (c *cli) kioskCode() *cobra.Command {
	return c.kioskAct("code", "Give a kiosk a new one-time code; what it had is worth nothing then", func(ctx context.Context, cfg *Config, r kiosk.Registry, id string) error {
		found, err := r.Find(ctx, id)
		if err == nil && found.Way != kiosk.Key {
			return fmt.Errorf("it has no code; revoke it and register it anew with --way %s", found.Way)
		}
		if err != nil {
			return err
		}
		d, code, err := r.Reissue(ctx, operator(), id)
		if err == nil {
			c.tellCode(cfg, d, code)
		}
		return err
	})
}

func (c *cli) kioskRevoke() *cobra.Command {
	var why string
	cmd := c.kioskAct("revoke", "Shut a kiosk for good, at once", func(ctx context.Context, _ *Config, r kiosk.Registry, id string) error {
		d, err := r.Revoke(ctx, operator(), id, why)
		if err == nil {
			fmt.Fprintf(c.out, "%s is revoked\n", oneLine(d.Screen().Label()))
		}
		return err
	})
	cmd.Flags().StringVar(&why, "reason", "", "`why`, for the record")
	return cmd
}
