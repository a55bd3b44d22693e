package ldapconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

// security case 61
func TestTLSFaultsAreRefusedAndNothingIsSaid(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	for _, tt := range []struct {
		name   string
		server *tls.Config
	}{
		{"expired", ours.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })},
		{"wrong name", ours.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil; c.DNSNames = []string{"dc1.example.org"} })},
		{"common name only", ours.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil })},
		{"another authority", theirs.issue(t, nil)},
		{"TLS 1.1", func() *tls.Config { c := ours.issue(t, nil); c.MaxVersion = tls.VersionTLS11; return c }()},
		{"no TLS at all", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := serve(t, tt.server, nil)
			cfg := testConfig(ours, f.addr())
			cfg.DialTimeout = 500 * time.Millisecond
			c := newClient(t, cfg)
			if err := c.Read(t.Context(), "", look); !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			if _, err := c.Bind(t.Context(), "", "cn=user", directory.NewSecret("x1")); !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			if len(f.log) != 0 {
				t.Errorf("the server heard %v", f.log)
			}
		})
	}
}

// security case 61: StartTLS refused, ignored, or answered by somebody without a
// certificate: no plaintext retry.
func TestStrippedStartTLSEndsTheConnection(t *testing.T) {
	a := newAuthority(t)
	for name, code := range map[string]int64{"refused": ldap.LDAPResultUnwillingToPerform, "agreed to, then plaintext": 0} {
		t.Run(name, func(t *testing.T) {
			f := serve(t, nil, func(_ *fake, nc net.Conn, op ber.Tag, id int64, _ *ber.Packet) (bool, bool) {
				reply(nc, id, op, code, "")
				return true, true
			})
			cfg := testConfig(a)
			cfg.Servers, cfg.StartTLS = []string{"ldap://" + f.addr()}, true
			cfg.DialTimeout = 500 * time.Millisecond
			c := newClient(t, cfg)
			if err := c.Read(t.Context(), "", look); !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			for _, s := range f.log {
				if s.op != ldap.ApplicationExtendedRequest {
					t.Errorf("request %d was sent in the clear", s.op)
				}
			}
		})
	}
}

func TestPlaintextCannotBeConfigured(t *testing.T) {
	cfg := testConfig(newAuthority(t))
	for _, bad := range []string{"ldap://dc1", "ldapi:///x", "http://x", "ldaps://", "ldaps://u:secret@dc1", "ldaps://dc1/base", "dc1:636"} {
		cfg.Servers = []string{bad}
		faults := cfg.Validate()
		if len(faults) == 0 {
			t.Errorf("%s was accepted", bad)
		}
		for _, f := range faults {
			if strings.Contains(f.Error(), "secret") || !strings.HasPrefix(f.Error(), "servers[0]: ") {
				t.Errorf("%s: %v", bad, f)
			}
		}
	}
	cfg.Servers = []string{"ldaps://dc1"}
	cfg.BindPassword = "hunter2"
	if faults := cfg.Validate(); len(faults) != 1 || strings.Contains(faults[0].Error(), "hunter2") {
		t.Errorf("a password in the file: %v", faults)
	}
	cfg.BindPassword, cfg.Password = "env:X", directory.Secret{}
	if _, err := New(cfg); err == nil {
		t.Error("an unresolved password was accepted: every bind would be anonymous")
	}
}
