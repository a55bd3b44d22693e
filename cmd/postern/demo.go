package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postern/directory/ad"
	"postern/directory/embedded"
	"postern/directory/entra"
	"postern/directory/graphstub"
	"postern/portal/access"
	"postern/portal/notify"
	"postern/portal/policy"
	"postern/portal/store"
	"postern/portal/web/view"
	"postern/verify"
	"postern/verify/totp"
)

// demoDirectory is the name of the demo's directory: ids of sample people begin
// with it, so it never changes.
const demoDirectory = "demo"

// demoCoolingOff is short enough to be seen to end.
const demoCoolingOff = 2 * time.Minute

func (c *cli) demo() *cobra.Command {
	var data, listen string
	var tenant bool
	var nodes int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a portal with sample people, on this machine alone",
		Long: "Runs the portal with a directory of sample people, on this machine alone. Nothing\n" +
			"needs to be installed, and no mail is sent: /demo shows everybody's password, current\n" +
			"codes and messages. DIR/demo.json tells scripts the same.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := c.runDemo(cmd.Context(), data, listen, tenant, nodes)
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				return nil // interrupted while it prepared
			}
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "`folder` to keep everything in; by default a temporary one, removed at the end")
	cmd.Flags().BoolVar(&tenant, "entra", false, "add a stand-in for a Microsoft Entra ID tenant, synced from the directory, with people of its own")
	cmd.Flags().IntVar(&nodes, "nodes", 1, "run so many nodes, on a PostgreSQL and a Redis of their own that must be installed")
	cmd.Flags().StringVar(&listen, "listen", "localhost:8080", "loopback `address` of the portal")
	return cmd
}

