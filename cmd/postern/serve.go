package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"postern/portal/telemetry"
)

func (c *cli) serve() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the portal",
		Long: "Runs the portal until it is interrupted, then lets requests under way finish.\n" +
			"It refuses to start with a configuration that has any fault.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(path)
			if err != nil {
				return refused(path, err)
			}
			log := telemetry.NewLogger(c.err, cfg.LogLevel)
			p, err := newProgram(cmd.Context(), cfg, log, extras{})
			if err != nil {
				return err
			}
			return p.Run(cmd.Context())
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// refused names every fault, as config check does.
func refused(path string, err error) error {
	var faults Faults
	if errors.As(err, &faults) {
		return fmt.Errorf("%s has %s:\n%w", path, count(len(faults), "fault"), faults)
	}
	return err
}
