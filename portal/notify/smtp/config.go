package smtp

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"postern/directory"
	"postern/portal/notify"
)

// TLS says how the connection is protected.
type TLS string

const (
	StartTLS TLS = "starttls" // a plain connection that must become TLS before anything is said
	Implicit TLS = "implicit" // TLS from the first byte (RFC 8314)
	None     TLS = "none"     // to a server on this machine only
)

// Config is one mail server.
type Config struct {
	// Host and Port of the server; port 0: 587, 465 or 25, as TLS says.
	Host string `yaml:"host"`
	Port int    `yaml:"port"`
	TLS  TLS    `yaml:"tls"`
	// CAFile is a PEM file of the authorities to believe instead of the system's.
	CAFile string `yaml:"ca_file"`
	// Username and Password to sign in with; Password is a reference,
	// file:PATH or env:NAME, and Secret what it refers to.
	Username string           `yaml:"username"`
	Password string           `yaml:"password"`
	Secret   directory.Secret `yaml:"-"`
	// From is the sender's address, FromName the name shown with it.
	From     string `yaml:"from"`
	FromName string `yaml:"from_name"`
	// Timeout for one message, from dialling to the server's yes.
	Timeout time.Duration `yaml:"timeout"`
}

// DefaultConfig has no server: mail is off until one is named.
func DefaultConfig() Config { return Config{TLS: StartTLS, Timeout: 20 * time.Second} }

// On reports whether a server is named.
func (c Config) On() bool { return c.Host != "" }

var hostPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$`)

// Validate returns every fault, each beginning with the name of its key. It
// reads CAFile, and asks nobody.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if _, err := netip.ParseAddr(c.Host); err != nil && !hostPattern.MatchString(c.Host) {
		add("host: %q is neither a name nor an address", c.Host)
	}
	if c.Port < 0 || c.Port > 65535 {
		add("port: %d is not between 1 and 65535", c.Port)
	}
	switch c.TLS {
	case StartTLS, Implicit:
	case None:
		if !loopback(c.Host) {
			add("tls: none is for a server on this machine (localhost, 127.0.0.1, ::1); mail carries codes")
		}
		if c.Username != "" {
			add("username: a password must not go over a connection without tls")
		}
	default:
		add("tls: %q is not one of starttls, implicit, none", c.TLS)
	}
	if _, err := notify.Authorities(c.CAFile); err != nil {
		add("ca_file: %w", err)
	}
	if (c.Username == "") != (c.Password == "" && c.Secret.Empty()) {
		add("password: username and password go together")
	}
	if strings.ContainsFunc(c.Username, control) {
		add("username: has control characters")
	}
	if _, err := address(c.From); err != nil {
		add("from: %w", err)
	}
	if strings.ContainsFunc(c.FromName, control) {
		add("from_name: has control characters")
	}
	if c.Timeout < time.Second || c.Timeout > time.Minute {
		add("timeout: %s is not between 1s and 1m", c.Timeout)
	}
	return faults
}

func (c Config) port() int {
	switch {
	case c.Port != 0:
		return c.Port
	case c.TLS == Implicit:
		return 465
	case c.TLS == None:
		return 25
	}
	return 587
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func control(r rune) bool {
	return r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029
}

var errAddress = errors.New("is not a plain mail address, like it@example.org")

// address takes exactly one address and nothing around it: no name, no second
// recipient, no line end (CVE-2023-7028 is what a list of them did).
func address(s string) (string, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" || len(s) > 254 || strings.ContainsFunc(s, control) || strings.ContainsAny(s, " ,;<>\"()") {
		return "", errAddress
	}
	return s, nil
}
