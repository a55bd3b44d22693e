package ldapconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Discovery finds the servers in the DNS instead of the configuration, the way
// Active Directory publishes its domain controllers (MS-ADTS section 6.3.2.3).
type Discovery struct {
	Domain string // corp.example; empty: no discovery
	Site   string // whose servers come first; empty: none do
}

// Resolver is what discovery asks; *net.Resolver is one. Its answers are in the order
// of RFC 2782, those of one priority spread by their weights.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}

const (
	// maxServers bounds the list, whatever the DNS says.
	maxServers = 32
	ldapsPort  = 636
)

// dnsName and dnsLabel are what may be looked up and dialled. The underscore is no
// host's (RFC 952), and in use.
var (
	dnsLabel = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
	dnsName  = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)
)

func (d Discovery) on() bool { return d.Domain != "" }

// faults of the two keys, and of what they cannot stand beside.
func (d Discovery) faults(c Config) []error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if !dnsName.MatchString(d.Domain) || len(d.Domain) > 200 {
		add("discover: %q is not a DNS domain, like corp.example", d.Domain)
	}
	if d.Site != "" && !dnsLabel.MatchString(d.Site) {
		add("site: %q is not the name of a site", d.Site)
	}
	if len(c.Servers) > 0 {
		add("servers, discover: give exactly one of them")
	}
	if c.ServerName != "" {
		add("server_name: not together with discover, where each server's certificate must have its own name")
	}
	return faults
}

// names are the records to look up, the preferred ones first.
func (d Discovery) names() []string {
	out := []string{"_ldap._tcp.dc._msdcs." + d.Domain}
	if d.Site != "" {
		out = append([]string{"_ldap._tcp." + d.Site + "._sites.dc._msdcs." + d.Domain}, out...)
	}
	return out
}

// found is what the DNS says.
type found struct {
	endpoints []endpoint
	sited     int      // how many of them, from the first, are the site's
	strangers []string // targets outside of the domain
	// partial is why one of two lookups failed; what it would have told is not known.
	partial error
}

// look asks for the site's servers and for the domain's. It fails when neither tells
// of any. A site without records is none.
func (d Discovery) look(ctx context.Context, r Resolver, startTLS bool) (found, error) {
	var f found
	var faults []error
	for _, name := range d.names() {
		_, records, err := r.LookupSRV(ctx, "", "", name)
		// With records in it, the error is about others that were left out.
		if err != nil && len(records) == 0 {
			if dns := (*net.DNSError)(nil); !errors.As(err, &dns) || !dns.IsNotFound {
				f.partial = fmt.Errorf("looking up %s: %w", name, err)
			}
			faults = append(faults, err)
			continue
		}
		f.add(d.Domain, records, startTLS)
		if name != d.names()[len(d.names())-1] {
			f.sited = len(f.endpoints)
		}
	}
	if len(f.endpoints) == 0 {
		faults = append(faults, fmt.Errorf("the DNS names no domain controller in %s", d.Domain))
		return f, errors.Join(faults...)
	}
	return f, nil
}

// add takes what is new and lies in the domain: a forged answer must not lead
// elsewhere, where somebody may well have a good certificate. The port of a record is
// plain LDAP's; TLS from the first byte has its own.
func (f *found) add(domain string, records []*net.SRV, startTLS bool) {
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b *net.SRV) int { return cmp.Compare(a.Priority, b.Priority) })
	for _, r := range records {
		host := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		if host == "" {
			continue // RFC 2782: decidedly not available
		}
		if !dnsName.MatchString(host) || len(host) > 253 || !strings.HasSuffix(host, "."+strings.ToLower(domain)) {
			if len(f.strangers) < maxServers {
				f.strangers = append(f.strangers, host)
			}
			continue
		}
		port := uint16(ldapsPort)
		if startTLS {
			port = r.Port
		}
		e := endpoint{host: host, startTLS: startTLS, addr: net.JoinHostPort(host, strconv.Itoa(int(port)))}
		if len(f.endpoints) < maxServers && !slices.Contains(f.endpoints, e) {
			f.endpoints = append(f.endpoints, e)
		}
	}
}
