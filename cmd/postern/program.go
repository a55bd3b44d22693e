package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"postern/directory"
	"postern/locales"
	"postern/portal"
	"postern/portal/desk"
	"postern/portal/enrol"
	"postern/portal/flow"
	"postern/portal/i18n"
	"postern/portal/job"
	"postern/portal/kiosk"
	"postern/portal/limit"
	"postern/portal/notify"
	"postern/portal/password"
	"postern/portal/policy"
	"postern/portal/session"
	"postern/portal/ship"
	"postern/portal/store"
	"postern/portal/telemetry"
	"postern/portal/web"
	"postern/portal/web/view"
	"postern/static"
	"postern/templates"
	"postern/verify"
	"postern/verify/code"
	"postern/verify/handover"
	"postern/verify/passkey"
	passwordfactor "postern/verify/password"
	"postern/verify/recoverycode"
	"postern/verify/totp"
)

// freshProof is how old a proof may be for adding or removing a factor.
const freshProof = 10 * time.Minute

// program is a portal that is ready to run. Tests build the same value.
type program struct {
	cfg      Config
	log      *slog.Logger
	now      func() time.Time
	keys     *store.Keys
	db       *store.DB
	seen     *seenFile
	people   *directory.Set
	policy   *policy.Policy
	flow     *flow.Service
	screens  *kiosk.Service
	server   *portal.Server
	jobs     *job.Runner
	ships    *ship.Runner  // nil where the record goes nowhere
	census   *enrol.Census // nil where nobody has a role, and so is doctor
	doctor   *desk.Doctor
	metrics  *telemetry.Metrics
	launcher *telemetry.Launcher
	ending   atomic.Bool // it was told to
	// close undoes what was opened, last first.
	close []func() error
}

// pace is above what a start takes on a directory nearby, and below what people notice.
const pace = 25 * time.Millisecond

// names of the subkeys derived from the key file. They are for ever: another
// name is another key, and what was made with the old one is worth nothing.
const (
	keyDecoys   = "decoys"
	keyForms    = "forms"
	keyKiosks   = "kiosks"
	keyLimits   = "limits"
	keyCodes    = "one-time codes"
	keyRecovery = "recovery codes"
	keyContacts = "contacts"
	keyRecord   = "record"
)

// newProgram opens everything and starts nothing. On an error nothing stays open.
func newProgram(ctx context.Context, cfg Config, log *slog.Logger, extras extras) (_ *program, err error) {
	p := &program{cfg: cfg, log: log, now: extras.now, metrics: telemetry.NewMetrics(versionName())}
	if p.now == nil {
		p.now = time.Now
	}
	p.launcher = telemetry.NewLauncher(log, p.metrics)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.db, p.keys, err = cfg.openStore(ctx, p.now); err != nil {
		return nil, err
	}
	p.close = append(p.close, p.db.Close)
	if err := cfg.prepare(ctx, p.db); err != nil {
		return nil, err
	}
	if p.seen, err = cfg.seen(p.keys); err != nil {
		return nil, err
	}
	if err := p.seen.check(ctx, p.db); err != nil {
		return nil, err
	}
	if err := p.db.Ships(ctx, cfg.shipHolds()); err != nil {
		return nil, err
	}
	if err := p.openDirectories(); err != nil {
		return nil, err
	}
	if p.policy, err = policy.New(cfg.Policy); err != nil {
		return nil, err
	}
	if extras.prepare != nil {
		if err := extras.prepare(ctx, p); err != nil {
			return nil, err
		}
	}
	return p, p.build(extras)
}

// Close ends what newProgram opened.
func (p *program) Close() error {
	var errs []error
	for _, c := range slices.Backward(p.close) {
		errs = append(errs, c())
	}
	p.close = nil
	return errors.Join(errs...)
}

func (p *program) openDirectories() error {
	var members []directory.Named
	for _, d := range p.cfg.Directories {
		opened, err := d.open(p.now)
		if err != nil {
			return fmt.Errorf("directory %s: %w", d.Name, err)
		}
		p.close = append(p.close, func() error { opened.Close(); return nil })
		members = append(members, directory.Named{Name: d.Name, Directory: p.metrics.Directory(d.Name, opened, p.now), Suffixes: d.Suffixes, SyncedFrom: d.SyncedFrom})
	}
	var err error
	if p.people, err = directory.NewSet(members...); err == nil && p.cfg.SearchOrder {
		p.people.FirstWins()
	}
	return err
}

