package ldapconn

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/directory"
)

const (
	domainRecords = "_ldap._tcp.dc._msdcs.corp.example"
	siteRecords   = "_ldap._tcp.Berlin._sites.dc._msdcs.corp.example"
)

// zone is a DNS that can be changed, and fail.
type zone struct {
	mu      sync.Mutex
	records map[string][]*net.SRV
	fails   map[string]error
	asked   []string
	holds   chan struct{} // when not nil, answers wait for it
}

func (z *zone) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	z.mu.Lock()
	z.asked = append(z.asked, service+proto+name)
	records, err, holds := z.records[name], z.fails[name], z.holds
	z.mu.Unlock()
	if holds != nil {
		select {
		case <-holds:
		case <-ctx.Done():
			return "", nil, ctx.Err()
		}
	}
	switch {
	case err != nil:
		return "", nil, err
	case len(records) == 0:
		return "", nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return name, records, nil
}

func (z *zone) set(name string, hosts ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	var out []*net.SRV
	for i, h := range hosts {
		out = append(out, &net.SRV{Target: h + ".", Port: 389, Priority: uint16(i)})
	}
	if z.records == nil {
		z.records, z.fails = map[string][]*net.SRV{}, map[string]error{}
	}
	z.records[name] = out
}

func (z *zone) fail(err error, names ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	clear(z.fails)
	for _, n := range names {
		z.fails[n] = err
	}
}

func (z *zone) lookups() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return len(z.asked)
}

// found is a client that discovers the fakes by name, on a clock that stands still.
type discovering struct {
	*Client
	zone  *zone
	mu    sync.Mutex
	clock time.Time
	hosts map[string]*fake
	dials []string
}

func (d *discovering) now() time.Time { d.mu.Lock(); defer d.mu.Unlock(); return d.clock }

func (d *discovering) pass(t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = d.clock.Add(t)
}

func (d *discovering) at(t *testing.T, pin string) string {
	t.Helper()
	var at string
	if err := d.Read(t.Context(), pin, func(c *Conn) error { at = c.Server(); return look(c) }); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(at, ".corp.example:636")
}

// settled waits until no lookup is under way.
func (d *discovering) settled() {
	d.Client.mu.Lock()
	running := d.running
	d.Client.mu.Unlock()
	if running != nil {
		<-running
	}
}

func named(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, names }
}

func discover(t *testing.T, a *authority, change func(*Config), hosts ...string) *discovering {
	t.Helper()
	d := &discovering{zone: &zone{}, clock: time.Now(), hosts: map[string]*fake{}}
	d.zone.set("", "")
	for _, h := range hosts {
		d.hosts[h+".corp.example:636"] = serve(t, a.issue(t, named(h+".corp.example")), nil)
	}
	cfg := testConfig(a)
	cfg.Discovery = Discovery{Domain: "corp.example", Site: "Berlin"}
	if change != nil {
		change(&cfg)
	}
	d.Client = newClient(t, cfg, WithClock(d.now), WithResolver(d.zone), WithDialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		d.mu.Lock()
		d.dials = append(d.dials, addr)
		f := d.hosts[addr]
		d.mu.Unlock()
		if f == nil {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no route to " + addr)}
		}
		return (&net.Dialer{}).DialContext(ctx, network, f.addr())
	}))
	return d
}

func TestTheSitesServersComeFirstAndTheOthersAfter(t *testing.T) {
	d := discover(t, newAuthority(t), nil, "b1", "b2", "m1")
	if d.zone.lookups() != 0 {
		t.Fatal("something was looked up before anybody asked")
	}
	d.zone.set(siteRecords, "B2.corp.example", "b1.corp.example")
	d.zone.set(domainRecords, "m1.corp.example", "b1.corp.example", "b2.corp.example")
	if got := d.at(t, ""); got != "b2" {
		t.Errorf("%s is asked first", got)
	}
	var list []string
	for _, s := range d.servers {
		list = append(list, s.addr)
	}
	if !slices.Equal(list, []string{"b2.corp.example:636", "b1.corp.example:636", "m1.corp.example:636"}) {
		t.Errorf("the list is %v", list)
	}
	d.hosts["b2.corp.example:636"].stop()
	if got := d.at(t, ""); got != "b1" {
		t.Errorf("%s takes over", got)
	}
	if got := d.at(t, "m1.corp.example:636"); got != "m1" {
		t.Errorf("the pin is not kept: %s", got)
	}
	if n := d.zone.lookups(); n != 2 {
		t.Errorf("%d lookups", n)
	}
}

