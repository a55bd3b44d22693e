package main

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	_ "time/tzdata" // the binary may run where there is no zone database

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/entra"
	"postern/directory/openldap"
	"postern/portal"
	"postern/portal/access"
	"postern/portal/enrol"
	"postern/portal/limit"
	"postern/portal/notify"
	"postern/portal/notify/sms"
	"postern/portal/notify/smtp"
	"postern/portal/password"
	"postern/portal/policy"
	"postern/portal/ship"
	"postern/portal/store"
	"postern/static"
	"postern/verify"
	"postern/verify/passkey"
	"postern/verify/totp"
	"postern/verify/yubikey"
)

// Config is the configuration file: every package's own part, under its name.
type Config struct {
	Portal portal.Config `yaml:",inline"`

	LogLevel slog.Level `yaml:"log_level"`
	Brand    Brand      `yaml:"brand"`
	TimeZone string     `yaml:"time_zone"`
	Overlay  Overlay    `yaml:"overlay"`

	Keys        string      `yaml:"keys"`
	Store       Store       `yaml:"store"`
	Directories []Directory `yaml:"directories"`
	// SearchOrder: the first directory that knows a name is meant, where several do.
	SearchOrder bool `yaml:"search_order"`
	// Picker lets people say which directory they are in.
	Picker    bool            `yaml:"picker"`
	Mail      smtp.Config     `yaml:"mail"`
	Alerts    Alerts          `yaml:"alerts"`
	SMS       sms.Config      `yaml:"sms"`
	Policy    policy.Config   `yaml:"policy"`
	Access    access.Config   `yaml:"access"`
	Factors   Factors         `yaml:"factors"`
	Enrolment enrol.Config    `yaml:"enrolment"`
	Password  password.Config `yaml:"password"`
	Limits    limit.Config    `yaml:"limits"`
	Ship      ship.Config     `yaml:"ship"`

	zone *time.Location
	// file is where it was read from, private the files its secrets are in; as far as there are any.
	file    string
	private []string
}

// Brand is what an operator makes their own.
type Brand struct {
	Name         string `yaml:"name"`
	Organisation string `yaml:"organisation"`
	Support      string `yaml:"support"`
	SupportURL   string `yaml:"support_url"`
	Hours        string `yaml:"hours"`
	Logo         string `yaml:"logo"`
	Colour       string `yaml:"colour"`
}

// Overlay are folders laid over the built-in files, file by file.
type Overlay struct {
	Static    string `yaml:"static"`
	Templates string `yaml:"templates"`
	Locales   string `yaml:"locales"`
}

// Store is the store's own configuration, and when to migrate.
type Store struct {
	store.Config `yaml:",inline"`
	// AutoMigrate lets serve migrate PostgreSQL. SQLite has one program, which
	// always migrates.
	AutoMigrate bool `yaml:"auto_migrate"`
	// Seen is the file in which this node remembers how far the database was; left out:
	// beside the key file. Never in a place that is restored together with the database.
	Seen string `yaml:"seen"`
}

// Directory is one directory of people: a name, and one of the dialects.
type Directory struct {
	Name string `yaml:"name"`
	// Label is what people call it, in the picker; left out: Name.
	Label string `yaml:"label"`
	// Suffixes are ends of logins that are looked for here and nowhere else.
	Suffixes []string         `yaml:"suffixes"`
	AD       *ad.Config       `yaml:"ad"`
	OpenLDAP *openldap.Config `yaml:"openldap"`
	Entra    *entra.Config    `yaml:"entra"`
	// SyncedFrom are directories whose accounts this tenant has copies of.
	SyncedFrom []string `yaml:"synced_from"`
}