// factors are made for those kinds some plan allows; a kind that is not set up
// and yet allowed is an error (security case 118).
func (p *program) factors(sms bool) (all []verify.Factor, own []verify.Enroller, err error) {
	app, key := p.cfg.named()
	passkeys, err := passkey.New(key, p.cfg.Portal.PublicURL, p.db, p.db, p.now, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	apps, err := totp.New(app, p.db, p.now, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	saved, err := recoverycode.New(p.keys.Derive(keyRecovery), p.db, p.now, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	mailed, err := code.New(verify.Email, p.keys.Derive(keyCodes), p.now, rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	known := passwordfactor.New(p.people, stranger(p.cfg.Directories), p.now)
	all = []verify.Factor{passkeys, apps, mailed, saved, known}
	if sms {
		texted, err := code.New(verify.SMS, p.keys.Derive(keyCodes), p.now, rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, texted)
	}
	own = []verify.Enroller{passkeys, apps, saved}
	if p.cfg.Factors.YubiKey.On() {
		keys, err := openYubiKeys(p.cfg.Factors.YubiKey, p.db, p.now)
		if err != nil {
			return nil, nil, err
		}
		all, own = append(all, keys), append(own, keys)
	}
	all = append(all, handover.New(p.now, rand.Reader))
	vouched, err := p.openApproval(passkeys, apps)
	if err != nil {
		return nil, nil, err
	}
	return append(all, vouched), own, nil
}

// build puts the services and the pages together.
func (p *program) build(extras extras) error {
	counters, err := p.counters()
	if err != nil {
		return err
	}
	limits, err := limit.New(limit.Options{Config: p.cfg.Limits, Key: p.keys.Derive(keyLimits), Store: counters, Now: p.now,
		Hit: func(n limit.Name) { p.metrics.LimitHit(string(n)) },
		Alarm: func(a limit.Alarm) {
			p.metrics.Alarm(string(a.Name))
			p.log.Warn("too many failures: somebody may be trying names or passwords", "alarm", string(a.Name), "client", a.Address)
		}})
	if err != nil {
		return err
	}
	rules := p.cfg.Password
	rules.Words = append(slices.Clone(rules.Words), p.cfg.Brand.words()...)
	rules.Log, rules.Now = p.log, p.now
	judge, err := password.New(rules)
	if err != nil {
		return err
	}
	factors, enrollers, err := p.factors(extras.sms || p.cfg.SMS.On())
	if err != nil {
		return err
	}
	p.flow, err = flow.New(flow.Options{
		Directory: p.people, Policy: p.policy, Factors: factors, Vault: p.db, Store: p.db, Counters: p.db, Limits: limits, Judge: judge, Threats: p.db,
		Destination: p.cfg.destination(),
		Accounts:    p.db, ContactKey: p.keys.Derive(keyContacts), Operators: p.cfg.Alerts.Mail,
		DecoyKey: p.keys.Derive(keyDecoys), Strikes: flow.DefaultStrikeRule, Pace: pace, Now: p.now, Rand: rand.Reader, Log: p.log,
		Observe: func(purpose policy.Purpose, outcome string, took time.Duration) {
			p.metrics.Case(string(purpose), outcome, took)
		},
	})
	if err != nil {
		return err
	}
	own, err := enrol.New(enrol.Options{Directory: p.people, Policy: p.policy, Store: p.db, Accounts: p.db, Threats: p.db, Factors: enrollers, Now: p.now, Rand: rand.Reader, Fresh: freshProof,
		Operators: p.cfg.Alerts.Mail, Incident: func() { p.metrics.Alarm("not_me") }, Campaign: p.cfg.Enrolment.Campaign(p.cfg.zone),
		Keeping: enrol.Keeping{Limits: limits, Spent: p.db, Rules: p.policy}})
	if err != nil {
		return err
	}
	look, err := p.look(extras.demo != nil)
	if err != nil {
		return err
	}
	shared, err := p.kiosk()
	if err != nil {
		return err
	}
	desk, err := p.desk(extras, own, limits)
	if err != nil {
		return err
	}
	p.server, err = portal.New(portal.Options{
		Config: p.cfg.Portal, Log: p.log, Admin: p.metrics.Admin(p.log),
		Web: web.Options{
			Secret: p.keys.Derive(keyForms),
			Flow:   p.flow, Enrol: own, Sessions: session.NewManager(p.db, p.now), Limits: limits, Plans: p.policy, Records: p.db, Receipts: p.db,
			Renderer: look.pages, Languages: look.bundle, Static: look.files, Ready: p.ready,
			Phrase: func(rules directory.Rules, who directory.User) (directory.Secret, error) {
				return judge.Passphrase(rand.Reader, rules, who)
			},
			Demo: extras.demo, Desk: desk, Kiosk: shared, Purposes: p.cfg.purposes(), Places: p.cfg.places(), Passwords: p.cfg.passwords(), Now: p.now, Rand: rand.Reader, Log: p.log, Observe: p.metrics.Request, Panicked: p.metrics.Panic,
		},
	})
	if err != nil {
		return err
	}
	transports := extras.transports
	if transports == nil {
		if transports, err = p.cfg.transports(); err != nil {
			return err
		}
	}
	remind, err := p.reminders()
	if err != nil {
		return err
	}
	signer, err := recordSigner(p.keys)
	if err != nil {
		return err
	}
	p.jobs, err = job.New(job.Config{
		Outbox: p.db, Database: p.db, People: p.people, Renderer: messages{look.pages}, Transports: transports,
		Reconcile: p.tidy, Remind: remind, Sealer: sealer{p.db, signer}, Alarm: p.metrics.Alarm, Safe: p.launcher.Safe, Log: p.log, Now: p.now,
		Deliveries: func(d job.Delivery) {
			p.metrics.Delivery(string(d.Channel), d.Template, string(d.Outcome), d.Waited, d.Took)
		},
	})
	if err != nil {
		return err
	}
	p.ships, err = p.shipping(signer.Name(), transports[notify.Mail])
	return err
}

// counters of the limits: this process's own, or those of all nodes.
func (p *program) counters() (limit.Store, error) {
	if p.cfg.Limits.Redis == "" {
		return limit.NewMemory(p.cfg.Limits.Remember), nil
	}
	shared, err := limit.NewRedis(p.cfg.Limits.Redis, p.cfg.Limits.Remember, func(down bool) {
		if !down {
			p.log.Info("Redis answers again")
			return
		}
		p.metrics.Alarm("redis")
		p.log.Error("Redis does not answer: each node counts by itself at a fifth of every limit, and no codes are sent")
	})
	if err != nil {
		return nil, err
	}
	p.close = append(p.close, shared.Close)
	return shared, nil
}

// messages are rendered by the same templates and languages as pages.
type messages struct{ pages *view.Renderer }

func (m messages) Render(msg notify.Message) (notify.Rendered, error) { return m.pages.Mail(msg) }

// appearance is everything people see, built in and laid over.
type appearance struct {
	bundle *i18n.Bundle
	files  *static.Files
	pages  *view.Renderer
}

func (p *program) look(demo bool) (a appearance, err error) {
	b := p.cfg.Brand
	// Side by side: packing the files takes about as long as reading the texts.
	packed := make(chan error, 1)
	go func() {
		var err error
		a.files, err = static.New(static.Options{Overlay: folder(p.cfg.Overlay.Static), Colour: b.Colour})
		packed <- err
	}()
	texts := []fs.FS{locales.Files}
	if over := folder(p.cfg.Overlay.Locales); over != nil {
		texts = append(texts, over)
	}
	a.bundle, err = i18n.Load(i18n.Options{Zone: p.cfg.zone, Now: p.now}, texts...)
	if err := errors.Join(<-packed, err); err != nil {
		return a, err
	}
	a.pages, err = view.New(view.Options{
		Templates: templates.Files, Overlay: folder(p.cfg.Overlay.Templates), Bundle: a.bundle, Static: a.files.URL,
		Brand:     view.Brand{Name: b.Name, Organisation: b.Organisation, Support: b.Support, SupportURL: b.SupportURL, Hours: b.Hours, Logo: b.Logo},
		PublicURL: p.cfg.Portal.PublicURL, Demo: demo,
	})
	return a, err
}

// folder is nil for no folder: an fs.FS that holds a nil would not be nil.
func folder(path string) fs.FS {
	if path == "" {
		return nil
	}
	return os.DirFS(path)
}

// errEnding is what a proxy is told while the portal drains.
var errEnding = errors.New("the portal is ending")

// ready says whether the portal can help anybody now, and will a moment from now.
func (p *program) ready(ctx context.Context) error {
	if p.ending.Load() {
		return errEnding
	}
	return p.db.Ping(ctx)
}

// extras are what demo and tests add to the program. serve has none of them.
type extras struct {
	now func() time.Time // nil: time.Now
	// prepare runs once the store and the directories are open, before any page.
	prepare func(context.Context, *program) error
	demo    web.Demo
	sms     bool // codes by SMS can be sent
	// transports carry messages; nil: those of the configuration.
	transports map[notify.Channel]notify.Transport
}

// reloadKeys is how often the key file is read again, so that a rotation is
// taken up without a restart.
const reloadKeys = time.Minute

// errPanicked is what became of work that returned nothing.
var errPanicked = errors.New("the background work panicked")

// Run serves until ctx ends, and takes everything down in order: first no new
// requests, then the work nobody waits for, then what both stand on. A part
// that fails takes the program down: half a portal helps nobody.
func (p *program) Run(ctx context.Context) error {
	if _, err := p.server.Listen(); err != nil {
		return errors.Join(err, p.Close())
	}
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	serving, stopServing := context.WithCancel(ctx)
	defer stopWork()
	defer stopServing()
	defer context.AfterFunc(ctx, func() { p.ending.Store(true) })()
	worked := errPanicked
	p.launcher.Go("jobs", func() {
		defer stopServing() // the jobs' end is the portal's
		worked = p.jobs.Run(working)
	})
	p.launcher.Go("key file", func() { p.refreshKeys(working) })
	p.launcher.Go("ship", func() { p.ship(working) })
	p.launcher.Go("seen", func() { p.watchSeen(working) })
	p.launcher.Go("census", func() { p.count(working) })
	p.launcher.Go("doctor", func() { p.attend(working) })
	p.log.Info("ready", "url", p.server.URL(), "version", versionName())
	err := p.server.Run(serving)
	stopWork()
	p.launcher.Wait()
	p.noteLast()
	err = errors.Join(err, worked, p.Close())
	p.log.Info("stopped")
	return err
}

func (p *program) refreshKeys(ctx context.Context) {
	tick := time.NewTicker(reloadKeys)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := p.keys.Reload(); err != nil {
				p.log.Error("the key file cannot be read again; the keys stay as they were", "error", err)
			}
		}
	}
}