// Whoever forges an answer has a good certificate for a name of his own.
func TestAForgedAnswerLeadsNowhere(t *testing.T) {
	a := newAuthority(t)
	d := discover(t, a, nil, "dc1", "dc2")
	evil := []string{"evil.example", "corp.example", "xcorp.example", "dc1.corp.example.evil.example", "dc1.corp.example@evil.example", "dc1/x.corp.example",
		"dc 1.corp.example", "[::1].corp.example", ".corp.example", "127.0.0.1", strings.Repeat("a.", 130) + "corp.example"}
	for _, host := range evil {
		d.hosts[host+":636"] = serve(t, a.issue(t, named(host)), nil)
	}
	// A name in the domain, behind which stands somebody who is not it.
	d.hosts["dc1.corp.example:636"] = d.hosts["evil.example:636"]
	d.zone.set(domainRecords, append(evil, "dc1.corp.example", "dc2.corp.example")...)
	if got := d.at(t, ""); got != "dc2" {
		t.Errorf("asked %s", got)
	}
	for _, addr := range d.dials {
		if addr != "dc1.corp.example:636" && addr != "dc2.corp.example:636" {
			t.Errorf("%s was dialled", addr)
		}
	}
	var told bool
	for _, f := range d.Examine(t.Context(), func(*Conn) []directory.Finding { return nil }) {
		told = told || f.Check == "discover" && f.Severity == directory.Warning && strings.Contains(f.What, "dc1.corp.example.evil.example") && f.Mend != ""
	}
	if !told {
		t.Error("the doctor does not tell of the strangers")
	}
}

func TestAFloodOfRecordsIsCutOff(t *testing.T) {
	d := discover(t, newAuthority(t), nil, "dc0")
	var hosts []string
	for i := range 5000 {
		hosts = append(hosts, fmt.Sprintf("dc%d.corp.example", i))
	}
	d.zone.set(domainRecords, hosts...)
	if d.at(t, ""); len(d.servers) != maxServers {
		t.Errorf("%d servers", len(d.servers))
	}
}

func TestTheListFollowsTheDNSAndPinsFallBack(t *testing.T) {
	d := discover(t, newAuthority(t), nil, "dc1", "dc2", "dc3")
	d.zone.set(domainRecords, "dc1.corp.example", "dc2.corp.example")
	d.at(t, "")
	kept := d.servers[1]
	d.zone.set(domainRecords, "dc2.corp.example", "dc3.corp.example")
	d.pass(lookEvery - time.Second)
	if got := d.at(t, ""); got != "dc1" || d.zone.lookups() != 2 {
		t.Errorf("asked %s after %d lookups", got, d.zone.lookups())
	}
	// The old list is good enough for whoever comes while the new one is fetched.
	d.pass(time.Second)
	d.at(t, "")
	d.settled()
	if got := d.at(t, ""); got != "dc2" || d.servers[0] != kept {
		t.Errorf("asked %s; the server that stayed was made anew: %v", got, d.servers[0] != kept)
	}
	if got := d.at(t, "dc1.corp.example:636"); got != "dc2" {
		t.Errorf("a pin that is gone leads to %s", got)
	}
	if err := d.Write(t.Context(), "dc1.corp.example:636", change); err != nil {
		t.Error(err)
	}
	if got := d.at(t, "dc3.corp.example:636"); got != "dc3" {
		t.Errorf("the new one is not asked: %s", got)
	}
}

func TestWithoutTheDNSTheLastServersStay(t *testing.T) {
	d := discover(t, newAuthority(t), nil, "dc1", "b1")
	d.zone.set(domainRecords, "dc1.corp.example")
	d.zone.set(siteRecords, "b1.corp.example")
	d.at(t, "")
	gone := &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	for _, names := range [][]string{{domainRecords, siteRecords}, {siteRecords}, {domainRecords}} {
		d.zone.fail(gone, names...)
		d.pass(lookEvery)
		d.at(t, "")
		d.settled()
		if got := d.at(t, ""); got != "b1" || len(d.servers) != 2 {
			t.Errorf("without %v: asked %s of %d", names, got, len(d.servers))
		}
	}
	// It is asked again soon, and not at every request.
	before := d.zone.lookups()
	for range 5 {
		d.at(t, "")
		d.settled()
	}
	if d.zone.lookups() != before {
		t.Error("a DNS that fails is asked at every request")
	}
	d.zone.fail(nil)
	d.zone.set(siteRecords)
	d.pass(lookPause)
	d.at(t, "")
	d.settled()
	if len(d.servers) != 1 {
		t.Errorf("it was not asked again: %d servers", len(d.servers))
	}
}

