package ad_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"postern/directory"
	"postern/directory/ad"
	"postern/directory/directorytest"
)

type records map[string][]*net.SRV

func (r records) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	if len(r[name]) == 0 {
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return name, r[name], nil
}

func TestADomainControllerFromTheDNSServesUnderItsOwnName(t *testing.T) {
	dc := directorytest.Samba(t)
	dns := records{"_ldap._tcp.Berlin._sites.dc._msdcs." + dc.Domain: {{Target: "dc1." + dc.Domain + ".", Port: 389}, {Target: "dc1.elsewhere.test.", Port: 389}}}
	var dialled []string
	cfg := config(dc)
	cfg.Servers, cfg.Discover, cfg.Site = nil, dc.Domain, "Berlin"
	d, err := ad.New("corp", cfg, ad.WithResolver(dns), ad.WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled = append(dialled, addr)
		return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(dc.URL, "ldaps://"))
	}))
	if err != nil || len(dialled) != 0 {
		t.Fatal(dialled, err)
	}
	t.Cleanup(d.Close)
	u := find(t, d, "user1")
	if err := d.SetPassword(t.Context(), u, secret("Found-By-The-Dns-1")); err != nil || u.Server != "dc1."+dc.Domain+":636" {
		t.Errorf("on %s: %v", u.Server, err)
	}
	for _, addr := range dialled {
		if addr != u.Server {
			t.Errorf("%s was dialled", addr)
		}
	}
	for _, f := range d.Examine(t.Context()) {
		if f.Severity == directory.Failure {
			t.Errorf("%+v", f)
		}
	}
	delete(dns, "_ldap._tcp.Berlin._sites.dc._msdcs."+dc.Domain)
	empty, err := ad.New("corp", cfg, ad.WithResolver(dns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(empty.Close)
	if _, err := empty.Find(t.Context(), "user1"); !errors.Is(err, directory.ErrUnavailable) {
		t.Error(err)
	}
	cfg.Servers = []string{dc.URL}
	if faults := cfg.Validate(); len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "servers, discover: ") {
		t.Error(faults)
	}
}
