package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
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
	"postern/verify"
	"postern/verify/totp"
)

const (
	// maxSeedFile bounds the file of seeds: enough for enrol.MaxSeeds lines.
	maxSeedFile = 8 << 20
	// keySeeds is the name of a subkey and as such for ever; see program.go.
	keySeeds = "imported seeds"
)

func (c *cli) imports() *cobra.Command {
	return group(&cobra.Command{
		Use:   "import",
		Short: "Take over what people have enrolled elsewhere",
	}, c.importTOTP())
}

func (c *cli) importTOTP() *cobra.Command {
	var path, file string
	var dry bool
	cmd := &cobra.Command{
		Use:   "totp",
		Short: "Import the secrets of authenticator apps from a CSV file",
		Long: "Reads CSV with the header login,secret,name: whose app it is, its secret in base32\n" +
			"(160 bits or more; the apps must use SHA-1, 6 digits and 30 seconds), and a name for it,\n" +
			"which may be empty. Every line is checked first, and nothing is imported while any of\n" +
			"them is wrong. --dry-run stops after the check.\n\n" +
			"Everybody is imported by themselves, with an entry in the record and a mail to the\n" +
			"person. An import that was cut short can be run again: what is there already is passed\n" +
			"over. Delete the file afterwards; whoever has it can make everybody's codes.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			data, err := readPrivate(file, maxSeedFile)
			if err != nil {
				return fmt.Errorf("--file: %w", err)
			}
			seeds, err := enrol.ReadSeeds(data)
			if err == nil {
				err = c.importSeeds(cmd.Context(), cfg, seeds, dry)
			}
			var wrong enrol.LineFaults
			if errors.As(err, &wrong) {
				return fmt.Errorf("%s: nothing was imported:\n%s", file, printable(wrong.Error()))
			}
			return err
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&file, "file", "", "CSV `file`, which others on this machine must not be able to read")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "check everything, say what would happen and change nothing")
	if err := cmd.MarkFlagRequired("file"); err != nil {
		panic(err) // only for a flag that is not there
	}
	return cmd
}

func (c *cli) importSeeds(ctx context.Context, cfg Config, seeds []enrol.Seed, dry bool) error {
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
	m, err := cfg.importer(s.people, db)
	if err != nil {
		return err
	}
	plan, err := m.Plan(ctx, seeds)
	if err != nil {
		return err
	}
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
			fmt.Fprintf(c.out, "line %d: would add an app to %s (%s)\n", p.Line, who, oneLine(string(p.User.ID)))
		}
	}
	if dry {
		fmt.Fprintf(c.out, "%s for %s would be imported, %d passed over; nothing was changed\n", count(len(plan)-already, "app"), count(len(people), "account"), already)
		return nil
	}
	apps, accounts := 0, 0
	err = m.Import(ctx, plan, func(u directory.User, n int) {
		if n > 0 {
			apps, accounts = apps+n, accounts+1
			fmt.Fprintf(c.out, "%s: %s added\n", oneLine(u.Login), count(n, "app"))
		}
	})
	fmt.Fprintf(c.out, "%s for %s imported, %d passed over\n", count(apps, "app"), count(accounts, "account"), already)
	if err != nil {
		return fmt.Errorf("the import was cut short, run it again to go on: %w", err)
	}
	return nil
}

func (c Config) importer(people directory.Directory, db *store.DB) (enrol.Importer, error) {
	rules, err := policy.New(c.Policy)
	if err != nil {
		return enrol.Importer{}, err
	}
	if !slices.Contains(rules.Kinds(), verify.TOTP) {
		return enrol.Importer{}, errors.New("policy: no plan allows totp, so that nobody could use what is imported")
	}
	keys, err := store.LoadKeys(c.Keys)
	if err != nil {
		return enrol.Importer{}, err
	}
	key := keys.Derive(keySeeds)
	return enrol.Importer{
		Directory: people, Policy: rules, Store: db, Vault: db, Max: c.Factors.TOTP.Max, Now: time.Now, Readers: readers,
		Mark: func(seed []byte) []byte {
			h := hmac.New(sha256.New, key)
			h.Write(seed)
			return h.Sum(nil)
		},
		Bind: bindApp,
	}, nil
}

// bindApp asks the factor itself whether it can use the seed. The code of this
// moment is spent: it may have been used, and seen, where the seed comes from.
func bindApp(seed []byte, at time.Time) (verify.Credential, error) {
	if _, err := totp.Code(seed, at); err != nil {
		return verify.Credential{}, errors.New("the secret is shorter than 160 bits")
	}
	id, err := verify.NewID(rand.Reader)
	return verify.Credential{ID: id, Secret: seed, Counter: totp.Step(at)}, err
}
