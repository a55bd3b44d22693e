package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/directory"
	"postern/portal"
	"postern/portal/notify/smtp"
	"postern/portal/store"
)

// examineTime bounds one part of the examination.
const examineTime = 30 * time.Second

func (c *cli) doctor() *cobra.Command {
	var path string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Connect to everything the configuration names and say what works",
		Long: "Connects to everything the configuration names and says, line by line, what works\n" +
			"and what to do about what does not. It changes nothing, and tries no password but\n" +
			"those in the configuration. Exit code: 0 all is well, 1 a warning, 2 a failure.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d := &examination{now: time.Now}
			d.examine(cmd.Context(), c, path)
			if asJSON {
				if err := d.json(c.out); err != nil {
					return err
				}
			} else {
				d.text(c.out)
			}
			if worst := d.worst(); worst > directory.OK {
				return exit(worst)
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object with a list of findings")
	return cmd
}

// examination collects findings, in the order they are looked for.
type examination struct {
	now      func() time.Time
	findings []directory.Finding
}

func (d *examination) ok(check, what string, args ...any) {
	d.findings = append(d.findings, directory.Finding{Check: check, What: fmt.Sprintf(what, args...)})
}

func (d *examination) bad(s directory.Severity, check, what, why, mend string) {
	d.findings = append(d.findings, directory.Finding{Severity: s, Check: check, What: what, Why: why, Mend: mend})
}

func (d *examination) worst() directory.Severity {
	worst := directory.OK
	for _, f := range d.findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// text is a line for each finding; why and how to mend it stand below.
func (d *examination) text(w io.Writer) {
	mark := map[directory.Severity]string{directory.OK: "✓", directory.Warning: "!", directory.Failure: "✗"}
	count := map[directory.Severity]int{}
	for _, f := range d.findings {
		count[f.Severity]++
		fmt.Fprintf(w, "%s %-7s %s: %s\n", mark[f.Severity], f.Severity, f.Check, oneLine(f.What))
		if f.Why != "" {
			fmt.Fprintf(w, "    why:  %s\n", oneLine(f.Why))
		}
		if f.Mend != "" {
			fmt.Fprintf(w, "    mend: %s\n", strings.ReplaceAll(strings.TrimSpace(printable(f.Mend)), "\n", "\n          "))
		}
	}
	fmt.Fprintf(w, "\n%d ok, %d warning, %d failure\n", count[directory.OK], count[directory.Warning], count[directory.Failure])
}

// oneLine keeps what a server said from pretending to be lines of ours.
func oneLine(s string) string {
	return strings.Join(strings.Fields(printable(s)), " ")
}

// printable drops control characters: a server's text must not drive the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			return -1
		}
		return r
	}, s)
}

