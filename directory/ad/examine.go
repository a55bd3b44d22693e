package ad

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// Examine implements directory.Examiner. It reads; it never tries a write, since
// Active Directory tells what the service account may do.
func (d *Directory) Examine(ctx context.Context) []directory.Finding {
	var readOnly []string
	writable := 0
	out := d.client.Examine(ctx, func(c *ldapconn.Conn) []directory.Finding {
		out, ours := d.examineServer(c)
		if !ours {
			return out
		}
		d.roots.Drop(c.Server())
		switch r, err := d.rootDSE(c); {
		case err != nil:
		case r.readOnly:
			readOnly = append(readOnly, c.Server())
			out = append(out, ok("writable", "%s is a read-only domain controller: reading is tried there, and writing elsewhere", c.Server()))
		default:
			writable++
		}
		f, people := ldapconn.People(c, d.cfg.BaseDN, personFilter)
		out = append(out, f, ldapconn.Managers(people))
		out = append(out, d.examinePolicy(c)...)
		out = append(out, d.examineGroups(c), d.examineProtected(c))
		out = append(out, d.examineRights(c, people)...)
		return out
	})
	if len(readOnly) > 0 && writable == 0 {
		out = append(out, bad(directory.Warning, "writable", "no writable domain controller was reached, only: "+strings.Join(readOnly, ", "),
			"no password can be set and nobody unlocked", "name a writable one in servers; see: nltest /dsgetdc:"+domainName(d.domainDN)+" /writable"))
	}
	return append(out, d.examineCatalog(ctx)...)
}

// domainName is the DNS name of a domain (MS-ADTS section 3.1.1.1.4).
func domainName(dn string) string {
	p, err := ldap.ParseDN(dn)
	if err != nil {
		return dn
	}
	var labels []string
	for _, r := range p.RDNs {
		labels = append(labels, r.Attributes[0].Value)
	}
	return strings.Join(labels, ".")
}

func ok(check, format string, args ...any) directory.Finding {
	return directory.Finding{Check: check, What: fmt.Sprintf(format, args...)}
}

func bad(severity directory.Severity, check, what, why, mend string) directory.Finding {
	return directory.Finding{Severity: severity, Check: check, What: what, Why: why, Mend: mend}
}

// examineServer looks at what the server says of itself. ours is false where nothing
// else on it is worth looking at.
func (d *Directory) examineServer(c *ldapconn.Conn) (out []directory.Finding, ours bool) {
	e, err := read(c, "", "currentTime", "supportedControl", "defaultNamingContext")
	if err != nil {
		return []directory.Finding{bad(directory.Failure, "server", fmt.Sprintf("%s: the rootDSE cannot be read: %v", c.Server(), err),
			"what the server can do is not known", "check that this is an Active Directory domain controller")}, false
	}
	if holds := e.GetAttributeValue("defaultNamingContext"); !sameDN(holds, d.domainDN) {
		return []directory.Finding{bad(directory.Failure, "domain", fmt.Sprintf("%s says that it holds %s, while base_dn is in %s",
			c.Server(), cmp.Or(domainName(holds), "no domain"), domainName(d.domainDN)),
			"whoever is looked for there is of another domain, or nobody",
			"take it out of servers, or correct base_dn; who holds the domain says:\nnltest /dclist:"+domainName(d.domainDN))}, false
	}
	if theirs, good := ldapconn.ParseTime(e.GetAttributeValue("currentTime")); good {
		out = append(out, ldapconn.Clock(c.Server(), theirs, d.now()))
	}
	// What was tried is all that is known: no attribute tells what a server demands.
	out = append(out, ok("signing", "%s took a simple bind over TLS: neither LDAP signing nor channel binding stands in the way; "+
		"whether it demands them of others, who bind with Kerberos or NTLM, cannot be seen from here", c.Server()))
	controls := e.GetAttributeValues("supportedControl")
	if slices.Contains(controls, oidPolicyHints) || slices.Contains(controls, oidPolicyHintsOld) {
		return append(out, ok("history", "%s keeps the password history in resets too", c.Server())), true
	}
	return append(out, bad(directory.Warning, "history",
		c.Server()+" does not list the policy hints control: a reset may set an old password again",
		"the history holds for changes only", "nothing on Samba; on Windows Server 2008 R2 and later install the current updates")), true
}

