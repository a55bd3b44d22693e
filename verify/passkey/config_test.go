package passkey

import (
	"crypto/rand"
	"testing"
	"time"
)

func TestSettingsAreChecked(t *testing.T) {
	good := DefaultConfig()
	good.Name = "Postern"
	for name, test := range map[string]struct {
		url    string
		change func(*Config)
		origin string // empty: refused
		id     string
	}{
		"plain":                {url: "https://portal.corp.example", origin: site, id: "portal.corp.example"},
		"capitals, path, port": {url: "https://Portal.Corp.Example:443/x", origin: site, id: "portal.corp.example"},
		"other port":           {url: site + ":8443", origin: site + ":8443", id: "portal.corp.example"},
		"parent domain":        {url: site, change: func(c *Config) { c.RPID = "corp.example" }, origin: site, id: "corp.example"},
		"localhost":            {url: "http://localhost:8080", origin: "http://localhost:8080", id: "localhost"},
		"plain http":           {url: "http://portal.corp.example"},
		"an IP address":        {url: "https://192.0.2.1"},
		"no host":              {url: "https:///x"},
		"no address":           {url: ":"},
		"user info":            {url: "https://portal@evil.example"},
		"foreign rp id":        {url: site, change: func(c *Config) { c.RPID = "evil.example" }},
		"suffix by letters":    {url: site, change: func(c *Config) { c.RPID = "orp.example" }},
		"top level":            {url: site, change: func(c *Config) { c.RPID = "example" }},
		"no name":              {url: site, change: func(c *Config) { c.Name = " " }},
		"too short":            {url: site, change: func(c *Config) { c.Timeout = time.Second }},
		"no end":               {url: site, change: func(c *Config) { c.Timeout = time.Hour }},
		"none allowed":         {url: site, change: func(c *Config) { c.Max = 0 }},
	} {
		cfg := good
		if test.change != nil {
			test.change(&cfg)
		}
		f, err := New(cfg, test.url, nil, nil, time.Now, rand.Reader)
		switch {
		case (err == nil) != (test.origin != ""):
			t.Errorf("%s: %v", name, err)
		case err == nil && (f.origin != test.origin || f.web.Config.RPID != test.id):
			t.Errorf("%s: origin %q, id %q", name, f.origin, f.web.Config.RPID)
		}
	}
}
