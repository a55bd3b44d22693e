package ship

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/notify"
)

// Config says where the record goes.
type Config struct {
	// Witness is how often the newest checkpoint goes to every target.
	Witness time.Duration `yaml:"witness"`
	// Hold is how many events may wait for any target, but for optional ones; with more,
	// nothing is changed in a directory until they were sent. 0: never hold anything.
	Hold int      `yaml:"hold"`
	To   []Target `yaml:"to"`
}

// Target is one place: a name, and one of syslog, file, webhook and mail.
type Target struct {
	// Name of its cursor: another name starts anew, at what is recorded from then on.
	Name string `yaml:"name"`
	// CheckpointsOnly sends no events. Mail never gets any.
	CheckpointsOnly bool `yaml:"checkpoints_only"`
	// Personal: names and addresses too. false: events as they are stored, with those sealed.
	Personal bool `yaml:"personal"`
	// Optional: what waits for it holds nothing up.
	Optional bool `yaml:"optional"`

	Syslog  *Syslog  `yaml:"syslog"`
	File    *File    `yaml:"file"`
	Webhook *Webhook `yaml:"webhook"`
	Mail    []string `yaml:"mail"`
}

// Format of what a syslog target gets.
type Format string

const (
	JSON Format = "json" // one object
	CEF  Format = "cef"  // Common Event Format, version 0
)

