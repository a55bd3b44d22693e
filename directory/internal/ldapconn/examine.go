package ldapconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

const (
	certificateSoon = 30 * 24 * time.Hour
	clockTolerance  = time.Minute
)

// Examine visits every server on a new connection: it dials, looks at the
// certificate, binds as the service account, and then lets look go on. It changes
// nothing, and binds once.
func (c *Client) Examine(ctx context.Context, look func(*Conn) []directory.Finding) []directory.Finding {
	out, servers := c.examineDiscovery(ctx)
	for _, s := range servers {
		out = append(out, c.examine(ctx, s, look)...)
	}
	return out
}

// examineDiscovery looks the servers up, also where the last list is still good.
func (c *Client) examineDiscovery(ctx context.Context) ([]directory.Finding, []*server) {
	d := c.cfg.Discovery
	if !d.on() {
		return nil, c.servers
	}
	see := "see: dig +short SRV " + strings.Join(d.names(), "\nsee: dig +short SRV ")
	f, err := c.discover(ctx)
	c.mu.Lock()
	servers := c.servers
	c.mu.Unlock()
	if err != nil {
		sev := directory.Failure
		if len(servers) > 0 {
			sev = directory.Warning
		}
		return []directory.Finding{{Severity: sev, Check: "discover", What: err.Error(),
			Why:  fmt.Sprintf("the servers are looked up in the DNS; %d are known from before", len(servers)),
			Mend: "check discover, and that this machine asks a DNS server that knows the domain\n" + see}}, servers
	}
	hosts := make([]string, len(f.endpoints))
	for i, e := range f.endpoints {
		hosts[i] = e.host
	}
	out := []directory.Finding{{Check: "discover", What: fmt.Sprintf("the DNS names %d servers of %s: %s", len(hosts), d.Domain, strings.Join(hosts, ", "))}}
	if f.partial != nil {
		out = append(out, directory.Finding{Severity: directory.Warning, Check: "discover", What: f.partial.Error(),
			Why: "what it would have told is not known", Mend: see})
	} else if d.Site != "" && f.sited == 0 {
		out = append(out, directory.Finding{Severity: directory.Warning, Check: "discover", What: "the DNS names no server of the site " + d.Site,
			Why: "servers of other sites are asked, which may be far away", Mend: "check site against: nltest /dsgetsite\n" + see})
	}
	if len(f.strangers) > 0 {
		out = append(out, directory.Finding{Severity: directory.Warning, Check: "discover",
			What: fmt.Sprintf("the DNS also names what is not in %s and is not asked: %s", d.Domain, strings.Join(f.strangers, ", ")),
			Why:  "a forged answer would look like this", Mend: "find out where these records come from\n" + see})
	}
	return out, servers
}

func (c *Client) examine(ctx context.Context, s *server, look func(*Conn) []directory.Finding) []directory.Finding {
	l, err := s.dial(ctx)
	if err != nil {
		return []directory.Finding{dialFinding(s.addr, s.tls.ServerName, err)}
	}
	defer l.kill()
	var out []directory.Finding
	state, _ := l.ldap.TLSConnectionState()
	out = append(out, certificateFinding(s.addr, s.tls.ServerName, state, c.now()))

	conn := &Conn{ctx: ctx, link: l, server: s.addr, timeout: c.cfg.RequestTimeout}
	if _, err := conn.bind(c.cfg.BindDN, c.cfg.Password, nil); err != nil {
		f := directory.Finding{Severity: directory.Failure, Check: "bind",
			What: fmt.Sprintf("%s did not take the service account %s: %v", s.addr, c.cfg.BindDN, err),
			Why:  "without it nobody can be looked up",
			Mend: "check bind_dn and bind_password, and that the account is neither locked nor expired; try: " +
				fmt.Sprintf("ldapwhoami -x -H %s -D %q -W", s.url(), c.cfg.BindDN)}
		return append(out, f)
	}
	out = append(out, directory.Finding{Check: "bind", What: s.addr + " took the service account " + c.cfg.BindDN})
	return append(out, look(conn)...)
}

func (s *server) url() string {
	if s.startTLS {
		return "ldap://" + s.addr + " -ZZ"
	}
	return "ldaps://" + s.addr
}

