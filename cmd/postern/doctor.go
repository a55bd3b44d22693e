package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal/notify/smtp"
	"postern/portal/store"
	"postern/portal/telemetry"
)

func (c *cli) doctor() *cobra.Command {
	var path string
	var asJSON, plain bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Connect to everything the configuration names and say what works",
		Long: "Connects to everything the configuration names and says, line by line, what works\n" +
			"and what to do about what does not. It changes nothing, and tries no password but\n" +
			"those in the configuration. Exit code: 0 all is well, 1 a warning, 2 a failure.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			look := c.looks(plain)
			e := &examiner{now: time.Now, safe: telemetry.NewLauncher(telemetry.NewLogger(c.err, slog.LevelInfo), telemetry.NewMetrics(versionName())).Safe}
			if look.live && !asJSON {
				e.progress = (&progress{out: c.err}).show
			}
			found := e.file(cmd.Context(), c, path)
			if asJSON {
				if err := printJSON(c.out, found); err != nil {
					return err
				}
			} else {
				printText(c.out, found, look.colour)
			}
			if worst := worstOf(found); worst > directory.OK {
				return exit(worst)
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object with a list of findings")
	cmd.Flags().BoolVar(&plain, "no-color", false, "no colour on a terminal either; so does NO_COLOR in the environment")
	return cmd
}

// examination is one part's findings, in the order they are looked for.
type examination struct {
	now      func() time.Time
	safe     func(name string, fn func()) (whole bool) // for goroutines of a part's own
	own      *store.DB
	inbox    bool
	findings []directory.Finding
}

func (d *examination) ok(check, what string, args ...any) {
	d.findings = append(d.findings, directory.Finding{Check: check, What: fmt.Sprintf(what, args...)})
}

func (d *examination) bad(s directory.Severity, check, what, why, mend string) {
	d.findings = append(d.findings, directory.Finding{Severity: s, Check: check, What: what, Why: why, Mend: mend})
}

func worstOf(found []directory.Finding) directory.Severity {
	worst := directory.OK
	for _, f := range found {
		worst = max(worst, f.Severity)
	}
	return worst
}

// file examines what a configuration file names. It goes on after a fault, as far
// as what is known lets it.
func (e *examiner) file(ctx context.Context, c *cli, path string) []directory.Finding {
	cfg, err := c.load(path)
	d := &examination{now: e.now, safe: e.safe}
	var faults Faults
	switch {
	case err == nil:
		d.ok("config", "%s has no faults", path)
	case errors.As(err, &faults):
		for _, f := range faults {
			d.bad(directory.Failure, "config", f.String(), "postern serve refuses to start with it", "edit "+path)
		}
	default:
		d.bad(directory.Failure, "config", err.Error(), "nothing else can be looked at", "postern config example > "+path)
		return d.findings
	}
	return append(d.findings, e.run(ctx, parts(cfg, faults))...)
}

// parts are what is looked at, in the order it is told. What has a fault in the
// configuration is left out: that was told already.
func parts(cfg Config, faults Faults) []part {
	broken := func(prefix string) bool {
		return slices.ContainsFunc(faults, func(f Fault) bool { return strings.HasPrefix(f.Path, prefix) })
	}
	list := []part{
		{"files", func(_ context.Context, d *examination) { d.files(cfg) }},
		{"public_url", func(_ context.Context, d *examination) { d.web(cfg) }},
		{"store", func(ctx context.Context, d *examination) { d.store(ctx, cfg, broken("store")) }},
	}
	if !broken("limits") {
		list = append(list, part{"redis", func(ctx context.Context, d *examination) { d.redis(ctx, cfg) }})
	}
	if !broken("store") {
		list = append(list, part{"disk", func(_ context.Context, d *examination) { d.disk(cfg) }})
	}
	for i, dir := range cfg.Directories {
		if !broken(fmt.Sprintf("directories[%d]", i)) {
			list = append(list, part{dir.Name, func(ctx context.Context, d *examination) { d.directory(ctx, dir) }})
		}
	}
	if !broken("alerts") {
		list = append(list, part{"alerts", func(_ context.Context, d *examination) { d.alerts(cfg) }})
	}
	if !broken("access") && !broken("directories") {
		list = append(list, part{"roles", func(ctx context.Context, d *examination) { d.roles(ctx, cfg) }})
	}
	if !broken("mail") {
		list = append(list, part{"mail", func(ctx context.Context, d *examination) { d.mail(ctx, cfg) }})
	}
	if !broken("sms") {
		list = append(list, part{"sms", func(ctx context.Context, d *examination) { d.sms(ctx, cfg) }})
	}
	if !broken("factors") {
		list = append(list, part{"yubikey", func(ctx context.Context, d *examination) { d.yubikey(ctx, cfg) }},
			part{"passkeys", func(_ context.Context, d *examination) { d.metadata(cfg) }})
	}
	if !broken("password") {
		list = append(list, part{"leaked passwords", func(ctx context.Context, d *examination) { d.breached(ctx, cfg) }})
	}
	return append(list, part{"machine", func(_ context.Context, d *examination) { d.machine() }})
}

func (d *examination) directory(ctx context.Context, cfg Directory) {
	dir, err := cfg.open(d.now)
	if err != nil {
		d.bad(directory.Failure, cfg.Name, err.Error(), "nobody of this directory can be helped", "check the configuration")
		return
	}
	defer dir.Close()
	set, err := directory.NewSet(directory.Named{Name: cfg.Name, Directory: dir})
	if err != nil {
		d.bad(directory.Failure, cfg.Name, err.Error(), "nobody of this directory can be helped", "check the configuration")
		return
	}
	d.findings = append(d.findings, set.Examine(ctx)...)
}

// mail connects as for a message and signs in; it sends none.
func (d *examination) mail(ctx context.Context, cfg Config) {
	if d.inbox {
		d.ok("mail", "stays in the demo's inbox; there is no mail server")
		return
	}
	server, err := smtp.New(cfg.Mail, d.now)
	var seen smtp.Seen
	if err == nil {
		seen, err = server.Check(ctx)
	}
	if err != nil {
		d.bad(directory.Failure, "mail", fmt.Sprintf("%s: %v", cfg.Mail.Host, err), "no codes and no notices can be sent",
			"check mail, its certificate (ca_file) and its password")
		return
	}
	if left := seen.Ends.Sub(d.now()); seen.TLS != "" && left < certificateSoon {
		d.bad(directory.Warning, "mail", fmt.Sprintf("the certificate of %s ends in %s", cfg.Mail.Host, days(left)),
			"no codes and no notices will be sent then", "renew the mail server's certificate")
		return
	}
	how := "without TLS, on this machine"
	if seen.TLS != "" {
		how = fmt.Sprintf("%s, certificate with %s left", seen.TLS, days(seen.Ends.Sub(d.now())))
	}
	if seen.SignIn {
		how += ", signed in"
	}
	d.ok("mail", "%s takes mail from %s (%s); nothing was sent", cfg.Mail.Host, cfg.Mail.From, how)
}