func (d *examination) json(w io.Writer) error {
	type finding struct {
		Severity string `json:"severity"`
		Check    string `json:"check"`
		What     string `json:"what"`
		Why      string `json:"why,omitempty"`
		Mend     string `json:"mend,omitempty"`
	}
	out := struct {
		Worst    string    `json:"worst"`
		Findings []finding `json:"findings"`
	}{Worst: d.worst().String(), Findings: []finding{}}
	for _, f := range d.findings {
		out.Findings = append(out.Findings, finding{f.Severity.String(), f.Check, f.What, f.Why, f.Mend})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// examine goes on after a fault, as far as what is known lets it.
func (d *examination) examine(ctx context.Context, c *cli, path string) {
	cfg, err := c.load(path)
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
		return
	}
	broken := func(prefix string) bool {
		return slices.ContainsFunc(faults, func(f Fault) bool { return strings.HasPrefix(f.Path, prefix) })
	}
	d.web(cfg)
	d.store(ctx, cfg, broken("store"))
	for i, dir := range cfg.Directories {
		if !broken(fmt.Sprintf("directories[%d]", i)) {
			d.directory(ctx, dir)
		}
	}
	if !broken("alerts") {
		d.alerts(cfg)
	}
	if !broken("access") && !broken("directories") {
		d.roles(ctx, cfg)
	}
	if !broken("mail") {
		d.mail(ctx, cfg)
		d.sms(ctx, cfg)
		d.yubikey(ctx, cfg)
		d.metadata(cfg)
	}
	if !broken("password") {
		d.breached(ctx, cfg)
	}
	d.clock()
}

// web looks at what people's browsers will meet.
func (d *examination) web(cfg Config) {
	u, err := url.Parse(cfg.Portal.PublicURL)
	if err != nil || u.Host == "" {
		return // a fault of the configuration, named already
	}
	switch tls := cfg.Portal.TLS.On(); {
	case u.Scheme == "http":
		d.bad(directory.Warning, "public_url", cfg.Portal.PublicURL+" is for this machine alone",
			"nobody else can use the portal", "give it a name and a certificate, or a proxy that has them")
	case tls:
		d.certificate(cfg, u.Hostname())
	default:
		d.ok("public_url", "%s, with TLS ended by a proxy at %s", cfg.Portal.PublicURL, strings.Join(cfg.Portal.TrustedProxies, ", "))
	}
	d.reach(cfg, u)
	if id := cmp.Or(cfg.Factors.Passkey.RPID, u.Hostname()); net.ParseIP(u.Hostname()) != nil {
		d.bad(directory.Warning, "passkeys", "the public address is a number", "browsers make passkeys for names only", "use a name in public_url")
	} else if id == u.Hostname() || strings.HasSuffix(u.Hostname(), "."+id) {
		d.ok("passkeys", "bound to %s, used at %s://%s", id, u.Scheme, u.Host)
	} else {
		d.bad(directory.Failure, "passkeys", fmt.Sprintf("rp_id %s is not %s or above it", id, u.Hostname()),
			"browsers refuse every passkey", "set factors.passkey.rp_id to "+u.Hostname()+", or leave it out")
	}
	for _, a := range []struct{ key, addr string }{{"listen", cfg.Portal.Listen}, {"admin", cfg.Portal.Admin}} {
		if a.addr != "" {
			d.listener(a.key, a.addr)
		}
	}
}

// reach compares what people type with where the portal listens and who stands
// in front of it.
func (d *examination) reach(cfg Config, public *url.URL) {
	host, port, err := net.SplitHostPort(cfg.Portal.Listen)
	if err != nil {
		return // a fault of the configuration, named already
	}
	ip, _ := netip.ParseAddr(host)
	local := host == "localhost" || ip.IsLoopback()
	if len(cfg.Portal.TrustedProxies) == 0 {
		usual := map[string]string{"http": "80", "https": "443"}[public.Scheme]
		if want := cmp.Or(public.Port(), usual); port != want {
			d.bad(directory.Warning, "listen", fmt.Sprintf("people come to port %s, and the portal listens on %s", want, port),
				"nobody reaches it, unless something forwards", "set listen to port "+want)
		}
		if local && public.Hostname() != "localhost" {
			d.bad(directory.Warning, "listen", cfg.Portal.Listen+" is for this machine alone, and there is no trusted proxy",
				"nobody else reaches the portal", "listen on an address people reach, or name the proxy in trusted_proxies")
		}
		return
	}
	near := slices.ContainsFunc(cfg.Portal.TrustedProxies, func(p string) bool { return strings.HasPrefix(p, "127.") || strings.HasPrefix(p, "::1") })
	if local && !near {
		d.bad(directory.Warning, "trusted_proxies", fmt.Sprintf("the portal listens on %s, where none of %s can reach it", cfg.Portal.Listen, strings.Join(cfg.Portal.TrustedProxies, ", ")),
			"requests would come from somebody who is not trusted, and all people would share one limit", "name the proxy as the portal sees it, like 127.0.0.1")
	}
	if !local && !cfg.Portal.TLS.On() {
		d.bad(directory.Warning, "listen", cfg.Portal.Listen+" speaks no TLS and is open to the network",
			"whoever is on the way from the proxy reads passwords", "listen on 127.0.0.1 beside the proxy, or set tls, or keep that network to the two of them")
	}
}

// listener tries whether the address is ours to listen on. A running portal is
// the usual reason why it is not.
func (d *examination) listener(key, addr string) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		l.Close()
		d.ok(key, "%s is free", addr)
		return
	}
	if conn, dial := net.DialTimeout("tcp", addr, time.Second); dial == nil {
		conn.Close()
		d.bad(directory.Warning, key, addr+" is taken; something answers there", "another program cannot listen there too",
			"nothing, if that is the running portal")
		return
	}
	d.bad(directory.Failure, key, err.Error(), "the portal cannot start", "change "+key+", or give the program the right to the port")
}

