package ldapconn

import (
	"context"
	"fmt"
	"time"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
)

const clockTolerance = time.Minute

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

func (c *Client) examine(ctx context.Context, s *server, look func(*Conn) []directory.Finding) []directory.Finding {
	l, err := s.dial(ctx)
	if err != nil {
		return []directory.Finding{s.dialFinding(err)}
	}
	defer l.kill()
	state, _ := l.ldap.TLSConnectionState()
	out := []directory.Finding{{Check: "reach", What: s.addr + " was reached"}, s.certificateFinding(state, c.now())}

	conn := &Conn{ctx: ctx, link: l, server: s.addr, timeout: c.cfg.RequestTimeout}
	if _, err := conn.bind(c.cfg.BindDN, c.cfg.Password, nil); conn.broken != nil {
		return append(out, s.brokenFinding(conn.broken))
	} else if err != nil {
		f := directory.Finding{Severity: directory.Failure, Check: "bind",
			What: fmt.Sprintf("%s did not take the service account %s: %v", s.addr, c.cfg.BindDN, err),
			Why:  "without it nobody can be looked up",
			Mend: "check bind_dn and bind_password, and that the account is neither locked nor expired; try:\n" +
				fmt.Sprintf("ldapwhoami -x -H %s -D %q -W", s.url(), c.cfg.BindDN)}
		return append(out, f)
	}
	out = append(out, directory.Finding{Check: "bind", What: s.addr + " took the service account " + c.cfg.BindDN})
	seen := look(conn)
	if conn.broken != nil {
		out = append(out, s.brokenFinding(conn.broken))
	}
	return append(out, seen...)
}

func (s *server) url() string {
	if s.startTLS {
		return "ldap://" + s.addr + " -ZZ"
	}
	return "ldaps://" + s.addr
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
