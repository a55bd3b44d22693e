package ldapconn

import (
	"context"
	"fmt"
	"strings"

	"postern/directory"
)

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