func (d *examination) certificate(cfg Config, host string) {
	pair, err := tls.LoadX509KeyPair(cfg.Portal.TLS.CertFile, cfg.Portal.TLS.KeyFile)
	if err != nil {
		d.bad(directory.Failure, "tls", err.Error(), "the portal cannot start", "check tls.cert_file and tls.key_file")
		return
	}
	d.leaf(pair.Leaf, host, cfg.Portal.TLS.CertFile)
	if ca := cfg.Portal.TLS.ClientCA; ca != "" {
		if _, err := portal.Authorities(ca); err != nil {
			d.bad(directory.Failure, "tls", err.Error(), "the portal cannot start", "check tls.client_ca")
		}
	}
}

// leaf says whether a certificate is for host and how long it still is.
func (d *examination) leaf(cert *x509.Certificate, host, file string) {
	if err := cert.VerifyHostname(host); err != nil {
		d.bad(directory.Failure, "tls", err.Error(), "every browser refuses it", "get a certificate for "+host)
		return
	}
	left := cert.NotAfter.Sub(d.now())
	days := int(left.Hours() / 24)
	switch {
	case left <= 0:
		d.bad(directory.Failure, "tls", fmt.Sprintf("the certificate in %s ended on %s", file, cert.NotAfter.Format(time.DateOnly)),
			"every browser refuses it", "renew it and restart")
	case days < 14:
		d.bad(directory.Warning, "tls", fmt.Sprintf("the certificate in %s ends in %s", file, count(days, "day")),
			"every browser will refuse it then", "renew it and restart")
	default:
		d.ok("tls", "the certificate is for %s, with %s left", host, count(days, "day"))
	}
}

func (d *examination) store(ctx context.Context, cfg Config, broken bool) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	keys, err := store.LoadKeys(cfg.Keys)
	if err != nil {
		mend := "postern keys create " + cfg.Keys
		if _, missing := os.Stat(cfg.Keys); missing == nil {
			mend = "chmod 600 " + cfg.Keys + ", or bring it back from the backup"
		}
		d.bad(directory.Failure, "keys", err.Error(), "nothing in the database can be opened without it", mend)
		return
	}
	d.ok("keys", "%s can be read, and by its owner alone", cfg.Keys)
	if broken {
		return
	}
	// Opening a SQLite file makes it; looking must not.
	if path := cfg.Store.Path; path != "" {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			d.bad(directory.Warning, "store", "there is no "+path+" yet", "postern serve makes it at its first start", "nothing")
			return
		}
	}
	db, err := store.Open(ctx, cfg.Store.Config, keys)
	if err != nil {
		d.bad(directory.Failure, "store", err.Error(), "the portal cannot start", "check store, and that the database runs")
		return
	}
	defer db.Close()
	have, want, err := db.Schema(ctx)
	switch {
	case err != nil:
		d.bad(directory.Failure, "store", err.Error(), "the portal cannot start", "check the rights of the database user")
	case have > want:
		d.bad(directory.Failure, "store", fmt.Sprintf("its schema is %d, and this program knows %d", have, want),
			"an older program would not know what it must keep", "run the newer program again")
	case have < want && cfg.Store.Postgres != "" && !cfg.Store.AutoMigrate:
		d.bad(directory.Failure, "store", fmt.Sprintf("its schema is %d, this program's is %d", have, want),
			"postern serve refuses to start", "postern migrate")
	case have < want:
		d.bad(directory.Warning, "store", fmt.Sprintf("its schema is %d, this program's is %d", have, want),
			"postern serve migrates it at its start", "make a backup first")
	default:
		d.ok("store", "answers, schema %d", have)
		if err := db.CheckKeys(ctx); err != nil {
			d.bad(directory.Failure, "keys", err.Error(), "postern serve refuses to start: nothing in the database could be opened",
				"bring back the "+cfg.Keys+" that was made for it")
			return
		}
		d.kiosks(ctx, db)
	}
}

func (d *examination) directory(ctx context.Context, cfg Directory) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
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

func (d *examination) mail(ctx context.Context, cfg Config) {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	server, err := smtp.New(cfg.Mail, d.now)
	if err == nil {
		err = server.Check(ctx)
	}
	if err != nil {
		d.bad(directory.Failure, "mail", fmt.Sprintf("%s: %v", cfg.Mail.Host, err), "no codes and no notices can be sent",
			"check mail, its certificate (ca_file) and its password")
		return
	}
	d.ok("mail", "%s takes mail from %s; nothing was sent", cfg.Mail.Host, cfg.Mail.From)
}
