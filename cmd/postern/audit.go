package main

import (
	"bufio"
	"context"
	"errors"
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
	}, c.auditExport(), c.auditVerify(), c.auditKey(), c.auditCheckpoint(), c.auditErase(), c.auditReceipt(), c.verifyApproval())
}

func (c *cli) auditExport() *cobra.Command {
	var path, since, format, out string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the record, oldest first: to read, or to be checked",
		Long: "Writes the record as JSON Lines or CSV; or, with --format log, the whole of it as a\n" +
			"log with signed checkpoints into a new folder, which postern audit verify checks\n" +
			"without the portal. An --out that ends in neither .jsonl nor .csv means a log.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var q audit.Query
			var err error
			if since != "" {
				if q.From, err = parseSince(since, time.Now()); err != nil {
					return err
				}
			}
			write, err := chooseFormat(format, out, since)
			if err != nil {
				return err
			}
			cfg, err := c.load(path)
			if err != nil {
				return err
			}
			db, keys, err := cfg.openStore(cmd.Context(), time.Now)
			if err != nil {
				return err
			}
			defer db.Close()
			if write == nil {
				return c.exportLog(cmd.Context(), db, keys, out)
			}
			export := func(w io.Writer) error { return exportTo(cmd.Context(), db, q, write(w)) }
			if out == "" {
				return export(c.out)
			}
			return replaceFile(out, export)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&since, "since", "", "only events from `TIME` on: 2026-01-31, 2026-01-31T08:00:00Z, 36h or 7d (ago)")
	cmd.Flags().StringVar(&format, "format", "", "jsonl, csv or log; left out: what --out ends in, or jsonl")
	cmd.Flags().StringVar(&out, "out", "", "`file`, or folder for a log, to write for its owner alone instead of standard output")
	return cmd
}

// chooseFormat gives the writer of a format; nil for a log.
func chooseFormat(format, out, since string) (func(io.Writer) audit.Writer, error) {
	if format == "" {
		switch format = strings.TrimPrefix(filepath.Ext(out), "."); {
		case out == "":
			format = "jsonl"
		case format != "jsonl" && format != "csv":
			format = "log"
		}
	}
	switch {
	case format == "jsonl":
		return audit.NewJSONLines, nil
	case format == "csv":
		return audit.NewCSV, nil
	case format != "log":
		return nil, fmt.Errorf("--format %s: must be jsonl, csv or log", format)
	case out == "":
		return nil, errors.New("--format log: needs --out, a new folder")
	case since != "":
		return nil, errors.New("--since: a log is exported as a whole, or it would prove nothing")
	}
	return nil, nil
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
