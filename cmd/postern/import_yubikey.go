package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/enrol"
	"postern/portal/store"
	"postern/verify"
	"postern/verify/yubikey"
)

func (c *cli) importYubiKey() *cobra.Command {
	return c.importer(&cobra.Command{
		Use:   "yubikey",
		Short: "Assign YubiKeys to people from a CSV file",
		Long: "Reads CSV with the header login,public_id,name: whose key it is, the 12 letters that\n" +
			"each of its passwords begins with, and a name for it; without one it is called by its\n" +
			"number. Offline (factors.yubikey.offline) its secret must be in factors.yubikey.keys.\n" +
			"Every line is checked first, and nothing is imported while any of them is wrong.\n" +
			"--dry-run stops after the check. Whether validation servers know a key is not asked:\n" +
			"only a password of it could tell.\n\n" +
			"Everybody is imported by themselves, with an entry in the record and a mail to the\n" +
			"person. An import that was cut short can be run again: what is there already is passed\n" +
			"over. Offline, a password that a key typed before it was handed out is good until a\n" +
			"newer one of it was used: have everybody sign in with theirs soon.",
	}, intake{yubiKeys(), fillYubiKeys})
}

// yubiKeys are keys told by their public id, which is no secret and the
// credential's handle.
func yubiKeys() enrol.Sort {
	return enrol.Sort{Kind: verify.YubiKey, Thing: "YubiKey", Mark: "public id", Column: "public_id", Parse: yubikey.ParseID}
}

func fillYubiKeys(cfg Config, db *store.DB, m *enrol.Importer) error {
	if !cfg.Factors.YubiKey.On() {
		return errors.New("factors.yubikey: is not set up (client_id or offline), so that nobody could use what is imported")
	}
	factor, err := openYubiKeys(cfg.Factors.YubiKey, db, time.Now)
	if err != nil {
		return err
	}
	m.Max, m.Handle = cfg.Factors.YubiKey.Max, bytes.Clone
	m.Bind = func(ctx context.Context, id []byte, _ time.Time) (verify.Credential, error) {
		cred, err := factor.Assign(ctx, id)
		if errors.Is(err, yubikey.ErrUnknownKey) {
			return cred, errors.New("the key is not in factors.yubikey.keys")
		}
		return cred, err
	}
	return nil
}
