package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/i18n"
	"postern/portal/kiosk"
	"postern/portal/store"
)

func (c *cli) kiosk() *cobra.Command {
	return group(&cobra.Command{
		Use:   "kiosk",
		Short: "Shared screens: kiosks and the links of logon screens",
	}, c.kioskRegister(), c.kioskList(), c.kioskRename(), c.kioskAllow(), c.kioskCode(), c.kioskRevoke(), c.kioskFiles())
}

// registry is how kiosks are managed, by whoever is let in here.
func (c *Config) registry(db *store.DB, keys *store.Keys, now func() time.Time) kiosk.Registry {
	return kiosk.Registry{Store: db, Key: keys.Derive(keyKiosks), Alerts: c.Alerts.Mail, Lang: i18n.Fallback, Now: now, Rand: rand.Reader}
}

// origin is the public address without the slash that may end it.
func (c *Config) origin() string { return strings.TrimSuffix(c.Portal.PublicURL, "/") }

// withKiosks opens the store alone: a lost device must be revoked also while no
// directory answers.
func (c *cli) withKiosks(ctx context.Context, path string, do func(context.Context, *Config, kiosk.Registry) error) error {
	cfg, err := c.load(path)
	if err != nil {
		return err
	}
	db, keys, err := cfg.openReady(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	return kioskWords(do(ctx, &cfg, cfg.registry(db, keys, time.Now)))
}

// kioskWords says what is wrong in terms of this command line.
func kioskWords(err error) error {
	words := map[string]string{
		"kiosk_name": "--name: 1 to 60 characters that can be seen", "kiosk_site": "--site: up to 60 characters that can be seen",
		"kiosk_named": "--name: another kiosk of that site has this name", "kiosk_rights": "--allow: some of reset, unlock, change, help, with commas",
		"kiosk_cert": "--certificate: is no PEM certificate", "kiosk_cert_ca": "--certificate: is an authority's, not a device's", "kiosk_cert_over": "--certificate: has expired",
		"kiosk_cert_use": "--certificate: is not for client authentication", "kiosk_cert_weak": "--certificate: its key is too short", "kiosk_cert_taken": "--certificate: its key is another kiosk's",
		"kiosk_revoked": "it is revoked; register a new one", "kiosk_no_code": "it shows a certificate and has no code", "bad_cause": "--reason: up to 200 characters that can be seen",
	}
	if invalid := (*kiosk.Invalid)(nil); errors.As(err, &invalid) {
		if say, ok := words[invalid.Code]; ok {
			return errors.New(say)
		}
		return fmt.Errorf("--%s: cannot be used as it is", invalid.Field)
	}
	if errors.Is(err, kiosk.ErrNone) {
		return errors.New("there is no kiosk with that id; postern kiosk list shows them")
	}
	return err
}

func rightsOf(list string) (rights []kiosk.Right) {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one != "" {
			rights = append(rights, kiosk.Right(one))
		}
	}
	return rights
}

const allRights = "reset,unlock,change,help"