// runDemo prepares, serves until ctx ends, and cleans up.
func (c *cli) runDemo(ctx context.Context, data, listen string, tenant bool, nodes int) (err error) {
	switch {
	case nodes < 1 || nodes > mostNodes:
		return fmt.Errorf("--nodes %d: must be 1 to %d", nodes, mostNodes)
	case nodes > 1 && data != "":
		return errors.New("--data: nothing of several nodes is kept; leave one of --nodes and --data away")
	}
	if tenant && !entra.Built {
		return entra.ErrNotBuilt
	}
	addr, err := loopbackAddress(listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", listen, err)
	}
	// Before anything is prepared: this is what fails most often.
	if free, err := net.Listen("tcp", addr); err != nil {
		return fmt.Errorf("--listen %s: %w; stop what listens there, or give another, like --listen localhost:8081", addr, err)
	} else if err := free.Close(); err != nil {
		return err
	}
	if data == "" {
		if data, err = os.MkdirTemp("", "postern-demo-"); err != nil {
			return err
		}
		defer func() {
			if gone := os.RemoveAll(data); gone != nil {
				err = errors.Join(err, gone)
				return
			}
			fmt.Fprintln(c.out, "removed", data)
		}()
	}
	if data, err = filepath.Abs(data); err != nil {
		return err
	}
	if err := writable(data); err != nil {
		return fmt.Errorf("--data %s: %w; give a folder that you may write to, or leave --data away for a temporary one", data, err)
	}
	d := &demo{dir: data, out: c.out, now: time.Now}
	began := d.now()
	defer func() { err = errors.Join(err, d.close()) }()
	if d.inbox, err = notify.OpenInbox(filepath.Join(data, "inbox.jsonl"), d.now); err != nil {
		return err
	}
	if err := d.startDirectory(ctx); err != nil {
		return err
	}
	if tenant {
		if err := d.startTenant(ctx); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if nodes > 1 {
		if err := d.startCluster(ctx, addr); err != nil {
			return err
		}
		err := d.serveNodes(ctx, nodes, log, began)
		fmt.Fprintln(c.out, "stopped")
		return err
	}
	p, err := d.program(ctx, addr, log)
	if err != nil {
		return err
	}
	if _, err := p.server.Listen(); err != nil {
		return errors.Join(err, p.Close())
	}
	if err := d.tellScripts(ctx, p); err != nil {
		return errors.Join(err, p.Close())
	}
	d.tellPeople(p, d.now().Sub(began))
	err = p.Run(ctx)
	fmt.Fprintln(c.out, "stopped")
	return err
}

// loopbackAddress takes host:port on this machine alone, and finds a free port
// for port 0: it is part of the address people type.
func loopbackAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", errors.New("is not host:port")
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return "", errors.New("the demo shows passwords, so it listens on a loopback address alone, like localhost:8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", errors.New("has no port number at its end")
	} else if n != 0 {
		return listen, nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err = net.SplitHostPort(l.Addr().String())
	return net.JoinHostPort(host, port), err
}

// writable makes the folder when it is missing, and tries whether files can be made there.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "try-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// demo is a running demo.
type demo struct {
	dir     string
	out     io.Writer
	now     func() time.Time
	ldap    *embedded.Server
	tenant  *graphstub.Server // nil: there is none
	inbox   *notify.Inbox
	nodes   *cluster // nil: there is one
	db      *store.DB
	origin  string
	samples []sample
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *demo) startDirectory(ctx context.Context) error {
	d.say("preparing in %s", d.dir)
	var err error
	// Ends after the portal: with ctx the portal's last requests would fail.
	d.ldap, err = embedded.Start(context.WithoutCancel(ctx), embedded.Config{Dir: filepath.Join(d.dir, "directory"), Now: d.now})
	if err != nil {
		return err
	}
	d.say("  directory of %d sample people at %s", len(d.ldap.People()), d.ldap.URL())
	return nil
}

func (d *demo) close() error {
	var errs []error
	if d.tenant != nil {
		errs = append(errs, d.tenant.Close())
	}
	if d.ldap != nil {
		errs = append(errs, d.ldap.Close())
	}
	if d.inbox != nil {
		errs = append(errs, d.inbox.Close())
	}
	if d.nodes != nil {
		for _, stop := range d.nodes.close {
			errs = append(errs, stop())
		}
	}
	return errors.Join(errs...)
}

// program is the portal of serve, with the demo's directory, inbox and page.
func (d *demo) program(ctx context.Context, addr string, log *slog.Logger) (*program, error) {
	cfg := DefaultConfig()
	cfg.zone = time.Local
	cfg.Keys = filepath.Join(d.dir, "keys.json")
	cfg.Store.Path = filepath.Join(d.dir, "postern.db")
	cfg.Portal.Listen = addr
	public := addr
	if d.nodes != nil {
		public = d.nodes.front
		d.nodes.share(&cfg)
	}
	_, port, err := net.SplitHostPort(public)
	if err != nil {
		return nil, err
	}
	// The name, whatever the address: passkeys need one.
	cfg.Portal.PublicURL = strings.TrimSuffix("http://localhost:"+port, ":80")
	cfg.Brand.Organisation = "example.org"
	cfg.Brand.Support = "555 0100"
	cfg.Directories = []Directory{{Name: demoDirectory, AD: d.directory()}}
	if d.tenant != nil {
		d.addTenant(&cfg)
	}
	cfg.Access.Roles = access.Roles{Technician: []string{embedded.Technicians}, Operator: []string{embedded.Operators}}
	for _, plan := range []*policy.PlanConfig{&cfg.Policy.Plans.Reset, &cfg.Policy.Plans.Unlock} {
		plan.Allowed = append(plan.Allowed, verify.SMS, verify.Approval)
	}
	cfg.Policy.Plans.Assist.Allowed = append(cfg.Policy.Plans.Assist.Allowed, verify.Approval)
	// Managers answer with the code of /demo at once, or with a passkey that has had
	// its time, of which the demo gives it less than a day.
	cfg.Policy.Approval.TOTP, cfg.Policy.Approval.Levels, cfg.Policy.CoolingOff = true, 2, demoCoolingOff
	cfg.Alerts.Mail = []string{"security@example.org"}
	if _, err := os.Stat(cfg.Keys); errors.Is(err, os.ErrNotExist) {
		if err := store.CreateKeys(cfg.Keys); err != nil {
			return nil, err
		}
		d.say("  new keys")
	}
	return newProgram(ctx, cfg, log, extras{
		prepare: d.enrol, demo: d, sms: true,
		transports: map[notify.Channel]notify.Transport{notify.Mail: d.inbox.For(notify.Mail), notify.SMS: d.inbox.For(notify.SMS)},
	})
}

func (d *demo) directory() *ad.Config {
	c := ad.DefaultConfig()
	c.Servers = []string{d.ldap.URL()}
	c.CAFile = d.ldap.CAFile()
	c.BaseDN = d.ldap.BaseDN()
	c.UserOUs = []string{d.ldap.PeopleDN()}
	c.NetBIOSDomains = []string{d.ldap.NetBIOS()}
	c.BindDN = d.ldap.ServiceDN()
	c.Password = d.ldap.ServicePassword()
	return &c
}

// enrol sets up the sample people's factors, at the first start in a folder.
func (d *demo) enrol(ctx context.Context, p *program) error {
	if d.db != nil {
		return nil // another node has done it
	}
	d.db, d.origin = p.db, p.cfg.Portal.PublicURL
	if err := d.addKiosk(ctx, p.db); err != nil {
		return err
	}
	var err error
	if d.samples, err = readSamples(d.dir); err != nil {
		return err
	}
	// With a tenant for the first time there are people who were not there before.
	first := d.samples == nil
	people := slices.DeleteFunc(d.people(), func(p embedded.Person) bool {
		return slices.ContainsFunc(d.samples, func(s sample) bool { return s.Login == p.Login })
	})
	if len(people) == 0 {
		return nil
	}
	more, err := enrolSamples(ctx, p.db, p.people, people, p.keys.Derive(keyRecovery), d.now)
	if err != nil {
		return err
	}
	d.samples = append(d.samples, more...)
	if !first {
		return writeJSON(filepath.Join(d.dir, samplesFile), d.samples)
	}
	if err := recordHistory(ctx, p.db, d.samples, d.now()); err != nil {
		return err
	}
	d.say("  authenticator apps and recovery codes for %d of them", len(people)-len(unenrolled))
	return writeJSON(filepath.Join(d.dir, samplesFile), d.samples)
}

// tellScripts writes DIR/demo.json.
func (d *demo) tellScripts(ctx context.Context, p *program) error {
	people, err := look(ctx, d.db, d.people(), d.samples)
	if err != nil {
		return err
	}
	f := demoFile{Portal: p.server.URL(), LDAP: d.ldap.URL(), CAFile: d.ldap.CAFile()}
	for _, k := range people {
		f.add(k)
	}
	if f.Kiosk, err = d.launchKey(ctx); err != nil {
		return err
	}
	return writeJSON(filepath.Join(d.dir, "demo.json"), f)
}

func (d *demo) tellPeople(p *program, took time.Duration) {
	url := p.server.URL()
	d.say("ready after %.1f s\n", took.Seconds())
	d.say("  %s        the portal", url)
	d.say("  %s/demo   sample people: passwords, current codes, and every mail and SMS\n", url)
	d.say("Try, with both pages open side by side:")
	d.say("  forgotten password   \"user1\", its app's code and a recovery code from /demo")
	d.say("  locked account       \"locked1\", without a new password")
	d.say("  must change          \"mustchange1\", or \"expired1\": change with the old password")
	d.say("  first set-up         sign in as \"user20\" with its password and a mailed code")
	d.say("  operators' pages     sign in as \"operator1\" with password and app, then %s/desk", url)
	d.say("  the help desk        sign in as \"tech1\" the same way, then %s/desk: find \"user2\", begin a", url)
	d.say("                       case, and be the caller at %s/link in a private window", url)
	d.say("  a shared screen      %s/demo/kiosk opens the portal as a kiosk on a ward does", url)
	if d.tenant != nil {
		d.say("  a tenant's account   \"cloud1@example.org\", the same way; \"user5@example.org\" is synced, so")
		d.say("                       the directory gets the new password; \"cloudadmin1@example.org\" and")
		d.say("                       \"user6\" have roles in the tenant and are refused; it takes no password")
		d.say("                       with %q in it", bannedWord)
	}
	d.say("  nobody to help       \"admin1\", \"disabled1\" or a made-up name: all look alike\n")
	if d.nodes != nil {
		d.say("%d nodes take turns; the header X-Demo-Node of an answer says which it was\n", d.nodes.count)
	}
	d.say("For scripts: %s", filepath.Join(d.dir, "demo.json"))
	d.say("Ctrl-C stops it.")
}

// Page implements web.Demo.
func (d *demo) Page(ctx context.Context) (*view.Demo, error) {
	people, err := look(ctx, d.db, d.people(), d.samples)
	if err != nil {
		return nil, err
	}
	now := d.now()
	page := &view.Demo{LDAP: d.ldap.URL(), CAFile: d.ldap.CAFile()}
	for _, k := range people {
		one := view.DemoPerson{Login: k.Login, Name: k.Name, Password: k.Password.Reveal(), Mail: k.Mail, What: k.what(), Codes: k.codes}
		if len(k.secret) > 0 {
			if one.TOTP, err = totp.Code(k.secret, now); err != nil {
				return nil, err
			}
			one.Seconds = int(30 - now.Unix()%30)
		}
		page.People = append(page.People, one)
	}
	page.Inbox, err = d.Inbox(ctx)
	return page, err
}

// Inbox implements web.Demo.
func (d *demo) Inbox(context.Context) ([]view.DemoMessage, error) {
	var list []view.DemoMessage
	for _, m := range d.inbox.Messages() {
		list = append(list, view.DemoMessage{At: m.At, Channel: string(m.Channel), To: m.To, Subject: m.Subject, Text: m.Text})
	}
	return list, nil
}
