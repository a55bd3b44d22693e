package yubikey

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"postern/directory"
)

// Config of the factor. It is off until a client id is given, or Offline.
type Config struct {
	// Servers are the addresses of validation servers, asked in this order; the
	// next one is asked when one does not answer soon. https, or http on this
	// machine.
	Servers []string `yaml:"servers"`
	// ClientID is the number the servers know this program by.
	ClientID int64 `yaml:"client_id"`
	// Reference is file:PATH or env:NAME; Secret is what it refers to: the API
	// key in base64, as the servers' operator gives it out.
	Reference string           `yaml:"secret"`
	Secret    directory.Secret `yaml:"-"`
	// Timeout for all servers together: somebody waits for it.
	Timeout time.Duration `yaml:"timeout"`
	// Offline checks with the keys' own secrets, and asks no server.
	Offline bool `yaml:"offline"`
	// Keys is the file those secrets are in, as the tools wrote it; see ReadCSV.
	Keys string `yaml:"keys"`
	// Max is how many keys one person may have.
	Max int `yaml:"max"`
}

// DefaultConfig asks Yubico. There is one address: api2 to api5, which older
// clients ask too, became other names for it, and were to stop resolving in 2020
// (status.yubico.com). Who runs servers of their own names several.
func DefaultConfig() Config {
	return Config{Servers: []string{"https://api.yubico.com/wsapi/2.0/verify"}, Timeout: 1500 * time.Millisecond, Max: 5}
}

// On reports whether anything was set up.
func (c Config) On() bool { return c.Offline || c.ClientID != 0 }

// maxTimeout leaves a page's request the time to write down what came of it.
const maxTimeout = 6 * time.Second

// minKey is 128 bits; Yubico gives out 160.
const minKey = 16

// Validate returns every fault, each beginning with the name of its key. It asks
// nobody and reads no file. That a secret is there is New's to demand: it may
// not have been resolved yet.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Max < 1 || c.Max > 20 {
		add("max: %d is not between 1 and 20", c.Max)
	}
	if c.Offline {
		if c.ClientID != 0 || c.Reference != "" {
			add("offline: no server is asked; leave client_id and secret out")
		}
		if c.Keys == "" {
			add("keys: missing; offline, passwords are checked with the secrets in that file")
		}
		return faults
	}
	if c.ClientID < 0 {
		add("client_id: %d is not a number a server gives out", c.ClientID)
	}
	if c.ClientID == 0 && c.Reference != "" {
		add("client_id: missing; it goes together with secret")
	}
	if c.ClientID != 0 && c.Reference == "" && c.Secret.Empty() {
		add("secret: missing; without it anybody could answer for the server")
	}
	if _, err := c.key(); !c.Secret.Empty() && err != nil {
		add("secret: %w", err)
	}
	if c.Timeout < time.Second || c.Timeout > maxTimeout {
		add("timeout: %s is not between 1s and %s", c.Timeout, maxTimeout)
	}
	if len(c.Servers) == 0 || len(c.Servers) > 10 {
		add("servers: give 1 to 10 of them")
	}
	for i, s := range c.Servers {
		if err := checkServer(s); err != nil {
			add("servers[%d]: %w", i, err)
		} else if slices.Index(c.Servers, s) != i {
			add("servers[%d]: is there twice", i)
		}
	}
	return faults
}

// key never quotes what it could not read.
func (c Config) key() ([]byte, error) {
	key, err := base64.StdEncoding.Strict().DecodeString(c.Secret.Reveal())
	if err != nil {
		return nil, errors.New("is not base64, as API keys are")
	}
	if len(key) < minKey {
		return nil, errors.New("is shorter than 128 bits; API keys have 160")
	}
	return key, nil
}

func checkServer(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return errors.New("is not an address like https://api.yubico.com/wsapi/2.0/verify")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return errors.New("must be an address without a user, ? or #")
	}
	if u.Path == "" || u.Path == "/" {
		return errors.New("has no path; /wsapi/2.0/verify is the usual one")
	}
	ip, _ := netip.ParseAddr(u.Hostname())
	if local := u.Hostname() == "localhost" || ip.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return errors.New("must begin with https:// (http:// only on this machine)")
	}
	return nil
}
