// Command postern is a self-service password and MFA portal in front of Active
// Directory and OpenLDAP. This package puts the parts together: one file for
// each sub-command, the configuration file, and the test of the import rules.
//
// It decides nothing about people, proofs and passwords.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// cli is what a sub-command needs of the world.
type cli struct {
	out, err io.Writer
	env      func(string) (string, bool)
}

// exit is an error that has been told already and only sets the exit code.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Once is a request, twice is an order: the second Ctrl-C ends it at once.
	context.AfterFunc(ctx, stop)
	c := &cli{out: os.Stdout, err: os.Stderr, env: os.LookupEnv}
	return c.exitCode(c.root().ExecuteContext(ctx))
}

func (c *cli) exitCode(err error) int {
	var code exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(c.err, "postern:", err)
	return 1
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "postern",
		Short:         "A hardened self-service password and MFA portal",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	return group(root, c.serve(), c.demo(), c.config(), c.doctor(), c.audit(), c.account(), c.threat(), c.kiosk(), c.policy(), c.report(), c.invite(), c.remind(), c.imports(), c.keys(), c.migrate(), c.store(), c.version())
}

// group makes a command that only holds others: alone it prints its help, and a
// name it does not know is an error.
func group(cmd *cobra.Command, under ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(under...)
	return cmd
}

// configFlag is the same for everybody who reads the file.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", "postern.yaml", "configuration `file`")
}
