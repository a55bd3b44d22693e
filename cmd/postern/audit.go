package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/portal/audit"
)

func (c *cli) audit() *cobra.Command {
	return group(&cobra.Command{
		Use:   "audit",
		Short: "Read the record of what happened",
	}, c.auditExport(), c.verifyApproval())
}

func (c *cli) auditExport() *cobra.Command {
	var path, since, format, out string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the record as JSON Lines or CSV, oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var q audit.Query
			var err error
			if since != "" {
				if q.From, err = parseSince(since, time.Now()); err != nil {
					return err
				}
			}
			write, ok := map[string]func(io.Writer) audit.Writer{"jsonl": audit.NewJSONLines, "csv": audit.NewCSV}[format]
			if !ok {
				return fmt.Errorf("--format %s: must be jsonl or csv", format)
			}
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			db, _, err := cfg.openStore(cmd.Context(), time.Now)
			if err != nil {
				return err
			}
			defer db.Close()
			export := func(w io.Writer) error { return exportTo(cmd.Context(), db, q, write(w)) }
			if out == "" {
				return export(c.out)
			}
			return replaceFile(out, export)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&since, "since", "", "only events from `TIME` on: 2026-01-31, 2026-01-31T08:00:00Z, 36h or 7d (ago)")
	cmd.Flags().StringVar(&format, "format", "jsonl", "jsonl or csv")
	cmd.Flags().StringVar(&out, "out", "", "`file` to write instead of standard output, for its owner alone")
	return cmd
}

func exportTo(ctx context.Context, r audit.Reader, q audit.Query, w audit.Writer) error {
	if err := r.Export(ctx, q, w.Write); err != nil {
		return err
	}
	return w.Flush()
}

// parseSince reads a moment, or a length of time before now.
func parseSince(s string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n < 100_000 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since %s: is neither a date, like 2026-01-31, nor a length of time, like 36h or 7d", s)
}

// replaceFile writes a file as a whole, for its owner alone: until write is done
// there is the old one, or none.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	b := bufio.NewWriter(f)
	err = write(b)
	if err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}
