package ldapconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"postern/directory"
)

// Config is the part of a directory's configuration that says how to reach it.
// The dialects embed it, so its keys stand beside theirs.
type Config struct {
	// Servers are ldaps://host[:port], or ldap://host[:port] together with
	// StartTLS, in order of preference. There is no plaintext in either.
	Servers  []string `yaml:"servers"`
	StartTLS bool     `yaml:"start_tls"`
	// Discovery stands for Servers where a dialect has it.
	Discovery Discovery `yaml:"-"`
	// CAFile holds the PEM certificates that may sign the servers'; empty means
	// the system's.
	CAFile string `yaml:"ca_file"`
	// ServerName is the name looked for in the certificate where it differs from
	// the host in Servers.
	ServerName string `yaml:"server_name"`
	// BindDN and BindPassword are the service account. BindPassword is a
	// reference, file:PATH or env:NAME; whoever loads the configuration resolves
	// it into Password.
	BindDN       string           `yaml:"bind_dn"`
	BindPassword string           `yaml:"bind_password"`
	Password     directory.Secret `yaml:"-"`

	// DialTimeout is for a connection and its TLS, RequestTimeout for one question. People
	// wait for both: with the defaults they hear within two seconds that a directory hangs.
	// A write and a page of a listing get writeTime where that is more.
	DialTimeout    time.Duration `yaml:"dial_timeout"`
	RequestTimeout time.Duration `yaml:"request_timeout"`
	// ServiceConnections and UserBindConnections bound the two pools, for each server.
	ServiceConnections  int `yaml:"service_connections"`
	UserBindConnections int `yaml:"user_bind_connections"`
}

// writeTime is the least time a server gets to say what came of a write: to give one up is
// to not know, and somebody has to find out later.
const writeTime = 5 * time.Second

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		DialTimeout:         1500 * time.Millisecond,
		RequestTimeout:      1500 * time.Millisecond,
		ServiceConnections:  16,
		UserBindConnections: 16,
	}
}

// Validate returns every fault, each beginning with the name of its key. It
// looks at no network; it does not repeat the bind password.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	switch {
	case c.Discovery.on():
		faults = append(faults, c.Discovery.faults(c)...)
	case len(c.Servers) == 0:
		add("servers: name at least one, like ldaps://dc1.example.org")
	case c.Discovery.Site != "":
		add("site: goes with discover, not with servers")
	}
	faults = append(faults, ServerFaults("servers", c.Servers, c.StartTLS)...)
	if c.CAFile != "" {
		if _, err := loadCA(c.CAFile); err != nil {
			add("ca_file: %w", err)
		}
	}
	if c.BindDN == "" {
		add("bind_dn: the service account is missing")
	}
	switch ref := c.BindPassword; {
	case ref == "" && c.Password.Empty():
		add("bind_password: missing; write file:PATH or env:NAME")
	case ref != "" && !strings.HasPrefix(ref, "file:") && !strings.HasPrefix(ref, "env:"):
		add("bind_password: must be a reference, file:PATH or env:NAME, not the password itself")
	}
	if c.DialTimeout <= 0 {
		add("dial_timeout: must be more than zero")
	}
	if c.RequestTimeout <= 0 {
		add("request_timeout: must be more than zero")
	}
	for _, n := range []struct {
		key string
		n   int
	}{{"service_connections", c.ServiceConnections}, {"user_bind_connections", c.UserBindConnections}} {
		if n.n < 1 || n.n > 256 {
			add("%s: must be from 1 to 256", n.key)
		}
	}
	return faults
}

// ServerFaults checks the addresses of a list of servers called key.
func ServerFaults(key string, servers []string, startTLS bool) []error {
	var faults []error
	seen := map[string]bool{}
	for i, s := range servers {
		e, err := parseServer(s, startTLS)
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("%s[%d]: %w", key, i, err))
		case seen[e.addr]:
			faults = append(faults, fmt.Errorf("%s[%d]: %s is named twice", key, i, e.addr))
		default:
			seen[e.addr] = true
		}
	}
	return faults
}

// endpoint is one server as it is dialled.
type endpoint struct {
	addr     string // host:port
	host     string
	startTLS bool
}

func parseServer(raw string, startTLS bool) (endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, errors.New("is not an address")
	}
	if u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return endpoint{}, fmt.Errorf("%s: only a scheme, a host and a port may stand here", u.Redacted())
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		return endpoint{}, fmt.Errorf("%s: has no host", raw)
	}
	e := endpoint{host: host}
	switch u.Scheme {
	case "ldaps":
		if startTLS {
			return endpoint{}, fmt.Errorf("%s: start_tls goes with ldap://, not with ldaps://", raw)
		}
		if port == "" {
			port = "636"
		}
	case "ldap":
		if !startTLS {
			return endpoint{}, fmt.Errorf("%s: would send passwords in the clear; use ldaps:// or set start_tls", raw)
		}
		e.startTLS = true
		if port == "" {
			port = "389"
		}
	default:
		return endpoint{}, fmt.Errorf("%s: must begin with ldaps:// or ldap://", raw)
	}
	e.addr = net.JoinHostPort(strings.ToLower(host), port)
	return e, nil
}

func loadCA(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: holds no PEM certificate", path)
	}
	return pool, nil
}

// tlsConfig verifies names and chains always; there is no switch that turns it off.
func (c Config) tlsConfig() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pool, err := loadCA(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		t.RootCAs = pool
	}
	return t, nil
}
