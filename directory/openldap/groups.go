package openldap

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"postern/directory/internal/ldapconn"
)

var errNoUUID = errors.New("the entry shows no entryUUID")

const (
	groupFilter = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=posixGroup)" +
		"(objectClass=groupOfMembers))"
	// protectedLimit bounds how many entries are looked at for nested groups.
	protectedLimit = 1000
	// groupsLimit bounds how many groups one person is asked about.
	groupsLimit = 1000
)

// groupsOf searches GroupBase for the groups that list the person.
func (d *Directory) groupsOf(c *ldapconn.Conn, dn, uid string) ([]string, error) {
	filter := "(&" + groupFilter + "(|" + ldapconn.AnyEqual(dn, "member", "uniqueMember") +
		ldapconn.AnyEqual(uid, "memberUid") + "))"
	res, err := c.Search(ldap.NewSearchRequest(d.cfg.GroupBase, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases,
		groupsLimit, 0, false, filter, []string{"1.1"}, nil))
	if err != nil {
		if _, answered := ldapconn.Answer(err); answered {
			err = unavailable(err, "searching "+d.cfg.GroupBase)
		}
		return nil, err
	}
	out := make([]string, 0, len(res.Entries))
	for _, e := range res.Entries {
		out = append(out, e.DN)
	}
	return out, nil
}

// protected is everybody in a privileged group, and the groups themselves.
type protected struct {
	dns    map[string]string // normalised DN of a member or group → the configured group
	logins map[string]string // memberUid → the configured group
}

// protectedAccounts reads the privileged groups, at most every policyTTL. It does
// not trust memberOf, which is missing where the overlay is, or was loaded late.
func (d *Directory) protectedAccounts(c *ldapconn.Conn) (*protected, error) {
	if len(d.cfg.PrivilegedGroups) == 0 {
		return &protected{}, nil
	}
	d.protectedMu.Lock()
	p, fresh := d.protected, d.now().Sub(d.protectedAt) < policyTTL
	d.protectedMu.Unlock()
	if p != nil && fresh {
		return p, nil
	}
	p = &protected{dns: map[string]string{}, logins: map[string]string{}}
	for _, g := range d.cfg.PrivilegedGroups {
		if err := p.add(c, g, g); err != nil {
			return nil, err
		}
	}
	d.protectedMu.Lock()
	d.protected, d.protectedAt = p, d.now()
	d.protectedMu.Unlock()
	return p, nil
}

// add walks one group and the groups in it. A configured group that cannot be read
// is an error and not an empty group: its members would no longer be protected.
func (p *protected) add(c *ldapconn.Conn, dn, because string) error {
	queue := []string{dn}
	for len(queue) > 0 {
		dn, queue = queue[0], queue[1:]
		key := normal(dn)
		if _, done := p.dns[key]; done {
			continue
		}
		if len(p.dns) >= protectedLimit {
			return unavailable(fmt.Errorf("more than %d accounts and groups", protectedLimit), "privileged_groups: "+because)
		}
		p.dns[key] = because
		e, err := read(c, dn, "objectClass", "member", "uniqueMember", "memberUid")
		if err != nil {
			if dn != because && ldapconn.Code(err) == ldap.LDAPResultNoSuchObject {
				continue // a member that was deleted
			}
			if _, answered := ldapconn.Answer(err); answered {
				err = unavailable(err, "privileged_groups: "+dn)
			}
			return err
		}
		queue = append(queue, e.GetAttributeValues("member")...)
		queue = append(queue, e.GetAttributeValues("uniqueMember")...)
		for _, uid := range e.GetAttributeValues("memberUid") {
			p.logins[strings.ToLower(uid)] = because
		}
	}
	return nil
}

// refuse says why the account must not be touched, or nothing.
func (p *protected) refuse(dn string, uids, groups []string) string {
	for _, name := range append([]string{dn}, groups...) {
		if g, ok := p.dns[normal(name)]; ok {
			return "member of " + g
		}
	}
	if i := slices.IndexFunc(uids, func(uid string) bool { return p.logins[strings.ToLower(uid)] != "" }); i >= 0 {
		return "member of " + p.logins[strings.ToLower(uids[i])]
	}
	return ""
}

// normal makes DNs that differ in case, spaces or escapes alike.
func normal(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	return strings.ToLower(parsed.String())
}
