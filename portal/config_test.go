package portal

import (
	"errors"
	"strings"
	"testing"
)

// Security case 29, and every other fault at once, each with its key.
func TestConfigFaultsAreNamed(t *testing.T) {
	good := Config{Listen: "127.0.0.1:8080", PublicURL: "https://id.example.org", TrustedProxies: []string{"10.0.0.0/8", "::1"}}
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string // empty: no fault
	}{
		{"behind a proxy", func(*Config) {}, ""},
		{"own TLS", func(c *Config) { c.TrustedProxies, c.TLS = nil, TLS{CertFile: "c.pem", KeyFile: "k.pem"} }, ""},
		{"demo", func(c *Config) { c.TrustedProxies, c.PublicURL = nil, "http://localhost:8080" }, ""},
		{"https by nobody", func(c *Config) { c.TrustedProxies = nil }, "public_url: is https, but"},
		{"http elsewhere", func(c *Config) { c.PublicURL = "http://id.example.org" }, "public_url: "},
		{"TLS and http", func(c *Config) { c.PublicURL, c.TLS = "http://localhost", TLS{CertFile: "c.pem", KeyFile: "k.pem"} }, "public_url: is http"},
		{"no URL", func(c *Config) { c.PublicURL = "" }, "public_url: missing"},
		{"no scheme", func(c *Config) { c.PublicURL = "id.example.org" }, "public_url: "},
		{"other scheme", func(c *Config) { c.PublicURL = "javascript://id.example.org" }, "public_url: "},
		{"with a path", func(c *Config) { c.PublicURL += "/portal" }, "public_url: "},
		{"with a query", func(c *Config) { c.PublicURL += "?x" }, "public_url: "},
		{"with a user", func(c *Config) { c.PublicURL = "https://a@id.example.org" }, "public_url: "},
		{"upper case", func(c *Config) { c.PublicURL = "https://ID.example.org" }, "public_url: "},
		{"usual port", func(c *Config) { c.PublicURL += ":443" }, "public_url: "},
		{"half of TLS", func(c *Config) { c.TLS.CertFile = "c.pem" }, "tls.key_file: "},
		{"kiosks' authorities without TLS", func(c *Config) { c.TLS.ClientCA = "ca.pem" }, "tls.client_ca: "},
		{"other half of TLS", func(c *Config) { c.TLS.KeyFile = "k.pem" }, "tls.cert_file: "},
		{"proxy that is none", func(c *Config) { c.TrustedProxies[1] = "proxy.local" }, "trusted_proxies[1]: "},
		{"everybody a proxy", func(c *Config) { c.TrustedProxies[0] = "0.0.0.0/0" }, "trusted_proxies[0]: "},
		{"listen on nothing", func(c *Config) { c.Listen = "8080" }, "listen: "},
		{"admin for everybody", func(c *Config) { c.Admin = "0.0.0.0:9090" }, "admin: "},
		{"admin on the portal", func(c *Config) { c.Admin = c.Listen }, "admin: "},
		{"admin nowhere", func(c *Config) { c.Admin = "x" }, "admin: "},
		{"admin here", func(c *Config) { c.Admin = "localhost:9090" }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good
			config.TrustedProxies = append([]string(nil), good.TrustedProxies...)
			c.change(&config)
			all := errors.Join(config.Validate()...)
			if c.want == "" {
				if all != nil {
					t.Errorf("%v", all)
				}
				return
			}
			if all == nil || !strings.HasPrefix(all.Error(), c.want) {
				t.Errorf("%v, want %q", all, c.want)
			}
			if _, err := New(Options{Config: config}); err == nil {
				t.Error("the server was built all the same")
			}
		})
	}
	if faults := (Config{Listen: "x", Admin: "y", TLS: TLS{CertFile: "c"}}).Validate(); len(faults) != 4 {
		t.Errorf("want all four faults at once, got %v", faults)
	}
}