func dialFinding(addr, name string, err error) directory.Finding {
	f := directory.Finding{Severity: directory.Failure, Check: "tls",
		What: err.Error(), Why: "passwords go over verified TLS or not at all"}
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		network  *net.OpError
	)
	switch text := err.Error(); {
	case errors.As(err, &unknown), strings.Contains(text, "signed by unknown authority"):
		f.Mend = "set ca_file to the PEM certificate of the authority that signed the server's; see: openssl s_client -showcerts -connect " + addr
	case errors.As(err, &hostname):
		f.Mend = fmt.Sprintf("the certificate is for %s and not for %s: use that name in servers, or set server_name",
			strings.Join(names(hostname.Certificate), ", "), name)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.Mend = "renew the server's certificate, or mend the clock of whichever machine is wrong"
	case errors.As(err, &network) && network.Op == "dial", errors.Is(err, context.DeadlineExceeded):
		f.Check, f.Why = "reach", "a server that does not answer cannot be failed over to"
		f.Mend = "check that the server runs and that a firewall lets " + addr + " through"
	default:
		f.Mend = "see what the server offers: openssl s_client -connect " + addr
	}
	return f
}

func names(c *x509.Certificate) []string {
	out := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	if len(out) == 0 {
		out = []string{"no name at all (subjectAltName is missing)"}
	}
	return out
}

func certificateFinding(addr, name string, state tls.ConnectionState, now time.Time) directory.Finding {
	f := directory.Finding{Check: "tls"}
	if len(state.PeerCertificates) == 0 {
		return directory.Finding{Severity: directory.Failure, Check: "tls", What: addr + " showed no certificate"}
	}
	left := state.PeerCertificates[0].NotAfter.Sub(now)
	f.What = fmt.Sprintf("%s: %s, certificate for %s by %q, valid for %d more days", addr, tls.VersionName(state.Version), name,
		state.PeerCertificates[0].Issuer.CommonName, int(left.Hours()/24))
	if left < certificateSoon {
		f.Severity = directory.Warning
		f.Why = "when it ends nobody can be helped: it will not be accepted"
		f.Mend = "renew the server's certificate"
	}
	return f
}

// Clock compares the server's time with ours.
func Clock(addr string, theirs, ours time.Time) directory.Finding {
	off := theirs.Sub(ours).Round(time.Second)
	f := directory.Finding{Check: "clock", What: fmt.Sprintf("%s: the clocks differ by %s", addr, off)}
	if off.Abs() > clockTolerance {
		f.Severity = directory.Warning
		f.Why = "lockouts, expiry and one-time codes are reckoned with both clocks"
		f.Mend = "run a time service on both machines: timedatectl set-ntp true; w32tm /resync"
	}
	return f
}

// People counts who can be found under base, up to a thousand, and reads of them
// what Managers looks at.
func People(c *Conn, base, filter string) (directory.Finding, []*ldap.Entry) {
	const enough = 1000
	f := directory.Finding{Check: "base"}
	res, err := c.Search(ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, enough, 0, false,
		filter, []string{"manager"}, nil))
	code := Code(err)
	if err != nil && code != ldap.LDAPResultSizeLimitExceeded {
		f.Severity, f.What = directory.Failure, fmt.Sprintf("%s cannot be searched: %v", base, err)
		f.Why = "nobody can be found"
		f.Mend = "check base_dn, and that the service account may read there"
		return f, nil
	}
	n := len(res.Entries)
	switch {
	case err != nil:
		f.What = fmt.Sprintf("%s holds %d people or more", base, n)
	case n == 0:
		f.Severity, f.What = directory.Failure, base+" holds nobody the service account can see"
		f.Why = "nobody can be found"
		f.Mend = "check base_dn, the filter, and that the service account may read there"
	default:
		f.What = fmt.Sprintf("%s holds %d people", base, n)
	}
	return f, res.Entries
}

// Managers counts on how many of these people a manager is seen. None at all may be
// how the directory is kept, or a right that is missing: no server tells.
func Managers(people []*ldap.Entry) directory.Finding {
	n := 0
	for _, p := range people {
		if p.GetAttributeValue("manager") != "" {
			n++
		}
	}
	f := directory.Finding{Check: "manager", What: fmt.Sprintf("a manager is seen on %d of %d people", n, len(people))}
	if n == 0 {
		f.What += ": nobody can be asked for a manager's approval, here or where the service account may not read it"
	}
	return f
}
