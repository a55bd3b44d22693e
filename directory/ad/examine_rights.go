package ad

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory"
	"postern/directory/internal/ldapconn"
)

// What examineRights looks at, at most.
const (
	maxSamples = 8   // ordinary people, each in another place
	maxReads   = 200 // accounts, to find those
	maxBlocked = 20  // units that inherit nothing, each with a few people
)

// examineRights judges the delegation on a few ordinary people, each in another
// container, and its absence on protected ones.
func (d *Directory) examineRights(c *ldapconn.Conn, people []*ldap.Entry) []directory.Finding {
	token, err := d.serviceToken(c)
	if err != nil || token == nil {
		return []directory.Finding{bad(directory.Warning, "rights", "the service account's own groups cannot be read",
			"what it may do cannot be examined", "write bind_dn as a DN")}
	}
	samples, hidden := d.samples(c, append(d.blocked(c), people...))
	var out []directory.Finding
	for _, e := range hidden {
		f := bad(directory.Failure, "rights", "tokenGroups of "+e.DN+" cannot be read",
			"people there cannot be cleared of being privileged, so they are not helped", d.grant(c, e, grantRead))
		if len(samples) > 0 {
			f = elsewhere(f)
		}
		out = append(out, f)
	}
	switch {
	case len(samples) > 0:
		out = append(out, append(d.delegations(c, samples, token), d.expiring(c, samples))...)
	case len(people) > 0 && len(hidden) == 0:
		out = append(out, bad(directory.Warning, "rights", "no ordinary account was seen to judge the delegation by",
			"whether passwords can be reset will show at the first reset", "check base_dn and user_ous: all that was seen is disabled, protected or out of bounds"))
	}
	return append(out, d.overreach(c, token)...)
}

// samples are people Postern would help: not the service account itself, which
// nobody delegates to itself, not a disabled account and not a protected one. hidden
// are those of whom that cannot be told.
func (d *Directory) samples(c *ldapconn.Conn, people []*ldap.Entry) (out, hidden []*ldap.Entry) {
	configured, err := d.privilegedSIDs(c)
	if err != nil {
		configured = nil // examineGroups tells of it
	}
	seen := map[string]bool{}
	reads := 0
	for _, p := range people {
		place := strings.ToLower(parent(p.DN))
		if seen[place] || sameDN(p.DN, d.serviceDN()) || d.places.Refuse(p.DN) != "" {
			continue
		}
		if reads++; reads > maxReads || len(out)+len(hidden) == maxSamples {
			break
		}
		e, err := read(c, p.DN, "adminCount", "tokenGroups", "memberOf", attributeDescriptor, "allowedAttributesEffective", "servicePrincipalName",
			"sAMAccountName", "sAMAccountType", "userAccountControl")
		if err != nil || number(e, "userAccountControl")&uacDisabled != 0 {
			continue
		}
		groups, err := tokenGroups(e)
		if err != nil {
			seen[place] = true
			hidden = append(hidden, e)
			continue
		}
		if privileged(e, groups, e.GetAttributeValues("memberOf"), configured, d.places) == "" {
			seen[place] = true
			out = append(out, e)
		}
	}
	return out, hidden
}

// blocked are a few people of each unit that inherits no rights: there a delegation
// further up does not reach, which among thousands a sample would hardly show.
func (d *Directory) blocked(c *ldapconn.Conn) []*ldap.Entry {
	req := ldap.NewSearchRequest(d.cfg.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 1000, 0, false,
		"(objectClass=organizationalUnit)", []string{attributeDescriptor}, []ldap.Control{sdFlags()})
	res, err := c.Search(req)
	if res == nil || err != nil && ldapconn.Code(err) != ldap.LDAPResultSizeLimitExceeded {
		return nil
	}
	var people []*ldap.Entry
	n := 0
	for _, ou := range res.Entries {
		if n == maxBlocked || !inheritsNothing(ou.GetRawAttributeValue(attributeDescriptor)) {
			continue
		}
		n++
		some, err := c.Search(ldap.NewSearchRequest(ou.DN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, maxSamples, 0, false,
			personFilter, []string{"1.1"}, nil))
		if some != nil && (err == nil || ldapconn.Code(err) == ldap.LDAPResultSizeLimitExceeded) {
			people = append(people, some.Entries...)
		}
	}
	return people
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
		} else if !slices.ContainsFunc(lacking, func(l directory.Finding) bool { return l.Mend == f.Mend }) {
			lacking = append(lacking, f)
		}
	}
	if len(good) == 0 {
		return lacking
	}
	for i := range lacking {
		lacking[i] = elsewhere(lacking[i])
	}
	return append(good[:1], lacking...)
}

// elsewhere is a fault of one place among others that are well.
func elsewhere(f directory.Finding) directory.Finding {
	f.Severity = directory.Warning
	f.Mend += "\nor, if nobody there is to be helped, leave that place out of user_ous"
	return f
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
	f := ok("expire", "on %s the service account may not write pwdLastSet: a technician cannot require a new password at the next sign-in", lacking.DN)
	f.Mend = "where technicians are to:\n" + d.grant(c, lacking, grantPwdLastSet)
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
			"resets and unlocks will be refused", d.grant(c, e, grantReset, grantLockoutTime))
	case err != nil:
		return bad(directory.Warning, "rights", "the access list of "+e.DN+" cannot be read",
			"whether passwords can be reset will show at the first reset", d.grant(c, e, grantReset, grantLockoutTime))
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
				"take it out of the group and delegate on the people's unit only\n"+d.leave(c, name)))
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
				"take the right away; on Samba with a tool for access lists, which samba-tool is not\non Windows:\n"+
					fmt.Sprintf("dsacls %s /R %s", quoted(g.DN), d.trustee(c))))
		}
	}
	return out
}
