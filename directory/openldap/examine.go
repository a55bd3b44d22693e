package openldap

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// Examine implements directory.Examiner. It reads; it never tries a write. What
// the service account may write OpenLDAP does not tell beforehand.
func (d *Directory) Examine(ctx context.Context) []directory.Finding {
	return d.client.Examine(ctx, func(c *ldapconn.Conn) []directory.Finding {
		var out []directory.Finding
		s := d.serverConfig(c)
		out = append(out, d.examineServer(c)...)
		account := d.examineAccount(c, s)
		out = append(out, account)
		f, people := ldapconn.People(c, d.cfg.BaseDN, d.cfg.UserFilter)
		out = append(out, f, ldapconn.Managers(people))
		if len(people) > 0 {
			out = append(out, d.examinePerson(c, people[0].DN))
			if account.Severity != directory.Failure { // rootdn needs no right
				out = append(out, d.examineManage(s, people[0].DN))
			}
		}
		return append(out, d.examineOverlay(c, s), d.examinePolicy(c), d.examineGroups(c), d.examineListing(c), d.examineIndexes(s))
	})
}

func ok(check, format string, args ...any) directory.Finding {
	return directory.Finding{Check: check, What: fmt.Sprintf(format, args...)}
}

func bad(severity directory.Severity, check, what, why, mend string) directory.Finding {
	return directory.Finding{Severity: severity, Check: check, What: what, Why: why, Mend: mend}
}

func (d *Directory) examineServer(c *ldapconn.Conn) []directory.Finding {
	e, err := read(c, "", "supportedExtension", "supportedControl")
	if err != nil {
		return []directory.Finding{bad(directory.Failure, "server", fmt.Sprintf("%s: the rootDSE cannot be read: %v", c.Server(), err),
			"what the server can do is not known", `access to dn.base="" by * read`)}
	}
	var out []directory.Finding
	if !slices.Contains(e.GetAttributeValues("supportedExtension"), oidPasswordModify) {
		out = append(out, bad(directory.Failure, "server", c.Server()+" lacks the password modify operation (RFC 3062)",
			"passwords cannot be set so that the server hashes them", "use a server that has it; Active Directory is directory kind ad"))
	}
	if !slices.Contains(e.GetAttributeValues("supportedControl"), ldap.ControlTypeBeheraPasswordPolicy) {
		out = append(out, bad(directory.Warning, "server", c.Server()+" has no password policy control",
			"a refusal cannot name the rule, and expired passwords cannot be told from wrong ones", "moduleload ppolicy; overlay ppolicy"))
	}
	if len(out) == 0 {
		out = append(out, ok("server", "%s: password modify and password policy are there", c.Server()))
	}
	return out
}

// examineAccount looks for the signs of rootdn: for it no policy holds and pwdReset
// is set after every reset (slapo-ppolicy(5)).
func (d *Directory) examineAccount(c *ldapconn.Conn, s serverConfig) directory.Finding {
	const why = "for rootdn neither quality nor history holds, and it may do anything"
	switch {
	case s.rootOf != "":
		return bad(directory.Failure, "account", d.cfg.BindDN+" is the olcRootDN of "+s.rootOf, why, d.remedy(s))
	case s.open:
		return bad(directory.Warning, "account", d.cfg.BindDN+" may read cn=config",
			"the service account should see people and policies only", "sudo ldapsearch -Q -LLL -Y EXTERNAL -H ldapi:/// -b 'olcDatabase={0}config,cn=config' -s base olcAccess # and take the rule away")
	}
	_, err := read(c, d.cfg.BindDN, "objectClass")
	switch code := ldapconn.Code(err); {
	case err == nil:
		return ok("account", "%s is an entry of its own", d.cfg.BindDN)
	case code == ldap.LDAPResultNoSuchObject && d.sees(c, parent(d.cfg.BindDN)):
		return bad(directory.Failure, "account", d.cfg.BindDN+" could bind and is no entry: this is how rootdn looks", why, d.remedy(s))
	}
	return bad(directory.Warning, "account", d.cfg.BindDN+" cannot see its own entry, so it may be rootdn", why,
		s.change("olcAccess", fmt.Sprintf("{0}to dn.exact=%q by self read by * break", d.cfg.BindDN)))
}

// sees tells "there is no such entry" from "you may not know": slapd says
// noSuchObject for both, but a caller that sees the parent was told the truth.
func (d *Directory) sees(c *ldapconn.Conn, dn string) bool {
	_, err := read(c, dn, "objectClass")
	return err == nil
}

func parent(dn string) string {
	p, err := ldap.ParseDN(dn)
	if err != nil || len(p.RDNs) < 2 {
		return dn
	}
	p.RDNs = p.RDNs[1:]
	return p.String()
}

