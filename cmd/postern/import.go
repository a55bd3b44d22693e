package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/policy"
	"postern/portal/store"
)

// maxImport bounds a file to import: enough for enrol.MaxLines lines.
const maxImport = 8 << 20

func (c *cli) imports() *cobra.Command {
	return group(&cobra.Command{
		Use:   "import",
		Short: "Take over what people have enrolled elsewhere",
	}, c.importTOTP(), c.importYubiKey())
}

// intake is one sort of things to import, and how the factor takes it.
type intake struct {
	sort enrol.Sort
	// fill gives the importer what only the factor knows: Max, Bind and Handle. An
	// error says why nobody could use what is imported.
	fill func(cfg Config, db *store.DB, m *enrol.Importer) error
}

// importer makes the command of one intake; use, short and long are cmd's already.
func (c *cli) importer(cmd *cobra.Command, in intake) *cobra.Command {
	var path, file string
	var dry bool
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := c.load(path)
		if err != nil {
			return err
		}
		// Whoever could write in it could give a thing of theirs to anybody.
		data, err := readPrivate(file, maxImport)
		if err != nil {
			return fmt.Errorf("--file: %w", err)
		}
		lines, err := in.sort.Read(data)
		if err == nil {
			err = c.importLines(cmd.Context(), cfg, in, lines, dry)
		}
		var wrong enrol.LineFaults
		if errors.As(err, &wrong) {
			return fmt.Errorf("%s: nothing was imported:\n%s", file, printable(wrong.Error()))
		}
		return err
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&file, "file", "", "CSV `file`, which others on this machine must not be able to read")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check everything, say what would happen and change nothing")
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic(err) // only for a flag that is not there
	}
	return cmd
}

func (c *cli) importLines(ctx context.Context, cfg Config, in intake, lines []enrol.Line, dry bool) error {
	s := &survey{door: access.Web, purpose: policy.Reset}
	done, err := s.open(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	db, ok := s.db.(*store.DB)
	if !ok {
		return fmt.Errorf("%T takes no enrolments", s.db)
	}
	m, err := cfg.importer(s.people, db, in)
	if err != nil {
		return err
	}
	plan, err := m.Plan(ctx, lines)
	if err != nil {
		return err
	}
	thing := in.sort.Thing
	people, already, unmailed := map[directory.ID]bool{}, 0, map[directory.ID]bool{}
	for _, p := range plan {
		who := oneLine(p.User.Login)
		if p.Already {
			already++
			fmt.Fprintf(c.out, "line %d: %s has it already\n", p.Line, who)
			continue
		}
		people[p.User.ID] = true
		if len(p.User.Mail) == 0 && !unmailed[p.User.ID] {
			unmailed[p.User.ID] = true
			fmt.Fprintf(c.out, "line %d: %s has no mail address and is not told\n", p.Line, who)
		}
		if dry {
			fmt.Fprintf(c.out, "line %d: would add %s to %s (%s)\n", p.Line, count(1, thing), who, oneLine(string(p.User.ID)))
		}
	}
	if dry {
		fmt.Fprintf(c.out, "%s for %s would be imported, %d passed over; nothing was changed\n", count(len(plan)-already, thing), count(len(people), "account"), already)
		return nil
	}
	things, accounts := 0, 0
	err = m.Import(ctx, plan, func(u directory.User, n int) {
		if n > 0 {
			things, accounts = things+n, accounts+1
			fmt.Fprintf(c.out, "%s: %s added\n", oneLine(u.Login), count(n, thing))
		}
	})
	fmt.Fprintf(c.out, "%s for %s imported, %d passed over\n", count(things, thing), count(accounts, "account"), already)
	if err != nil {
		return fmt.Errorf("the import was cut short, run it again to go on: %w", err)
	}
	return nil
}

func (c Config) importer(people directory.Directory, db *store.DB, in intake) (enrol.Importer, error) {
	rules, err := policy.New(c.Policy)
	if err != nil {
		return enrol.Importer{}, err
	}
	m := enrol.Importer{Sort: in.sort, Directory: people, Policy: rules, Store: db, Vault: db, Now: time.Now, Readers: readers}
	if err := in.fill(c, db, &m); err != nil {
		return enrol.Importer{}, err
	}
	if !slices.Contains(rules.Kinds(), in.sort.Kind) {
		return enrol.Importer{}, fmt.Errorf("policy: no plan allows %s, so that nobody could use what is imported", in.sort.Kind)
	}
	return m, nil
}
