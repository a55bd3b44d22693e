package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/enrol"
	"postern/portal/store"
	"postern/verify"
	"postern/verify/totp"
)

// keySeeds is the name of a subkey and as such for ever; see program.go.
const keySeeds = "imported seeds"

func (c *cli) importTOTP() *cobra.Command {
	return c.importer(&cobra.Command{
		Use:   "totp",
		Short: "Import the secrets of authenticator apps from a CSV file",
		Long: "Reads CSV with the header login,secret,name: whose app it is, its secret in base32\n" +
			"(160 bits or more; the apps must use SHA-1, 6 digits and 30 seconds), and a name for it,\n" +
			"which may be empty. Every line is checked first, and nothing is imported while any of\n" +
			"them is wrong. --dry-run stops after the check.\n\n" +
			"Everybody is imported by themselves, with an entry in the record and a mail to the\n" +
			"person. An import that was cut short can be run again: what is there already is passed\n" +
			"over. Delete the file afterwards; whoever has it can make everybody's codes.",
	}, intake{enrol.Apps(), fillApps})
}

func fillApps(cfg Config, _ *store.DB, m *enrol.Importer) error {
	keys, err := store.LoadKeys(cfg.Keys)
	if err != nil {
		return err
	}
	key := keys.Derive(keySeeds)
	m.Max, m.Bind = cfg.Factors.TOTP.Max, bindApp
	m.Handle = func(seed []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(seed)
		return h.Sum(nil)
	}
	return nil
}

// bindApp asks the factor itself whether it can use the seed. The code of this
// moment is spent: it may have been used, and seen, where the seed comes from.
func bindApp(_ context.Context, seed []byte, at time.Time) (verify.Credential, error) {
	if _, err := totp.Code(seed, at); err != nil {
		return verify.Credential{}, errors.New("the secret is shorter than 160 bits")
	}
	id, err := verify.NewID(rand.Reader)
	return verify.Credential{ID: id, Secret: seed, Counter: totp.Step(at)}, err
}