// Syslog is a receiver of RFC 5424 messages over TLS (RFC 5425).
type Syslog struct {
	// Address is host:port.
	Address string `yaml:"address"`
	// TLS false is for a relay on this machine only (RFC 6587, octet counting).
	TLS      bool   `yaml:"tls"`
	CAFile   string `yaml:"ca_file"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	Format   Format `yaml:"format"`
	// Facility as in RFC 5424 section 6.2.1.
	Facility int `yaml:"facility"`
}

// File is JSON Lines on this machine.
type File struct {
	Path string `yaml:"path"`
	// Size in MiB at which it is put aside, under its name and the time.
	Size int `yaml:"size"`
	// Keep is how many of those stay; 0: all.
	Keep int `yaml:"keep"`
}

// Webhook gets POST requests, signed as https://www.standardwebhooks.com says.
type Webhook struct {
	URL    string `yaml:"url"`
	CAFile string `yaml:"ca_file"`
	// Reference to the secret, file:PATH or env:NAME, and Secret what it refers to: 24 to
	// 64 random bytes in base64, with whsec_ in front or not.
	Reference string           `yaml:"secret"`
	Secret    directory.Secret `yaml:"-"`
	// AllowPrivate lets the name lead to a private network. This machine and the
	// addresses of clouds' own services are refused all the same.
	AllowPrivate bool `yaml:"allow_private"`
}

// DefaultConfig ships nowhere.
func DefaultConfig() Config { return Config{Witness: 10 * time.Minute, Hold: 100_000} }

// Elements are what the parts of a target start from.
func Elements() []any {
	return []any{Target{Personal: true}, Syslog{TLS: true, Format: JSON, Facility: 10}, File{Size: 100}}
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Resolve gives place every path, and secret every reference with its key.
func (c *Config) Resolve(place func(string) string, secret func(key, ref string) directory.Secret) {
	for i := range c.To {
		t := &c.To[i]
		if s := t.Syslog; s != nil {
			s.CAFile, s.CertFile, s.KeyFile = place(s.CAFile), place(s.CertFile), place(s.KeyFile)
		}
		if f := t.File; f != nil {
			f.Path = place(f.Path)
		}
		if w := t.Webhook; w != nil {
			w.CAFile = place(w.CAFile)
			w.Secret = secret(fmt.Sprintf("to[%d].webhook.secret", i), w.Reference)
		}
	}
}

// Holds says how many events may wait for a target; 0: any number.
func (c Config) Holds(t Target) int {
	if t.Optional || t.CheckpointsOnly || len(t.Mail) > 0 {
		return 0
	}
	return c.Hold
}

// Validate returns every fault, each beginning with the name of its key.
func (c Config) Validate() []error {
	var faults []error
	if c.Witness < time.Minute || c.Witness > 24*time.Hour {
		faults = append(faults, fmt.Errorf("witness: %s is not between 1m and 24h", c.Witness))
	}
	if c.Hold != 0 && c.Hold < 1000 {
		faults = append(faults, fmt.Errorf("hold: %d is less than a busy minute; 0, or 1000 and more", c.Hold))
	}
	names := map[string]bool{}
	for i, t := range c.To {
		at := fmt.Sprintf("to[%d].", i)
		for _, err := range t.validate() {
			faults = append(faults, fmt.Errorf("%s%w", at, err))
		}
		if names[t.Name] {
			faults = append(faults, fmt.Errorf("%sname: %q is there twice", at, t.Name))
		}
		names[t.Name] = true
	}
	return faults
}

func (t Target) validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !namePattern.MatchString(t.Name) {
		add("name: must be 1 to 32 of a-z, 0-9 and -")
	}
	kinds := 0
	nest := func(key string, there bool, err ...error) {
		if !there {
			return
		}
		kinds++
		for _, err := range err {
			add("%s.%w", key, err)
		}
	}
	if t.Syslog != nil {
		nest("syslog", true, t.Syslog.validate()...)
	}
	if t.File != nil {
		nest("file", true, t.File.validate()...)
	}
	if t.Webhook != nil {
		nest("webhook", true, t.Webhook.validate()...)
	}
	if len(t.Mail) > 0 {
		nest("mail", true)
		for i, to := range t.Mail {
			if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
				add("mail[%d]: %q is not an address", i, to)
			}
		}
	}
	if kinds != 1 {
		add("syslog, file, webhook, mail: give exactly one of them")
	}
	return faults
}

func (s Syslog) validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	host, _, err := net.SplitHostPort(s.Address)
	if err != nil || host == "" {
		add("address: %q is not host:port, like logs.example.org:6514", s.Address)
	}
	if !s.TLS && !loopback(host) {
		add("tls: false is for a relay on this machine (localhost, 127.0.0.1, ::1)")
	}
	if s.Format != JSON && s.Format != CEF {
		add("format: %q is neither json nor cef", s.Format)
	}
	if s.Facility < 0 || s.Facility > 23 {
		add("facility: %d is not between 0 and 23", s.Facility)
	}
	if _, err := notify.Authorities(s.CAFile); err != nil {
		add("ca_file: %w", err)
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		add("cert_file: goes with key_file")
	} else if s.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(s.CertFile, s.KeyFile); err != nil {
			add("cert_file: %w", err)
		}
	}
	return faults
}

func (f File) validate() []error {
	var faults []error
	if f.Path == "" {
		return append(faults, errors.New("path: missing, like /var/log/postern/audit.jsonl"))
	}
	if info, err := os.Stat(filepath.Dir(f.Path)); err != nil || !info.IsDir() {
		faults = append(faults, fmt.Errorf("path: there is no folder %s", filepath.Dir(f.Path)))
	}
	if f.Size < 1 || f.Size > 1<<20 {
		faults = append(faults, fmt.Errorf("size: %d is not between 1 and %d MiB", f.Size, 1<<20))
	}
	if f.Keep < 0 {
		faults = append(faults, errors.New("keep: is below 0"))
	}
	return faults
}

func (w Webhook) validate() []error {
	var faults []error
	if _, _, err := w.endpoint(); err != nil {
		faults = append(faults, fmt.Errorf("url: %w", err))
	}
	if _, err := notify.Authorities(w.CAFile); err != nil {
		faults = append(faults, fmt.Errorf("ca_file: %w", err))
	}
	switch _, err := w.key(); {
	case w.Reference == "" && w.Secret.Empty():
		faults = append(faults, errors.New("secret: missing, like file:webhook.secret"))
	case err != nil && !w.Secret.Empty():
		faults = append(faults, fmt.Errorf("secret: %w", err))
	}
	return faults
}

// endpoint reads the URL; local means this machine, where http will do.
func (w Webhook) endpoint() (u *url.URL, local bool, err error) {
	u, err = url.Parse(w.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, false, errors.New("is not a URL like https://siem.example.org/postern, without a name or password in it")
	}
	local = loopback(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return nil, false, errors.New("must begin with https://; http is for this machine (localhost, 127.0.0.1, ::1)")
	}
	return u, local, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && a.IsLoopback()
}
