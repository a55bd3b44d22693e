package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/audit"
)

// maxReceipt bounds the file of a receipt, in bytes.
const maxReceipt = 256 << 10

func (c *cli) auditReceipt() *cobra.Command {
	var keyText string
	cmd := &cobra.Command{
		Use:   "receipt FILE",
		Short: "Check a person's receipt, without the portal",
		Long: "Checks the file that the portal's page /receipt gives: that the event in it stands in\n" +
			"the record, as the key signed it. It needs no portal, database or network.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := readKey(keyText)
			if err != nil {
				return err
			}
			text, err := readBounded(args[0], maxReceipt)
			if err != nil {
				return err
			}
			var r audit.Receipt
			in := json.NewDecoder(bytes.NewReader(text))
			in.DisallowUnknownFields()
			if err := in.Decode(&r); err != nil {
				return fmt.Errorf("%s: is not a receipt: %w", args[0], err)
			}
			p, err := r.Check(key)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			fmt.Fprintf(c.out, "good: %s is entry %d of %d, as signed at %s\n%s, %s, at %s, for %s\n", oneLine(r.Code), p.Entry, p.Size, p.Sign.Format(time.RFC3339),
				oneLine(p.Event.Kind), oneLine(string(p.Event.Outcome)), p.Event.At.UTC().Format(time.RFC3339), oneLine(string(p.Event.Subject)))
			return nil
		},
	}
	cmd.Flags().StringVar(&keyText, "key", "", "public `key` of the record, or a file that holds it")
	_ = cmd.MarkFlagRequired("key")
	return cmd
}
