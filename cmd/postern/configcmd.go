package main

import (
	_ "embed"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// example is the documentation of the configuration. A test holds it to Config,
// both ways.
//
//go:embed postern.example.yaml
var example string

func (c *cli) config() *cobra.Command {
	return group(&cobra.Command{
		Use:   "config",
		Short: "Print or check the configuration",
	}, c.configExample(), c.configCheck())
}

func (c *cli) configExample() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print the documented configuration file",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(c.out, example)
			return err
		},
	}
}

func (c *cli) configCheck() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Report every fault of the configuration, with its line and path",
		Long:  "Reads the file and what it refers to, and reports every fault at once.\nIt connects to nothing; postern doctor does that.",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := c.load(path)
			if err == nil {
				fmt.Fprintln(c.out, path+": no faults")
				return nil
			}
			var faults Faults
			if !errors.As(err, &faults) {
				return err
			}
			fmt.Fprintln(c.out, faults)
			fmt.Fprintf(c.out, "%s: %s\n", path, count(len(faults), "fault"))
			return exit(1)
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
