package portal

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Config says where the portal is reached.
type Config struct {
	// Listen is host:port of the portal itself.
	Listen string `yaml:"listen"`
	// PublicURL is what people type: scheme and host, with a port where it is
	// not the usual one. Every link, the origin check, the Host check and the
	// passkeys' origin come from it and from nothing a request says.
	PublicURL string `yaml:"public_url"`
	// TLS is the certificate when the portal itself speaks TLS.
	TLS TLS `yaml:"tls"`
	// TrustedProxies are addresses or CIDR networks of proxies in front, which
	// must overwrite X-Real-IP. Empty: nobody is believed.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// ProxyProtocol: the proxies speak the PROXY protocol, and X-Real-IP is nobody's to say.
	ProxyProtocol bool `yaml:"proxy_protocol"`
	// Drain is how long the portal goes on serving after it was told to end, while
	// /readyz says that it will: so long a proxy has to take notice.
	Drain time.Duration `yaml:"drain"`
	// Admin is host:port for metrics and profiles; empty: off.
	Admin string `yaml:"admin"`
}

// TLS names PEM files; the certificate file holds the chain, leaf first.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCA holds the authorities that issue the certificates of kiosks. Browsers
	// without such a certificate are not asked for one. Empty: nobody is.
	ClientCA string `yaml:"client_ca"`
}

// On reports whether the portal speaks TLS itself.
func (t TLS) On() bool { return t.CertFile != "" || t.KeyFile != "" }

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:8080"}
}

// Validate returns every fault, each beginning with the name of its key.
func (c Config) Validate() []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		add("listen: %q is not host:port", c.Listen)
	}
	https := false
	u, err := parsePublicURL(c.PublicURL)
	if err != nil {
		add("public_url: %w", err)
	} else {
		https = u.Scheme == "https"
	}
	switch {
	case c.TLS.CertFile != "" && c.TLS.KeyFile == "":
		add("tls.key_file: missing beside tls.cert_file")
	case c.TLS.CertFile == "" && c.TLS.KeyFile != "":
		add("tls.cert_file: missing beside tls.key_file")
	}
	if c.TLS.ClientCA != "" && !c.TLS.On() {
		add("tls.client_ca: needs tls.cert_file and tls.key_file: a proxy in front would see the certificates, and Postern not")
	}
	if _, err := c.proxies(); err != nil {
		faults = append(faults, err)
	}
	if err == nil && https && !c.TLS.On() && len(c.TrustedProxies) == 0 {
		// Security case 29: then either somebody else ends TLS, unknown to us, and
		// all people share that proxy's address, or there is no TLS at all.
		add("public_url: is https, but there is neither tls.cert_file nor a proxy in trusted_proxies that could speak TLS")
	}
	if err == nil && !https && c.TLS.On() {
		add("public_url: is http, but tls.cert_file is set")
	}
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		add("proxy_protocol: name the proxies in trusted_proxies: nobody else is believed")
	}
	if c.Drain < 0 || c.Drain > time.Minute {
		add("drain: %s is not between 0s and 1m", c.Drain)
	}
	if c.Admin != "" {
		faults = append(faults, c.checkAdmin()...)
	}
	return faults
}

// checkAdmin: profiles show memory, so their listener is for this machine or a
// private network, and never the portal's own.
func (c Config) checkAdmin() []error {
	host, _, err := net.SplitHostPort(c.Admin)
	if err != nil {
		return []error{fmt.Errorf("admin: %q is not host:port", c.Admin)}
	}
	a, err := netip.ParseAddr(host)
	if host != "localhost" && (err != nil || !a.IsLoopback() && !a.IsPrivate()) {
		return []error{fmt.Errorf("admin: %q is neither a loopback nor a private address", host)}
	}
	if c.Admin == c.Listen {
		return []error{errors.New("admin: must not be the same as listen")}
	}
	return nil
}

// proxies parses TrustedProxies and names every entry that is not a network.
func (c Config) proxies() ([]netip.Prefix, error) {
	var nets []netip.Prefix
	var faults []error
	for i, t := range c.TrustedProxies {
		n, err := netip.ParsePrefix(t)
		if a, aerr := netip.ParseAddr(t); aerr == nil {
			n, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf("trusted_proxies[%d]: %q is neither an address nor a CIDR network", i, t))
		case n.Bits() == 0:
			faults = append(faults, fmt.Errorf("trusted_proxies[%d]: %q believes everybody", i, t))
		default:
			nets = append(nets, n.Masked())
		}
	}
	return nets, errors.Join(faults...)
}

// parsePublicURL takes scheme and host and nothing else.
func parsePublicURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return nil, errors.New("missing, like https://id.example.org")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "":
		return nil, fmt.Errorf("%q is not like https://id.example.org", s)
	case u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, fmt.Errorf("%q has more than scheme and host", s)
	case u.Host != strings.ToLower(u.Host):
		return nil, fmt.Errorf("%q: write the host in lower case", s)
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return nil, fmt.Errorf("%q: leave the usual port out; browsers do", s)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("%q: without https only localhost may be served", s)
	}
	return u, nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