func (d *Directory) examinePolicy(c *ldapconn.Conn) []directory.Finding {
	d.policies.Drop(d.domainDN)
	r, err := d.domainRules(c)
	if err != nil {
		return []directory.Finding{bad(directory.Failure, "policy", fmt.Sprintf("the policy at %s cannot be read: %v", d.domainDN, err),
			"people cannot be told the rules, and account states cannot be judged",
			d.mayRead(c, d.domainDN, false))}
	}
	if r.MinLength == 0 && r.LockoutThreshold == 0 && r.MaxAge == 0 && r.History == 0 {
		return []directory.Finding{bad(directory.Warning, "policy", d.domainDN+" shows no password policy at all",
			"either there is none, or the service account may not read it",
			d.mayRead(c, d.domainDN, false))}
	}
	out := []directory.Finding{ok("policy", "%s: at least %d characters, complexity %v, history %d, lockout after %d",
		d.domainDN, r.MinLength, r.Complexity, r.History, r.LockoutThreshold)}
	if r.ResetForcesChange {
		out = append(out, bad(directory.Warning, "unexpire", "the service account lacks the right Unexpire Password on "+d.domainDN,
			"after a reset the person must change the password once more at the next sign-in (MS-SAMR 3.1.1.8.7)",
			d.unexpire(c)))
	}
	return append(out, d.examinePSOs(c)...)
}

// examinePSOs looks for fine-grained policies that nobody but administrators may
// read, which is how Active Directory makes them: the container, and each one that
// somebody is seen to be under.
func (d *Directory) examinePSOs(c *ldapconn.Conn) []directory.Finding {
	const why = "where a fine-grained policy applies, people are shown the domain's rules, with a note"
	container := "CN=Password Settings Container,CN=System," + d.domainDN
	// Samba shows the entry to everybody and hides what is in it.
	if e, err := read(c, container, "cn"); err != nil || e.GetAttributeValue("cn") == "" {
		return []directory.Finding{bad(directory.Warning, "policy", "the service account may not look into "+container, why, d.mayRead(c, container, true))}
	}
	res, err := c.Search(ldap.NewSearchRequest(d.domainDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 500, 0, false,
		"(msDS-PSOApplied=*)", []string{"msDS-PSOApplied"}, nil))
	if res == nil || err != nil && ldapconn.Code(err) != ldap.LDAPResultSizeLimitExceeded {
		return nil
	}
	var out []directory.Finding
	seen := map[string]bool{}
	for _, e := range res.Entries {
		for _, pso := range e.GetAttributeValues("msDS-PSOApplied") {
			if seen[pso] {
				continue
			}
			seen[pso] = true
			d.policies.Drop(pso)
			if r, err := d.rules(c, pso); err == nil && r.Unreadable != "" {
				out = append(out, bad(directory.Warning, "policy", fmt.Sprintf("%s applies to %s and cannot be read", pso, e.DN), why, d.mayRead(c, pso, false)))
			}
		}
	}
	return out
}

// examineProtected counts the protected accounts among those that could be helped.
// Nobody helps them; where user_ous draws a border they are better kept outside of it.
func (d *Directory) examineProtected(c *ldapconn.Conn) directory.Finding {
	res, err := c.Search(ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 1000, 0, false,
		"(&"+personFilter+"(adminCount>=1))", []string{"1.1"}, nil))
	if res == nil || err != nil && ldapconn.Code(err) != ldap.LDAPResultSizeLimitExceeded {
		return bad(directory.Warning, "protected", fmt.Sprintf("protected accounts cannot be counted: %v", err),
			"how many people cannot be helped is not known", "let the service account read adminCount below "+d.cfg.BaseDN)
	}
	var in []string
	for _, e := range res.Entries {
		if d.places.Refuse(e.DN) == "" {
			in = append(in, e.DN)
		}
	}
	where := cmp.Or(strings.Join(d.cfg.UserOUs, "; "), d.cfg.BaseDN)
	if len(in) == 0 || len(d.cfg.UserOUs) == 0 {
		return ok("protected", "%d protected accounts (adminCount=1) in %s: they are refused", len(in), where)
	}
	return bad(directory.Warning, "protected", fmt.Sprintf("%d protected accounts (adminCount=1) in %s, such as %s", len(in), where, in[0]),
		"they are refused, and whoever is no administrator any more stays refused while adminCount is set",
		"move administrators out of user_ous; where somebody no longer is one, clear the mark and let the account inherit rights again\n"+
			"on Windows:\n"+fmt.Sprintf("dsacls %s /P:N", quoted(in[0]))+"\nin PowerShell:\n"+
			fmt.Sprintf("Set-ADUser -Identity %s -Clear adminCount", powershell(in[0])))
}

func (d *Directory) examineGroups(c *ldapconn.Conn) directory.Finding {
	groups, err := d.privilegedSIDs(c)
	if err != nil {
		return bad(directory.Failure, "privileged", err.Error(),
			"while a privileged group cannot be read nobody is helped at all", "mend privileged_groups, or let the service account read the group")
	}
	return ok("privileged", "%d configured groups beside the built-in ones", len(groups))
}