func (d *Directory) examinePerson(c *ldapconn.Conn, dn string) directory.Finding {
	e, err := read(c, dn, d.attributes()...)
	if err != nil {
		return bad(directory.Failure, "people", fmt.Sprintf("%s cannot be read: %v", dn, err), "nobody can be found",
			fmt.Sprintf("access to dn.subtree=%q by dn.exact=%q read", d.cfg.BaseDN, d.cfg.BindDN))
	}
	if e.GetAttributeValue("entryUUID") == "" {
		return bad(directory.Failure, "people", dn+" shows no entryUUID", "everything is keyed on it",
			fmt.Sprintf("access to dn.subtree=%q attrs=entry,entryUUID by dn.exact=%q read", d.cfg.BaseDN, d.cfg.BindDN))
	}
	if d.cfg.DefaultPolicy != "" && e.GetAttributeValue("pwdChangedTime") == "" {
		return bad(directory.Warning, "people", dn+" shows no pwdChangedTime",
			"whether a password has expired cannot be told; an outcome cannot be read back after a crash. "+
				"slapd writes it at the first change of a password, or when the policy has pwdMaxAge or pwdMinAge; "+
				"if it does and is still not seen, the service account may not read it",
			fmt.Sprintf("access to dn.subtree=%q attrs=pwdChangedTime,pwdAccountLockedTime,pwdFailureTime,pwdReset,pwdPolicySubentry by dn.exact=%q read",
				d.cfg.BaseDN, d.cfg.BindDN))
	}
	// Types only: the hash itself is nothing to fetch.
	res, err := c.Search(ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, true,
		"(objectClass=*)", []string{"userPassword"}, nil))
	if err == nil && len(res.Entries) == 1 && len(res.Entries[0].Attributes) > 0 {
		return bad(directory.Warning, "people", "the service account may read the password hash of "+dn,
			"whoever takes over this account can guess passwords at leisure; `write` in OpenLDAP means read as well",
			fmt.Sprintf("access to dn.subtree=%q attrs=userPassword by dn.exact=%q =wx by anonymous auth by self =wx by * none", d.cfg.BaseDN, d.cfg.BindDN))
	}
	return ok("people", "%s can be read with its state", dn)
}

func (d *Directory) examinePolicy(c *ldapconn.Conn) directory.Finding {
	if d.cfg.DefaultPolicy == "" {
		return bad(directory.Warning, "policy", "default_policy is not set",
			"people cannot be told the rules, and lockouts of a limited time look endless", "set it to the server's ppolicy_default (olcPPolicyDefault)")
	}
	d.policies.Drop(d.cfg.DefaultPolicy)
	p, err := d.policy(c, "")
	if err != nil || p.rules.Unreadable != "" {
		return bad(directory.Failure, "policy", d.cfg.DefaultPolicy+" cannot be read",
			"people cannot be told the rules", fmt.Sprintf("access to dn.exact=%q by dn.exact=%q read", d.cfg.DefaultPolicy, d.cfg.BindDN))
	}
	if !p.rules.QualityCheck {
		return bad(directory.Warning, "policy", d.cfg.DefaultPolicy+" has pwdCheckQuality 0: the server takes a password of any length", "weak passwords are refused by the portal alone, and not where else they are set",
			lines("ldapmodify -x -H "+d.cfg.Servers[0]+" -D ADMINISTRATOR -W", "dn: "+d.cfg.DefaultPolicy, "changetype: modify", "replace: pwdCheckQuality", "pwdCheckQuality: 2"))
	}
	return ok("policy", "%s: at least %d characters, history %d, lockout after %d", d.cfg.DefaultPolicy, p.rules.MinLength,
		p.rules.History, p.rules.LockoutThreshold)
}

func (d *Directory) examineGroups(c *ldapconn.Conn) directory.Finding {
	if len(d.cfg.PrivilegedGroups) == 0 {
		return bad(directory.Warning, "privileged", "no privileged_groups are named",
			"the directory does not say who administers it: nobody is protected from self-service", "name the groups of your administrators")
	}
	p, err := d.protectedAccounts(c)
	if err != nil {
		return bad(directory.Failure, "privileged", err.Error(), "while a privileged group cannot be read nobody is helped at all",
			fmt.Sprintf("access to dn.exact=%q by dn.exact=%q read", d.cfg.PrivilegedGroups[0], d.cfg.BindDN))
	}
	return ok("privileged", "%d accounts and groups are out of bounds", len(p.dns)+len(p.logins))
}

// examineListing goes through everybody, as a report does: only the end shows
// whether the server's limits allow it.
func (d *Directory) examineListing(c *ldapconn.Conn) directory.Finding {
	n := 0
	err := c.Pages(d.everybody(), d.pageSize, func(*ldap.Entry) error { n++; return nil })
	switch {
	case err == nil:
		return ok("listing", "%s: all %d people can be listed", c.Server(), n)
	case ldapconn.Code(err) == ldap.LDAPResultSizeLimitExceeded:
		return bad(directory.Warning, "listing", fmt.Sprintf("%s ends a listing after %d people", c.Server(), n),
			"reports about everybody are refused rather than made of some", fmt.Sprintf("limits dn.exact=%q size.prtotal=unlimited", d.cfg.BindDN))
	}
	return bad(directory.Warning, "listing", fmt.Sprintf("%s: people cannot be listed: %v", c.Server(), err),
		"reports about everybody cannot be made", fmt.Sprintf("limits dn.exact=%q size.prtotal=unlimited", d.cfg.BindDN))
}