func TestWhereNobodyIsUpTheDNSIsAskedAgain(t *testing.T) {
	d := discover(t, newAuthority(t), nil, "dc1", "dc2")
	d.zone.set(domainRecords, "dc1.corp.example")
	d.at(t, "")
	d.hosts["dc1.corp.example:636"].stop()
	if err := d.Read(t.Context(), "", look); !errors.Is(err, directory.ErrUnavailable) {
		t.Fatal(err)
	}
	d.zone.set(domainRecords, "dc2.corp.example")
	for range 4 { // until it has failed often enough to be left alone that long
		_ = d.Read(t.Context(), "", look)
	}
	d.pass(lookPause)
	if got := d.at(t, ""); got != "dc2" {
		t.Errorf("asked %s", got)
	}
}

func TestAnEmptyOrHangingDNSIsUnavailableWithinTheDeadline(t *testing.T) {
	d := discover(t, newAuthority(t), func(c *Config) { c.DialTimeout = 50 * time.Millisecond }, "dc1")
	err := d.Read(t.Context(), "", look)
	if !errors.Is(err, directory.ErrUnavailable) || !strings.Contains(err.Error(), "corp.example") {
		t.Error(err)
	}
	if _, err := d.Everywhere(t.Context(), nil); !errors.Is(err, directory.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := d.Bind(t.Context(), "", "cn=user", directory.NewSecret("x1")); !errors.Is(err, directory.ErrUnavailable) {
		t.Error(err)
	}
	d.pass(lookPause)
	d.zone.holds = make(chan struct{})
	if err := d.Write(t.Context(), "", change); !errors.Is(err, directory.ErrUnavailable) || errors.Is(err, directory.ErrUncertain) {
		t.Error(err)
	}
	found := d.Examine(t.Context(), nil)
	if len(found) != 1 || found[0].Severity != directory.Failure || !strings.Contains(found[0].Mend, "dig +short SRV "+siteRecords) {
		t.Errorf("%+v", found)
	}
	d.zone.mu.Lock()
	d.zone.holds = nil
	d.zone.mu.Unlock()
	d.zone.set(domainRecords, "dc1.corp.example")
	d.pass(lookPause)
	if got := d.at(t, ""); got != "dc1" {
		t.Errorf("asked %s", got)
	}
}

func TestStartTLSUsesThePortOfTheRecord(t *testing.T) {
	var f found
	f.add("corp.example", []*net.SRV{{Target: "dc1.corp.example.", Port: 3890}}, true)
	if len(f.endpoints) != 1 || f.endpoints[0] != (endpoint{addr: "dc1.corp.example:3890", host: "dc1.corp.example", startTLS: true}) {
		t.Errorf("%+v", f.endpoints)
	}
}

func TestAListThatChangesUnderManyCallersLosesNoRequest(t *testing.T) {
	d := discover(t, newAuthority(t), nil, "dc1", "dc2")
	d.zone.set(domainRecords, "dc1.corp.example", "dc2.corp.example")
	d.at(t, "")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for j := range 20 {
				d.zone.set(domainRecords, fmt.Sprintf("dc%d.corp.example", 1+(i+j)%2))
				d.pass(lookEvery)
				if err := d.Read(t.Context(), "dc1.corp.example:636", look); err != nil {
					t.Error(err)
				}
				if j == 10 {
					if _, err := d.Bind(t.Context(), "", "cn=user", directory.NewSecret("x1")); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	d.Close()
	if err := d.Read(t.Context(), "", look); !errors.Is(err, directory.ErrUnavailable) {
		t.Error(err)
	}
	d.settled()
}

func TestDiscoveryIsCheckedBeforeItIsUsed(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"discover: ":          func(c *Config) { c.Discovery.Domain = "corp..example" },
		"site: ":              func(c *Config) { c.Discovery.Site = "Berlin.evil" },
		"servers, discover: ": func(c *Config) { c.Servers = []string{"ldaps://dc1.corp.example"} },
		"server_name: ":       func(c *Config) { c.ServerName = "dc.corp.example" },
	} {
		cfg := testConfig(newAuthority(t))
		cfg.Discovery = Discovery{Domain: "corp.example", Site: "Berlin"}
		if faults := cfg.Validate(); len(faults) != 0 {
			t.Fatal(faults)
		}
		change(&cfg)
		if faults := cfg.Validate(); len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), key) {
			t.Errorf("%s%v", key, faults)
		}
	}
	cfg := testConfig(newAuthority(t), "dc1")
	cfg.Discovery.Site = "Berlin"
	if faults := cfg.Validate(); len(faults) != 1 || !strings.HasPrefix(faults[0].Error(), "site: ") {
		t.Error(faults)
	}
}
