package ad

import (
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
		out := d.examineServer(c)
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
		out = append(out, d.examineGroups(c))
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

func (d *Directory) examineServer(c *ldapconn.Conn) []directory.Finding {
	var out []directory.Finding
	e, err := read(c, "", "currentTime", "supportedControl")
	if err != nil {
		return []directory.Finding{bad(directory.Failure, "server", fmt.Sprintf("%s: the rootDSE cannot be read: %v", c.Server(), err),
			"what the server can do is not known", "check that this is an Active Directory domain controller")}
	}
	if theirs, good := ldapconn.ParseTime(e.GetAttributeValue("currentTime")); good {
		out = append(out, ldapconn.Clock(c.Server(), theirs, d.now()))
	}
	controls := e.GetAttributeValues("supportedControl")
	if slices.Contains(controls, oidPolicyHints) || slices.Contains(controls, oidPolicyHintsOld) {
		return append(out, ok("history", "%s keeps the password history in resets too", c.Server()))
	}
	return append(out, bad(directory.Warning, "history",
		c.Server()+" does not list the policy hints control: a reset may set an old password again",
		"the history holds for changes only", "nothing on Samba; on Windows Server 2008 R2 and later install the current updates"))
}

func (d *Directory) examinePolicy(c *ldapconn.Conn) []directory.Finding {
	d.policies.Drop(d.domainDN)
	r, err := d.domainRules(c)
	if err != nil {
		return []directory.Finding{bad(directory.Failure, "policy", fmt.Sprintf("the policy at %s cannot be read: %v", d.domainDN, err),
			"people cannot be told the rules, and account states cannot be judged",
			fmt.Sprintf("dsacls %q /G %s:GR", d.domainDN, d.trustee(c)))}
	}
	if r.MinLength == 0 && r.LockoutThreshold == 0 && r.MaxAge == 0 && r.History == 0 {
		return []directory.Finding{bad(directory.Warning, "policy", d.domainDN+" shows no password policy at all",
			"either there is none, or the service account may not read it",
			fmt.Sprintf("dsacls %q /G %s:GR", d.domainDN, d.trustee(c)))}
	}
	out := []directory.Finding{ok("policy", "%s: at least %d characters, complexity %v, history %d, lockout after %d",
		d.domainDN, r.MinLength, r.Complexity, r.History, r.LockoutThreshold)}
	if r.ResetForcesChange {
		out = append(out, bad(directory.Warning, "unexpire", "the service account lacks the right Unexpire Password on "+d.domainDN,
			"after a reset the person must change the password once more at the next sign-in (MS-SAMR 3.1.1.8.7)",
			fmt.Sprintf("dsacls %q /G \"%s:CA;Unexpire Password\"", d.domainDN, d.trustee(c))))
	}
	return append(out, d.examinePSOs(c)...)
}

// examinePSOs looks for fine-grained policies that nobody but administrators may
// read, which is how Active Directory makes them.
func (d *Directory) examinePSOs(c *ldapconn.Conn) []directory.Finding {
	container := "CN=Password Settings Container,CN=System," + d.domainDN
	// Samba shows the entry to everybody and hides what is in it.
	if e, err := read(c, container, "cn"); err != nil || e.GetAttributeValue("cn") == "" {
		who := d.trustee(c)
		return []directory.Finding{bad(directory.Warning, "policy", "the service account may not look into "+container,
			"where a fine-grained policy applies, people are shown the domain's rules, with a note",
			fmt.Sprintf("Windows: dsacls %[1]q /I:T /G %[2]q\nSamba: samba-tool dsacl set --objectdn=%[1]q --sddl='(A;CI;RPLCRC;;;%[3]s)'",
				container, who+":GR", who))}
	}
	return nil
}

func (d *Directory) examineGroups(c *ldapconn.Conn) directory.Finding {
	groups, err := d.privilegedSIDs(c)
	if err != nil {
		return bad(directory.Failure, "privileged", err.Error(),
			"while a privileged group cannot be read nobody is helped at all", "mend privileged_groups, or let the service account read the group")
	}
	return ok("privileged", "%d configured groups beside the built-in ones", len(groups))
}

// What examineRights looks at, at most.
const (
	maxSamples = 5   // ordinary people, each in another place
	maxReads   = 200 // accounts, to find those
)

// examineRights judges the delegation on a few ordinary people, each in another
// container, and its absence on protected ones.
func (d *Directory) examineRights(c *ldapconn.Conn, people []*ldap.Entry) []directory.Finding {
	token, err := d.serviceToken(c)
	if err != nil || token == nil {
		return []directory.Finding{bad(directory.Warning, "rights", "the service account's own groups cannot be read",
			"what it may do cannot be examined", "write bind_dn as a DN")}
	}
	samples, err := d.samples(c, people)
	if err != nil {
		return []directory.Finding{bad(directory.Failure, "rights", err.Error(),
			"nobody can be cleared of being privileged, so nobody is helped",
			"add the service account to the group Windows Authorization Access Group")}
	}
	var out []directory.Finding
	switch {
	case len(samples) > 0:
		out = append(d.delegations(c, samples, token), d.expiring(c, samples))
	case len(people) > 0:
		out = append(out, bad(directory.Warning, "rights", "no ordinary account was seen to judge the delegation by",
			"whether passwords can be reset will show at the first reset", "check base_dn and user_ous: all that was seen is disabled, protected or out of bounds"))
	}
	return append(out, d.overreach(c, token)...)
}

// samples are people Postern would help: not the service account itself, which
// nobody delegates to itself, not a disabled account and not a protected one.
func (d *Directory) samples(c *ldapconn.Conn, people []*ldap.Entry) ([]*ldap.Entry, error) {
	configured, err := d.privilegedSIDs(c)
	if err != nil {
		configured = nil // examineGroups tells of it
	}
	var out []*ldap.Entry
	seen := map[string]bool{}
	reads := 0
	for _, p := range people {
		place := strings.ToLower(parent(p.DN))
		if seen[place] || sameDN(p.DN, d.serviceDN()) || d.places.Refuse(p.DN) != "" {
			continue
		}
		if reads++; reads > maxReads || len(out) == maxSamples {
			break
		}
		e, err := read(c, p.DN, "adminCount", "tokenGroups", "memberOf", attributeDescriptor, "allowedAttributesEffective", "servicePrincipalName",
			"sAMAccountName", "sAMAccountType", "userAccountControl")
		if err != nil || number(e, "userAccountControl")&uacDisabled != 0 {
			continue
		}
		groups, err := tokenGroups(e)
		if err != nil {
			return nil, fmt.Errorf("tokenGroups of %s cannot be read", p.DN)
		}
		if privileged(e, groups, e.GetAttributeValues("memberOf"), configured, d.places) == "" {
			seen[place] = true
			out = append(out, e)
		}
	}
	return out, nil
}

func sameDN(a, b string) bool {
	x, errX := ldap.ParseDN(a)
	y, errY := ldap.ParseDN(b)
	return errX == nil && errY == nil && x.EqualFold(y)
}

// parent is where an entry is; the entry itself for a DN that cannot be read.
func parent(dn string) string {
	p, err := ldap.ParseDN(dn)
	if err != nil || len(p.RDNs) < 2 {
		return dn
	}
	p.RDNs = p.RDNs[1:]
	return p.String()
}

// delegations says where people can be helped and where not. Where nobody can
// be is a failure; a single place may be meant to be left alone.
func (d *Directory) delegations(c *ldapconn.Conn, samples []*ldap.Entry, token map[sid]bool) []directory.Finding {
	var good, lacking []directory.Finding
	for _, e := range samples {
		if f := d.delegation(c, e, token); f.Severity == directory.OK {
			good = append(good, f)
		} else {
			lacking = append(lacking, f)
		}
	}
	if len(good) == 0 {
		return lacking[:1]
	}
	for i := range lacking {
		lacking[i].Severity = directory.Warning
		lacking[i].Mend += " — or, if nobody there is to be helped, leave that place out of user_ous"
	}
	return append(good[:1], lacking...)
}

// expiring says whether the service account may require a new password of somebody.
// Only a help desk needs that, so its absence is told and counts for nothing.
func (d *Directory) expiring(c *ldapconn.Conn, samples []*ldap.Entry) directory.Finding {
	var lacking *ldap.Entry
	for _, e := range samples {
		if writable(e, "pwdLastSet") {
			return ok("expire", "on %s the service account may require a new password at the next sign-in (write pwdLastSet)", e.DN)
		}
		lacking = e
	}
	where, who := d.place(lacking.DN), d.trustee(c)
	f := ok("expire", "on %s the service account may not write pwdLastSet: a technician cannot require a new password at the next sign-in", lacking.DN)
	f.Mend = fmt.Sprintf("where technicians are to: Windows: dsacls %[1]q /I:S /G \"%[2]s:RPWP;pwdLastSet;user\"\n"+
		"Samba: samba-tool dsacl set --objectdn=%[1]q --sddl='(OA;CIIO;RPWP;bf967a0a-0de6-11d0-a285-00aa003049e2;%[3]s;%[2]s)'", where, who, classUser)
	return f
}

// writable reads allowedAttributesEffective (MS-ADTS section 3.1.1.4.5.18).
func writable(e *ldap.Entry, attribute string) bool {
	return slices.ContainsFunc(e.GetAttributeValues("allowedAttributesEffective"), func(a string) bool { return strings.EqualFold(a, attribute) })
}

func (d *Directory) delegation(c *ldapconn.Conn, e *ldap.Entry, token map[sid]bool) directory.Finding {
	var missing []string
	dacl, err := parseDACL(e.GetRawAttributeValue(attributeDescriptor))
	if err == nil && !granted(dacl, rightResetPassword, token) {
		missing = append(missing, "Reset Password")
	}
	if !writable(e, "lockoutTime") {
		missing = append(missing, "write lockoutTime")
	}
	switch {
	case len(missing) > 0:
		return bad(directory.Failure, "rights", "on "+e.DN+" the service account lacks: "+strings.Join(missing, ", "),
			"resets and unlocks will be refused", d.delegate(c, e.DN))
	case err != nil:
		return bad(directory.Warning, "rights", "the access list of "+e.DN+" cannot be read",
			"whether passwords can be reset will show at the first reset", d.delegate(c, e.DN))
	}
	return ok("rights", "on %s the service account may reset the password and unlock", e.DN)
}

// overreach looks at what the service account should not be able to do: then it is
// an administrator itself.
func (d *Directory) overreach(c *ldapconn.Conn, token map[sid]bool) []directory.Finding {
	const why = "whoever takes over this account takes over the domain; Postern refuses such targets, but need not be able to"
	var out []directory.Finding
	for s := range token {
		if name := builtinPrivilege(s); name != "" {
			out = append(out, bad(directory.Failure, "rights", "the service account is a member of "+name, why,
				"take it out of the group and delegate on the people's OU only"))
		}
	}
	res, err := c.Search(ldap.NewSearchRequest(d.domainDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 20, 0, false,
		"(&(objectClass=user)(adminCount=1))", []string{"1.1"}, nil))
	if res == nil || err != nil && ldapconn.Code(err) != ldap.LDAPResultSizeLimitExceeded {
		return out
	}
	for _, p := range res.Entries {
		e, err := read(c, p.DN, attributeDescriptor)
		if err != nil {
			continue
		}
		if dacl, err := parseDACL(e.GetRawAttributeValue(attributeDescriptor)); err == nil && granted(dacl, rightResetPassword, token) {
			// Windows takes the right away within the hour (AdminSDHolder); Samba never does.
			out = append(out, bad(directory.Warning, "rights", "the service account may reset the protected account "+p.DN, why,
				"move protected accounts out of the OU the delegation is on"))
			break
		}
	}
	res, err = c.Search(ldap.NewSearchRequest(d.domainDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 20, 0, false,
		"(&(objectClass=group)(adminCount=1))", []string{"allowedAttributesEffective"}, nil))
	if err != nil {
		return out
	}
	for _, g := range res.Entries {
		if slices.Contains(g.GetAttributeValues("allowedAttributesEffective"), "member") {
			return append(out, bad(directory.Failure, "rights", "the service account may change the members of "+g.DN, why,
				fmt.Sprintf("dsacls %q /R %s", g.DN, d.trustee(c))))
		}
	}
	return out
}

// trustee is the service account as dsacls takes it: its SID when it can be read.
func (d *Directory) trustee(c *ldapconn.Conn) string {
	if e, err := read(c, d.serviceDN(), "objectSid"); err == nil && d.serviceDN() != d.domainDN {
		if s, err := newSID(e.GetRawAttributeValue("objectSid")); err == nil {
			return s.String()
		}
	}
	return d.cfg.BindDN
}

// delegate is the command that gives exactly the rights needed, for Windows and Samba.
func (d *Directory) delegate(c *ldapconn.Conn, person string) string {
	who, ou := d.trustee(c), d.place(person)
	sddl := fmt.Sprintf("(OA;CIIO;CR;00299570-246d-11d0-a768-00aa006e0529;%[1]s;%[2]s)"+
		"(OA;CIIO;RPWP;28630ebf-41d5-11d1-a9c1-0000f80367c1;%[1]s;%[2]s)", classUser, who)
	return fmt.Sprintf("Windows: dsacls %[1]q /I:S /G \"%[2]s:CA;Reset Password;user\" \"%[2]s:RPWP;lockoutTime;user\"\n"+
		"Samba: samba-tool dsacl set --objectdn=%[1]q --sddl='%[3]s'", ou, who, sddl)
}

// classUser is the schemaIDGUID of the class user.
const classUser = "bf967aba-0de6-11d0-a285-00aa003049e2"

// place is where rights on a person and the like are to be given.
func (d *Directory) place(person string) string {
	if len(d.cfg.UserOUs) > 0 {
		return d.cfg.UserOUs[0]
	}
	return parent(person)
}