func (c *cli) kioskRegister() *cobra.Command {
	var path, allow, keyboard, way, certificate, keyFile string
	var n kiosk.Draft
	cmd := &cobra.Command{
		Use:   "register",
		Short: "Register a shared screen; prints what the device needs",
		Long: "Registers a shared screen. --way says how it shows that it is itself:\n" +
			"  key          its browser makes a key that never leaves it, once somebody has typed\n" +
			"               the one-time code that this prints at PORTAL/kiosk/register (24 hours)\n" +
			"  certificate  a client certificate from an authority of tls.client_ca: --certificate FILE\n" +
			"  launch       for logon screens that keep nothing: a key in a file of the device signs\n" +
			"               the address it opens: --key-file FILE writes it\n" +
			"The addresses of alerts get a mail.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n.Way, n.Rights, n.Keyboard = kiosk.Way(way), rightsOf(allow), kiosk.Keyboard(keyboard)
			if certificate != "" {
				text, err := readBounded(certificate, 64<<10)
				if err != nil {
					return fmt.Errorf("--certificate: %w", err)
				}
				n.Certificate = text
			}
			switch {
			case n.Way == kiosk.Launch && keyFile == "":
				return errors.New("--key-file: say where to write the launch key; it is shown nowhere else")
			case n.Way != kiosk.Launch && keyFile != "":
				return errors.New("--key-file: belongs to --way launch")
			case n.Way == kiosk.Certificate && certificate == "":
				return errors.New("--certificate: missing for --way certificate")
			}
			return c.withKiosks(cmd.Context(), path, func(ctx context.Context, cfg *Config, r kiosk.Registry) error {
				return c.register(ctx, cfg, r, n, keyFile)
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&n.Name, "name", "", "how people call it, like \"Ward 3\"")
	cmd.Flags().StringVar(&n.Site, "site", "", "where it is, like \"North hospital\"")
	cmd.Flags().StringVar(&allow, "allow", allRights, "what people may do there, with commas")
	cmd.Flags().StringVar(&keyboard, "keyboard", "auto", "keys on the screen: auto (where there is only touch), on, off")
	cmd.Flags().StringVar(&way, "way", "key", "key, certificate or launch")
	cmd.Flags().StringVar(&certificate, "certificate", "", "the device's own certificate, a PEM `file`")
	cmd.Flags().StringVar(&keyFile, "key-file", "", "new `file` for the launch key")
	return cmd
}

// register makes the key file first: a device whose key could not be written is of no use.
func (c *cli) register(ctx context.Context, cfg *Config, r kiosk.Registry, n kiosk.Draft, keyFile string) (err error) {
	var file *os.File
	if keyFile != "" {
		if file, err = os.OpenFile(keyFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("--key-file: %w", err)
		}
	}
	d, secret, err := r.Register(ctx, operator(), n)
	if file != nil {
		if err == nil {
			_, err = fmt.Fprintln(file, secret)
		}
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(keyFile))
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(c.out, "registered %s as %s\n", oneLine(d.Screen().Label()), d.ID)
	switch d.Way {
	case kiosk.Key:
		c.tellCode(cfg, d, secret)
	case kiosk.Launch:
		fmt.Fprintf(c.out, "the launch key is in %s: move it to the device, readable by its session alone\n", keyFile)
	case kiosk.Certificate:
		fmt.Fprintf(c.out, "open on the device: %s/kiosk\n", cfg.origin())
	}
	return nil
}

func (c *cli) tellCode(cfg *Config, d kiosk.Device, code string) {
	fmt.Fprintf(c.out, "open on the device: %s/kiosk/register\none-time code: %s (until %s)\n", cfg.origin(), code, d.Until.UTC().Format(time.RFC3339))
}

func (c *cli) kioskList() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the shared screens, with when each was seen last",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withKiosks(cmd.Context(), path, func(ctx context.Context, _ *Config, r kiosk.Registry) error {
				all, err := r.List(ctx)
				if err != nil {
					return err
				}
				for _, d := range all {
					if err := c.tellKiosk(d, asJSON); err != nil {
						return err
					}
				}
				if !asJSON {
					fmt.Fprintln(c.out, count(len(all), "kiosk"))
				}
				return nil
			})
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return cmd
}

// tellKiosk is one line. Nothing that lets anybody in is on it.
func (c *cli) tellKiosk(d kiosk.Device, asJSON bool) error {
	state := d.State(time.Now())
	if asJSON {
		return json.NewEncoder(c.out).Encode(struct {
			ID     string        `json:"id"`
			Name   string        `json:"name"`
			Site   string        `json:"site"`
			Way    kiosk.Way     `json:"way"`
			Rights []kiosk.Right `json:"allow"`
			State  kiosk.State   `json:"state"`
			Seen   time.Time     `json:"seen,omitzero"`
			From   string        `json:"from,omitempty"`
		}{d.ID, d.Name, d.Site, d.Way, d.Rights, state, d.Seen, d.From})
	}
	seen := "never seen"
	if !d.Seen.IsZero() {
		seen = "seen " + d.Seen.UTC().Format(time.RFC3339) + " from " + d.From
	}
	_, err := fmt.Fprintf(c.out, "%s  %s  %s, %s  %s\n", d.ID, oneLine(d.Screen().Label()), d.Way, state, seen)
	return err
}