// Factors are the settings of each factor that has any.
type Factors struct {
	TOTP    totp.Config    `yaml:"totp"`
	Passkey passkey.Config `yaml:"passkey"`
	YubiKey yubikey.Config `yaml:"yubikey"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Portal:    portal.DefaultConfig(),
		Brand:     Brand{Name: "Postern"},
		TimeZone:  "UTC",
		Keys:      "keys.json",
		Store:     Store{Config: store.DefaultConfig()},
		Mail:      smtp.DefaultConfig(),
		SMS:       sms.DefaultConfig(),
		Policy:    policy.DefaultConfig(),
		Factors:   Factors{TOTP: totp.DefaultConfig(), Passkey: passkey.DefaultConfig(), YubiKey: yubikey.DefaultConfig()},
		Enrolment: enrol.DefaultConfig(),
		Password:  password.DefaultConfig(),
		Limits:    limit.DefaultConfig(),
		Ship:      ship.DefaultConfig(),
	}
}

// elements are what the entries of lists start from.
func elements() []any {
	return append([]any{ad.DefaultConfig(), openldap.DefaultConfig(), entra.DefaultConfig(), policy.DefaultConfig().Approval}, ship.Elements()...)
}

// load reads the file, resolves its secrets and checks everything. The error is
// Faults when the file could be read: all of them, in the order of the file.
// The Config is as far as it could be read even then.
func (c *cli) load(path string) (Config, error) {
	data, err := readBounded(path, maxConfig)
	if err != nil {
		return Config{}, fmt.Errorf("%w (postern config example prints one to start from)", err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Config{}, err
	}
	cfg, faults := parse(data, folder, c.env)
	cfg.file = path
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o002 != 0 {
		faults = append(faults, Fault{What: "everybody on this machine may write " + path + "; chmod o-w " + path})
	}
	faults.sort()
	if len(faults) > 0 {
		return cfg, faults
	}
	return cfg, nil
}

// parse is load without the file. Relative paths are from folder.
func parse(data []byte, folder string, env func(string) (string, bool)) (Config, Faults) {
	cfg := DefaultConfig()
	r := newReader(elements()...)
	r.read(data, &cfg)
	sec := &secrets{folder: folder, env: env}
	cfg.adapt(r)
	cfg.resolve(r, sec)
	cfg.validate(r)
	return cfg, r.faults
}

// resolve turns relative paths into absolute ones and references into secrets.
func (c *Config) resolve(r *reader, sec *secrets) {
	for _, p := range []*string{&c.Keys, &c.Store.Path, &c.Store.Seen, &c.Overlay.Static, &c.Overlay.Templates, &c.Overlay.Locales,
		&c.Portal.TLS.CertFile, &c.Portal.TLS.KeyFile, &c.Portal.TLS.ClientCA, &c.Mail.CAFile, &c.SMS.CAFile, &c.Factors.YubiKey.Keys,
		&c.Factors.Passkey.Metadata, &c.Factors.Passkey.MetadataRoot,
		&c.Password.Breached, &c.Password.BreachedCAFile} {
		*p = sec.place(*p)
	}
	secret := func(path, ref string) directory.Secret {
		if ref == "" {
			return directory.Secret{} // whether it may be missing is the package's to say
		}
		s, err := sec.resolve(path, ref)
		r.add("", err)
		r.told[path] = err != nil
		return s
	}
	for i := range c.Directories {
		d, at := &c.Directories[i], fmt.Sprintf("directories[%d]", i)
		if d.AD != nil {
			d.AD.CAFile = sec.place(d.AD.CAFile)
			d.AD.Password = secret(at+".ad.bind_password", d.AD.BindPassword)
		}
		if d.OpenLDAP != nil {
			d.OpenLDAP.CAFile = sec.place(d.OpenLDAP.CAFile)
			d.OpenLDAP.Password = secret(at+".openldap.bind_password", d.OpenLDAP.BindPassword)
		}
		if d.Entra != nil {
			for _, p := range []*string{&d.Entra.CAFile, &d.Entra.Certificate, &d.Entra.WorkloadToken} {
				*p = sec.place(*p)
			}
			d.Entra.Secret = secret(at+".entra.client_secret", d.Entra.ClientSecret)
		}
	}
	c.Mail.Secret = secret("mail.password", c.Mail.Password)
	c.SMS.Resolve(func(key, ref string) directory.Secret { return secret("sms."+key, ref) })
	c.Factors.YubiKey.Secret = secret("factors.yubikey.secret", c.Factors.YubiKey.Reference)
	if ref := c.Store.Postgres; ref != "" {
		c.Store.Postgres = secret("store.postgres", ref).Reveal()
	}
	if ref := c.Limits.Redis; ref != "" {
		c.Limits.Redis = secret("limits.redis", ref).Reveal()
	}
	c.Ship.Resolve(sec.place, func(key, ref string) directory.Secret { return secret("ship."+key, ref) })
	c.private = sec.files
}

// namePattern of a directory: it is the first half of every id in it.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func (c *Config) validate(r *reader) {
	r.add("", c.Portal.Validate()...)
	r.told["public_url"] = slices.ContainsFunc(r.faults, func(f Fault) bool { return f.Path == "public_url" })
	r.add("brand", c.Brand.Validate()...)
	var err error
	if c.zone, err = time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "Local" {
		r.add("", fmt.Errorf("time_zone: %q is not a zone, like Europe/Berlin", c.TimeZone))
	}
	for _, o := range []struct{ key, path string }{{"static", c.Overlay.Static}, {"templates", c.Overlay.Templates}, {"locales", c.Overlay.Locales}} {
		if info, err := os.Stat(o.path); o.path != "" && (err != nil || !info.IsDir()) {
			r.add("overlay", fmt.Errorf("%s: there is no folder %s", o.key, o.path))
		}
	}
	if c.Keys == "" {
		r.add("", errors.New("keys: missing, like keys.json"))
	}
	if key := c.Portal.TLS.KeyFile; key != "" {
		if err := private(key); err != nil {
			r.add("tls", fmt.Errorf("key_file: %w", err))
		}
	}
	if !r.told["store.postgres"] {
		r.add("store", c.Store.Validate()...)
	}
	c.validateDirectories(r)
	// Mail is not for codes alone: whoever's account was acted on is told so.
	r.add("mail", c.Mail.Validate()...)
	r.add("alerts", c.Alerts.Validate()...)
	r.add("sms", c.SMS.Validate()...)
	r.add("policy", c.Policy.Validate()...)
	c.validateAbilities(r)
	c.validateDesk(r)
	c.validateFactors(r)
	r.add("enrolment", c.Enrolment.Validate()...)
	r.add("password", c.Password.Validate()...)
	r.add("limits", c.Limits.Validate()...)
	r.add("ship", c.Ship.Validate()...)
}

func (c *Config) validateDirectories(r *reader) {
	if len(c.Directories) == 0 {
		r.add("", errors.New("directories: name at least one"))
	}
	if c.Picker && len(c.Directories) < 2 {
		r.add("", errors.New("picker: there is only one directory to pick; leave it out"))
	}
	names := map[string]int{}
	for i, d := range c.Directories {
		at := fmt.Sprintf("directories[%d]", i)
		first, taken := names[d.Name]
		switch {
		case !namePattern.MatchString(d.Name):
			r.add(at, errors.New("name: must be 1 to 32 of a-z, 0-9 and -, and stay the same for ever: ids begin with it"))
		case taken:
			r.add(at, fmt.Errorf("name: is already the name of directories[%d]", first))
		default:
			names[d.Name] = i
		}
		dialects := 0
		for _, there := range []bool{d.AD != nil, d.OpenLDAP != nil, d.Entra != nil} {
			if there {
				dialects++
			}
		}
		if dialects != 1 {
			r.add(at, errors.New("ad, openldap, entra: give exactly one of them"))
		}
		c.validateRouting(r, at, d)
		c.validateLabel(r, i)
		if d.AD != nil {
			r.add(at+".ad", d.AD.Validate()...)
		}
		if d.OpenLDAP != nil {
			r.add(at+".openldap", d.OpenLDAP.Validate()...)
		}
		if d.Entra != nil {
			r.add(at+".entra", d.Entra.Validate()...)
			if !entra.Built {
				r.add(at, errors.New("entra: this program was built without it (-tags noentra)"))
			}
		}
	}
}

// validateRouting checks what leads to a directory.
func (c *Config) validateRouting(r *reader, at string, d Directory) {
	for i, s := range d.Suffixes {
		if s == "" || strings.ContainsAny(s, "@\\ ") {
			r.add(at, fmt.Errorf("suffixes[%d]: %q is not the part of a login behind the @", i, s))
		}
	}
	if len(d.SyncedFrom) > 0 && d.Entra == nil {
		r.add(at, errors.New("synced_from: only a tenant has copies of accounts"))
		return
	}
	for i, name := range d.SyncedFrom {
		if !slices.ContainsFunc(c.Directories, func(o Directory) bool { return o.Name == name && o.AD != nil }) {
			r.add(at, fmt.Errorf("synced_from[%d]: %q is no Active Directory of this file", i, name))
		}
	}
}

// setUp are the factors that this program can offer.
func (c *Config) setUp() []verify.Kind {
	kinds := []verify.Kind{verify.Passkey, verify.TOTP, verify.Email, verify.RecoveryCode, verify.Approval, verify.Handover}
	if len(c.Directories) == 0 || slices.ContainsFunc(c.Directories, Directory.checksPasswords) {
		kinds = append(kinds, verify.Password)
	}
	if c.SMS.On() {
		kinds = append(kinds, verify.SMS)
	}
	if c.Factors.YubiKey.On() {
		kinds = append(kinds, verify.YubiKey)
	}
	return kinds
}

// validateFactors refuses a plan that counts on a factor nobody can use: people
// would be stranded by it, or find one gate where two were meant.
func (c *Config) validateFactors(r *reader) {
	plans, setUp := c.Policy.Plans, c.setUp()
	allowed := map[string][]verify.Kind{
		"plans.reset": plans.Reset.Allowed, "plans.unlock": plans.Unlock.Allowed,
		"plans.signin": plans.SignIn.Allowed, "plans.stepup": plans.StepUp.Allowed, "plans.assist": plans.Assist.Allowed,
	}
	if c.someCan(policy.Change) {
		allowed["plans.change"] = plans.Change.Allowed
	}
	for i, rule := range c.Policy.Rules {
		allowed[fmt.Sprintf("rules[%d].plan", i)] = rule.Plan.Allowed
	}
	for at, kinds := range allowed {
		for i, k := range kinds {
			if k.Class() != "" && !slices.Contains(setUp, k) {
				r.add("policy", fmt.Errorf("%s.allowed[%d]: %s is not set up", at, i, k))
			}
		}
	}
	if c.Policy.Approval.SMS && !c.SMS.On() {
		r.add("policy", errors.New("approval.sms: sms is not set up"))
	}
	for i, rule := range c.Policy.Rules {
		if a := rule.Plan.Approval; a != nil && a.SMS && !c.SMS.On() {
			r.add("policy", fmt.Errorf("rules[%d].plan.approval.sms: sms is not set up", i))
		}
		for j, name := range rule.Directories {
			if !slices.ContainsFunc(c.Directories, func(d Directory) bool { return d.Name == name }) {
				r.add("policy", fmt.Errorf("rules[%d].directories[%d]: there is no directory called %q", i, j, name))
			}
		}
	}
	r.add("factors.yubikey", c.Factors.YubiKey.Validate()...)
	// These check their settings when they are made, and making them costs nothing.
	app, key := c.named()
	_, err := totp.New(app, nil, time.Now, rand.Reader)
	r.addFactor("totp", err)
	if u, bad := url.Parse(c.Portal.PublicURL); bad == nil && u.Host != "" {
		_, err = passkey.New(key, c.Portal.PublicURL, nil, nil, time.Now, rand.Reader)
		r.addFactor("passkey", err)
	}
}

// named gives the factors the brand's name where the file gives none of theirs.
func (c *Config) named() (totp.Config, passkey.Config) {
	app, key := c.Factors.TOTP, c.Factors.Passkey
	app.Issuer, key.Name = cmp.Or(app.Issuer, c.Brand.Name), cmp.Or(key.Name, c.Brand.Name)
	return app, key
}

// addFactor takes faults that begin with the package's name.
func (r *reader) addFactor(name string, err error) {
	for _, one := range flatten([]error{err}) {
		text := strings.TrimPrefix(one.Error(), name+": ")
		if at := "factors." + name; strings.HasPrefix(text, "public_url: ") {
			r.add("", errors.New(text))
		} else {
			r.add(at, errors.New(text))
		}
	}
}

// transports carry the messages of serve.
func (c *Config) transports() (map[notify.Channel]notify.Transport, error) {
	mail, err := smtp.New(c.Mail, time.Now)
	if err != nil {
		return nil, err
	}
	all := map[notify.Channel]notify.Transport{notify.Mail: mail}
	if c.SMS.On() {
		if all[notify.SMS], err = sms.New(c.SMS, time.Now); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// words of the brand are what everybody would try first in a password.
func (b Brand) words() (words []string) {
	for _, w := range strings.FieldsFunc(b.Organisation+" "+b.Name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if utf8.RuneCountInString(w) >= 4 {
			words = append(words, w)
		}
	}
	return words
}

// Validate returns every fault, each beginning with the name of its key.
func (b Brand) Validate() []error {
	var faults []error
	if b.Name == "" {
		faults = append(faults, errors.New("name: is empty"))
	}
	if u, err := url.Parse(b.SupportURL); b.SupportURL != "" && (err != nil || u.Scheme != "tel" && u.Scheme != "mailto" && u.Scheme != "https") {
		faults = append(faults, errors.New("support_url: must begin with tel:, mailto: or https: as links do"))
	}
	if b.Colour != "" {
		if _, err := static.Palette(b.Colour); err != nil {
			faults = append(faults, fmt.Errorf("colour: %q is not a colour like #0b5c4c", b.Colour))
		}
	}
	return faults
}

// closer is a directory with connections.
type closer interface {
	directory.Directory
	Close()
}

// open dials nothing: a directory is reached when it is asked.
func (d Directory) open(now func() time.Time) (closer, error) {
	switch {
	case d.Entra != nil:
		return entra.New(d.Name, *d.Entra, entra.WithClock(now))
	case d.AD != nil:
		return ad.New(d.Name, *d.AD, ad.WithClock(now))
	}
	return openldap.New(d.Name, *d.OpenLDAP, openldap.WithClock(now))
}
